//! Databases on a PostgreSQL server, for the tests of the store.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use secrecy::SecretString;

use crate::{
    model::ServerAddress,
    store::{CopySource, Store, postgres::ServerStore},
};

#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../../../tests/e2e/support/server.rs"]
mod support;

use support::{Database, PASSWORD, Postgres};

/// A new database that is migrated and owned; none where there is no server.
pub(super) async fn server_store() -> Option<Store> {
    let database = server_database().await?;
    Some(
        Store::on_server(connect(&database).await, "a test")
            .await
            .unwrap(),
    )
}

/// A new database that is migrated; none where there is no server.
pub(super) async fn server_database() -> Option<Database> {
    let runtime = tokio::runtime::Handle::current();
    let migrate = move |database: &Database| {
        runtime.block_on(async { connect(database).await.migrate().await.unwrap() });
    };
    let make = || Some(Postgres::shared()?.migrated(migrate));
    tokio::task::spawn_blocking(make).await.unwrap()
}

/// A new database with the runs of a file, not owned yet; none where there is no server.
pub(super) async fn copied(path: &Path) -> Option<Database> {
    let database = server_database().await?;
    let mut server = connect(&database).await;
    let mut source = CopySource::open(path).await.unwrap();
    for run in source.runs().await.unwrap() {
        let mut target = server.begin_copy().await.unwrap();
        target.write(&mut source, &run.part()).await.unwrap();
        target.commit().await.unwrap();
    }
    source.close().await.unwrap();
    server.close().await.unwrap();
    Some(database)
}

pub(super) async fn connect(database: &Database) -> ServerStore {
    let address = ServerAddress::read(&database.url()).unwrap();
    let password = SecretString::from(PASSWORD);
    ServerStore::connect(&address, Some(&password))
        .await
        .unwrap()
}

/// Looks again and again until `seen` gives something.
fn wait_for<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}
