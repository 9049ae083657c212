//! `db migrate`: the databases of older versions are brought up to date, heavy ones only when somebody asks.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, SqliteConnection, migrate::Migrator,
    sqlite::SqliteConnectOptions,
};

use crate::support::{Push, Sim, Site, devices};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The version before the first migration that works on rows.
const OLD: i64 = 4;

/// Replies that make an old database heavy: the device of each is looked up and kept.
const THROTTLED: u32 = 300_000;

fn versions() -> impl Iterator<Item = i64> {
    MIGRATIONS.iter().map(|migration| migration.version)
}

fn newest() -> i64 {
    versions().max().expect("there are migrations")
}

/// Makes the site's database with the schema of a version and one stopped run: of two tasks one is accepted, and one waits to be sent again
/// after it was throttled so many times.
fn made_by(site: &Site, version: i64, throttled: u32, base_url: &str) {
    on(&site.path("push.db"), async |connection| {
        let older = MIGRATIONS
            .iter()
            .filter(|migration| migration.version <= version)
            .cloned()
            .collect();
        Migrator::with_migrations(older)
            .run(&mut *connection)
            .await
            .expect("the old schema");
        let rows = format!(
            "PRAGMA synchronous = OFF; BEGIN; \
             INSERT INTO run (id, name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at, started_at, tasks, \
                first_task, end_task, next_task) \
             VALUES (1, 'old', 'fleet.csv', 'x', '{{}}', '{base_url}', 'y', 'stopped', 1000, 1000, 2, 1, 3, 3); \
             INSERT INTO payload (id, run_id, digest, product_key, data) VALUES (1, 1, x'00', 'PK', '[{{\"fuwu\":[]}}]'); \
             INSERT INTO task (id, payload_id, line, device_key) VALUES (1, 1, 2, 'DK1'), (2, 1, 3, 'DK2'); \
             INSERT INTO device_task (run_id, device_key, task_id) VALUES (1, 'DK1', 1), (1, 'DK2', 2); \
             INSERT INTO request (id, run_id, payload_id, first_task, end_task, devices, claimed_at, sent_at, finished_at, http_status) \
             VALUES (1, 1, 1, 1, 3, 2, 1000, 1000, 2000, 200); \
             INSERT INTO outcome (task_id, state, class, code, ticket, request_id, attempts, finished_at) \
             VALUES (1, 1, 1, 200, 'T1', 1, 1, 2000); \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {throttled}) \
             INSERT INTO attempt (task_id, attempt, request_id, class, code) SELECT 2, i, 1, 2, 61007 FROM n; \
             INSERT INTO due (task_id, run_id, payload_id, due_at, class, sends, attempts) VALUES (2, 1, 1, 3000, 2, {throttled}, 0); \
             INSERT INTO tally (run_id, state, class, code, n) VALUES (1, 1, 1, 200, 1); COMMIT;"
        );
        connection
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(rows)))
            .await
            .expect("rows of the old schema");
        connection
            .execute("PRAGMA journal_mode = WAL")
            .await
            .expect("the mode of every database of ours");
    });
}

fn on<T>(path: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .connect()
            .await
            .expect("the database opens");
        let done = work(&mut connection).await;
        connection.close().await.expect("the database closes");
        done
    })
}

fn schema_of(path: &Path) -> i64 {
    on(path, async |connection| {
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(connection)
            .await
            .expect("a database of ours")
    })
}

