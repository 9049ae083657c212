//! Outages, refusals, signals and thresholds.

use std::time::Duration;

use super::*;
use crate::{
    clock::Clock,
    engine::{Event, Stop},
    gateway::Outgoing,
    model::{Answer, SendResult, Timestamp, Unsent},
};

fn unreachable() -> SendResult {
    SendResult::Unsent(Unsent::Unreachable {
        error: "connection refused".into(),
        retry_after: None,
    })
}

#[tokio::test]
async fn an_outage_pauses_the_run_and_costs_no_device() {
    let script: Script = Box::new(|n, request: &Outgoing| {
        if (2..8).contains(&n) {
            unreachable()
        } else {
            accepted(request)
        }
    });
    let mut bench = Bench::of(200, script).await;
    // Of several at a time some could pass, which is no outage.
    bench.options.concurrency = 1;
    bench.options.rules.max_attempts = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|200"]);
    assert!(
        events.iter().any(|event| matches!(event, Event::Paused(_))),
        "{events:?}"
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Resumed { .. }))
    );
}

#[tokio::test]
async fn a_platform_that_comes_back_without_its_tokens_is_back() {
    let script: Script = Box::new(|n, request: &Outgoing| match n {
        1 => unreachable(),
        2..6 => code(91001),
        _ => accepted(request),
    });
    let mut bench = Bench::of(200, script).await;
    bench.options.concurrency = 1;
    bench.options.rules.max_attempts = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|200"]);
    let resumed = events
        .iter()
        .filter(|event| matches!(event, Event::Resumed { .. }));
    // The first refusal of the token ends the pause; had it not, each of them would have doubled the wait for the next probe.
    assert!(
        resumed.clone().all(
            |event| matches!(event, Event::Resumed { after, .. } if *after < Duration::from_secs(2))
        ),
        "{events:?}"
    );
    assert_eq!(resumed.count(), 1);
}

#[tokio::test]
async fn an_outage_that_lasts_stops_the_run_with_its_tasks_pending() {
    let mut bench = Bench::of(100, Box::new(|_, _| unreachable())).await;
    bench.options.max_outage = Duration::from_millis(200);
    let (stop, _) = bench.push().await;
    assert_eq!(
        stop,
        Stop::Outage {
            reason: "connection refused".into()
        }
    );
    assert_eq!(
        bench.query("SELECT state, pending, failed FROM runs").await,
        ["stopped|100|0"]
    );
}

#[tokio::test]
async fn patience_that_is_over_before_a_pause_has_begun_leaves_a_last_probe() {
    for comes_back in [true, false] {
        let script: Script = Box::new(move |n, request: &Outgoing| match n {
            0 => unreachable(),
            _ if comes_back => accepted(request),
            _ => unreachable(),
        });
        let mut bench = Bench::of(100, script).await;
        bench.options.concurrency = 1;
        bench.options.max_outage = Duration::ZERO;
        let (stop, events) = bench.push().await;
        assert!(events.iter().any(|event| matches!(event, Event::Paused(_))));
        if comes_back {
            assert_eq!(stop, Stop::Complete);
            assert_eq!(bench.states().await, ["accepted|accepted|100"]);
        } else {
            assert!(matches!(stop, Stop::Outage { .. }), "{stop:?}");
            assert_eq!(bench.requests(), 2, "and the probe");
        }
    }
}

#[tokio::test]
async fn too_many_requests_lower_the_rate_and_cost_no_attempt() {
    let script: Script = Box::new(|n, request: &Outgoing| {
        if n == 1 {
            SendResult::Answered(Answer {
                http_status: 429,
                ..Answer::default()
            })
        } else {
            accepted(request)
        }
    });
    let mut bench = Bench::of(60, script).await;
    bench.options.rules.max_attempts = 1;
    bench.options.ceilings.requests = Some(1000.0);
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    let lowered: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            Event::RateLowered { rate } => Some(*rate),
            _ => None,
        })
        .collect();
    // It is the first that was refused, and there is no other.
    assert_eq!(lowered.len(), 1, "{lowered:?}");
    assert!((0.5..800.0).contains(&lowered[0]), "{lowered:?}");
    assert_eq!(bench.states().await, ["accepted|accepted|60"]);
}

#[tokio::test]
async fn a_refusal_stops_at_once_and_leaves_the_tasks_pending() {
    for result in [403_u16, 404, 405, 302].map(|http_status| {
        SendResult::Answered(Answer {
            http_status,
            ..Answer::default()
        })
    }) {
        let bench = Bench::of(100, Box::new(move |_, _| result.clone())).await;
        let (stop, _) = bench.push().await;
        assert!(matches!(stop, Stop::Refused { .. }), "{stop:?}");
        assert_eq!(
            bench.query("SELECT state, pending FROM runs").await,
            ["stopped|100"]
        );
    }
}

