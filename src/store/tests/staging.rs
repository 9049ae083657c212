//! Staging into a server leaves the rows that staging into a file leaves.

use tempfile::TempDir;

use super::server::server_store;
use crate::{
    model::{BadRow, Payload, Row, RowError, Timestamp},
    store::{NewRun, Store, StoreError, sample, stage::Staged},
};

/// More than one `COPY` takes.
const ROWS: u64 = 25_000;

fn about() -> NewRun {
    NewRun {
        name: "test".into(),
        manifest: "test.csv".into(),
        manifest_path: None,
        manifest_sha256: "0".repeat(64),
        defaults: "{}".into(),
        base_url: "simulator".into(),
        identity: "1".repeat(64),
    }
}

/// Rows with all that text may have, some of one device, and some without labels.
fn rows() -> Vec<Row> {
    let row = |line: u64| Row {
        line,
        device_key: match line % 7 {
            0 => "the same".into(),
            1 => format!("{line}\\N\t\"\r\n").into(),
            2 => format!("ü{line}").into(),
            _ => format!("DK{line}").into(),
        },
        payload: Payload::plain("PK", format!("[{}]", line / 14 % 3)).into(),
        labels: (!line.is_multiple_of(5))
            .then(|| format!("{{\"site\":\"{}\"}}", "ö".repeat(20)).into()),
    };
    (2..ROWS).map(row).collect()
}

async fn staged(store: &mut Store) -> Result<Staged, StoreError> {
    let mut stager = store.stage(&about(), 10, Timestamp(1)).await?;
    let mut rows = rows().into_iter();
    loop {
        let batch: Vec<Row> = rows.by_ref().take(1000).collect();
        let Some(last) = batch.last().map(|row| row.line) else {
            break;
        };
        stager.rows(batch).await?;
        // Between them are rows that are wrong.
        let bad = BadRow {
            line: last,
            device_key: "DK".into(),
            errors: vec![RowError {
                column: None,
                reason: "is wrong".into(),
            }],
        };
        stager.invalid(&[bad], Timestamp(1)).await?;
    }
    stager.finish(Timestamp(1)).await
}

/// A row of `task`.
type TaskRow = (i64, Option<i64>, i64, String, Option<String>, bool);

async fn tasks(store: &mut Store) -> Vec<TaskRow> {
    sqlx::query_as("SELECT id, payload_id, line, device_key, labels, held FROM task ORDER BY id")
        .fetch_all(&mut store.connection)
        .await
        .unwrap()
}

async fn devices(store: &mut Store) -> Vec<(String, i64)> {
    sqlx::query_as("SELECT device_key, task_id FROM device_task ORDER BY device_key, task_id")
        .fetch_all(&mut store.connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_server_gets_the_rows_that_a_file_gets() {
    let Some(mut server) = server_store().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut file = sample::opened(&folder.path().join("test.db")).await;
    let there = staged(&mut server).await.unwrap();
    let here = staged(&mut file).await.unwrap();
    assert_eq!(
        (there.duplicates, there.invalid),
        (here.duplicates, here.invalid)
    );
    assert!(here.duplicates > 0 && here.invalid == 25);
    assert_eq!(tasks(&mut server).await, tasks(&mut file).await);
    assert_eq!(devices(&mut server).await, devices(&mut file).await);
}

#[tokio::test]
async fn staging_into_a_server_can_be_stopped_and_done_again() {
    let Some(mut store) = server_store().await else {
        return;
    };
    let mut stager = store.stage(&about(), 10, Timestamp(1)).await.unwrap();
    stager.interrupt_when(|| true).await.unwrap();
    let stopped = async {
        // Until a statement is met at work.
        loop {
            stager.rows(rows()).await?;
        }
    };
    let stopped: Result<(), StoreError> = stopped.await;
    let error = stopped.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("cancel"), "{text}");
    stager.abandon().await.unwrap();
    assert!(store.run_by_name("test").await.unwrap().is_none());
    staged(&mut store).await.unwrap();
    assert_eq!(tasks(&mut store).await.len() as u64, ROWS - 2 + 25);
}
