//! What a migration of an older schema takes: the time, and the space on the disk.
//!
//! Nearly all migrations change only the schema, which takes no time. [`WORK`] lists those that read or write rows, with the cost of a row.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::statvfs;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{StoreError, schema::MIGRATOR};
use crate::files;

/// A migration that takes longer is not made by the way: a scheduler's push at night is to send, and its deadline runs.
pub(super) const LIGHT: Duration = Duration::from_secs(5);

/// As of the database itself: payloads may be confidential.
const MODE: u32 = 0o600;

/// Rows that a migration works on, and what one of them costs.
///
/// Two to four times what was measured with the SQLite of this program (docs/performance.md): a disk may be slower.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// The migration.
    version: i64,
    /// The table that it reads, as it is before.
    table: &'static str,
    rows: &'static str,
    /// Nanoseconds.
    time: u64,
    /// Bytes that it adds to the file.
    bytes: u64,
}

const WORK: &[Work] = &[
    // Looks for throttled replies …
    Work {
        version: 5,
        table: "attempt",
        rows: "1",
        time: 200,
        bytes: 0,
    },
    // … and keeps the last one of each device, in the order of the devices' keys.
    Work {
        version: 5,
        table: "attempt",
        rows: "class IN (2, 3)",
        time: 20_000,
        bytes: 40,
    },
    Work {
        version: 5,
        table: "outcome",
        rows: "state = 2 AND class IN (2, 3)",
        time: 20_000,
        bytes: 40,
    },
    // A new column of a STRICT table has SQLite look through the whole of it; three of them, and an index.
    Work {
        version: 7,
        table: "bundle",
        rows: "1",
        time: 1_500,
        bytes: 0,
    },
    Work {
        version: 15,
        table: "device_past",
        rows: "1",
        time: 400,
        bytes: 0,
    },
    Work {
        version: 17,
        table: "device_past",
        rows: "1",
        time: 600,
        bytes: 0,
    },
    Work {
        version: 17,
        table: "device_past_before",
        rows: "1",
        time: 600,
        bytes: 0,
    },
    // Writes the table anew, with its two indexes.
    Work {
        version: 16,
        table: "outcome",
        rows: "1",
        time: 10_000,
        bytes: 120,
    },
    // Reads the JSON of each payload: nearly nothing of a short one, and of a long one what its bytes cost, by classes of length.
    Work {
        version: 18,
        table: "payload",
        rows: "1",
        time: 4_000,
        bytes: 40,
    },
    Work {
        version: 18,
        table: "payload",
        rows: "octet_length(data) > 1024",
        time: 60_000,
        bytes: 0,
    },
    Work {
        version: 18,
        table: "payload",
        rows: "octet_length(data) > 8192",
        time: 500_000,
        bytes: 0,
    },
    Work {
        version: 18,
        table: "payload",
        rows: "octet_length(data) > 65536",
        time: 4_000_000,
        bytes: 0,
    },
    Work {
        version: 18,
        table: "payload",
        rows: "octet_length(data) > 524288",
        time: 50_000_000,
        bytes: 0,
    },
];

/// What brings a database up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upgrade {
    /// The schema that it has.
    pub from: i64,
    /// The schema that it will have.
    pub to: i64,
    /// Migrations that are to be made.
    pub migrations: usize,
    /// About how long they take.
    pub takes: Duration,
    /// Bytes that they need on the disk meanwhile, beside the database.
    pub room: u64,
}

impl Upgrade {
    /// Whether the database is up to date.
    pub(crate) fn is_done(&self) -> bool {
        self.migrations == 0
    }

    /// Whether it takes so long that somebody has to ask for it.
    pub(crate) fn is_heavy(&self) -> bool {
        self.takes > LIGHT
    }
}

