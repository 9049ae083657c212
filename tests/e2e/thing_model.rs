//! What a thing model refuses before anything is sent, and the template that it gives.

use std::fmt::Write as _;

use insta::assert_snapshot;

use fleetpush::simulator::{Outage, Scenario};

use crate::support::{Sim, Site, agree, devices};

/// The model that fits the samples.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/thing-model.json");

fn sample(name: &str) -> String {
    format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn mistakes_are_told_by_line_and_column_with_the_platforms_code() {
    let site = Site::with(
        "device_key,product_key,service,param.mode,param.target,param.limits,data\n\
         D1,PK1,setMode,1,20.5,,\n\
         D2,PK1,setMode,2000,99,,\n\
         D3,PK1,setmode,1,,,\n\
         D4,PK1,setLimits,,,\"[1,2,3,4,5,6,7,8,9]\",\n\
         D5,PK1,,,,,\"{\"\"mode\"\":1}\"\n\
         D6,PK1,setMode,1,warm,,\n\
         D7,PK1,,,,,\"[{\"\"firmware\"\":\"\"2.0\"\"}]\"\n",
    );
    let told = site.run(&["check", "fleet.csv", "--tsl", MODEL]).expect(2);
    assert_snapshot!(told.stderr);
    // The same file passes where nobody asks.
    site.run(&["check", "fleet.csv"]).expect(0);
}

#[test]
fn jsonl_names_the_field_and_flags_are_named_as_such() {
    let site = Site::with("");
    site.write(
        "fleet.jsonl",
        "{\"device_key\":\"D1\",\"product_key\":\"PK1\",\"service\":\"setMode\",\"params\":{\"moed\":1}}\n",
    );
    site.run(&["check", "fleet.jsonl", "--tsl", MODEL])
        .expect(2)
        .says(&["line 1", "params.moed", "did you mean `mode`?", "70094"]);
    site.write("keys.csv", "device_key\nD1\n");
    let flags = [
        "--product-key",
        "PK1",
        "--service",
        "setMode",
        "--param",
        "mode=9",
    ];
    let args = [&["check", "keys.csv", "--tsl", MODEL][..], &flags].concat();
    site.run(&args)
        .expect(2)
        .says(&["--param mode", "`mode` is '9'", "0 (Off)", "70091"]);
}

#[test]
fn a_push_sends_nothing_or_records_what_does_not_fit() {
    let sim = Sim::healthy();
    let site = Site::with(
        "device_key,product_key,service,param.mode\nD1,PK1,setMode,1\nD2,PK1,setMode,7\nD3,PK1,setMode,2\n",
    );
    site.push(&sim, &["run", "fleet.csv", "--tsl", MODEL])
        .expect(2)
        .says(&["line 3", "param.mode", "70091"]);
    assert_eq!(sim.stats().requests, 0);
    site.push(
        &sim,
        &["run", "fleet.csv", "--tsl", MODEL, "--skip-invalid"],
    )
    .expect(1);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!((journal.run().accepted, journal.run().failed), (2, 1));
}

#[test]
fn the_samples_fit_their_model() {
    let site = Site::with("");
    for (name, flags) in [
        ("fleet.csv", &[][..]),
        ("troubled.csv", &[]),
        ("nested.jsonl", &[]),
        (
            "devices.csv",
            &[
                "--product-key",
                "PK0001",
                "--service",
                "setMode",
                "--param",
                "mode=1",
            ],
        ),
    ] {
        let sample = sample(name);
        let args = [&["check", &sample, "--tsl", MODEL][..], flags].concat();
        site.run(&args).expect(0);
    }
}

#[test]
fn each_product_may_have_its_own_model_and_one_without_is_told() {
    let site = Site::with(
        "device_key,product_key,service,param.level\nD1,PK1,dim,3\nD2,PK2,dim,3\nD3,PK3,anything,3\n",
    );
    let model = |max: u32| {
        format!(
            "{{\"services\":[{{\"code\":\"dim\",\"inputData\":[{{\"code\":\"level\",\"dataType\":\"INT\",\"specs\":{{\"min\":1,\"max\":{max}}}}}]}}]}}"
        )
    };
    site.write("one.json", model(5));
    site.write("two.json", model(2));
    let check = |files: &[&str]| {
        let flags: Vec<_> = files.iter().flat_map(|file| ["--tsl", file]).collect();
        site.run(&[&["check", "fleet.csv"], &flags[..]].concat())
    };
    check(&["PK1=one.json"])
        .expect(0)
        .says(&["PK2 has no thing model", "PK3 has no thing model"]);
    check(&["PK1=one.json", "PK2=two.json"]).expect(2).says(&[
        "line 3",
        "`level` is 3; it takes 1 to 2",
        "70090",
    ]);
    check(&["PK1=one.json", "PK1=two.json"]).expect(2).says(&[
        "two.json",
        "second thing model",
        "--tsl PRODUCT=two.json",
    ]);
}

#[test]
fn a_file_that_is_no_thing_model_is_told_before_the_manifest_is_read() {
    let site = Site::with(&devices(1));
    site.write("page.html", "<!DOCTYPE html>");
    site.write(
        "refused.json",
        "{\"code\":70017,\"msg\":\"Product does not exist\"}",
    );
    for (file, words) in [
        (
            "missing.json",
            &["--tsl: missing.json cannot be read", "No such file"][..],
        ),
        ("page.html", &["--tsl: page.html is not JSON"]),
        ("refused.json", &["70017", "Product does not exist"]),
        ("/dev/zero", &["--tsl: /dev/zero"]),
        ("PK1=", &["--tsl"]),
    ] {
        site.run(&["check", "fleet.csv", "--tsl", file])
            .expect(2)
            .says(words);
    }
}

#[test]
fn what_is_not_understood_of_a_model_is_told_and_refuses_nothing() {
    let site = Site::with("device_key,product_key,service,param.a\nD1,PK1,s,x\n");
    site.write(
        "model.json",
        "{\"services\":[{\"code\":\"s\",\"inputData\":[{\"code\":\"a\",\"dataType\":\"QUATERNION\"}]}]}",
    );
    site.run(&["check", "fleet.csv", "--tsl", "model.json"])
        .expect(0)
        .says(&["model.json: `s.a` has the type 'QUATERNION'", "not checked"]);
}

#[test]
fn the_template_of_every_service_passes_the_check_in_both_forms() {
    let site = Site::with("");
    let mut shown = Vec::new();
    for service in [
        "setMode",
        "setSchedule",
        "setLimits",
        "setTone",
        "setNames",
        "fuwu",
        "net",
        "reboot",
        "selfTest",
    ] {
        for form in ["csv", "jsonl"] {
            let template = site
                .run(&["template", service, "--tsl", MODEL, "--format", form])
                .expect(0);
            let file = format!("{service}.{form}");
            site.write(&file, &template.stdout);
            site.run(&["check", &file, "--tsl", MODEL]).expect(0);
            shown.push(template.stdout);
        }
    }
    assert_snapshot!(shown.join(""));
    site.run(&["template", "setmode", "--tsl", MODEL])
        .expect(2)
        .says(&[
            "no service 'setmode'",
            "did you mean setMode?",
            "fuwu, net, reboot, selfTest",
        ]);
}

/// What a platform is like whose products have one service, with one parameter.
fn with_model() -> Scenario {
    Scenario {
        thing_model: Some(serde_json::json!({
            "profile": {},
            "services": [{"code": "dim", "inputData": [
                {"code": "level", "dataType": "INT", "specs": {"min": "1", "max": "5", "step": "1"}}]}],
        })),
        ..Scenario::default()
    }
}

#[test]
fn the_platform_is_asked_once_for_each_product() {
    let sim = Sim::start(with_model());
    let mut rows = String::new();
    for number in 0..200 {
        writeln!(rows, "D{number},PK{},dim,{}", number % 2, number % 5 + 1)
            .expect("a string takes all");
    }
    let site = Site::with(&format!(
        "device_key,product_key,service,param.level\n{rows}"
    ));
    site.push(&sim, &["check", "fleet.csv", "--tsl", "fetch"])
        .expect(0);
    assert_eq!(sim.stats().thing_models, 2);
    assert_eq!(sim.stats().requests, 0);
    site.push(&sim, &["run", "fleet.csv", "--tsl", "fetch"])
        .expect(0);
    assert_eq!(sim.stats().thing_models, 4);
    agree(&site.journal(), &sim);
    // Nothing is staged once more, and so nothing checked.
    site.push(&sim, &["run", "fleet.csv", "--tsl", "fetch"])
        .expect(0);
    assert_eq!(sim.stats().thing_models, 4);
}

#[test]
fn what_the_fetched_model_does_not_allow_is_not_sent_and_what_slips_through_is_refused_by_the_platform()
 {
    let sim = Sim::start(with_model());
    let site =
        Site::with("device_key,product_key,service,param.level\nD1,PK1,dim,3\nD2,PK1,dim,6\n");
    site.push(&sim, &["run", "fleet.csv", "--tsl", "fetch"])
        .expect(2)
        .says(&["line 3, column param.level", "it takes 1 to 5", "70090"]);
    assert_eq!(sim.stats().requests, 0);
    site.push(&sim, &["run", "fleet.csv"]).expect(1);
    assert_eq!(sim.stats().refused_requests.get(&70090), Some(&1));
}

#[test]
fn a_model_that_was_kept_serves_when_the_platform_gives_none() {
    let sim = Sim::start(with_model());
    let site = Site::with("device_key,product_key,service,param.level\nD1,PK/1,dim,6\n");
    let check = |code| {
        site.push(&sim, &["check", "fleet.csv", "--tsl", "fetch"])
            .expect(code)
    };
    sim.play(Scenario {
        refused_products: vec!["PK/1".to_owned()],
        ..with_model()
    });
    check(2).says(&["product PK/1", "70017", "--tsl PK/1=FILE"]);
    sim.play(with_model());
    check(2).says(&["it takes 1 to 5"]);
    assert!(site.path("push.db.tsl/PK%2F1.json").is_file());
    assert!(!site.path("push.db").exists(), "asking makes no database");
    sim.play(Scenario {
        refused_products: vec!["PK/1".to_owned()],
        ..with_model()
    });
    check(2).says(&["70017", "using the stored one of", "ago", "it takes 1 to 5"]);
}

#[test]
fn without_an_answer_nothing_is_pushed_and_the_exit_code_says_try_later() {
    let sim = Sim::start(Scenario {
        outage: Outage::BadGateway,
        outage_spares_logins: true,
        ..with_model()
    });
    let site = Site::with("device_key,product_key,service,param.level\nD1,PK1,dim,3\n");
    site.push(&sim, &["run", "fleet.csv", "--tsl", "fetch"])
        .expect(3)
        .says(&[
            "--tsl: the thing model of product PK1 is not available",
            "--tsl PK1=FILE",
        ]);
    assert!(site.journal().runs.is_empty());
    let sim = Sim::start(Scenario {
        access_key: Some("another".to_owned()),
        ..with_model()
    });
    site.push(&sim, &["check", "fleet.csv", "--tsl", "fetch"])
        .expect(5)
        .says(&["product PK1"]);
}

#[test]
fn fetching_needs_a_platform_and_a_template_a_product() {
    let sim = Sim::start(with_model());
    let site = Site::with(&devices(1));
    site.run(&["check", "fleet.csv", "--tsl", "fetch"])
        .expect(2)
        .says(&["--region", "--base-url"]);
    let template = |flags: &[&str]| {
        let asked = [
            "template",
            "dim",
            "--tsl",
            "fetch",
            "--base-url",
            sim.base_url(),
        ];
        site.run(&[&asked, flags].concat())
    };
    template(&[]).expect(2).says(&["--product-key"]);
    let template = template(&["--product-key", "PK7"]).expect(0);
    assert_eq!(
        template.stdout,
        "device_key,product_key,service,param.level\nDEVICE1,PK7,dim,1\n"
    );
}

#[test]
fn a_value_without_quotes_is_told_and_checked_and_not_refused() {
    let site = Site::with("");
    let row =
        |data: &str| format!("{{\"device_key\":\"D1\",\"product_key\":\"PK1\",\"data\":{data}}}\n");
    for (data, warned) in [
        (r#"[{"setMode":[{"mode":1}]}]"#, true),
        (r#"[{"setMode":[{"mode":null}]}]"#, true),
        (r#"[{"setMode":[{"mode":"1"}]}]"#, false),
    ] {
        site.write("fleet.jsonl", row(data));
        for flags in [&[][..], &["--tsl", MODEL]] {
            let args = [&["check", "fleet.jsonl", "--format", "json"], flags].concat();
            let report = site.run(&args).expect(0).json();
            let warnings = report["warnings"].as_array().expect("a list");
            let found = warnings.iter().any(|warning| {
                warning["kind"] == "bare_value" && warning["line"] == 1 && warning["rows"] == 1
            });
            assert_eq!(found, warned, "{data}: {warnings:?}");
        }
    }
    site.write("fleet.jsonl", row(r#"[{"setMode":[{"mode":9}]}]"#));
    site.run(&["check", "fleet.jsonl", "--tsl", MODEL])
        .expect(2)
        .says(&["line 1", "`mode` is '9'", "70091"]);
}
