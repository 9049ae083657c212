//! SQLite does what a store must do.

use tempfile::TempDir;

use crate::{
    model::{Payload, PayloadId, Row, RunId, TaskId, Timestamp},
    store::db::DbConnection,
    store::{
        NewRun, PushRows, Store,
        conformance::{Fixture, ManifestRow, conformance_tests},
        sqlite::Transaction,
    },
};

/// A database on the disk.
struct Sqlite {
    store: Store,
    run: RunId,
    _folder: TempDir,
}

impl Fixture for Sqlite {
    type Rows<'s> = Transaction<'s>;

    async fn with(rows: &[ManifestRow]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
        let about = NewRun {
            name: "test".into(),
            manifest: "test.csv".into(),
            manifest_path: None,
            manifest_sha256: "0".repeat(64),
            defaults: "{}".into(),
            base_url: "simulator".into(),
            identity: "1".repeat(64),
        };
        let mut stager = store.stage(&about, 10, Timestamp(1)).await.unwrap();
        let rows = rows.iter().zip(2..).map(|((device, number), line)| Row {
            line,
            device_key: (*device).into(),
            payload: Payload::plain("PK", format!(r#"[{{"fuwu":[{{"n":"{number}"}}]}}]"#)).into(),
            labels: None,
        });
        stager.rows(rows.collect()).await.unwrap();
        let run = stager.finish(Timestamp(1)).await.unwrap().run.id;
        Self {
            store,
            run,
            _folder: folder,
        }
    }

    async fn tasks(&mut self) -> Vec<TaskId> {
        let ids = column(
            &mut self.store.connection,
            "SELECT id FROM task ORDER BY line",
        )
        .await;
        ids.into_iter().map(TaskId).collect()
    }

    async fn payloads(&mut self) -> Vec<PayloadId> {
        let select = "SELECT payload_id FROM task ORDER BY line";
        let ids = column(&mut self.store.connection, select).await;
        ids.into_iter().map(PayloadId).collect()
    }

    fn begin(&mut self) -> Transaction<'_> {
        self.store.transaction(self.run)
    }

    async fn push_rows(&mut self) -> PushRows {
        self.store.push_rows(self.run).await.unwrap()
    }
}

async fn column(connection: &mut DbConnection, select: &'static str) -> Vec<i64> {
    sqlx::query_scalar(select)
        .fetch_all(connection)
        .await
        .unwrap()
}

conformance_tests!(Sqlite);