/// What is to be done to the database of this connection. Only reads.
pub(super) async fn pending(connection: &mut SqliteConnection) -> Result<Upgrade, sqlx::Error> {
    let made: Vec<i64> = if has_table(connection, "_sqlx_migrations").await? {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(&mut *connection)
            .await?
    } else {
        Vec::new()
    };
    let missing: Vec<i64> = MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .filter(|version| !made.contains(version))
        .collect();
    let mut work = Vec::new();
    for of in WORK.iter().filter(|work| missing.contains(&work.version)) {
        // A table that an earlier one of them makes has no rows yet.
        if has_table(connection, of.table).await? {
            let count = format!("SELECT count(*) FROM {} WHERE {}", of.table, of.rows);
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count))
                .fetch_one(&mut *connection)
                .await?;
            work.push((of, rows.unsigned_abs()));
        }
    }
    let (takes, room) = estimate(&work);
    let from = made.last().copied().unwrap_or(0);
    Ok(Upgrade {
        from,
        to: missing.last().copied().unwrap_or(from).max(from),
        migrations: missing.len(),
        takes,
        room,
    })
}

/// How long so many rows take, and the room for them: once in the log, once in the file.
fn estimate(work: &[(&Work, u64)]) -> (Duration, u64) {
    let sum = |of: fn(&Work) -> u64| -> u64 {
        work.iter()
            .map(|(work, rows)| rows.saturating_mul(of(work)))
            .fold(0, u64::saturating_add)
    };
    let (time, bytes) = (sum(|work| work.time), sum(|work| work.bytes));
    (Duration::from_nanos(time), bytes.saturating_mul(2))
}

async fn has_table(connection: &mut SqliteConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)",
    )
    .bind(name)
    .fetch_one(connection)
    .await
}

/// How many bytes a copy of the database takes.
pub(super) async fn size(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let (pages, page): (i64, i64) = sqlx::query_as(
        "SELECT c.page_count - f.freelist_count, s.page_size \
         FROM pragma_page_count AS c, pragma_freelist_count AS f, pragma_page_size AS s",
    )
    .fetch_one(connection)
    .await?;
    Ok(pages.unsigned_abs() * page.unsigned_abs())
}

