//! A manifest that changes while its last version is unfinished: `--supersede` and `--alongside`.

use fleetpush::simulator::Scenario;

use crate::support::{Ended, Journal, Push, Sim, Site, agree, devices};

/// A platform that lets nobody send, so that a push stops with its tasks pending.
fn closed() -> Scenario {
    Scenario {
        refuse_status: Some(403),
        ..Scenario::default()
    }
}

/// A site whose first version of the manifest, three devices, has been staged and has stopped.
fn stopped(sim: &Sim) -> Site {
    let site = Site::with(&devices(3));
    sim.play(closed());
    site.push(sim, &["run", "fleet.csv"]).expect(5);
    sim.play(Scenario::default());
    site.write("fleet.csv", devices(4));
    site
}

fn states(journal: &Journal) -> Vec<&str> {
    journal.runs.iter().map(|run| run.state.as_str()).collect()
}

#[test]
fn an_unfinished_older_version_is_named_and_nothing_is_staged() {
    let sim = Sim::healthy();
    let site = stopped(&sim);
    let old = site.journal().run().name.clone();
    let requests = sim.stats().requests;
    let absolute = site.path("fleet.csv");
    for path in ["fleet.csv", "./fleet.csv", absolute.to_str().unwrap()] {
        site.push(&sim, &["run", path]).expect(2).says(&[
            &format!("run '{old}' is stopped: 3 of 3 tasks pending, 0 accepted, 0 failed"),
            "--supersede",
            "--alongside",
        ]);
    }
    assert_eq!(sim.stats().requests, requests);
    assert_eq!(states(&site.journal()), ["stopped"]);

    // Another file is another manifest, whatever its name.
    std::fs::create_dir(site.path("other")).unwrap();
    site.write("other/fleet.csv", devices(5));
    site.push(&sim, &["run", "other/fleet.csv"]).expect(0);
    // And at another platform nothing of this is unfinished.
    let other = Sim::healthy();
    site.push(&other, &["run", "fleet.csv"]).expect(0);
}

#[test]
fn a_new_version_supersedes_the_old_one_when_asked() {
    let sim = Sim::healthy();
    let site = stopped(&sim);
    let old = site.journal().run().name.clone();
    site.push(&sim, &["run", "fleet.csv", "--supersede"])
        .expect(0)
        .says(&[&format!(
            "run '{old}' is superseded and cancelled: 3 pending tasks will not be sent"
        )]);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(states(&journal), ["cancelled", "complete"]);
    assert_eq!(sim.deliveries().len(), 4);
    site.push(&sim, &["run", "fleet.csv", "--supersede"])
        .expect(0)
        .says(&["nothing to send"]);
}

#[test]
fn a_new_version_goes_out_beside_the_old_one_when_asked() {
    let sim = Sim::healthy();
    let site = stopped(&sim);
    let old = site.journal().run().name.clone();
    site.push(&sim, &["run", "fleet.csv", "--alongside"])
        .expect(0);
    assert_eq!(states(&site.journal()), ["stopped", "complete"]);
    // What it is to send is older than what the devices have accepted since.
    site.push(&sim, &["resume", &old]).expect(2);
    site.push(&sim, &["resume", &old, "--allow-stale"])
        .expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(states(&journal), ["complete", "complete"]);
}

#[test]
fn what_is_superseded_is_cancelled_when_the_new_version_is_staged_and_not_before() {
    let sim = Sim::healthy();
    let site = stopped(&sim);
    let supersede = ["run", "fleet.csv", "--supersede"];
    // A version that cannot be staged supersedes nothing.
    site.push(&sim, &[&supersede[..], &["--expect-rows", "7"]].concat())
        .expect(2);
    assert_eq!(states(&site.journal()), ["stopped"]);

    // A crash between staging and cancelling leaves both; the same command again brings it to its end.
    sim.play(closed());
    site.push(&sim, &["run", "fleet.csv", "--alongside"])
        .expect(5);
    assert_eq!(states(&site.journal()), ["stopped", "stopped"]);
    sim.play(Scenario::default());
    site.push(&sim, &supersede).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(states(&journal), ["cancelled", "complete"]);
    assert_eq!(sim.deliveries().len(), 4);
}

#[test]
fn versions_of_a_stream_are_known_by_its_name() {
    let sim = Sim::healthy();
    let site = Site::new();
    let push = |content: &str, more: &[&str]| -> Ended {
        site.write("input", content);
        let mut command =
            site.push_command(&sim, &[&["run", "-", "--name", "night"], more].concat());
        command.stdin(std::fs::File::open(site.path("input")).expect("the file is there"));
        Push::start_with_input(command).ended()
    };
    sim.play(closed());
    push(&devices(3), &[]).expect(5);
    sim.play(Scenario::default());
    push(&devices(4), &[]).expect(2).says(&[
        "standard input",
        "run 'night' is stopped: 3 of 3 tasks pending",
        "--supersede",
    ]);
    push(&devices(4), &["--supersede"]).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    let names: Vec<&str> = journal.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["night", "night-2"]);
    assert_eq!(states(&journal), ["cancelled", "complete"]);
    // A rerun finds it under the name that it got.
    push(&devices(4), &[]).expect(0).says(&["nothing to send"]);
    assert_eq!(sim.deliveries().len(), 4);
}
