//! SQLite and PostgreSQL do what a store must do.

use tempfile::TempDir;

use super::server::server_store;
use crate::{
    model::{Payload, PayloadId, Row, RunId, TaskId, Timestamp},
    store::{
        NewRun, PushRows, Store,
        conformance::{Fixture, ManifestRow, conformance_tests},
        push::Transaction,
    },
};

/// A store with its run.
struct Staged {
    store: Store,
    run: RunId,
}

impl Staged {
    async fn with(mut store: Store, rows: &[ManifestRow]) -> Self {
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
        Self { store, run }
    }

    async fn column(&mut self, select: &'static str) -> Vec<i64> {
        sqlx::query_scalar(select)
            .fetch_all(&mut self.store.connection)
            .await
            .unwrap()
    }
}

/// A database on the disk.
struct OnFile {
    staged: Staged,
    _folder: TempDir,
}

/// A database on a server.
struct OnServer {
    staged: Staged,
}

macro_rules! fixture {
    ($type:ty, $rows:ident => $with:expr) => {
        impl Fixture for $type {
            type Rows<'s> = Transaction<'s>;

            async fn with($rows: &[ManifestRow]) -> Self {
                $with
            }

            async fn tasks(&mut self) -> Vec<TaskId> {
                let ids = self
                    .staged
                    .column("SELECT id FROM task ORDER BY line")
                    .await;
                ids.into_iter().map(TaskId).collect()
            }

            async fn payloads(&mut self) -> Vec<PayloadId> {
                let select = "SELECT payload_id FROM task ORDER BY line";
                let ids = self.staged.column(select).await;
                ids.into_iter().map(PayloadId).collect()
            }

            fn begin(&mut self) -> Transaction<'_> {
                self.staged.store.transaction(self.staged.run)
            }

            async fn push_rows(&mut self) -> PushRows {
                self.staged.store.push_rows(self.staged.run).await.unwrap()
            }
        }
    };
}

fixture!(OnFile, rows => {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("test.db")).await.unwrap();
    Self {
        staged: Staged::with(store, rows).await,
        _folder: folder,
    }
});

fixture!(OnServer, rows => {
    let store = server_store().await.expect("it was there before");
    Self {
        staged: Staged::with(store, rows).await,
    }
});

conformance_tests!(OnFile);
conformance_tests!(OnServer as a_server_does_what_a_store_must_do);

#[tokio::test]
async fn postgresql_does_what_a_store_must_do() {
    if server_store().await.is_some() {
        a_server_does_what_a_store_must_do().await;
    }
}
