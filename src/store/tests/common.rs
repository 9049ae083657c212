//! Devices that several runs have in common, which are pushed at once. Only a server has that.

use std::{collections::BTreeMap, time::Duration};

use super::server::{connect, server_database};
use crate::{
    journal::{ClaimLimits, Journal},
    model::{AfterFailure, Payload, Row, RunId, TaskId, Timestamp},
    store::{Common, NewRun, PushTransaction as _, Run, Store},
};

const NOW: Timestamp = Timestamp(1_000);
const REPLY: Duration = Duration::from_secs(30);

/// A process that has staged a run of these devices, and makes it its own.
async fn pushes(mut store: Store, name: &str, service: &str, devices: &[&str]) -> (Store, Run) {
    let about = NewRun {
        name: name.into(),
        manifest: "test.csv".into(),
        manifest_path: None,
        manifest_sha256: "0".repeat(64),
        defaults: "{}".into(),
        base_url: "simulator".into(),
        identity: name.repeat(16),
    };
    let data = format!(r#"[{{"{service}":[{{"n":"{name}"}}]}}]"#);
    let rows = devices.iter().zip(2..).map(|(device, line)| Row {
        line,
        device_key: (*device).into(),
        payload: Payload::plain("PK", data.as_str()).into(),
        labels: None,
    });
    let mut stager = store.stage(&about, 10, NOW).await.unwrap();
    stager.rows(rows.collect()).await.unwrap();
    let run = stager.finish(NOW).await.unwrap().run;
    store.hold_run(&run).await.unwrap();
    store.register(&run).await.unwrap();
    store.keep_to_runs().await.unwrap();
    (store, run)
}

/// The devices that it may not claim now, and why.
async fn kept_from(store: &mut Store, run: &Run, reply: Duration) -> BTreeMap<String, Common> {
    let tasks: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, device_key FROM task WHERE id >= ? AND id < ?")
            .bind(run.first_task.0)
            .bind(run.end_task.0)
            .fetch_all(&mut store.connection)
            .await
            .unwrap();
    let devices: BTreeMap<TaskId, String> = tasks
        .into_iter()
        .map(|(task, device)| (TaskId(task), device))
        .collect();
    let ids: Vec<TaskId> = devices.keys().copied().collect();
    let mut rows = store.transaction(run.id);
    assert!(rows.gate().await.unwrap().is_common);
    let common = rows.common_tasks(&ids, reply).await.unwrap();
    rows.roll_back().await;
    common
        .into_iter()
        .map(|(task, other)| (devices[&task].clone(), other.why))
        .collect()
}

fn all(devices: &[&str], why: Common) -> BTreeMap<String, Common> {
    devices
        .iter()
        .map(|device| ((*device).to_owned(), why))
        .collect()
}

/// Claims one request of so many devices, and sends it as far as anybody knows.
async fn claim(store: &mut Store, run: &Run, devices: u32) -> usize {
    let mut journal = Journal::open(store, run.clone(), AfterFailure::Block)
        .await
        .unwrap();
    let limits = ClaimLimits {
        probe: false,
        requests: 1,
        chunk_size: devices,
        now: NOW,
    };
    let exchange = journal.exchange(Vec::new(), limits).await.unwrap();
    exchange
        .claims
        .iter()
        .map(|claim| claim.members.len())
        .sum()
}

#[tokio::test]
async fn the_younger_run_counts_and_waits_for_what_the_elder_has_in_flight() {
    let Some(database) = server_database().await else {
        return;
    };
    let owner = async || Store::on_server(connect(&database).await, "a push").await;
    let first = owner().await.unwrap();
    let (mut first, elder) = pushes(first, "elder", "fuwu", &["A", "B", "C", "D", "E"]).await;
    assert_eq!(claim(&mut first, &elder, 3).await, 3);
    let second = owner().await.unwrap();
    let (mut second, younger) = pushes(second, "younger", "fuwu", &["C", "D", "E", "F"]).await;
    let (tasks, flight) = (
        all(&["C", "D", "E"], Common::Stale),
        all(&["C"], Common::InFlight),
    );
    assert_eq!(kept_from(&mut first, &elder, REPLY).await, tasks);
    assert_eq!(kept_from(&mut second, &younger, REPLY).await, flight);
    // The elder one leaves them to the younger one, and says so; the younger one claims those that have nothing in flight.
    assert_eq!(claim(&mut first, &elder, 9).await, 0);
    assert_eq!(claim(&mut second, &younger, 9).await, 3);
    // A process that has died answers no more, and a reply may come as long as one can.
    for (ago, is_waited_for) in [("29 s", true), ("31 s", false)] {
        let sql = format!(
            "UPDATE fleetpush.lease SET ends_at = clock_timestamp() - interval '{ago}' WHERE name = 'run {}'",
            elder.id
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut second.connection)
            .await
            .unwrap();
        let kept = kept_from(&mut second, &younger, REPLY).await;
        assert_eq!(kept.contains_key("C"), is_waited_for, "{ago}: {kept:?}");
    }
}

#[tokio::test]
async fn what_a_younger_run_has_sent_counts_after_it_was_pruned() {
    let Some(database) = server_database().await else {
        return;
    };
    let owner = async || Store::on_server(connect(&database).await, "a push").await;
    let first = owner().await.unwrap();
    let (mut first, elder) = pushes(first, "elder", "fuwu", &["A", "B"]).await;
    let second = owner().await.unwrap();
    let (mut second, younger) = pushes(second, "younger", "fuwu", &["B"]).await;
    second.release_run(younger.id).await.unwrap();
    assert_eq!(kept_from(&mut first, &elder, REPLY).await, BTreeMap::new());
    // As `prune` leaves a run that B has accepted.
    for statement in [
        "INSERT INTO fleetpush.pruned_run (id, name, base_url, identity, state, unsuccessful, finished_at, first_task, end_task, last_request) \
         SELECT id, name, base_url, identity, 'complete', 0, 1, first_task, end_task, 1 FROM fleetpush.run WHERE name = 'younger'",
        "INSERT INTO fleetpush.device_past (device_key, product_key, service, run_id, line, accepted_at) \
         SELECT 'B', 'PK', 'fuwu', id, 2, 1 FROM fleetpush.run WHERE name = 'younger'",
        "DELETE FROM fleetpush.run WHERE name = 'younger'",
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut second.connection)
            .await
            .unwrap();
    }
    let stale = all(&["B"], Common::Stale);
    assert_eq!(kept_from(&mut first, &elder, REPLY).await, stale);
}

