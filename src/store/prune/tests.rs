//! What goes, what stays, and what an interruption leaves.

use tempfile::TempDir;

use super::*;
use crate::{
    journal::{
        Next,
        pruning::{PruneRule, prunable},
    },
    model::{Class, TaskState},
    store::{
        Run, sample,
        tests::pushed::{accepted, push, staged},
    },
};

const NOW: Timestamp = Timestamp(1_000_000);

const THREE: [(&str, &str); 3] = [("DK1", "fuwu"), ("DK2", "fuwu"), ("DK3", "fuwu")];

async fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("test.db")).await.unwrap();
    (folder, store)
}

/// A run that is complete, each device after one that was throttled first.
async fn complete(store: &mut Store, name: &str, now: Timestamp) -> Run {
    let run = staged(store, name, &THREE, now).await;
    push(store, &run, 1, now, |_| {
        let next = Next::Again {
            due_at: now,
            keep_bundle: false,
        };
        (Class::Transient, next)
    })
    .await;
    push(store, &run, 1, now, accepted).await;
    store.run_by_name(name).await.unwrap().unwrap()
}

async fn names(store: &mut Store, rule: PruneRule) -> Vec<String> {
    let runs = prunable(store.ended_runs().await.unwrap(), rule);
    runs.into_iter().map(|run| run.name).collect()
}

/// Every table whose rows belong to a run, and how many rows of run 1 it has.
async fn rows_of_the_first(store: &mut Store) -> Vec<(String, i64)> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, c.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c \
         WHERE m.type = 'table' AND m.name NOT IN ('device_past', 'device_past_before', 'session') AND (c.name IN ('run_id', 'task_id') OR (m.name = 'task' AND c.name = 'id')) \
         GROUP BY m.name",
    )
    .fetch_all(&mut store.connection)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for (table, column) in tables {
        // The first run has the number 1 and the tasks 1 to 3.
        let most = if column == "run_id" { 1 } else { 3 };
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT count(*) FROM {table} WHERE {column} <= {most}"
        )))
        .fetch_one(&mut store.connection)
        .await
        .unwrap();
        rows.push((table, count));
    }
    let services = shown(
        store,
        "SELECT count(*) FROM called_service AS s WHERE NOT EXISTS (SELECT 1 FROM payload AS p WHERE p.id = s.payload_id AND p.run_id > 1)",
    );
    rows.push(("called_service".into(), services.await));
    rows
}

async fn shown(store: &mut Store, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&mut store.connection)
        .await
        .unwrap()
}

const IN_THE_VIEWS: &str = "SELECT (SELECT count(*) FROM runs WHERE run = 1) + (SELECT count(*) FROM results WHERE run = 1) \
     + (SELECT count(*) FROM attempts WHERE run = 1) + (SELECT count(*) FROM requests WHERE run = 1)";

#[tokio::test]
async fn a_rule_chooses_ended_runs_that_meet_all_of_it() {
    let (_folder, mut store) = store().await;
    staged(&mut store, "unfinished", &THREE, Timestamp(1)).await;
    for (name, at) in [("a", 10), ("b", 20), ("c", 30)] {
        complete(&mut store, name, Timestamp(at)).await;
    }
    let rule = |ended_before: Option<i64>, keep| PruneRule {
        ended_before: ended_before.map(Timestamp),
        keep,
    };
    for (rule, expected) in [
        (rule(Some(30), None), &["a", "b"][..]),
        (rule(None, Some(1)), &["a", "b"]),
        (rule(Some(20), Some(1)), &["a"]),
        (rule(Some(1000), Some(2)), &["a"]),
        (rule(None, Some(0)), &["a", "b", "c"]),
        (rule(Some(10), None), &[]),
        (rule(Some(1000), Some(u64::MAX)), &[]),
    ] {
        assert_eq!(names(&mut store, rule).await, expected, "{rule:?}");
    }
}

