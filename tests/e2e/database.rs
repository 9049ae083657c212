//! A results database that is full, foreign, newer, broken, or held by a reader.

use std::process::Command;

use sqlx::{Connection, SqliteConnection};

use crate::support::{Push, Sim, Site, agree, devices};

/// Runs statements on the site's database.
fn execute(site: &Site, statements: &'static str) {
    let url = format!("sqlite:{}", site.path("push.db").display());
    block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.expect("the database");
        sqlx::raw_sql(statements)
            .execute(&mut connection)
            .await
            .expect("the statements");
        connection.close().await.expect("the database closes");
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(future)
}

#[test]
fn a_full_disk_stops_at_once_and_loses_nothing() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(20_000));
    let mut tried = 0;
    // The file may grow by so many blocks of 512 bytes and no more, as on a disk that is full: while staging, and while pushing.
    for blocks in [300, 1_000, 2_000, 4_000, 6_000] {
        let push = site.push_command(&sim, &["run", "fleet.csv", "--chunk-size", "10"]);
        let mut limited = Command::new("sh");
        limited
            .arg("-c")
            .arg(format!(
                "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""
            ))
            .arg(push.get_program())
            .args(push.get_args())
            .current_dir(site.folder());
        for (name, value) in push.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        let ended = Push::start(limited).ended();
        if ended.code == Some(6) {
            tried += 1;
            assert!(ended.stderr.contains("database"), "{}", ended.stderr);
        }
    }
    assert!(tried >= 4, "only {tried} limits were met");
    // With space again it goes on, and everything that was delivered is known or in doubt.
    site.push(&sim, &["run", "fleet.csv", "--chunk-size", "10"])
        .expect(0);
    agree(&site.journal(), &sim);
}

#[test]
fn a_reader_that_holds_the_database_does_not_stop_a_push() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(2_000));
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    let url = format!("sqlite:{}", site.path("push.db").display());
    block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.expect("the database");
        let mut reading = connection.begin().await.expect("a transaction");
        let before: i64 = sqlx::query_scalar("SELECT count(*) FROM results")
            .fetch_one(&mut *reading)
            .await
            .expect("a count");
        site.push(&sim, &["run", "fleet.csv", "--again", "--name", "first"])
            .expect(0);
        let still: i64 = sqlx::query_scalar("SELECT count(*) FROM results")
            .fetch_one(&mut *reading)
            .await
            .expect("a count");
        assert_eq!(
            (before, still),
            (2_000, 2_000),
            "the reader sees one moment"
        );
    });
    assert_eq!(site.journal().tasks.len(), 4_000);
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    execute(
        &site,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'later', 1, x'00', 0)",
    );
    for command in [&["run", "fleet.csv"][..], &["resume"]] {
        site.push(&sim, command)
            .expect(6)
            .says(&["push.db", "newer"]);
    }
    site.run(&["results"]).expect(6).says(&["push.db", "newer"]);
}

#[test]
fn what_is_no_database_is_left_alone() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    let foreign = "this is a letter, and not a database\n".repeat(100);
    site.write("push.db", &foreign);
    site.push(&sim, &["run", "fleet.csv"])
        .expect(6)
        .says(&["push.db"]);
    site.run(&["results"]).expect(6).says(&["push.db"]);
    let left = std::fs::read_to_string(site.path("push.db")).expect("the file");
    assert_eq!(left, foreign);
    assert_eq!(sim.stats().requests, 0);
}

#[test]
fn a_broken_page_is_noticed_and_told() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3_000));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let path = site.path("push.db");
    let mut bytes = std::fs::read(&path).expect("the database");
    // The schema stays whole, the rest is noise.
    for byte in &mut bytes[4096 * 20..] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).expect("the database");
    let requests = sim.stats().requests;
    site.push(&sim, &["run", "fleet.csv", "--again"]).expect(6);
    site.run(&["results"]).expect(6);
    assert_eq!(sim.stats().requests, requests, "nothing was sent");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    let mut command = site.push_command(&sim, &["run", "fleet.csv"]);
    let under_a_file = site.path("fleet.csv").join("push.db");
    command = {
        let mut other = Command::new(command.get_program());
        let args: Vec<_> = command
            .get_args()
            .map(|arg| {
                if arg == site.path("push.db").as_os_str() {
                    under_a_file.as_os_str()
                } else {
                    arg
                }
            })
            .map(ToOwned::to_owned)
            .collect();
        other.args(args).current_dir(site.folder());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                other.env(name, value);
            }
        }
        other
    };
    Push::start(command).ended().expect(6).says(&["fleet.csv"]);
}
