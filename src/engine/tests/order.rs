//! Several tasks of one device.

use std::time::Duration;

use super::*;
use crate::{
    engine::Stop,
    journal::{Journal, staleness::Leave},
    model::{AfterFailure, ControlAction},
};

#[tokio::test]
async fn tasks_of_a_device_go_out_in_order_and_duplicates_not_at_all() {
    let rows = [
        ("A", "on"),
        ("B", "on"),
        ("A", "on"),
        ("A", "off"),
        ("A", "on"),
        ("B", "off"),
    ];
    let bench = Bench::new(&rows, Box::new(|_, request| accepted(request))).await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    let of = |device: &str| -> Vec<String> {
        bench
            .sent()
            .into_iter()
            .filter(|(key, _)| key == device)
            .map(|(_, data)| data)
            .collect()
    };
    assert_eq!(of("A"), ["on", "off", "on"]);
    assert_eq!(of("B"), ["on", "off"]);
    assert_eq!(
        bench
            .query("SELECT line, state, message FROM results WHERE state <> 'accepted'")
            .await,
        ["4|skipped|same payload as line 2"]
    );
}

#[tokio::test]
async fn a_failure_blocks_the_devices_later_tasks() {
    let rows = [("A", "1"), ("B", "1"), ("A", "2"), ("A", "3"), ("B", "2")];
    let script = |_, request: &crate::gateway::Outgoing| {
        let data = request.payload.data.to_string();
        elements(request, move |device| {
            Some(if device == "A" && data == "1" {
                61005
            } else {
                200
            })
        })
    };
    let mut bench = Bench::new(&rows, Box::new(script)).await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(
        bench
            .query(
                "SELECT line, state, class, message, attempts FROM results WHERE device_key = 'A'"
            )
            .await,
        [
            "2|failed|rejected|Unauthorized device|1",
            "4|failed|blocked|not sent: the device's task of line 2 ended as failed|0",
            "5|failed|blocked|not sent: the device's task of line 4 ended as failed|0",
        ]
    );

    bench = Bench::new(&rows, Box::new(script)).await;
    bench.after_failure = AfterFailure::Continue;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|4", "failed|rejected|1"]
    );
}

#[tokio::test]
async fn a_retry_takes_blocked_tasks_along_in_order() {
    use crate::model::{Class, TaskFilter, TaskState, Timestamp};
    let rows = [("A", "1"), ("A", "2"), ("A", "3"), ("B", "1")];
    let script = |n, request: &crate::gateway::Outgoing| {
        elements(request, move |device| {
            Some(if n < 1 && device == "A" { 61002 } else { 200 })
        })
    };
    let bench = Bench::new(&rows, Box::new(script)).await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(
        bench.states().await,
        [
            "accepted|accepted|1",
            "failed|blocked|2",
            "failed|offline|1"
        ]
    );

    let filter = TaskFilter {
        classes: vec![Class::Offline],
        ..TaskFilter::ended(&[TaskState::Failed])
    };
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    let plan = crate::journal::retry::plan(&mut store, &run, &filter, Leave::STALE)
        .await
        .unwrap();
    assert_eq!((plan.chosen, plan.blocked), (1, 2));
    assert_eq!(
        crate::journal::retry::reopen(&mut store, &run, &filter, Leave::STALE, Timestamp(5))
            .await
            .unwrap(),
        plan
    );
    store.close().await.unwrap();
    bench.check().await;

    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|4"]);
    let of_a: Vec<String> = bench
        .sent()
        .into_iter()
        .filter(|(key, _)| key == "A")
        .map(|(_, data)| data)
        .collect();
    assert_eq!(of_a, ["1", "1", "2", "3"]);
    assert_eq!(
        bench
            .query("SELECT attempts FROM results WHERE line = 2")
            .await,
        ["2"]
    );
}

#[tokio::test]
async fn a_cancelled_run_skips_what_is_pending() {
    use crate::{
        engine::recover,
        model::{InDoubt, Timestamp},
    };
    let rows = [("A", "1"), ("A", "2"), ("B", "1"), ("C", "1")];
    let bench = Bench::new(&rows, Box::new(|_, request| accepted(request))).await;
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    let mut journal = Journal::open(&mut store, run, AfterFailure::Block)
        .await
        .unwrap();
    recover(&mut journal, InDoubt::Hold, Duration::ZERO, Timestamp(9))
        .await
        .unwrap();
    assert_eq!(
        journal
            .cancel(&by_anna(ControlAction::Cancel), Timestamp(9))
            .await
            .unwrap(),
        4
    );
    store.close().await.unwrap();
    assert_eq!(bench.states().await, ["skipped||4"]);
    assert_eq!(
        bench
            .query("SELECT state, pending, skipped FROM runs")
            .await,
        ["cancelled|0|4"]
    );
    bench.check().await;
}

fn everything(states: &[crate::model::TaskState]) -> crate::model::TaskFilter {
    crate::model::TaskFilter::ended(states)
}