#[tokio::test]
async fn nothing_of_a_pruned_run_is_left_and_others_are_whole() {
    let (_folder, mut store) = store().await;
    let first = complete(&mut store, "first", NOW).await;
    complete(&mut store, "second", NOW).await;
    let before = shown(&mut store, "SELECT count(*) FROM attempts WHERE run = 2").await;
    // What a push of this kind leaves no row in.
    for statement in [
        "INSERT INTO follower (previous_id, task_id) VALUES (1, 2)",
        "INSERT INTO bundle (run_id, parent_request_id, devices) VALUES (1, 1, 1)",
        "INSERT INTO excused (run_id, state, class, code, n) VALUES (1, 2, 4, 50000, 1)",
        "INSERT INTO refusal (run_id, product_key, code, request_id, requests, devices) VALUES (1, 'PK', 80005, 1, 1, 1)",
        "INSERT INTO canary (run_id, asked, seed, devices, pause, chosen_at) VALUES (1, '1', 1, 1, 0, 1)",
        "INSERT INTO due (task_id, run_id, payload_id, due_at) VALUES (1, 1, 1, 1)",
        "INSERT INTO delivery (task_id, attempt, delivery, evidence, recorded_at) VALUES (1, 1, 5, 1, 1)",
        "INSERT INTO delivery_answer (task_id, attempt, answer) VALUES (1, 1, '[]')",
        "INSERT INTO settled_inbox (run_id, inbox, position) VALUES (1, 'a', 1)",
    ] {
        sqlx::query(statement)
            .execute(&mut store.connection)
            .await
            .unwrap();
    }
    for (table, rows) in rows_of_the_first(&mut store).await {
        assert!(rows > 0, "{table} has nothing to be deleted");
    }
    store.prune(first.id, Timestamp(9_000_000)).await.unwrap();
    for (table, rows) in rows_of_the_first(&mut store).await {
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(shown(&mut store, IN_THE_VIEWS).await, 0);
    let after = shown(&mut store, "SELECT count(*) FROM attempts WHERE run = 2").await;
    assert_eq!((before, after), (6, 6));
    let dangling = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&mut store.connection)
        .await
        .unwrap();
    assert!(dangling.is_empty());
    assert_eq!(shown(&mut store, "PRAGMA foreign_keys").await, 1);
}

#[tokio::test]
async fn a_run_that_goes_on_or_is_not_there_is_not_pruned() {
    let (_folder, mut store) = store().await;
    let run = staged(&mut store, "first", &THREE, NOW).await;
    store.prune(run.id, Timestamp(9_000_000)).await.unwrap();
    store.prune(RunId(7), Timestamp(9_000_000)).await.unwrap();
    assert_eq!(shown(&mut store, "SELECT count(*) FROM results").await, 3);
    assert_eq!(push(&mut store, &run, 1, NOW, accepted).await.len(), 3);
}

