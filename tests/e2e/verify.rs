//! `verify`: what became of commands, by the platform's history and by nothing else.

mod again;

use std::collections::{BTreeMap, BTreeSet};

use fleetpush::simulator::{Fault, History, HistoryForm, HistoryOrder, Outage, Scenario};
use rustix::process::Signal;

use crate::support::{Ended, Push, Sim, Site, devices, wait_for};

/// The model of the simulator's products.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/thing-model.json");

fn command(site: &Site, sim: &Sim, args: &[&str]) -> std::process::Command {
    let base = ["verify", "--base-url", sim.base_url(), "--format", "jsonl"];
    let rate: &[&str] = if args.contains(&"--history-rate") {
        &[]
    } else {
        &["--history-rate", "unlimited"]
    };
    site.command(&[&base, rate, args].concat())
}

fn verify(site: &Site, sim: &Sim, args: &[&str]) -> Ended {
    Push::start(command(site, sim, args)).ended()
}

/// What the database says of each ticket.
fn recorded(site: &Site) -> BTreeMap<String, String> {
    let asked = "SELECT ticket, delivery FROM results WHERE state = 'accepted' ORDER BY line";
    let told = site.run(&["sql", asked, "--format", "jsonl"]).expect(0);
    let rows = told.json_lines();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    rows.iter()
        .map(|row| (text(row, "ticket"), text(row, "delivery")))
        .collect()
}

fn told(history: History) -> Scenario {
    Scenario {
        seed: 5,
        history,
        ..Scenario::default()
    }
}

fn mixed() -> History {
    History {
        queued: 0.2,
        send_failed: 0.2,
        answered: 0.5,
        ..History::default()
    }
}

#[test]
fn the_delivery_of_every_command_is_what_the_platform_knows() {
    let mut met = BTreeSet::new();
    for (form, order, reports) in [
        (HistoryForm::DmData, HistoryOrder::Newest, 0),
        (HistoryForm::ThingModelData, HistoryOrder::Oldest, 3),
        (HistoryForm::Bytes, HistoryOrder::Unstable, 5),
        // More entries than a page has.
        (HistoryForm::Nothing, HistoryOrder::Oldest, 130),
    ] {
        let sim = Sim::start(told(History {
            form,
            order,
            reports,
            repeated: 0.2,
            ..mixed()
        }));
        let site = Site::with(&devices(24));
        site.push_named(&sim, "night").expect(0);
        assert!(
            recorded(&site)
                .values()
                .all(|delivery| delivery == "unknown")
        );
        let known = sim.known_deliveries();
        let short = ["queued", "send_failed"];
        let short = known.values().filter(|one| short.contains(&one.as_str()));
        let short = short.count();
        let ended = verify(&site, &sim, &["night"]).expect(i32::from(short > 0));
        assert_eq!(recorded(&site), known, "{form:?} {order:?}: {ended:?}");
        met.extend(known.values().cloned());
        // One row for each that has not been sent.
        assert_eq!(ended.json_lines().len(), short);
        assert_eq!(sim.stats().requests, 1, "it sends nothing");
    }
    // Tickets are never the same, and neither are the shares; of a hundred commands each word has some.
    assert_eq!(met.len(), 4, "{met:?}");
}

#[test]
fn evidence_that_comes_later_takes_the_place_of_what_was_known() {
    let sim = Sim::start(told(History {
        queued: 1.0,
        ..History::default()
    }));
    let site = Site::with(&devices(3));
    site.push_named(&sim, "night").expect(0);
    let all = |word: &str| recorded(&site).values().all(|delivery| delivery == word);
    verify(&site, &sim, &[]).expect(1).says(&[
        "delivery of 3 accepted commands: 3 queued",
        "3 of 3 are unconfirmed",
    ]);
    assert!(all("queued"));
    sim.play(told(History::default()));
    verify(&site, &sim, &[]).expect(0);
    assert!(all("sent"));
    // What has been sent is not asked about again, unless an answer is wanted.
    let asked = sim.stats().histories;
    verify(&site, &sim, &[]).expect(0);
    assert_eq!(sim.stats().histories, asked);
    verify(&site, &sim, &["--verify-level", "answered"])
        .expect(1)
        .says(&["3 of 3 are unanswered"]);
    assert!(all("sent"), "silence proves nothing");
    sim.play(told(History {
        answered: 1.0,
        ..History::default()
    }));
    verify(&site, &sim, &["--verify-level", "answered"]).expect(0);
    assert!(all("answered"));
    let answers = "SELECT count(*) AS n FROM deliveries WHERE evidence = 'history' AND answer LIKE '[{%' AND at IS NOT NULL";
    let rows = site.run(&["sql", answers, "--format", "jsonl"]).expect(0);
    assert_eq!(rows.json_lines()[0]["n"], 3);

    site.run(&["prune", "--keep", "0"]).expect(0);
    let left =
        "SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM delivery_answer) AS n";
    let rows = site.run(&["sql", left, "--format", "jsonl"]).expect(0);
    assert_eq!(rows.json_lines()[0]["n"], 0);
}

