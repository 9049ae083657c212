//! `--tag`: teams that share a database each mean their own latest run.

use fleetpush::simulator::Scenario;
use rustix::process::Signal;

use crate::support::{Ended, Push, Sim, Site, devices};

const CONFIG: &str = "[profile.net]\ntag = \"team=net\"\n[profile.oslo]\ntag = \"team=net;site=oslo\"\n\
    [profile.lab]\ntag = \"team=lab\"\n[profile.none]\ntag = \"team=nobody\"\n";

/// Two teams: net has pushed last but one, lab last.
fn site(sim: &Sim) -> Site {
    let site = Site::with(&devices(5));
    site.write("teams.toml", CONFIG);
    let run = |name: &str, profile: &str| {
        let config = [
            "run",
            "fleet.csv",
            "--again",
            "--name",
            name,
            "--config",
            "teams.toml",
        ];
        site.push(sim, &[&config[..], &["--profile", profile]].concat())
            .expect(0);
    };
    run("net-1", "net");
    run("oslo-1", "oslo");
    run("lab-1", "lab");
    site.push(sim, &["run", "fleet.csv", "--again", "--name", "other"])
        .expect(0);
    site
}

fn as_team(site: &Site, profile: &str, args: &[&str]) -> Ended {
    site.run(&[args, &["--config", "teams.toml", "--profile", profile]].concat())
}

#[test]
fn without_a_name_the_latest_run_of_the_profiles_tags_is_meant() {
    let sim = Sim::healthy();
    let site = site(&sim);
    for (profile, name) in [("net", "oslo-1"), ("oslo", "oslo-1"), ("lab", "lab-1")] {
        let status = as_team(&site, profile, &["status", "--format", "jsonl"]).expect(0);
        assert_eq!(status.json()["run"]["name"], name, "{profile}");
        let results = as_team(&site, profile, &["results", "--format", "jsonl"]).expect(0);
        assert_eq!(results.json_lines()[0]["name"], name, "{profile}");
        let page = as_team(&site, profile, &["report", "--out", "-"]).expect(0);
        assert!(
            page.stdout.contains(&format!("<h1>{name}</h1>")),
            "{profile}"
        );
        let compared = as_team(&site, profile, &["diff"]);
        if name != "net-1" {
            compared.expect(0).says(&[&format!("to '{name}': ")]);
        }
        let retry = ["retry", "--dry-run", "--base-url", sim.base_url()];
        as_team(&site, profile, &retry)
            .expect(0)
            .says(&[&format!("run '{name}'")]);
    }
    // By its name every run can be meant, and without tags the latest of all is.
    let status = as_team(&site, "lab", &["status", "net-1", "--format", "jsonl"]).expect(0);
    assert_eq!(status.json()["run"]["name"], "net-1");
    let status = site.run(&["status", "--format", "jsonl"]).expect(0);
    assert_eq!(status.json()["run"]["name"], "other");
    let page = as_team(&site, "lab", &["report", "net-1", "--out", "-"]).expect(0);
    assert!(page.stdout.contains("<h1>net-1</h1>"));
    for command in [
        &["status"][..],
        &["report", "--out", "none.html"],
        &["diff"],
    ] {
        as_team(&site, "none", command)
            .expect(2)
            .says(&["has the tags team=nobody"]);
    }
    assert!(!site.path("none.html").exists());
    // What is taken back is always named, and may be another team's.
    as_team(&site, "lab", &["revert", "--service", "fuwu"])
        .expect(2)
        .says(&["<RUN>"]);
    as_team(&site, "lab", &["revert", "oslo-1", "--service", "fuwu"])
        .expect(2)
        .says(&["nothing of run 'oslo-1' can be taken back"]);
    let retry = ["retry", "--dry-run", "--base-url", sim.base_url()];
    as_team(&site, "none", &retry)
        .expect(2)
        .says(&["has the tags team=nobody"]);
}

#[test]
fn runs_are_listed_by_their_tags() {
    let sim = Sim::healthy();
    let site = site(&sim);
    let listed = |tags: &[&str]| -> Vec<String> {
        let mut args = vec!["runs", "--format", "jsonl"];
        for tag in tags {
            args.extend(["--tag", tag]);
        }
        let runs = site.run(&args).expect(0).json_lines();
        runs.iter()
            .map(|run| run["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listed(&[]), ["net-1", "oslo-1", "lab-1", "other"]);
    assert_eq!(listed(&["team=net"]), ["net-1", "oslo-1"]);
    assert_eq!(listed(&["team=net", "site=oslo"]), ["oslo-1"]);
    assert!(listed(&["team=nobody"]).is_empty());
    site.run(&["runs", "--tag", "team=nobody"]).expect(0).says(&[
        "no run has the tags team=nobody; the tags of runs are site=oslo;team=net, team=lab, team=net",
    ]);
    let runs = site
        .run(&["runs", "--format", "jsonl"])
        .expect(0)
        .json_lines();
    assert_eq!(
        runs[1]["tags"],
        serde_json::json!({"site": "oslo", "team": "net"})
    );
    assert_eq!(runs[3]["tags"], serde_json::json!({}));
    site.run(&["runs", "--tag", "net"])
        .expect(2)
        .says(&["write KEY=VALUE"]);
    let twice = [
        "run",
        "fleet.csv",
        "--simulate",
        "--tag",
        "a=1",
        "--tag",
        "a=2",
    ];
    site.run(&twice)
        .expect(2)
        .says(&["the tag a has two values"]);
}

#[test]
fn each_team_pauses_and_resumes_its_own_run() {
    let sim = Sim::start(Scenario {
        latency_ms: 50,
        ..Scenario::default()
    });
    let site = Site::with(&devices(500));
    site.write("teams.toml", CONFIG);
    site.write("other.csv", devices(500).replace(",AA", ",BB"));
    for (manifest, name, tag) in [
        ("fleet.csv", "net-1", "team=net"),
        ("other.csv", "lab-1", "team=lab"),
    ] {
        let before = sim.stats().requests;
        let args = [
            "run",
            manifest,
            "--name",
            name,
            "--tag",
            tag,
            "--chunk-size",
            "5",
        ];
        let push: Push = site.start(&sim, &args);
        sim.wait_for_requests(before + 2);
        push.signal(Signal::TERM);
        push.ended().expect(3);
    }
    as_team(&site, "lab", &["pause"])
        .expect(0)
        .says(&["run 'lab-1' is paused"]);
    as_team(&site, "net", &["cancel"])
        .expect(0)
        .says(&["run 'net-1' is cancelled"]);
    sim.play(Scenario::default());
    let resume = [
        "resume",
        "--base-url",
        sim.base_url(),
        "--rate",
        "unlimited",
    ];
    as_team(&site, "none", &resume)
        .expect(2)
        .says(&["with the tags team=nobody"]);
    as_team(&site, "lab", &resume)
        .expect(0)
        .says(&["run 'lab-1' continues"]);
}
