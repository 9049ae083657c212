//! Staging on real files: what it lays out, and what an interrupted one leaves behind.

use std::{collections::BTreeMap, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    model::{Payload, RowError, TaskId},
    store::db::DbConnection,
    store::sample,
};

fn about(name: &str) -> NewRun {
    NewRun {
        name: name.into(),
        manifest: "test.csv".into(),
        manifest_path: None,
        manifest_sha256: "0".repeat(64),
        defaults: "{}".into(),
        base_url: "simulator".into(),
        identity: "1".repeat(64),
    }
}

fn row(line: u64, product_key: &str, device_key: &str, data: &str) -> Row {
    Row {
        line,
        device_key: device_key.into(),
        payload: Payload::plain(product_key, data).into(),
        labels: None,
    }
}

fn bad(line: u64) -> BadRow {
    BadRow {
        line,
        device_key: "DK".into(),
        errors: vec![RowError {
            column: Some("qos".into()),
            reason: "is no number".into(),
        }],
    }
}

async fn open(folder: &Path) -> Store {
    sample::opened(&folder.join("test.db")).await
}

async fn count(connection: &mut DbConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn the_services_that_payloads_call_are_noted_once_for_each() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path()).await;
    let few = Limits {
        payloads: 1,
        ..Limits::USUAL
    };
    let mut stager = store
        .stage_within(&about("calls"), 7, Timestamp(1), few)
        .await
        .unwrap();
    let batches = [
        &[r#"[{"a":[]},{"b":[1]}]"#, r#"[{"a":[2]}]"#, "[1]"][..],
        &[r#"[{"a":[2]}]"#, r#"[{"c":[],"a":[]}]"#],
        &[r#"[{"a":[2]}]"#],
    ];
    let mut line = 1;
    for batch in batches {
        let mut rows = Vec::new();
        for data in batch {
            line += 1;
            rows.push(row(line, "PK", &format!("DK{line}"), data));
        }
        stager.rows(rows).await.unwrap();
    }
    stager.arrange(Timestamp(1)).await.unwrap();
    stager.finish(Timestamp(1)).await.unwrap();
    let noted: Vec<(String, String)> = sqlx::query_as(
        "SELECT p.data, group_concat(coalesce(s.service, '-'), ' ' ORDER BY s.service) FROM payload AS p JOIN called_service AS s ON s.payload_id = p.id \
         GROUP BY p.id ORDER BY p.id",
    )
    .fetch_all(&mut store.connection)
    .await
    .unwrap();
    let noted: Vec<(&str, &str)> = noted
        .iter()
        .map(|(data, services)| (data.as_str(), services.as_str()))
        .collect();
    assert_eq!(
        noted,
        [
            (r#"[{"a":[]},{"b":[1]}]"#, "a b"),
            (r#"[{"a":[2]}]"#, "a"),
            ("[1]", "-"),
            (r#"[{"c":[],"a":[]}]"#, "a c")
        ]
    );
}

#[tokio::test]
async fn an_interrupted_staging_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    for abandoned in [false, true] {
        let mut store = open(folder.path()).await;
        let hasty = Limits {
            transaction: 1000,
            waiting: 1000,
            ..Limits::USUAL
        };
        let mut stager = store
            .stage_within(&about("cut"), 10, Timestamp(1), hasty)
            .await
            .unwrap();
        for batch in 0..5_u64 {
            let rows = (0..1000)
                .map(|i| batch * 1000 + i)
                .map(|i| row(i, "PK", &format!("DK{i}"), r#"[{"fuwu":[]}]"#))
                .collect();
            stager.rows(rows).await.unwrap();
        }
        stager.invalid(&[bad(9)], Timestamp(1)).await.unwrap();
        if abandoned {
            stager.abandon().await.unwrap();
        } else {
            assert_eq!(
                count(
                    &mut stager.store.connection,
                    "SELECT count(*) FROM run WHERE state = 'staging'"
                )
                .await,
                1
            );
        }
        if !abandoned {
            // As a process does that is killed; the next owner cleans up.
            drop(store);
            store = open(folder.path()).await;
        }
        let mut left = Vec::new();
        for sql in [
            "SELECT count(*) FROM run",
            "SELECT count(*) FROM task",
            "SELECT count(*) FROM payload",
            "SELECT count(*) FROM called_service",
            "SELECT count(*) FROM outcome",
            "SELECT count(*) FROM device_task",
            "SELECT count(*) FROM tally",
        ] {
            left.push(count(&mut store.connection, sql).await);
        }
        assert_eq!(left, [0; 7]);
        assert_eq!(
            count(&mut store.connection, "PRAGMA foreign_keys").await,
            1,
            "switched off while the rest was deleted"
        );
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn payloads_that_take_turns_fill_chunks_and_keep_invalid_rows() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path()).await;
    let tight = Limits {
        payloads: 7,
        waiting: 1000,
        transaction: 100,
    };
    // An earlier run, so that ids do not begin at 1.
    let mut stager = store
        .stage(&about("first"), 10, Timestamp(1))
        .await
        .unwrap();
    stager.rows(vec![row(2, "PK", "X", "[0]")]).await.unwrap();
    stager.finish(Timestamp(1)).await.unwrap();

    let mut stager = store
        .stage_within(&about("second"), 10, Timestamp(1), tight)
        .await
        .unwrap();
    for round in 0..20_u64 {
        let rows = (0..50)
            .map(|payload| {
                let line = round * 51 + payload + 2;
                row(line, "PK", &format!("DK{line}"), &format!("[{payload}]"))
            })
            .collect();
        stager.rows(rows).await.unwrap();
        stager
            .invalid(&[bad(round * 51 + 52)], Timestamp(1))
            .await
            .unwrap();
    }
    assert!(stager.grouper.is_fragmented());
    let Staged { run, invalid, .. } = stager.finish(Timestamp(1)).await.unwrap();
    assert_eq!((run.tasks, invalid), (1020, 20));
    assert!(run.first_task > TaskId(2));
    assert_eq!(
        count(
            &mut store.connection,
            "SELECT count(*) FROM payload WHERE run_id = 2"
        )
        .await,
        50,
        "a payload that was forgotten meanwhile is stored once all the same"
    );
    let tasks: Vec<(i64, Option<i64>, i64)> = sqlx::query_as(
        "SELECT id, payload_id, line FROM task WHERE id >= ? AND id < ? ORDER BY id",
    )
    .bind(run.first_task.0)
    .bind(run.end_task.0)
    .fetch_all(&mut store.connection)
    .await
    .unwrap();
    assert_eq!(tasks.len(), 1020);
    let mut places: BTreeMap<Option<i64>, Vec<i64>> = BTreeMap::new();
    for (id, payload, _) in &tasks {
        places.entry(*payload).or_default().push(*id);
    }
    for (payload, ids) in &places {
        let together = ids.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(together, "payload {payload:?} is scattered");
    }
    let mut lines: Vec<i64> = tasks.iter().map(|(.., line)| *line).collect();
    lines.sort_unstable();
    assert_eq!(lines, (2..1022).collect::<Vec<_>>());
    assert_eq!(
        count(
            &mut store.connection,
            "SELECT count(*) FROM outcome AS o JOIN task AS t ON t.id = o.task_id \
             WHERE o.class = 12 AND t.payload_id IS NULL AND (t.line - 52) % 51 = 0 AND o.message = 'column qos: is no number'"
        )
        .await,
        20
    );
    assert_eq!(
        count(
            &mut store.connection,
            "SELECT count(*) FROM pragma_foreign_key_check"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn the_product_makes_the_device_and_only_the_row_before_makes_a_duplicate() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path()).await;
    let mut stager = store.stage(&about("a"), 10, Timestamp(1)).await.unwrap();
    stager
        .rows(vec![
            row(2, "P1", "A", "on"),
            row(3, "P2", "A", "on"),
            row(4, "P1", "A", "on"),
            row(5, "P1", "A", "on"),
            row(6, "P1", "A", "off"),
            row(7, "P1", "A", "on"),
        ])
        .await
        .unwrap();
    let done = stager.finish(Timestamp(1)).await.unwrap();
    assert_eq!(done.duplicates, 2);
    assert!(done.run.ordered);
    let followers: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT p.line, t.line FROM follower AS f JOIN task AS p ON p.id = f.previous_id JOIN task AS t ON t.id = f.task_id \
         ORDER BY 1",
    )
    .fetch_all(&mut store.connection)
    .await
    .unwrap();
    assert_eq!(followers, [(2, 6), (6, 7)]);
    let skipped: Vec<(i64, String)> = sqlx::query_as(
        "SELECT t.line, o.message FROM outcome AS o JOIN task AS t ON t.id = o.task_id ORDER BY 1",
    )
    .fetch_all(&mut store.connection)
    .await
    .unwrap();
    assert_eq!(
        skipped,
        [
            (4, "same payload as line 2".to_owned()),
            (5, "same payload as line 4".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_name_can_be_taken_once() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path()).await;
    let mut stager = store.stage(&about("a"), 10, Timestamp(1)).await.unwrap();
    stager.finish(Timestamp(1)).await.unwrap();
    let error = store
        .stage(&about("a"), 10, Timestamp(1))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NameTaken(name) if name == "a"));
    assert_eq!(store.free_name("a").await.unwrap(), "a-2");
}

#[tokio::test]
async fn staging_can_be_stopped_in_the_middle_of_a_statement() {
    let folder = TempDir::new().unwrap();
    let mut store = open(folder.path()).await;
    for stopped in [true, false] {
        let mut stager = store.stage(&about("test"), 10, Timestamp(1)).await.unwrap();
        stager.interrupt_when(move || stopped).await.unwrap();
        // Each device twice, so that their order has to be looked up.
        let rows =
            (0..20_000).map(|n| row(n + 2, "PK", &format!("DK{}", n % 10_000), &format!("[{n}]")));
        let result = match stager.rows(rows.collect()).await {
            Ok(()) => stager
                .finish(Timestamp(1))
                .await
                .map(|staged| staged.run.tasks),
            Err(error) => Err(error),
        };
        if stopped {
            result.unwrap_err();
            stager.abandon().await.unwrap();
            assert!(store.run_by_name("test").await.unwrap().is_none());
        } else {
            assert_eq!(result.unwrap(), 20_000);
        }
    }
}
