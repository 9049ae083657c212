//! Runs that go, in a file and on a server.

use super::{
    both::{both, texts},
    pushed::{accepted, push, staged},
};
use crate::{
    model::{RunId, Timestamp},
    store::{Archived, Run, Store, StoreError, home::Home},
};

const NOW: Timestamp = Timestamp(1_000_000);
const DEVICES: [(&str, &str); 4] = [
    ("DK1", "fuwu"),
    ("DK2", "fuwu"),
    ("DK1", "boot"),
    ("DK3", "boot"),
];

/// What is left of runs, and what is known of devices.
const LEFT: [&str; 8] = [
    "SELECT 'run ' || run || ' ' || name || ' ' || accepted FROM runs ORDER BY run",
    "SELECT 'pruned ' || id || ' ' || name || ' ' || state || ' ' || unsuccessful || ' ' || accepted || ' ' || skipped || ' ' || deleted \
     FROM pruned_run ORDER BY id",
    "SELECT 'past ' || device_key || ' ' || service || ' ' || run_id || ' ' || line || ' ' || coalesce(CAST(ticket AS TEXT), '-') || ' ' \
     || accepted_at || ' ' || CASE WHEN request_id IS NULL THEN '-' ELSE 'request' END || ' ' || coalesce((SELECT p.data FROM past_payload AS p WHERE p.id = payload_id), '-') \
     FROM device_past ORDER BY device_key, service",
    "SELECT 'before ' || device_key || ' ' || service || ' ' || run_id || ' ' || line || ' ' || coalesce(CAST(ticket AS TEXT), '-') || ' ' \
     || accepted_at || ' ' || CASE WHEN request_id IS NULL THEN '-' ELSE 'request' END || ' ' || coalesce((SELECT p.data FROM past_payload AS p WHERE p.id = payload_id), '-') \
     FROM device_past_before ORDER BY device_key, service",
    "SELECT 'payload ' || data FROM past_payload ORDER BY data",
    "SELECT 'service ' || service FROM called_service ORDER BY service",
    "SELECT 'task ' || id || ' ' || device_key FROM task ORDER BY id",
    "SELECT 'rows ' || (SELECT count(*) FROM outcome) || ' ' || (SELECT count(*) FROM attempt) || ' ' || (SELECT count(*) FROM request) || ' ' \
     || (SELECT count(*) FROM payload) || ' ' || (SELECT count(*) FROM device_task) || ' ' || (SELECT count(*) FROM tally)",
];

/// A run that is complete.
async fn complete(store: &mut Store, name: &str, now: i64) -> Run {
    let run = staged(store, name, &DEVICES, Timestamp(now)).await;
    for _ in 0..3 {
        push(store, &run, 9, Timestamp(now), accepted).await;
    }
    store.run_by_name(name).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_is_left_of_pruned_runs_is_the_same_in_a_file_and_on_a_server() {
    let (stores, _folder) = both().await;
    let mut left = Vec::new();
    for mut store in stores {
        let mut runs = Vec::new();
        for (name, now) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
            runs.push(complete(&mut store, name, now).await);
        }
        // An acceptance of an earlier version, whose request is not known.
        sqlx::query(
            "INSERT INTO device_past (device_key, product_key, service, run_id, line, accepted_at) VALUES ('DK2', 'PK', 'fuwu', 2, 9, 5)",
        )
        .execute(&mut store.connection)
        .await
        .unwrap();
        let mut all = Vec::new();
        // The later one first: what is kept is the last all the same.
        for run in [2, 0, 1] {
            store.prune(runs[run].id, NOW).await.unwrap();
            all.extend(texts(&mut store, &LEFT).await);
        }
        assert_eq!(store.all_runs().await.unwrap().len(), 1);
        assert!(store.was_pruned("a").await.unwrap());
        left.push(all);
        store.close().await.unwrap();
    }
    assert!(left.iter().all(|one| *one == left[0]), "{left:#?}");
}

#[tokio::test]
async fn an_archive_has_the_same_rows_in_a_file_and_on_a_server() {
    let (stores, _folder) = both().await;
    let mut archives = Vec::new();
    for mut store in stores {
        complete(&mut store, "a", 10).await;
        complete(&mut store, "b", 20).await;
        let mut rows = Vec::new();
        for what in Archived::ALL {
            // Its number is another one on a server.
            let request = what.columns().iter().position(|name| *name == "request_id");
            let each = |cells: &[_]| {
                let cells = cells.iter().enumerate();
                let cells: Vec<_> = cells.filter(|(n, _)| Some(*n) != request).collect();
                rows.push(format!("{what:?} {cells:?}"));
                Ok(())
            };
            store
                .archive::<StoreError>(RunId(2), what, each)
                .await
                .unwrap();
        }
        assert_eq!(rows.len(), 8);
        rows.sort();
        archives.push(rows);
        store.close().await.unwrap();
    }
    assert!(
        archives.iter().all(|one| *one == archives[0]),
        "{archives:#?}"
    );
}

#[tokio::test]
async fn what_an_interruption_has_left_on_a_server_goes_with_the_next_owner() {
    let (stores, _folder) = both().await;
    for mut store in stores {
        let first = complete(&mut store, "a", 10).await;
        complete(&mut store, "b", 20).await;
        // As it is after the second step.
        for statement in [
            "INSERT INTO pruned_run (id, name, base_url, identity, state, unsuccessful, finished_at, first_task, end_task, last_request) \
             SELECT id, name, base_url, identity, state, 0, 1, first_task, end_task, 0 FROM run WHERE id = 1",
            "DELETE FROM run WHERE id = 1",
        ] {
            store.check_foreign_keys(false).await.unwrap();
            sqlx::query(statement)
                .execute(&mut store.connection)
                .await
                .unwrap();
        }
        let mut store = match &store.home {
            Home::File(file) => {
                let path = file.path.clone();
                store.close().await.unwrap();
                Store::open(&path).await.unwrap()
            }
            Home::Server(server) => {
                let access = server.access.clone();
                store.close().await.unwrap();
                let server = access.connect().await.unwrap();
                Store::on_server(server, "the next one").await.unwrap()
            }
        };
        let tasks = "SELECT count(*) || ' ' || min(id) FROM task";
        let tasks = texts(&mut store, &[tasks]).await;
        assert_eq!(tasks, [format!("4 {}", first.end_task.0)]);
        store.close().await.unwrap();
    }
}