#[test]
fn what_falls_short_is_tolerated_as_far_as_it_is_said() {
    let sim = Sim::start(told(mixed()));
    let site = Site::with(&devices(100));
    site.push_named(&sim, "night").expect(0);
    let known = sim.known_deliveries();
    let count = |word: &str| known.values().filter(|one| *one == word).count();
    let (failed, queued) = (count("send_failed"), count("queued"));
    for (tolerate, code, words) in [
        (format!("send_failed>{failed};unconfirmed>{queued}"), 0, ""),
        (
            format!("send_failed>{};unconfirmed>99%", failed - 1),
            1,
            "are send_failed (--tolerate",
        ),
        (
            "send_failed>99%".to_owned(),
            1,
            "are unconfirmed, and no --tolerate allows it",
        ),
    ] {
        verify(&site, &sim, &["--tolerate", &tolerate])
            .expect(code)
            .says(&[words]);
    }
    for (flag, words) in [
        (
            ["--tolerate", "failed>1%"],
            "send_failed or unconfirmed or unanswered",
        ),
        (["--sample", "some"], "write all, or how many devices"),
        (["--verify-level", "delivered"], "sent"),
    ] {
        verify(&site, &sim, &flag).expect(2).says(&[words]);
    }
}

#[test]
fn what_the_platform_refuses_to_tell_is_not_known_to_have_failed() {
    let refusing = |refused, send_failed| {
        told(History {
            refused,
            send_failed,
            ..History::default()
        })
    };
    let sim = Sim::start(refusing(1.0, 0.0));
    let site = Site::with(&devices(24));
    site.push_named(&sim, "night").expect(0);
    let ended = verify(&site, &sim, &[]).expect(3).says(&[
        "the platform refused information about 24 accepted commands: Unauthorized device (code 61005)",
        "verify again later",
    ]);
    assert_eq!(ended.json_lines().len(), 24);
    verify(&site, &sim, &["--tolerate", "unconfirmed>24"]).expect(0);
    let push = ["run", "fleet.csv", "--name", "noon", "--again", "--verify"];
    let rate = ["--history-rate", "unlimited"];
    site.push(&sim, &[&push[..], &rate].concat())
        .expect(3)
        .says(&["the platform refused information about 24 accepted commands"]);
    // What is known to have failed prevails, and so does silence.
    let missing = |name: &str| recorded(&site).values().filter(|one| *one == name).count();
    sim.play(refusing(0.5, 1.0));
    let ended = verify(&site, &sim, &["night"]).expect(1);
    let (failed, untold) = (missing("send_failed"), missing("unknown") - 24);
    assert!(failed > 0 && untold > 0, "{ended:?}");
    let words = format!("the platform refused information about {untold} accepted commands: Unau");
    let ended = ended.says(&[&words]);
    assert!(
        !ended.stderr.contains("nothing else is missing"),
        "{ended:?}"
    );
    let tolerated = format!("send_failed>{failed}");
    verify(&site, &sim, &["night", "--tolerate", &tolerated]).expect(3);
    sim.play(Scenario {
        history_gap: 1.0,
        ..refusing(0.5, 0.0)
    });
    verify(&site, &sim, &["noon"]).expect(1);
    sim.play(refusing(0.5, 0.0));
    verify(&site, &sim, &["noon"]).expect(3);
    sim.play(refusing(0.0, 0.0));
    verify(&site, &sim, &["noon"]).expect(0);
}