/// Bytes that are free where this file is, or is to be.
pub(crate) fn free(path: &Path) -> Result<u64, StoreError> {
    let folder = folder(path);
    let found = statvfs(&folder).map_err(|error| StoreError::File {
        action: "look for room in",
        path: folder,
        source: error.into(),
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether these two files are on one file system, and so share its room.
pub(crate) fn share_room(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| {
        rustix::fs::stat(folder(path))
            .ok()
            .map(|found| found.st_dev)
    };
    device(one).is_some_and(|one| device(other) == Some(one))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Copies the database as it is to a file that is not there yet. The copy is seen when it is complete, and on the disk.
pub(super) async fn copy(connection: &mut SqliteConnection, to: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File {
        action: "write the backup",
        path: to.to_owned(),
        source,
    };
    let beside = files::temporary_beside(to, MODE).map_err(failed)?;
    let Some(name) = beside.path().to_str() else {
        return Err(failed(io::Error::other(
            "its path is not text; name another with --backup",
        )));
    };
    sqlx::query("VACUUM INTO ?")
        .bind(name)
        .execute(connection)
        .await
        .map_err(|error| failed(io::Error::other(error)))?;
    // SQLite leaves it to the system when such a copy is written.
    beside.as_file().sync_all().map_err(failed)?;
    beside
        .persist_noclobber(to)
        .map_err(|error| failed(error.error))?;
    let folder = std::fs::File::open(folder(to)).map_err(failed)?;
    folder.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_than_five_seconds_is_heavy() {
        let of = |takes| Upgrade {
            from: 4,
            to: 15,
            migrations: 10,
            takes,
            room: 0,
        };
        assert!(!of(LIGHT).is_heavy());
        assert!(of(LIGHT + Duration::from_millis(1)).is_heavy());
    }

    #[test]
    fn the_estimate_is_the_sum_of_what_the_rows_cost() {
        let one = Work {
            version: 1,
            table: "a",
            rows: "1",
            time: 200,
            bytes: 0,
        };
        let other = Work {
            time: 1_000,
            bytes: 10,
            ..one
        };
        assert_eq!(estimate(&[]), (Duration::ZERO, 0));
        assert_eq!(
            estimate(&[(&one, 1_000_000), (&other, 3_000)]),
            (Duration::from_millis(203), 60_000)
        );
        let endless = estimate(&[(&one, u64::MAX), (&other, u64::MAX)]);
        assert_eq!(endless, (Duration::from_nanos(u64::MAX), u64::MAX));
    }

    /// Tables that stay small: a row a run, a platform, an owner.
    const SMALL: [&str; 6] = ["run", "canary", "pace", "pruned_run", "owner", "class"];

    /// The tables whose rows a migration reads or writes, other than those that it makes.
    fn worked_on(sql: &str) -> Vec<String> {
        let text: Vec<&str> = sql
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect();
        let mut made = Vec::new();
        let mut found = Vec::new();
        for statement in text.join("\n").split(';') {
            let words: Vec<&str> = statement.split_whitespace().collect();
            let table = |at: usize| words[at].trim_matches(['(', ')']).to_owned();
            let after = |word: &str| {
                let at = words.iter().position(|found| *found == word).unwrap();
                table(at + 1)
            };
            match words[..] {
                ["CREATE", "TABLE", name, ..] => made.push(name.to_owned()),
                ["CREATE" | "DROP", "VIEW", ..] | ["PRAGMA", ..] | [] => {}
                ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] => {
                    found.push(after("ON"));
                }
                ["ALTER" | "DROP", "TABLE", name, ..]
                | ["UPDATE", name, ..]
                | ["DELETE", "FROM", name, ..] => found.push(name.to_owned()),
                ["INSERT", "INTO", _, ..] | ["INSERT", "OR", "IGNORE", "INTO", _, ..] => {
                    let read = words.windows(2).filter_map(|pair| {
                        let name = pair[1].trim_matches(['(', ')']);
                        // What is looked up for a row by its key is part of what that row costs.
                        let is_looked_up = pair[0] == "JOIN"
                            && (["task", "payload", "request"].contains(&name)
                                || name.starts_with("json_each("));
                        let is_read = ["FROM", "JOIN"].contains(&pair[0]) && !is_looked_up;
                        (is_read && !["", "SELECT"].contains(&name)).then(|| name.to_owned())
                    });
                    found.extend(read);
                }
                _ => panic!("what does this do to rows? {statement}"),
            }
        }
        found.retain(|table| !made.contains(table) && !SMALL.contains(&table.as_str()));
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn what_a_migration_does_to_rows_of_large_tables_has_its_cost() {
        assert_eq!(
            worked_on(
                "CREATE TABLE a (x); INSERT INTO a (x) SELECT x FROM b JOIN task; ALTER TABLE run ADD y; UPDATE c SET x = 1; \
                 INSERT OR IGNORE INTO a (x) SELECT x FROM payload JOIN json_each(y)"
            ),
            ["b", "c", "payload"]
        );
        for migration in MIGRATOR.iter() {
            let mut known: Vec<&str> = WORK
                .iter()
                .filter(|work| work.version == migration.version)
                .map(|work| work.table)
                .collect();
            known.dedup();
            assert_eq!(
                worked_on(migration.sql.as_str()),
                known,
                "migration {}: measure what a row costs, and add it to WORK",
                migration.version
            );
        }
    }

    #[test]
    fn a_file_that_is_to_be_made_has_the_room_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
        assert!(free(&one).unwrap() > 0);
        assert!(share_room(&one, &other));
        assert!(!share_room(&one, Path::new("/proc/b.db")));
        let error = free(&one.join("c.db")).unwrap_err();
        assert!(error.to_string().contains("a.db"), "{error}");
    }
}
