//! What has failed, is in doubt or is blocked goes out again in the order of its device, with either store.

use std::collections::{BTreeMap, BTreeSet};

use fleetpush::simulator::{Fault, Scenario};

use super::{arrivals, steps};
use crate::support::{Sim, Site, Store, agree, each_store};

#[test]
fn a_failure_blocks_what_comes_after_it_and_retry_takes_it_along() {
    each_store(|store| {
        let offline = Scenario {
            seed: 5,
            offline: 0.3,
            ..Scenario::default()
        };
        let sim = Sim::start(offline);
        let site = store.site(&steps(40, 3));
        site.push(&sim, &["run", "fleet.csv", "--name", "steps"])
            .expect(1);
        let journal = site.journal();
        agree(&journal, &sim);
        let away = journal
            .tasks
            .iter()
            .filter(|task| task.class.as_deref() == Some("offline"))
            .count();
        assert!(away > 0);
        let blocked: Vec<_> = journal
            .tasks
            .iter()
            .filter(|task| task.class.as_deref() == Some("blocked"))
            .collect();
        assert_eq!(blocked.len(), 2 * away);
        for task in blocked {
            assert_eq!((task.state.as_str(), task.attempts), ("failed", 0));
            assert_eq!(task.code, None, "no code was given for it");
        }

        sim.play(Scenario::default());
        site.push(&sim, &["retry", "steps"]).expect(0);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 120);
        for (device, steps) in arrivals(&sim) {
            assert_eq!(steps, [1, 2, 3], "{device}");
        }
    });
}

#[test]
fn what_comes_after_a_failure_goes_out_when_that_is_asked_for() {
    each_store(|store| {
        let sim = Sim::start(Scenario {
            refused_data: Some(r#""step":"2""#.into()),
            refused_data_code: 71028,
            ..Scenario::default()
        });
        let site = store.site(&steps(30, 3));
        site.push(
            &sim,
            &[
                "run",
                "fleet.csv",
                "--after-failure",
                "continue",
                "--abort-if",
                "never",
            ],
        )
        .expect(1);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!((journal.run().accepted, journal.run().failed), (60, 30));
        for (device, steps) in arrivals(&sim) {
            assert_eq!(steps, [1, 3], "{device}");
        }
    });
}

#[test]
fn a_doubt_that_is_held_blocks_what_comes_after_it_and_retry_takes_both_along() {
    each_store(|store| {
        let sim = Sim::start(Scenario {
            seed: 2,
            faults: [(Fault::ResetAfter, 0.3), (Fault::BadGateway, 0.2)].into(),
            ..Scenario::default()
        });
        let site = store.site(&steps(30, 3));
        site.push(
            &sim,
            &[
                "run",
                "fleet.csv",
                "--name",
                "steps",
                "--chunk-size",
                "5",
                "--in-doubt",
                "hold",
            ],
        )
        .expect(1);
        let journal = site.journal();
        agree(&journal, &sim);
        let of = |class: &str| {
            journal
                .tasks
                .iter()
                .filter(|task| task.class.as_deref() == Some(class))
                .count()
        };
        let (held, blocked) = (of("in_doubt"), of("blocked"));
        assert!(held > 0 && blocked > 0, "{held} held, {blocked} blocked");
        assert_eq!(journal.run().accepted as usize, 90 - held - blocked);
        // Each step that may have been acted on came once, and nothing after it.
        for (device, steps) in arrivals(&sim) {
            assert!(
                steps.is_sorted_by(|one, next| one < next),
                "{device}: {steps:?}"
            );
        }

        sim.play(Scenario::default());
        site.push(&sim, &["retry", "steps", "--state", "in_doubt"])
            .expect(0);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 90);
        for (device, steps) in arrivals(&sim) {
            assert!(steps.is_sorted(), "{device}: {steps:?}");
            let different: BTreeSet<u32> = steps.into_iter().collect();
            assert_eq!(different, BTreeSet::from([1, 2, 3]), "{device}");
        }
        assert_eq!(sim.stats().overlaps, 0, "two in flight for one device");
    });
}

/// Pushes two steps to 20 devices, of which some fail or are in doubt at the first, and gives the platform in good health again.
fn two_steps(store: Store, scenario: Scenario, flags: &[&str]) -> (Sim, Site) {
    let sim = Sim::start(scenario);
    let site = store.site(&steps(20, 2));
    let push = ["run", "fleet.csv", "--name", "steps", "--chunk-size", "5"];
    let never = ["--abort-if", "never"];
    site.push(&sim, &[&push[..], &never, flags].concat())
        .expect(1);
    sim.play(Scenario::default());
    (sim, site)
}

