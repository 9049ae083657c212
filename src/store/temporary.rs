//! Where SQLite puts its temporary files.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The folder for temporary files that SQLite has to be told: the database's own, when it would find no place itself, as with a read-only
/// root.
pub(super) fn folder(database: &Path) -> Option<PathBuf> {
    let named = ["SQLITE_TMPDIR", "TMPDIR"].map(std::env::var_os);
    let usual = ["/var/tmp", "/usr/tmp", "/tmp"].map(PathBuf::from);
    let places = named.into_iter().flatten().map(PathBuf::from).chain(usual);
    beside_without_place(places, database)
}

/// The database's folder, unless one of these places takes files.
fn beside_without_place(
    mut places: impl Iterator<Item = PathBuf>,
    database: &Path,
) -> Option<PathBuf> {
    let takes_files = |place: &PathBuf| {
        place.is_dir() && access(place, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    };
    if places.any(|place| takes_files(&place)) {
        return None;
    }
    database.parent().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

    use super::*;

    #[test]
    fn they_go_beside_the_database_when_no_other_place_takes_them() {
        let database = Path::new("/data/push.db");
        let folder = tempfile::tempdir().unwrap();
        let nowhere = || ["/nowhere", "/proc/self/environ"].map(PathBuf::from);
        let place = |more: Option<&Path>| {
            let more = more.map(Path::to_owned);
            beside_without_place(nowhere().into_iter().chain(more), database)
        };
        assert_eq!(place(None).as_deref(), Some(Path::new("/data")));
        assert_eq!(place(Some(folder.path())), None);
    }

    #[tokio::test]
    async fn sqlite_can_be_told_where_they_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let mut connection = SqliteConnectOptions::new()
            .in_memory(true)
            .pragma("temp_store_directory", format!("'{path}'"))
            .connect()
            .await
            .unwrap();
        let told: String = sqlx::query_scalar("PRAGMA temp_store_directory")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(told, path);
        connection.close().await.unwrap();
    }
}
