//! Canaries and ramps.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    engine::{Event, RolloutPhase, RolloutStep, Stop},
    gateway::Outgoing,
    journal::staleness::Leave,
    model::CanaryVerdict,
};

/// The steps among the events, but for how far the canary has come.
fn steps(events: &[Event]) -> Vec<RolloutStep> {
    let steps = events.iter().filter_map(|event| match event {
        Event::Rollout(RolloutStep::Canary { .. }) => None,
        Event::Rollout(step) => Some(step.clone()),
        _ => None,
    });
    steps.collect()
}

/// A fleet with a canary.
async fn with_canary(devices: usize, canary: &str, script: Script) -> Bench {
    let mut bench = Bench::of(devices, script).await;
    bench.options.rollout.canary = canary.parse().unwrap();
    bench
}

fn passed(went: String) -> RolloutStep {
    RolloutStep::CanaryOver {
        went,
        verdict: CanaryVerdict::Passed,
    }
}

/// The devices that were chosen, once they have been; of a fleet in which none has two tasks.
async fn chosen(bench: &Bench) -> HashSet<String> {
    let keys = bench
        .query("SELECT device_key FROM task WHERE held = 1")
        .await;
    keys.into_iter().collect()
}

fn all_accept() -> Script {
    Box::new(|_, request| accepted(request))
}

#[tokio::test]
async fn a_good_canary_goes_first_and_the_others_follow() {
    let bench = with_canary(200, "5%", all_accept()).await;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|200"]);
    let went = "canary of 10 devices: 10 accepted".to_owned();
    assert_eq!(
        steps(&events),
        [RolloutStep::CanaryChosen { devices: 10 }, passed(went)]
    );
    let sent = bench.sent();
    assert_eq!(sent.len(), 200, "nobody twice");
    let first: HashSet<String> = sent[..10].iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(first, chosen(&bench).await);
    // The progress of the canary is told, and that of the fleet with it.
    let ended = |event: &&Event| {
        matches!(
            event,
            Event::Rollout(RolloutStep::Canary {
                ended: 10,
                devices: 10
            })
        )
    };
    assert_eq!(events.iter().filter(ended).count(), 1);
    assert_eq!(
        bench
            .query("SELECT asked, devices, accepted FROM canary")
            .await,
        ["5%|10|10"]
    );
}

#[tokio::test]
async fn a_canary_pauses_when_asked_and_the_next_start_goes_on() {
    let mut bench = with_canary(100, "7", all_accept()).await;
    bench.options.rollout.canary_pause = true;
    let (stop, _) = bench.push().await;
    let went = "canary of 7 devices: 7 accepted".to_owned();
    assert_eq!(stop, Stop::Canary { went });
    assert_eq!(
        bench
            .query("SELECT state, accepted, pending FROM runs")
            .await,
        ["stopped|7|93"]
    );
    let (stop, events) = bench.push().await;
    assert_eq!((stop, steps(&events)), (Stop::Complete, vec![]));
    assert_eq!(bench.sent().len(), 100);
}

#[tokio::test]
async fn a_bad_canary_aborts_and_can_be_overridden() {
    let script: Script = Box::new(|n, request: &Outgoing| {
        elements(request, |_| Some(if n == 0 { 61005 } else { 200 }))
    });
    let mut bench = with_canary(100, "10", script).await;
    bench.options.abort_if = "offline>5%;failed>10%,min=500".parse().unwrap();
    bench.options.rollout.canary_pause = true;
    let (stop, _) = bench.push().await;
    let reason = "the canary is not good: 10 of 10 ended tasks failed \
                  (--abort-if 'failed>10%,min=500', with min=1 for a canary)";
    assert_eq!(
        stop,
        Stop::Aborted {
            reason: reason.into()
        }
    );
    assert_eq!(
        bench.query("SELECT state, failed, pending FROM runs").await,
        ["aborted|10|90"]
    );
    // Whoever overrides has had a look, so that it does not stop for one.
    bench.options.override_abort = true;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(
        bench.query("SELECT accepted, failed FROM runs").await,
        ["90|10"]
    );
}

#[tokio::test]
async fn absolute_numbers_and_classes_judge_a_canary_too() {
    let script: Script = Box::new(|_, request: &Outgoing| elements(request, |_| Some(61002)));
    let mut bench = with_canary(100, "10", script).await;
    bench.options.abort_if = "failed>0%".parse().unwrap();
    bench.options.rollout.canary_pause = true;
    let (stop, _) = bench.push().await;
    let went = "canary of 10 devices: 10 offline".to_owned();
    assert_eq!(stop, Stop::Canary { went }, "offline is no failure there");

    let script: Script = Box::new(|_, request: &Outgoing| elements(request, |_| Some(61002)));
    let mut bench = with_canary(100, "10", script).await;
    bench.options.abort_if = "failed>0%;offline>9".parse().unwrap();
    let (stop, _) = bench.push().await;
    assert!(
        matches!(&stop, Stop::Aborted { reason } if reason.contains("--abort-if 'offline>9'")),
        "{stop:?}"
    );
}

