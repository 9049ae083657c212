//! The end of a push's time.

use std::time::Duration;

use super::*;
use crate::{
    clock::Clock,
    engine::Stop,
    gateway::Outgoing,
    model::{Deadline, SendResult, Unsent},
};

fn deadline(from_now: Duration) -> Deadline {
    Deadline {
        at: Clock::start().now().after(from_now),
        what: "05:00".into(),
    }
}

fn stopped() -> Stop {
    Stop::Deadline {
        reason: "05:00".into(),
    }
}

#[tokio::test]
async fn a_push_whose_time_is_over_sends_nothing() {
    let mut bench = Bench::of(100, Box::new(|_, request| accepted(request))).await;
    bench.deadline = Some(deadline(Duration::ZERO));
    let (stop, _) = bench.push().await;
    assert_eq!(stop, stopped());
    assert_eq!(bench.requests(), 0);
    assert_eq!(
        bench.query("SELECT state, pending FROM runs").await,
        ["stopped|100"]
    );
    bench.deadline = None;
    let (stop, _) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|100"]);
}

#[tokio::test]
async fn a_push_that_only_waits_stops_when_its_time_is_over() {
    // The device is due again after the end, and stays pending.
    let mut bench = Bench::of(1, Box::new(|_, request| elements(request, |_| Some(61006)))).await;
    bench.deadline = Some(deadline(Duration::from_secs(3)));
    let (stop, _) = bench.push().await;
    assert_eq!(stop, stopped());
    assert_eq!(bench.requests(), 1);
    assert_eq!(
        bench
            .query("SELECT state, pending, snoozing FROM runs")
            .await,
        ["stopped|1|1"]
    );
}

#[tokio::test]
async fn what_is_in_flight_at_the_end_is_waited_for() {
    let mut bench = Bench::of(100, Box::new(|_, request| accepted(request))).await;
    bench.deadline = Some(deadline(Duration::from_secs(1)));
    bench.platform.hold.send_replace(true);
    let release = async {
        let clock = Clock::start();
        let end = bench
            .deadline
            .as_ref()
            .unwrap()
            .at
            .after(Duration::from_millis(50));
        while !clock.has_passed(end) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.platform.hold.send_replace(false);
    };
    let ((stop, _), ()) = tokio::join!(bench.push(), release);
    assert_eq!(stop, stopped());
    // As many as there are places, and each was answered.
    assert_eq!(bench.requests(), 4);
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|40", "pending||60"]
    );
}

#[tokio::test]
async fn a_request_that_would_go_out_too_late_is_none() {
    // Its turn comes when its time is over, as after a long login.
    let script: Script = Box::new(|n, request: &Outgoing| {
        let end = request.not_after.expect("it knows its time");
        if n < 3 {
            return accepted(request);
        }
        let clock = Clock::start();
        while !clock.has_passed(end) {
            std::thread::sleep(Duration::from_millis(5));
        }
        SendResult::Unsent(Unsent::Late)
    });
    let mut bench = Bench::of(100, script).await;
    bench.options.concurrency = 1;
    bench.deadline = Some(deadline(Duration::from_secs(1)));
    let (stop, _) = bench.push().await;
    assert_eq!(stop, stopped());
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|30", "pending||70"]
    );
    // It is as if it had never been claimed.
    assert_eq!(
        bench
            .query("SELECT count(*), sum(devices) FROM requests")
            .await,
        ["3|30"]
    );
}

#[tokio::test]
async fn a_signal_and_the_end_are_one_stop() {
    let mut bench = Bench::of(100, Box::new(|_, request| accepted(request))).await;
    bench.options.concurrency = 1;
    bench.deadline = Some(deadline(Duration::from_mins(1)));
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(2));
    assert_eq!(stop, Stop::Signal);
}