#[test]
fn commands_to_one_device_within_seconds_are_told_apart_by_their_values() {
    let rows = "device_key,product_key,service,param.mode,param.target\n\
                A,PK1,setMode,1,20.5\nA,PK1,setMode,2,20.5\nA,PK1,setMode,1,21\n";
    for form in [
        HistoryForm::DmData,
        HistoryForm::ThingModelData,
        HistoryForm::Bytes,
        HistoryForm::Nothing,
    ] {
        let lost = Scenario {
            faults: BTreeMap::from([(Fault::ResetAfter, 1.0)]),
            ..told(History {
                form,
                reports: 2,
                ..History::default()
            })
        };
        let sim = Sim::start(lost);
        let site = Site::with(rows);
        let args = [
            "run",
            "fleet.csv",
            "--name",
            "night",
            "--in-doubt",
            "hold",
            "--after-failure",
            "continue",
            "--abort-if",
            "never",
        ];
        site.push(&sim, &args).expect(1);
        assert_eq!(sim.deliveries().len(), 3);
        if form == HistoryForm::Nothing {
            let ended = verify(&site, &sim, &["--tsl", MODEL]).expect(1);
            assert_eq!(site.journal().run().in_doubt, 3, "nothing tells them apart");
            assert!(
                ended
                    .json_lines()
                    .iter()
                    .all(|row| row["match"] == "contested")
            );
            continue;
        }
        // Nobody gives a model, so that the platform is asked for it.
        verify(&site, &sim, &[]).expect(0);
        assert_eq!(sim.stats().thing_models, 1);
        let journal = site.journal();
        let recorded: BTreeMap<_, _> = journal
            .tasks
            .iter()
            .map(|task| (task.ticket.clone(), task.data.clone()))
            .collect();
        let sent: BTreeMap<_, _> = sim
            .deliveries()
            .into_iter()
            .map(|one| (Some(one.ticket), Some(one.data)))
            .collect();
        assert_eq!(recorded, sent, "{form:?}");
        let delivery = self::recorded(&site);
        assert!(delivery.values().all(|one| one == "sent"), "{delivery:?}");
    }
}

#[test]
fn of_many_commands_a_sample_is_asked_about_and_told_with_its_interval() {
    let sim = Sim::start(told(History::default()));
    let site = Site::with(&devices(300));
    site.push_named(&sim, "night").expect(0);
    verify(&site, &sim, &["--sample", "50"]).expect(0).says(&[
        "asking the history about 50 accepted commands of a sample of 50 from 300 accepted commands",
        "delivery of a sample of 50 commands: 50 sent",
        "at least sent: 100.0 % of the sample, so 92.9 to 100.0 % of all accepted commands (Wilson interval, 95 % confidence)",
    ]);
    assert_eq!(sim.stats().histories, 50);
    // The same sample again, of which all is known.
    verify(&site, &sim, &["--sample", "50"]).expect(0);
    assert_eq!(sim.stats().histories, 50);
    let told = verify(&site, &sim, &["--sample", "all", "--history-rate", "1000"]).expect(0);
    assert!(
        told.stderr.contains("250 accepted commands, "),
        "{}",
        told.stderr
    );
    assert_eq!(sim.stats().histories, 300);
    assert_eq!(recorded(&site), sim.known_deliveries());
}

#[test]
fn a_push_takes_the_database_while_verify_asks_and_verify_goes_on_where_it_was_stopped() {
    let sim = Sim::start(told(History::default()));
    let site = Site::with(&devices(30));
    site.push_named(&sim, "night").expect(0);
    // One question at a time: when the second comes, the first has its answer.
    let slowly = ["night", "--history-rate", "0.5", "--concurrency", "1"];
    let asking = Push::start(command(&site, &sim, &slowly));
    wait_for("two questions", || {
        (sim.stats().histories >= 2).then_some(())
    });
    site.write("other.csv", devices(5));
    site.push(&sim, &["run", "other.csv", "--name", "other", "--again"])
        .expect(0);
    asking.signal(Signal::INT);
    asking.ended().expect(3);
    let asked = sim.stats().histories;
    assert!(asked < 30, "{asked}");
    let kept = recorded(&site)
        .values()
        .filter(|one| *one == "sent")
        .count() as u64;
    assert!(kept >= 1, "what was found is recorded");
    verify(&site, &sim, &["night"]).expect(0);
    assert_eq!(sim.stats().histories - asked, 30 - kept);
}

#[test]
fn an_outage_leaves_what_was_found_and_ends_with_its_own_code() {
    let sim = Sim::start(told(History::default()));
    let site = Site::with(&devices(3));
    site.push_named(&sim, "night").expect(0);
    sim.play(Scenario {
        outage: Outage::Unavailable,
        ..Scenario::default()
    });
    verify(&site, &sim, &["--max-outage", "1s"])
        .expect(3)
        .says(&[
            "the platform does not answer",
            "run the same command again to continue",
        ]);
    sim.play(told(History::default()));
    verify(&site, &sim, &["--dry-run"]).expect(1);
    assert!(
        recorded(&site)
            .values()
            .all(|delivery| delivery == "unknown")
    );
    verify(&site, &sim, &[]).expect(0);
}