#[tokio::test]
async fn a_canary_is_waited_for_until_its_last_device_has_ended() {
    // One of its requests is lost, and sent again a second later; nobody else goes meanwhile.
    let script: Script =
        Box::new(|n, request: &Outgoing| if n == 1 { lost() } else { accepted(request) });
    let mut bench = with_canary(100, "20", script).await;
    bench.options.concurrency = 1;
    assert_eq!(bench.push().await.0, Stop::Complete);
    let canary = chosen(&bench).await;
    let sent = bench.sent();
    assert_eq!((canary.len(), sent.len()), (20, 110));
    assert!(
        sent[..30].iter().all(|(key, _)| canary.contains(key)),
        "{sent:?}"
    );
    assert!(
        sent[30..].iter().all(|(key, _)| !canary.contains(key)),
        "{sent:?}"
    );
}

#[tokio::test]
async fn the_devices_of_a_canary_get_all_their_commands_in_it() {
    let keys: Vec<String> = (0..20).map(|i| format!("DK{i:05}")).collect();
    let rows: Vec<(&str, &str)> = ["[1]", "[2]", "[3]"]
        .into_iter()
        .flat_map(|data| keys.iter().map(move |key| (key.as_str(), data)))
        .collect();
    let mut bench = Bench::new(&rows, all_accept()).await;
    bench.options.rollout.canary = "10%".parse().unwrap();
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    let went = "canary of 2 devices: 6 accepted".to_owned();
    assert!(steps(&events).contains(&passed(went)));
    let first: HashSet<String> = bench.sent()[..6]
        .iter()
        .map(|(key, _)| key.clone())
        .collect();
    assert_eq!(first.len(), 2);
}