/// The last step that each device has got.
fn last_steps(sim: &Sim) -> BTreeMap<String, u32> {
    let last = |(device, steps): (String, Vec<u32>)| Some((device, *steps.last()?));
    arrivals(sim).into_iter().filter_map(last).collect()
}

#[test]
fn a_retry_sends_no_step_after_a_later_one() {
    each_store(|store| {
        // The platform refuses a part of the first steps, and the second ones go all the same.
        let refused = Scenario {
            seed: 5,
            transient: 0.3,
            ..Scenario::default()
        };
        let (sim, site) = two_steps(
            store,
            refused,
            &["--after-failure", "continue", "--max-attempts", "1"],
        );
        let journal = site.journal();
        let overtaken = journal
            .tasks
            .iter()
            .filter(|task| task.state == "failed")
            .filter(|task| {
                let later = journal
                    .tasks
                    .iter()
                    .find(|later| later.device_key == task.device_key && later.line > task.line);
                later.is_some_and(|later| later.state == "accepted")
            })
            .count();
        assert!(overtaken > 0, "the seed lets some second steps overtake");
        let dry = site.push(&sim, &["retry", "steps", "--dry-run"]).expect(0);
        let left_out =
            format!("{overtaken} left out: older than what the device has accepted since");
        dry.says(&[&left_out]);
        site.push(&sim, &["retry", "steps"])
            .expect(1)
            .says(&[&left_out]);
        agree(&site.journal(), &sim);
        for (device, steps) in arrivals(&sim) {
            assert!(steps.is_sorted(), "{device}: {steps:?}");
        }
        // Whoever insists gets what was asked for.
        site.push(&sim, &["retry", "steps", "--allow-stale"])
            .expect(0)
            .says(&[&format!("{overtaken} of them older")]);
    });
}

#[test]
fn what_was_blocked_is_not_sent_without_what_blocked_it() {
    each_store(|store| {
        let lost = Scenario {
            seed: 2,
            faults: [(Fault::ResetAfter, 0.4)].into(),
            ..Scenario::default()
        };
        let (sim, site) = two_steps(store, lost, &["--in-doubt", "hold"]);
        let of = |class: &str| {
            let journal = site.journal();
            let tasks = journal.tasks.iter();
            tasks
                .filter(|task| task.class.as_deref() == Some(class))
                .count()
        };
        let blocked = of("blocked");
        assert!(blocked > 0 && of("in_doubt") >= blocked);
        let before = sim.deliveries().len();
        let waits = format!("{blocked} left out: blocked by an earlier task");
        site.push(&sim, &["retry", "steps", "--class", "blocked"])
            .expect(1)
            .says(&[&waits, "--after-failure continue", "no task is chosen"]);
        assert_eq!(sim.deliveries().len(), before, "nothing goes out");
        // Both together go in their order, and every device ends with the last step.
        site.push(&sim, &["retry", "steps", "--state", "in_doubt"])
            .expect(0);
        agree(&site.journal(), &sim);
        for (device, steps) in arrivals(&sim) {
            assert!(steps.is_sorted(), "{device}: {steps:?}");
        }
        assert!(last_steps(&sim).values().all(|step| *step == 2));
    });
}

#[test]
fn a_doubt_whose_follower_was_sent_alone_is_stale() {
    each_store(|store| {
        let lost = Scenario {
            seed: 2,
            faults: [(Fault::ResetAfter, 0.4)].into(),
            ..Scenario::default()
        };
        let (sim, site) = two_steps(store, lost, &["--in-doubt", "hold"]);
        let alone = ["retry", "steps", "--class", "blocked"];
        let go = ["--after-failure", "continue"];
        site.push(&sim, &[&alone[..], &go].concat()).expect(1);
        let doubts = site.journal().run().in_doubt;
        site.push(&sim, &["retry", "steps", "--state", "in_doubt"])
            .says(&["left out: older than what the device has accepted since"]);
        assert!(site.journal().run().in_doubt > 0, "of {doubts}");
        for (device, steps) in arrivals(&sim) {
            assert!(steps.is_sorted(), "{device}: {steps:?}");
        }
        assert!(last_steps(&sim).values().all(|step| *step == 2));
    });
}