#[test]
fn a_heavy_migration_is_not_made_by_the_way() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    made_by(&site, OLD, THROTTLED, sim.base_url());
    let database = site.path("push.db");
    let before = std::fs::read(&database).unwrap();
    let way_out = format!("fleetpush db migrate --db {}", database.display());
    for command in [
        &["run", "fleet.csv"][..],
        &["resume"],
        &["retry", "old", "--state", "failed"],
    ] {
        let ended = site.push(&sim, command).expect(6);
        ended.says(&[&way_out, "schema 4", "--backup"]);
    }
    for command in [
        &["prune", "--keep", "0"][..],
        &["resolve", "old", "--base-url", sim.base_url()],
        &["cancel", "old"],
        &["pause", "old"],
    ] {
        site.run(command).expect(6).says(&[&way_out]);
    }
    assert_eq!(sim.stats().requests, 0, "nothing was sent");
    // Whoever only asks needs no migration, and makes none.
    let results = site.run(&["results", "--format", "jsonl"]).expect(0);
    assert_eq!(results.json_lines().len(), 2);
    site.run(&["status"]).expect(0);
    let told = site.run(&["db", "migrate", "--dry-run"]).expect(0);
    told.says(&[
        "has schema 4",
        &format!("to schema {}, about 6.", newest()),
        "room: ",
        "nothing was done",
    ]);
    assert!(
        std::fs::read(&database).unwrap() == before,
        "the database has changed"
    );

    site.run(&["db", "migrate", "--backup", "old.db"])
        .expect(0)
        .says(&[
            "has schema 4",
            "backup: old.db",
            &format!("has schema {} now", newest()),
        ]);
    assert_eq!(
        (schema_of(&database), schema_of(&site.path("old.db"))),
        (newest(), OLD)
    );
    let mode = std::fs::metadata(site.path("old.db"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let restored = Site::new();
    std::fs::copy(site.path("old.db"), restored.path("push.db")).unwrap();
    let of_backup = restored.run(&["results", "--format", "jsonl"]).expect(0);
    assert_eq!(of_backup.stdout, results.stdout);
    let sessions = site
        .run(&["sessions", "--format", "jsonl"])
        .expect(0)
        .json_lines();
    assert_eq!(sessions[0]["command"], "db migrate");
    site.push(&sim, &["resume", "old"]).expect(0);
    assert_eq!(sim.deliveries().len(), 1);

    // Nothing is left to do, and so there is no backup to make.
    site.run(&["db", "migrate", "--backup", "again.db"])
        .expect(0)
        .says(&["nothing to do", "no backup was made"]);
    assert!(!site.path("again.db").exists());
}

#[test]
fn every_schema_is_brought_up_to_date_or_backed_up_as_it_is() {
    for version in versions().filter(|version| *version < newest()) {
        let site = Site::new();
        made_by(&site, version, 1, "simulator");
        let results = || site.run(&["results", "--format", "jsonl"]).expect(0).stdout;
        let before = results();
        site.run(&["db", "migrate", "--backup", "old.db"]).expect(0);
        assert_eq!(schema_of(&site.path("push.db")), newest());
        assert_eq!(schema_of(&site.path("old.db")), version);
        assert_eq!(results(), before, "schema {version}");
    }
}

#[test]
fn a_backup_that_cannot_be_made_leaves_everything_as_it_was() {
    let site = Site::new();
    made_by(&site, OLD, 100_000, "simulator");
    let database = site.path("push.db");
    let before = std::fs::read(&database).unwrap();
    let files = || std::fs::read_dir(site.folder()).unwrap().count();
    site.write("taken.db", "somebody's");
    site.run(&["db", "migrate", "--backup", "taken.db"])
        .expect(2)
        .says(&["taken.db exists", "--backup"]);
    assert_eq!(
        std::fs::read_to_string(site.path("taken.db")).unwrap(),
        "somebody's"
    );
    site.run(&["db", "migrate", "--backup", "none/old.db"])
        .expect(2)
        .says(&["cannot write none/old.db"]);
    let owner = std::fs::File::open(&database).unwrap();
    owner.lock().unwrap();
    site.run(&["db", "migrate", "--backup", "old.db"])
        .expect(7)
        .says(&["owned by another process"]);
    drop(owner);
    // The lock file is there from now on.
    site.run(&["db", "migrate", "--dry-run"]).expect(0);
    let there = files();
    let asked = site.command(&["db", "migrate", "--backup", "old.db"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""])
        .arg(asked.get_program())
        .args(asked.get_args())
        .current_dir(site.folder());
    for (name, value) in asked.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    Push::start(limited)
        .ended()
        .expect(6)
        .says(&["write the backup", "old.db"]);
    assert_eq!(files(), there, "nothing is left of the copy");
    assert!(
        std::fs::read(&database).unwrap() == before,
        "the database has changed"
    );
    site.run(&["db", "migrate"]).expect(0);
    assert_eq!(schema_of(&database), newest());
}

#[test]
fn there_must_be_a_database_and_no_newer_one() {
    let site = Site::new();
    site.run(&["db", "migrate"]).expect(2).says(&["push.db"]);
    assert!(!site.path("push.db").exists());
    made_by(&site, newest(), 1, "simulator");
    on(&site.path("push.db"), async |connection| {
        connection
            .execute("UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
            .await
            .unwrap();
    });
    site.run(&["db", "migrate"])
        .expect(6)
        .says(&["newer fleetpush"]);
}