#[tokio::test]
async fn a_crash_in_the_canary_goes_on_in_the_canary() {
    let mut bench = with_canary(60, "30", all_accept()).await;
    bench.options.chunk_size = 1;
    bench.options.concurrency = 2;
    let mut canary = HashSet::new();
    for crashes in 1..=4 {
        let requests = crashes * 5;
        let ended = bench
            .push_until(async {
                while bench.requests() < requests {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        assert_eq!(ended, None);
        let now = chosen(&bench).await;
        assert!(canary.is_empty() || canary == now, "the choice is kept");
        canary = now;
    }
    assert_eq!(canary.len(), 30);
    assert_eq!(bench.query("SELECT passed_at FROM canary").await, [""]);
    assert!(bench.sent().iter().all(|(key, _)| canary.contains(key)));
    let before = bench.sent().len();
    bench.options.rollout.canary_pause = true;
    let (stop, events) = bench.push().await;
    assert!(
        matches!(stop, Stop::Canary { .. }),
        "the wish for a look counts whenever it comes: {stop:?}"
    );
    assert!(
        matches!(
            steps(&events)[..],
            [RolloutStep::CanaryGoesOn { devices: 30, .. }]
        ),
        "{events:?}"
    );
    assert!(
        bench.sent()[before..]
            .iter()
            .all(|(key, _)| canary.contains(key))
    );
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|60"]);
}

#[tokio::test]
async fn a_crash_before_the_pause_stops_for_the_look_once_more() {
    let mut bench = with_canary(50, "10", all_accept()).await;
    bench.options.rollout.canary_pause = true;
    bench.push().await;
    // As if the process had ended between the canary's last reply and its verdict.
    bench
        .tamper("UPDATE canary SET passed_at = NULL, accepted = NULL")
        .await;
    bench.tamper("UPDATE run SET state = 'running'").await;
    assert!(matches!(bench.push().await.0, Stop::Canary { .. }));
    assert_eq!(bench.sent().len(), 10);
    assert_eq!(bench.push().await.0, Stop::Complete);
}

#[tokio::test]
async fn a_canary_that_cannot_be_is_left_out_and_said() {
    let bench = with_canary(30, "30", all_accept()).await;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(steps(&events), [RolloutStep::CanaryOfAll { devices: 30 }]);

    let mut bench = with_canary(60, "none", all_accept()).await;
    bench.platform.hold.send_replace(true);
    tokio::join!(bench.push(), async {
        bench.stop_at(4).await;
        bench.platform.hold.send_replace(false);
    });
    bench.options.rollout.canary = "10".parse().unwrap();
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(steps(&events), [RolloutStep::CanaryTooLate]);
}

#[tokio::test]
async fn a_run_that_was_staged_and_never_begun_can_have_a_canary() {
    let mut bench = with_canary(60, "none", all_accept()).await;
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(0));
    assert_eq!(stop, Stop::Signal);
    bench.options.rollout.canary = "10".parse().unwrap();
    let (_, events) = bench.push().await;
    assert_eq!(steps(&events)[0], RolloutStep::CanaryChosen { devices: 10 });
}

#[tokio::test]
async fn failed_devices_of_a_canary_can_be_tried_again_before_it_is_judged() {
    let script: Script = Box::new(|n, request: &Outgoing| {
        elements(request, |_| Some(if n == 0 { 61002 } else { 200 }))
    });
    let mut bench = with_canary(40, "10", script).await;
    bench.options.abort_if = "offline>10%".parse().unwrap();
    assert!(matches!(bench.push().await.0, Stop::Aborted { .. }));
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    let all = crate::model::TaskFilter::ended(&[crate::model::TaskState::Failed]);
    crate::journal::retry::reopen(
        &mut store,
        &run,
        &all,
        Leave::STALE,
        crate::model::Timestamp(1),
    )
    .await
    .unwrap();
    store.close().await.unwrap();
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    let went = "canary of 10 devices: 10 accepted".to_owned();
    assert_eq!(
        steps(&events),
        [
            RolloutStep::CanaryGoesOn {
                ended: 0,
                devices: 10
            },
            passed(went)
        ]
    );
}

#[tokio::test]
async fn a_ramp_rises_with_acceptances_to_the_rate_and_goes_on_where_it_was() {
    let mut bench = Bench::of(120, all_accept()).await;
    bench.options.ceilings.requests = Some(500.0);
    bench.options.rollout.ramp = "20,x4,every=30".parse().unwrap();
    bench.options.concurrency = 1;
    let begun = Instant::now();
    // Another one may go out before the stop is heard of, but not two.
    let ((stop, first), ()) = tokio::join!(bench.push(), bench.stop_at(4));
    assert_eq!(stop, Stop::Signal);
    // Three requests at 20 a second, the first at once.
    assert!(
        begun.elapsed() >= Duration::from_millis(100),
        "{:?}",
        begun.elapsed()
    );
    let at = |accepted, ceiling, is_top| RolloutStep::Ramp {
        accepted,
        ceiling: Some(ceiling),
        is_top,
    };
    assert_eq!(steps(&first), [at(0, 20.0, false), at(30, 80.0, false)]);
    let accepted = bench.query("SELECT accepted FROM runs").await[0]
        .parse()
        .unwrap();
    assert!((40..60).contains(&accepted), "{accepted}");
    let (stop, second) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(
        steps(&second),
        [
            at(accepted, 80.0, false),
            at(60, 320.0, false),
            at(90, 500.0, true)
        ]
    );
}

#[tokio::test]
async fn a_ramp_begins_after_the_canary_which_goes_as_slowly() {
    let mut bench = with_canary(100, "40", all_accept()).await;
    bench.options.rollout.ramp = "50,x2,every=40".parse().unwrap();
    bench.options.concurrency = 1;
    let (_, events) = bench.push().await;
    let went = "canary of 40 devices: 40 accepted".to_owned();
    let step = |accepted, ceiling| RolloutStep::Ramp {
        accepted,
        ceiling: Some(ceiling),
        is_top: false,
    };
    assert_eq!(
        steps(&events),
        [
            RolloutStep::CanaryChosen { devices: 40 },
            passed(went),
            step(0, 50.0),
            step(40, 100.0),
        ]
    );
}

#[tokio::test]
async fn a_push_tells_the_phase_it_ended_in() {
    let mut bench = with_canary(100, "40", all_accept()).await;
    bench.options.concurrency = 1;
    bench.options.rollout.ramp = "100,x2,every=40".parse().unwrap();
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(2));
    assert_eq!(stop, Stop::Signal);
    assert!(matches!(
        bench.phase(),
        RolloutPhase::Canary {
            ended: 10..40,
            devices: 40
        }
    ));
    bench.push().await;
    assert_eq!(bench.phase(), RolloutPhase::Ramp { ceiling: 200.0 });
    let bench = Bench::of(10, all_accept()).await;
    bench.push().await;
    assert_eq!(bench.phase(), RolloutPhase::Rest);
}
