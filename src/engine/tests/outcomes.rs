//! What each kind of outcome leads to.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    engine::{Event, Stop},
    model::InDoubt,
};

#[tokio::test]
async fn every_device_is_accepted_once_in_full_chunks() {
    let bench = Bench::of(95, Box::new(|_, request| accepted(request))).await;
    let (stop, _) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|95"]);
    let mut sizes = bench.sizes();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
    assert_eq!(
        bench.query("SELECT state, tasks FROM runs").await,
        ["complete|95"]
    );
    // A second push has nothing to send.
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.requests(), 10);
}

#[tokio::test]
async fn each_device_gets_its_own_elements_outcome() {
    let script = |_, request: &_| {
        elements(request, |device| match device {
            "DK00003" => Some(61002),
            "DK00004" => Some(91005),
            "DK00005" => Some(12345),
            _ => Some(200),
        })
    };
    let bench = Bench::of(10, Box::new(script)).await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(
        bench
            .query("SELECT device_key, class, code, message FROM results WHERE state = 'failed' ORDER BY line")
            .await,
        [
            "DK00003|offline|61002|Device offline",
            "DK00004|rejected|91005|Doesn't have permission",
            "DK00005|rejected|12345|",
        ]
    );
}

#[tokio::test]
async fn a_snoozing_device_does_not_hold_up_its_neighbours() {
    let throttled = AtomicUsize::new(0);
    let script = move |_, request: &_| {
        elements(request, |device| {
            let first = device == "DK00000" && throttled.fetch_add(1, Ordering::SeqCst) == 0;
            Some(if first { 61007 } else { 200 })
        })
    };
    let mut bench = Bench::of(30, Box::new(script)).await;
    // Exactly one of the pauses fits, and no attempt is used up by it.
    bench.options.rules.max_attempts = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|30"]);
    let waited_alone = events.iter().any(|event| {
        matches!(event, Event::Progress { counts, .. } if counts.accepted == 29 && counts.snoozing == 1)
    });
    assert!(waited_alone, "the other 29 were done while it slept");
    assert_eq!(
        bench.query("SELECT attempt, outcome, code FROM attempts WHERE device_key = 'DK00000' ORDER BY 1").await,
        ["1|frequency|61007", "2|accepted|200"]
    );
}

#[tokio::test]
async fn a_device_that_is_throttled_for_too_long_fails() {
    let mut bench = Bench::of(3, Box::new(|_, request| elements(request, |_| Some(61006)))).await;
    bench.options.rules.max_snooze = std::time::Duration::from_secs(20);
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["failed|quota|3"]);
}

#[tokio::test]
async fn a_lost_reply_is_in_doubt_and_sent_again_or_held() {
    let script = |n, request: &_| if n == 0 { lost() } else { accepted(request) };
    let bench = Bench::of(4, Box::new(script)).await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|4"]);
    assert_eq!(
        bench
            .query("SELECT DISTINCT attempt, outcome FROM attempts ORDER BY 1")
            .await,
        ["1|in_doubt", "2|accepted"]
    );

    let mut bench = Bench::of(4, Box::new(script)).await;
    bench.options.rules.in_doubt = InDoubt::Hold;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["in_doubt|in_doubt|4"]);
    assert_eq!(bench.requests(), 1);
}

#[tokio::test]
async fn a_device_that_the_reply_leaves_out_is_in_doubt() {
    let script = |n, request: &_| {
        elements(request, |device| {
            (n > 0 || device != "DK00002").then_some(200)
        })
    };
    let bench = Bench::of(5, Box::new(script)).await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|5"]);
    assert_eq!(bench.sizes(), [5, 1]);
    assert_eq!(
        bench
            .query("SELECT device_key, outcome FROM attempts WHERE outcome <> 'accepted'")
            .await,
        ["DK00002|in_doubt"]
    );
}

#[tokio::test]
async fn attempts_run_out() {
    let mut bench = Bench::of(2, Box::new(|_, _| code(50000))).await;
    bench.options.rules.max_attempts = 2;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["failed|transient|2"]);
    assert_eq!(
        bench.query("SELECT DISTINCT attempts FROM results").await,
        ["2"]
    );

    let mut bench = Bench::of(2, Box::new(|_, _| lost())).await;
    bench.options.rules.max_attempts = 2;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["in_doubt|in_doubt|2"]);
    assert_eq!(bench.requests(), 2);
}

#[tokio::test]
async fn an_offline_device_is_tried_again_when_asked_for() {
    let mut bench = Bench::of(
        2,
        Box::new(|n, request: &_| elements(request, |_| Some(if n == 0 { 61002 } else { 200 }))),
    )
    .await;
    bench.options.rules.retry_offline = 1;
    bench.options.rules.offline_delay = std::time::Duration::from_millis(100);
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|2"]);
}

#[tokio::test]
async fn a_missing_ticket_is_accepted_and_told() {
    let script = |_, request: &crate::gateway::Outgoing| {
        let mut answer = reply(200);
        // Code 201 is an acceptance too, and the scripted platform gives it no ticket.
        answer.elements = request
            .devices
            .iter()
            .map(|_| {
                Some(crate::model::Element {
                    code: Some(201),
                    ..Default::default()
                })
            })
            .collect();
        crate::model::SendResult::Answered(answer)
    };
    let bench = Bench::of(3, Box::new(script)).await;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert!(events.contains(&Event::TicketMissing { devices: 3 }));
    assert_eq!(
        bench
            .query("SELECT count(*), count(ticket) FROM results")
            .await,
        ["3|0"]
    );
}

#[tokio::test]
async fn at_a_slow_pace_replies_are_recorded_several_at_a_time() {
    let mut bench = Bench::of(120, Box::new(|_, request| accepted(request))).await;
    bench.options.ceilings.requests = Some(50.0);
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|120"]);
    let mut told: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Progress { counts, .. } => Some(counts.accepted),
            _ => None,
        })
        .collect();
    told.dedup();
    // The first is that of the start, when nothing had been accepted.
    let commits = told.len() - 1;
    assert!(commits <= 8, "12 replies in {commits} commits: {told:?}");
}