#[tokio::test]
async fn a_threshold_aborts_and_can_be_overridden() {
    let script: Script = Box::new(|n, request: &Outgoing| {
        elements(request, |_| Some(if n < 4 { 61005 } else { 200 }))
    });
    let mut bench = Bench::of(200, script).await;
    bench.options.concurrency = 1;
    bench.options.abort_if = "failed>10%,min=20".parse().unwrap();
    let (stop, _) = bench.push().await;
    assert_eq!(
        stop,
        Stop::Aborted {
            reason: "20 of 20 ended tasks failed (--abort-if 'failed>10%,min=20')".into()
        }
    );
    assert_eq!(bench.query("SELECT state FROM runs").await, ["aborted"]);
    bench.options.override_abort = true;
    // What failed from here on counts: two more chunks of the script fail.
    assert!(matches!(bench.push().await.0, Stop::Aborted { .. }));
    assert_eq!(bench.push().await.0, Stop::Complete);
}

#[tokio::test]
async fn a_signal_drains_what_is_under_way_and_releases_the_rest() {
    let bench = Bench::of(400, Box::new(|_, request| accepted(request))).await;
    bench.platform.hold.send_replace(true);
    let ((stop, _), ()) = tokio::join!(bench.push(), async {
        bench.stop_at(4).await;
        bench.platform.hold.send_replace(false);
    });
    assert_eq!(stop, Stop::Signal);
    assert_eq!(
        bench
            .query("SELECT state, accepted, pending, in_flight FROM runs")
            .await,
        ["stopped|40|360|0"]
    );
    assert_eq!(
        bench
            .query("SELECT count(*) FROM attempts WHERE outcome = 'in_doubt'")
            .await,
        ["0"]
    );
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|400"]);
    assert_eq!(bench.sent().len(), 400, "nothing was sent twice");
}

#[tokio::test]
async fn what_outlasts_the_drain_is_in_doubt() {
    let mut bench = Bench::of(40, Box::new(|_, _| code(50000))).await;
    bench.options.drain_timeout = Duration::from_millis(50);
    bench.platform.hold.send_replace(true);
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(4));
    assert_eq!(stop, Stop::Signal);
    assert_eq!(
        bench
            .query("SELECT outcome, count(*) FROM attempts GROUP BY 1")
            .await,
        ["in_doubt|40"]
    );
    assert_eq!(
        bench.query("SELECT pending, in_flight FROM runs").await,
        ["40|0"]
    );
}

#[tokio::test]
async fn what_no_sender_had_begun_when_the_drain_timed_out_is_released() {
    let mut bench = Bench::of(200, Box::new(|_, request| accepted(request))).await;
    bench.options.drain_timeout = Duration::from_millis(50);
    bench.platform.hold.send_replace(true);
    let ((stop, _), ()) = tokio::join!(bench.push(), async {
        // More are claimed than can be under way.
        while bench.query("SELECT count(*) > 4 FROM request").await != ["1"] {}
        bench.stop_at(4).await;
    });
    assert_eq!(stop, Stop::Signal);
    assert_eq!(
        bench
            .query("SELECT outcome, count(*) FROM attempts GROUP BY 1")
            .await,
        ["in_doubt|40"]
    );
    assert_eq!(
        bench
            .query("SELECT count(*) > 0 FROM request WHERE released = 1")
            .await,
        ["1"]
    );
}

#[tokio::test]
async fn a_stop_asked_for_before_the_start_sends_nothing() {
    let bench = Bench::of(50, Box::new(|_, request| accepted(request))).await;
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(0));
    assert_eq!(stop, Stop::Signal);
    assert_eq!(bench.requests(), 0);
    assert_eq!(
        bench.query("SELECT state, pending FROM runs").await,
        ["stopped|50"]
    );
}

#[tokio::test]
#[should_panic(expected = "a fault in the gateway")]
async fn a_panic_of_the_senders_ends_the_push() {
    let bench = Bench::of(200, Box::new(|_, _| panic!("a fault in the gateway"))).await;
    bench.push().await;
}

#[tokio::test]
async fn a_probe_that_is_lost_is_followed_by_another() {
    let script: Script = Box::new(|n, request: &Outgoing| match n {
        ..5 => unreachable(),
        5 => lost(),
        _ => accepted(request),
    });
    let mut bench = Bench::of(20, script).await;
    bench.options.concurrency = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|20"]);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Resumed { .. }))
    );
}

#[tokio::test]
async fn refusals_for_their_number_that_never_end_are_an_outage() {
    let script: Script = Box::new(|_, _| {
        SendResult::Answered(Answer {
            http_status: 429,
            ..Answer::default()
        })
    });
    let mut bench = Bench::of(100, script).await;
    bench.options.max_outage = Duration::from_millis(300);
    let push = tokio::time::timeout(Duration::from_mins(1), bench.push());
    let (stop, _) = push.await.expect("a push gives up");
    assert!(matches!(stop, Stop::Outage { .. }), "{stop:?}");
    assert_eq!(
        bench.query("SELECT state, pending, failed FROM runs").await,
        ["stopped|100|0"]
    );
}

