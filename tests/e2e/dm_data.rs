//! A history by numeric ids (`dmData`): with a thing model it proves and shows what was sent, and without one only when.

use std::sync::{Arc, Mutex};

use fleetpush::testing::wall_now;
use serde_json::{Value, json};

use crate::support::{Ended, Push, Site, Stub};

/// The model that fits the samples, in which `setMode` is 20 with `mode` 21 and `target` 22.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/thing-model.json");

/// What each device was sent, as its history tells it.
fn dm_data(device: &str) -> Vec<Value> {
    let call = |mode: &str, target: &str| json!([{"id": 20, "value": [{"id": 21, "value": mode}, {"id": 22, "value": target}]}]);
    let sent = call("1", "20.5");
    match device {
        // The same number, otherwise written.
        "SAME" => vec![sent],
        // Somebody else's command.
        "OTHER" => vec![call("2", "20.5")],
        // Somebody has read properties meanwhile.
        "READ" => vec![json!(["1", "3"]), sent],
        // An id that the model lacks.
        _ => vec![
            json!([{"id": 20, "value": [{"id": 21, "value": "1"}, {"id": 999, "value": "5"}]}]),
        ],
    }
}

/// A platform that acts on commands, loses its replies, and tells histories by ids.
fn platform() -> Stub {
    let sent_at = Arc::new(Mutex::new(0));
    Stub::answering(move |request| {
        if request.starts_with("POST") {
            *sent_at.lock().expect("nobody panics") = wall_now().0;
            return (504, String::new());
        }
        if !request.contains("deviceKey=") {
            // It gives no thing models.
            return (200, json!({"code": 70089, "msg": "no model"}).to_string());
        }
        let device = request
            .split(['?', '&', ' '])
            .find_map(|part| part.strip_prefix("deviceKey="))
            .expect("one device a question");
        let time = sent_at.lock().expect("nobody panics").to_string();
        let entries = dm_data(device).into_iter().enumerate().map(|(place, told)| {
            // The vendor's sample program reads the other name.
            let name = if place == 0 { "dmData" } else { "thingModelData" };
            json!({
                "ticket": format!("{device}{place}"), "direction": 2, "sendStatus": 1, "sendTime": time,
                "dataType": "BASE64", "data": "AAUABg==", name: told.to_string(),
            })
        });
        let data: Vec<Value> = entries.collect();
        (
            200,
            json!({"code": 200, "msg": "", "data": data, "pages": 1}).to_string(),
        )
    })
}

fn run(site: &Site, stub: &Stub, args: &[&str]) -> Ended {
    let mut command = site.command(args);
    command
        .args(["--base-url", &stub.base_url])
        .env_remove("FLEETPUSH_ACCESS_KEY")
        .env_remove("FLEETPUSH_ACCESS_SECRET")
        .env("FLEETPUSH_TOKEN", "QJWT ready");
    Push::start(command).ended()
}

/// Four devices in doubt, which were sent the same.
fn in_doubt() -> (Site, Stub) {
    let stub = platform();
    let site = Site::new();
    let mut rows = String::from("device_key,product_key,service,param.mode,param.target\n");
    for device in ["SAME", "OTHER", "READ", "UNKNOWN"] {
        rows.push_str(device);
        rows.push_str(",PK1,setMode,1,20.50\n");
    }
    site.write("fleet.csv", rows);
    let push = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--in-doubt",
        "hold",
        "--abort-if",
        "never",
        "--progress",
        "none",
    ];
    run(&site, &stub, &push).expect(1);
    (site, stub)
}

/// Device, what an entry is to it, and what follows.
fn resolved(ended: &Ended) -> Vec<[String; 3]> {
    let rows = ended.json_lines();
    let rows = rows.iter().map(|row| {
        ["device_key", "match", "verdict"].map(|name| row[name].as_str().unwrap_or_default().into())
    });
    rows.collect()
}