#[tokio::test]
async fn a_retry_of_several_tasks_of_a_device_keeps_their_order() {
    use crate::model::{TaskState, Timestamp};
    // The first and the third are the same payload, and could stand in one request.
    let rows = [("A", "1"), ("A", "2"), ("A", "1"), ("A", "3"), ("B", "1")];
    let script = |n, request: &crate::gateway::Outgoing| {
        let data = request.payload.data.to_string();
        elements(request, move |device| {
            Some(if n < 4 && device == "A" && data != "2" {
                61002
            } else {
                200
            })
        })
    };
    let mut bench = Bench::new(&rows, Box::new(script)).await;
    bench.after_failure = AfterFailure::Continue;
    bench.options.concurrency = 1;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|2", "failed|offline|3"]
    );
    let sent_before = bench.sent().len();

    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    let plan = crate::journal::retry::reopen(
        &mut store,
        &run,
        &everything(&[TaskState::Failed]),
        Leave::STALE,
        Timestamp(5),
    )
    .await
    .unwrap();
    assert_eq!((plan.chosen, plan.blocked), (3, 0));
    store.close().await.unwrap();
    // Those that wait have been sent before, and the results say so.
    bench.check().await;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|5"]);
    let again: Vec<String> = bench.sent()[sent_before..]
        .iter()
        .map(|(_, data)| data.clone())
        .collect();
    assert_eq!(again, ["1", "1", "3"]);
}

#[tokio::test]
async fn a_second_retry_of_an_earlier_task_goes_first() {
    use crate::model::{TaskState, Timestamp};
    let rows = [("A", "1"), ("A", "2"), ("A", "1")];
    let script = |n, request: &crate::gateway::Outgoing| {
        elements(request, move |_| {
            Some(match n {
                0 => 61002,
                2 => 61005,
                _ => 200,
            })
        })
    };
    let mut bench = Bench::new(&rows, Box::new(script)).await;
    bench.after_failure = AfterFailure::Continue;
    assert_eq!(bench.push().await.0, Stop::Complete);
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    // The later one first, and the earlier one while it still waits to be sent.
    for code in [61005, 61002] {
        let mut filter = everything(&[TaskState::Failed]);
        filter.codes = vec![code..=code];
        let plan =
            crate::journal::retry::reopen(&mut store, &run, &filter, Leave::STALE, Timestamp(5))
                .await
                .unwrap();
        assert_eq!(plan.chosen, 1);
    }
    store.close().await.unwrap();
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|3"]);
    assert_eq!(bench.sizes(), [1; 5]);
}

#[tokio::test]
async fn a_failed_retry_blocks_what_waits_behind_tasks_that_were_done() {
    use crate::model::{TaskState, Timestamp};
    let rows = [("A", "1"), ("A", "2"), ("A", "3")];
    let script = |n, request: &crate::gateway::Outgoing| {
        elements(request, move |_| Some(if n == 1 { 200 } else { 61002 }))
    };
    let mut bench = Bench::new(&rows, Box::new(script)).await;
    bench.after_failure = AfterFailure::Continue;
    assert_eq!(bench.push().await.0, Stop::Complete);
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    crate::journal::retry::reopen(
        &mut store,
        &run,
        &everything(&[TaskState::Failed]),
        Leave::STALE,
        Timestamp(5),
    )
    .await
    .unwrap();
    store.close().await.unwrap();
    bench.after_failure = AfterFailure::Block;
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(
        bench
            .query("SELECT line, state, class, message, attempts FROM results ORDER BY line")
            .await,
        [
            "2|failed|offline|Device offline|2",
            "3|accepted|accepted||1",
            "4|failed|blocked|not sent: the device's task of line 2 ended as failed|1",
        ]
    );
}

#[tokio::test]
async fn what_may_have_been_acted_on_is_in_doubt_after_a_cancel() {
    use crate::model::Timestamp;
    let script = |n, request: &crate::gateway::Outgoing| {
        if n == 0 { lost() } else { accepted(request) }
    };
    let mut bench = Bench::of(20, Box::new(script)).await;
    bench.options.concurrency = 1;
    // Stopped while the first request's tasks wait to be sent again.
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(1));
    assert_eq!(stop, crate::engine::Stop::Signal);
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    let mut journal = Journal::open(&mut store, run, AfterFailure::Block)
        .await
        .unwrap();
    assert_eq!(
        journal
            .cancel(&by_anna(ControlAction::Cancel), Timestamp(9))
            .await
            .unwrap(),
        20
    );
    store.close().await.unwrap();
    assert_eq!(
        bench.states().await,
        ["in_doubt|in_doubt|10", "skipped||10"]
    );
    assert_eq!(
        bench
            .query("SELECT DISTINCT attempts FROM results WHERE state = 'in_doubt'")
            .await,
        ["1"]
    );
    bench.check().await;
}

#[tokio::test]
async fn a_doubt_before_the_last_send_outlives_a_cancel() {
    use crate::model::Timestamp;
    // In doubt, then a failure that is known to have changed nothing.
    let script = |n, request: &crate::gateway::Outgoing| match n {
        0 => lost(),
        1 => code(50000),
        _ => accepted(request),
    };
    let mut bench = Bench::of(10, Box::new(script)).await;
    bench.options.concurrency = 1;
    let ((stop, _), ()) = tokio::join!(bench.push(), bench.stop_at(2));
    assert_eq!(stop, Stop::Signal);
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    let mut journal = Journal::open(&mut store, run.clone(), AfterFailure::Block)
        .await
        .unwrap();
    assert_eq!(
        journal
            .cancel(&by_anna(ControlAction::Cancel), Timestamp(9))
            .await
            .unwrap(),
        10
    );
    // What was in doubt with an earlier send cannot be settled by one ticket of the last.
    let doubts = store
        .doubts(&run, crate::model::TaskId(0), 100)
        .await
        .unwrap();
    assert!(doubts.is_empty(), "{doubts:?}");
    store.close().await.unwrap();
    assert_eq!(bench.states().await, ["in_doubt|in_doubt|10"]);
    assert_eq!(
        bench
            .query("SELECT DISTINCT attempt, outcome FROM attempts ORDER BY 1")
            .await,
        ["1|in_doubt", "2|transient"]
    );
    bench.check().await;
}