#[tokio::test]
async fn what_an_interruption_leaves_is_out_of_sight_and_goes_at_the_next_opening() {
    let (folder, mut store) = store().await;
    let first = complete(&mut store, "first", NOW).await;
    complete(&mut store, "second", NOW).await;
    // In the middle of its tasks.
    past::keep_last_acceptances(&mut store.connection, first.id)
        .await
        .unwrap();
    store.check_foreign_keys(false).await.unwrap();
    forget(&mut store.connection, first.id, Timestamp(9_000_000))
        .await
        .unwrap();
    delete_tasks(&mut store.connection, 1, 2).await.unwrap();
    assert_eq!(shown(&mut store, IN_THE_VIEWS).await, 0);
    assert!(store.run_by_id(first.id).await.unwrap().is_none());
    drop(store);

    let mut store = sample::opened(&folder.path().join("test.db")).await;
    for (table, rows) in rows_of_the_first(&mut store).await {
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(
        shown(&mut store, "SELECT count(*) FROM results WHERE run = 2").await,
        3
    );
    let runs = shown(&mut store, "SELECT min(run) FROM devices").await;
    assert_eq!(runs, 2, "the second run has delivered since");
}

#[tokio::test]
async fn numbers_are_never_given_again() {
    let (_folder, mut store) = store().await;
    let first = complete(&mut store, "first", NOW).await;
    let request = "SELECT max(id) FROM request";
    let last_request = shown(&mut store, request).await;
    store.prune(first.id, Timestamp(9_000_000)).await.unwrap();
    let second = staged(&mut store, "second", &THREE, NOW).await;
    assert!(second.id > first.id);
    assert!(second.first_task >= first.end_task);
    push(&mut store, &second, 1, NOW, accepted).await;
    let least = shown(&mut store, "SELECT min(id) FROM request").await;
    assert!(least > last_request, "{least} after {last_request}");
    assert_eq!(store.free_name("first").await.unwrap(), "first-2");
}

#[tokio::test]
async fn a_push_stays_ended_when_its_run_is_gone() {
    let (_folder, mut store) = store().await;
    let run = staged(&mut store, "first", &THREE, NOW).await;
    push(&mut store, &run, 1, NOW, |device| match device {
        "DK1" => (Class::Rejected, Next::End(TaskState::Failed)),
        other => accepted(other),
    })
    .await;
    store.prune(run.id, Timestamp(9_000_000)).await.unwrap();
    assert_eq!(
        store.pruned_by_identity(&run.about.identity).await.unwrap(),
        Some(PrunedRun {
            name: "first".to_owned(),
            state: RunState::Complete,
            tasks: 3,
            unsuccessful: 1,
            finished_at: NOW,
        })
    );
    assert_eq!(store.pruned_by_identity("another").await.unwrap(), None);
}

#[tokio::test]
async fn the_view_of_devices_keeps_what_was_accepted_last() {
    let (_folder, mut store) = store().await;
    let first = complete(&mut store, "first", NOW).await;
    let second = staged(&mut store, "second", &THREE[..1], Timestamp(2_000_000)).await;
    push(&mut store, &second, 1, Timestamp(2_000_000), accepted).await;
    let rows = |store: Store| async {
        let mut store = store;
        let rows: Vec<(String, String, i64, String, i64, String, String)> = sqlx::query_as(
            "SELECT device_key, service, run, name, line, ticket, accepted_at FROM devices ORDER BY device_key",
        )
        .fetch_all(&mut store.connection)
        .await
        .unwrap();
        (store, rows)
    };
    let (mut store, before) = rows(store).await;
    let latest: Vec<_> = before.iter().map(|row| (row.0.as_str(), row.2)).collect();
    assert_eq!(latest, [("DK1", 2), ("DK2", 1), ("DK3", 1)]);
    store.prune(first.id, Timestamp(9_000_000)).await.unwrap();
    let (mut store, after) = rows(store).await;
    assert_eq!(before, after);
    store.prune(second.id, Timestamp(9_000_000)).await.unwrap();
    let (_, after) = rows(store).await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn space_goes_back_to_the_file_system_also_from_a_database_of_an_earlier_version() {
    for earlier in [false, true] {
        let (folder, mut store) = store().await;
        let path = folder.path().join("test.db");
        if earlier {
            for statement in ["PRAGMA auto_vacuum = NONE", "VACUUM"] {
                sqlx::query(statement)
                    .execute(&mut store.connection)
                    .await
                    .unwrap();
            }
        }
        let keys: Vec<String> = (0..3000).map(|n| format!("DK{n:05}")).collect();
        let devices: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "fuwu")).collect();
        let run = staged(&mut store, "first", &devices, NOW).await;
        push(&mut store, &run, 300, NOW, accepted).await;
        complete(&mut store, "second", NOW).await;
        store.give_back().await.unwrap();
        let before = std::fs::metadata(&path).unwrap().len();
        store.prune(run.id, Timestamp(9_000_000)).await.unwrap();
        store.give_back().await.unwrap();
        let after = store.size().unwrap().unwrap();
        // What is left is the memory of the devices.
        assert!(
            after < before * 4 / 5,
            "{before} and then {after}, earlier: {earlier}"
        );
        assert_eq!(shown(&mut store, "PRAGMA freelist_count").await, 0);
        assert_eq!(shown(&mut store, "PRAGMA auto_vacuum").await, 2);
        assert_eq!(shown(&mut store, "SELECT count(*) FROM results").await, 3);
    }
}

/// An earlier version has kept no requests of what it pruned, and may have been interrupted in it.
#[tokio::test]
async fn where_no_request_was_kept_the_later_run_has_what_was_accepted_last() {
    let (_folder, mut store) = store().await;
    let mut runs = Vec::new();
    // Each clock is behind the one before.
    for (name, at) in [("a", 4), ("b", 3), ("c", 2), ("d", 1)] {
        runs.push(complete(&mut store, name, Timestamp(at)).await.id);
    }
    let before = "SELECT min(run_id) FROM device_past_before";
    store.prune(runs[1], Timestamp(9)).await.unwrap();
    past::keep_last_acceptances(&mut store.connection, runs[2])
        .await
        .unwrap();
    for (run, last, earlier) in [(0, 3, 2), (2, 3, 2), (3, 4, 3)] {
        for statement in [
            "UPDATE device_past SET request_id = NULL",
            "UPDATE device_past_before SET request_id = NULL",
        ] {
            sqlx::query(statement)
                .execute(&mut store.connection)
                .await
                .unwrap();
        }
        assert_eq!(shown(&mut store, "SELECT min(run) FROM devices").await, 4);
        assert_eq!(shown(&mut store, "SELECT count(*) FROM devices").await, 3);
        store.prune(runs[run], Timestamp(9)).await.unwrap();
        assert_eq!(
            shown(&mut store, "SELECT min(run_id) FROM device_past").await,
            last
        );
        assert_eq!(shown(&mut store, before).await, earlier);
        assert_eq!(shown(&mut store, "SELECT count(*) FROM devices").await, 3);
        assert_eq!(shown(&mut store, "SELECT min(run) FROM devices").await, 4);
    }
}