fn rows(expected: &[[&str; 3]]) -> Vec<[String; 3]> {
    let rows = expected.iter();
    rows.map(|row| row.map(str::to_owned)).collect()
}

const RESOLVE: [&str; 4] = ["resolve", "night", "--format", "jsonl"];

#[test]
fn without_a_model_time_alone_has_to_do() {
    let (site, stub) = in_doubt();
    let told = run(&site, &stub, &[&RESOLVE[..], &["--dry-run"]].concat());
    assert_eq!(
        resolved(&told),
        rows(&[
            ["SAME", "time alone", "would be accepted"],
            ["OTHER", "time alone", "would be accepted"],
            // A list of ids only reads, whatever they are.
            ["READ", "other data", "in doubt: several entries may match"],
            ["READ", "time alone", "in doubt: several entries may match"],
            ["UNKNOWN", "time alone", "would be accepted"],
        ]),
        "{}",
        told.stderr
    );
    let shown = run(&site, &stub, &["explain", "SAME", "--live"]).expect(0);
    let by_id = r#"ticket SAME0, of none of these runs: [{"id":20,"value":[{"id":21,"value":"1"},{"id":22,"value":"20.5"}]}]"#;
    assert!(shown.stdout.contains(by_id), "{}", shown.stdout);
}

#[test]
fn with_a_model_the_data_is_compared_and_shown_by_name() {
    let (site, stub) = in_doubt();
    // As `--tsl fetch` keeps it.
    let model = std::fs::read_to_string(MODEL).expect("the sample");
    std::fs::create_dir(site.path("push.db.tsl")).expect("a folder can be made");
    site.write("push.db.tsl/PK1.json", &model);
    let expected = |accepted: &str| {
        rows(&[
            ["SAME", "time and data", accepted],
            ["OTHER", "other data", "in doubt: no entry matches"],
            ["READ", "other data", accepted],
            ["READ", "time and data", accepted],
            ["UNKNOWN", "time alone", accepted],
        ])
    };
    let kept = run(&site, &stub, &[&RESOLVE[..], &["--dry-run"]].concat());
    assert_eq!(
        resolved(&kept),
        expected("would be accepted"),
        "{}",
        kept.stderr
    );
    let entry_data = |row: usize| kept.json_lines()[row]["entry_data"].clone();
    assert_eq!(
        entry_data(0),
        r#"[{"setMode":[{"mode":"1"},{"target":"20.5"}]}]"#
    );
    assert_eq!(entry_data(2), r#"["volume","firmware"]"#);
    assert_eq!(
        entry_data(4),
        r#"[{"setMode":[{"mode":"1"},{"id":999,"value":"5"}]}]"#
    );

    let shown = run(&site, &stub, &["explain", "SAME", "--live"]).expect(0);
    let by_name =
        r#"ticket SAME0, of none of these runs: [{"setMode":[{"mode":"1"},{"target":"20.5"}]}]"#;
    assert!(shown.stdout.contains(by_name), "{}", shown.stdout);
    let json = run(
        &site,
        &stub,
        &["explain", "SAME", "--live", "--format", "json"],
    );
    assert_eq!(
        json.expect(0).json()["history"][0]["entries"][0]["data"],
        json!([{"setMode": [{"mode": "1"}, {"target": "20.5"}]}])
    );

    // A file in its place, and for good.
    std::fs::remove_dir_all(site.path("push.db.tsl")).expect("it is there");
    let with_file = run(&site, &stub, &[&RESOLVE[..], &["--tsl", MODEL]].concat());
    assert_eq!(resolved(&with_file), expected("accepted"));
    let journal = site.journal();
    assert_eq!((journal.run().accepted, journal.run().in_doubt), (3, 1));
    // The platform has none, and that is told: then time alone has to do.
    run(&site, &stub, &[&RESOLVE[..], &["--tsl", "fetch"]].concat())
        .expect(0)
        .says(&["PK1", "values of its histories cannot be compared"]);
}
