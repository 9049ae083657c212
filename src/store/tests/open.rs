//! Opening a database.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use sqlx::{ConnectOptions, Connection, migrate::Migrator, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::store::{Store, StoreError, home::Home, lock::Lock, schema::MIGRATOR};

#[tokio::test]
async fn a_new_database_is_for_its_owners_eyes_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/er/test.db");
    let store = Store::open(&path).await.unwrap();
    for name in ["test.db", "test.db-wal", "test.db.lock"] {
        let mode = fs::metadata(path.with_file_name(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await.unwrap();
}

/// The owner is killed between the two updates of a seal, and then another program moves the log into the file.
#[tokio::test]
async fn a_log_that_was_moved_in_the_middle_of_a_seal_is_not_taken_for_lost() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let killed_in_a_seal = async |is_noted: bool| {
        let mut store = Store::open(&path).await.unwrap();
        if is_noted {
            let Home::File(file) = &mut store.home else {
                unreachable!("it is a file")
            };
            file.lock.begin_seal(&path).unwrap();
        }
        sqlx::query("UPDATE owner SET needs_log = 1")
            .execute(&mut store.connection)
            .await
            .unwrap();
        store.close().await.unwrap();
    };
    killed_in_a_seal(true).await;
    killed_in_a_seal(false).await;
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::LostLog { .. }), "{error}");
}

#[tokio::test]
async fn a_seal_is_noted_as_long_as_it_lasts() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let lock = Lock::take(&path, false).unwrap();
    assert!(Lock::was_left_in_a_seal(&path), "the first is to come");
    lock.end_seal().unwrap();
    assert!(!Lock::was_left_in_a_seal(&path));
    drop(lock);
    let mut store = Store::open(&path).await.unwrap();
    assert!(!Lock::was_left_in_a_seal(&path));
    store.seal().await.unwrap();
    assert!(!Lock::was_left_in_a_seal(&path));
}

#[tokio::test]
async fn a_database_has_one_owner_whatever_link_it_is_reached_by() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let link = folder.path().join("link.db");
    let first = Store::open(&path).await.unwrap();
    symlink(&path, &link).unwrap();
    for other in [&path, &link] {
        let error = Store::open(other).await.unwrap_err();
        assert!(matches!(error, StoreError::Owned { .. }), "{error}");
    }
    first.close().await.unwrap();
    Store::open(&link).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let mut store = Store::open(&path).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(&mut store.connection)
    .await
    .unwrap();
    store.close().await.unwrap();
    let error = Store::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("newer fleetpush"), "{error}");
    assert!(error.contains("test.db"), "{error}");
}

#[tokio::test]
async fn a_run_of_the_first_schema_knows_no_path() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    let first = MIGRATOR.iter().take(1).cloned().collect();
    Migrator::with_migrations(first)
        .run(&mut connection)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO run (name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at) \
         VALUES ('old', 'fleet.csv', '', '{}', 'simulator', 'a', 'stopped', 1)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();

    let mut store = Store::open(&path).await.unwrap();
    let run = store.run_by_name("old").await.unwrap().unwrap();
    assert_eq!(run.about.manifest, "fleet.csv");
    assert_eq!(run.about.manifest_path, None);
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let text = "device_key,data\nDK1,[1]\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // A file where a folder should be, and a folder where the file should be.
    for path in [file.join("test.db"), folder.path().to_owned()] {
        let error = Store::open(&path).await.unwrap_err();
        assert!(
            matches!(error, StoreError::File { .. } | StoreError::Open { .. }),
            "{error}"
        );
        let named = error.to_string();
        assert!(named.contains(&*folder.path().to_string_lossy()), "{named}");
    }
}