#[tokio::test]
async fn another_service_of_a_device_only_waits() {
    let Some(database) = server_database().await else {
        return;
    };
    let owner = async || Store::on_server(connect(&database).await, "a push").await;
    let first = owner().await.unwrap();
    let (mut first, elder) = pushes(first, "elder", "fuwu", &["A", "B"]).await;
    let second = owner().await.unwrap();
    let (mut second, younger) = pushes(second, "younger", "reboot", &["B", "C"]).await;
    let later = all(&["B"], Common::Later);
    assert_eq!(kept_from(&mut first, &elder, REPLY).await, later);
    let nothing = BTreeMap::new();
    assert_eq!(kept_from(&mut second, &younger, REPLY).await, nothing);
    // Nobody pushes it any more.
    second.release_run(younger.id).await.unwrap();
    assert_eq!(kept_from(&mut first, &elder, REPLY).await, nothing);
}

#[tokio::test]
async fn whoever_begins_to_push_waits_for_the_claims_of_others_as_long_as_they_live() {
    let Some(database) = server_database().await else {
        return;
    };
    let owner = async || Store::on_server(connect(&database).await, "a push").await;
    let first = owner().await.unwrap();
    let (mut first, elder) = pushes(first, "elder", "fuwu", &["A"]).await;
    let mut second = owner().await.unwrap();
    let run = Run {
        id: RunId(elder.id.0 + 1),
        ..elder.clone()
    };
    second.hold_run(&run).await.unwrap();
    // A process that is frozen in the middle of a claim.
    let mut rows = first.transaction(elder.id);
    assert!(!rows.gate().await.unwrap().is_common);
    let begun = {
        let registered = second.register(&run);
        tokio::pin!(registered);
        let a_while = Duration::from_millis(700);
        let early = tokio::time::timeout(a_while, &mut registered).await;
        assert!(early.is_err(), "the claim may still be committed");
        let mut third = connect(&database).await.connection;
        sqlx::query("UPDATE fleetpush.lease SET ends_at = clock_timestamp() WHERE name = $1")
            .bind(format!("run {}", elder.id))
            .execute(&mut third)
            .await
            .unwrap();
        registered.await
    };
    begun.unwrap();
    rows.commit().await.expect_err("its connection was ended");
}