#[tokio::test]
async fn a_clock_that_was_ahead_puts_nothing_off_for_long() {
    let script: Script = Box::new(|_, _| lost());
    let mut bench = Bench::of(20, script).await;
    bench.options.concurrency = 2;
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(2));
    assert_eq!(stop, Stop::Signal);
    // One as by a wall clock that was an hour ahead, one as by one that was a day ahead.
    bench
        .tamper(
            "UPDATE due SET due_at = due_at + CASE WHEN task_id % 2 THEN 3600000 ELSE 86400000 END",
        )
        .await;
    let ((stop, events), ()) = tokio::join!(bench.push(), bench.stop_at(0));
    assert_eq!(stop, Stop::Signal);
    let in_half_an_hour = Clock::start().now().after(Duration::from_mins(31));
    let due = bench.query("SELECT due_at FROM due").await;
    assert_eq!(due.len(), 20);
    for due_at in due {
        assert!(
            Timestamp(due_at.parse().unwrap()) < in_half_an_hour,
            "{due_at}"
        );
    }
    // What is shown does not wait for a day either.
    for event in events {
        if let Event::Progress { latest_due, .. } = event {
            assert!(latest_due.unwrap() < in_half_an_hour);
        }
    }
}

#[tokio::test]
async fn what_is_told_of_requests_has_been_recorded() {
    // 201 is an acceptance too, and the scripted platform gives it no ticket.
    let script: Script = Box::new(|n, request: &Outgoing| match n {
        ..5 => unreachable(),
        _ => elements(request, |_| Some(201)),
    });
    let bench = Bench::of(10, script).await;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    let place = |what: &dyn Fn(&Event) -> bool| events.iter().position(what).unwrap();
    let recorded =
        place(&|event| matches!(event, Event::Progress { counts, .. } if counts.accepted == 1));
    assert!(recorded < place(&|event| matches!(event, Event::TicketMissing { devices: 1 })));
    assert!(recorded < place(&|event| matches!(event, Event::Resumed { .. })));
    let answered = place(
        &|event| matches!(event, Event::Progress { requests: 5, counts, .. } if counts.in_flight == 0),
    );
    assert!(answered < place(&|event| matches!(event, Event::Paused(_))));
}

#[tokio::test]
async fn a_display_that_is_stuck_holds_up_no_push() {
    // Every reply is worth telling of.
    let script: Script = Box::new(|_, request: &Outgoing| elements(request, |_| Some(201)));
    let mut bench = Bench::of(100, script).await;
    bench.places_for_events = 2;
    let push = tokio::time::timeout(Duration::from_mins(1), bench.push());
    let (stop, _) = push.await.expect("nobody has to listen");
    assert_eq!(stop, Stop::Complete);
}

/// What is asked from outside ends a push in the state that it asks for, also while it stops for another reason.
#[tokio::test]
async fn a_request_from_outside_decides_how_the_push_ends() {
    use crate::model::{ControlAction, RunState};
    for signalled in [false, true] {
        for (action, state) in [
            (ControlAction::Pause, RunState::Paused),
            (ControlAction::Cancel, RunState::Cancelled),
        ] {
            let bench = Bench::of(100, Box::new(|_, request| accepted(request))).await;
            bench.control.send_replace(Some(by_anna(action)));
            let stop = if signalled {
                let (push, ()) = tokio::join!(bench.push(), bench.stop_at(0));
                push.0
            } else {
                bench.push().await.0
            };
            let reason = "by anna at 2026-11-22 19:00:00 UTC".to_owned();
            let expected = match action {
                ControlAction::Pause => Stop::Paused { reason },
                ControlAction::Cancel => Stop::Cancelled { reason },
            };
            assert_eq!(stop, expected);
            let mut store = bench.store().await;
            let run = bench.run(&mut store).await;
            assert_eq!(run.state, state);
            assert_eq!(run.last_control.as_deref(), Some(action.name()));
            store.close().await.unwrap();
            assert_eq!(bench.requests(), 0, "nothing was sent");
            bench.control.send_replace(None);
            if action == ControlAction::Pause {
                assert_eq!(bench.push().await.0, Stop::Complete);
                let mut store = bench.store().await;
                assert_eq!(bench.run(&mut store).await.paused, None);
                store.close().await.unwrap();
            }
        }
    }
}

/// A run whose last task has ended is complete, whatever was asked of it meanwhile.
#[tokio::test]
async fn a_request_that_comes_too_late_changes_nothing() {
    use crate::model::{ControlAction, RunState};
    let bench = Bench::of(5, Box::new(|_, request| accepted(request))).await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    bench
        .control
        .send_replace(Some(by_anna(ControlAction::Cancel)));
    assert_eq!(bench.push().await.0, Stop::Complete);
    let mut store = bench.store().await;
    assert_eq!(bench.run(&mut store).await.state, RunState::Complete);
    store.close().await.unwrap();
}
