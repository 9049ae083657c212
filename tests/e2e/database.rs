//! The results database in a bad state, or in use by somebody else.

use std::os::unix::{fs::PermissionsExt, process::CommandExt as _};

use fleetpush::simulator::Scenario;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, sqlite::SqliteConnectOptions};

use crate::support::{Sim, Site, agree, devices};

#[test]
fn what_is_no_database_of_ours_is_left_alone() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    let notes = "these are notes, and no database; ".repeat(100);
    site.write("push.db", &notes);
    site.push(&sim, &["run", "fleet.csv"])
        .expect(6)
        .says(&["push.db"]);
    assert_eq!(
        std::fs::read_to_string(site.path("push.db")).unwrap(),
        notes
    );
    site.run(&["runs"]).expect(6).says(&["push.db", "--db"]);
    assert_eq!(sim.stats().requests, 0);
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let database = site.path("push.db");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut connection = SqliteConnectOptions::new()
            .filename(database)
            .connect()
            .await
            .unwrap();
        connection
            .execute(
                "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
            )
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
    for args in [&["run", "fleet.csv"][..], &["resume"]] {
        site.push(&sim, args).expect(6).says(&["newer", "push.db"]);
    }
    site.run(&["runs"]).expect(6).says(&["newer", "push.db"]);
    assert_eq!(sim.deliveries().len(), 3);
}

#[test]
fn a_folder_in_its_place_is_told() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    std::fs::create_dir(site.path("push.db")).unwrap();
    site.push(&sim, &["run", "fleet.csv"])
        .expect(6)
        .says(&["push.db"]);
    site.run(&["runs"]).expect(6).says(&["push.db"]);
    assert_eq!(sim.stats().requests, 0);
}

#[test]
fn a_reader_that_stays_does_not_hold_up_a_push() {
    let sim = Sim::start(Scenario {
        latency_ms: 20,
        ..Scenario::default()
    });
    let site = Site::with(&devices(200));
    let push = site.start(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "5",
            "--concurrency",
            "4",
        ],
    );
    sim.wait_for_requests(5);
    let database = site.path("push.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let count = "SELECT count(*) FROM attempts";
    let (mut reader, before) = runtime.block_on(async {
        let mut reader = SqliteConnectOptions::new()
            .filename(database)
            .read_only(true)
            .connect()
            .await
            .unwrap();
        reader.execute("BEGIN").await.unwrap();
        let before: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut reader)
            .await
            .unwrap();
        (reader, before)
    });
    push.ended().expect(0);
    let after: i64 = runtime.block_on(async {
        let after = sqlx::query_scalar(count)
            .fetch_one(&mut reader)
            .await
            .unwrap();
        reader.close().await.unwrap();
        after
    });
    assert_eq!(before, after, "the reader has seen one moment");
    assert!(before < 200);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 200);
}

#[test]
fn secrets_stay_out_of_the_log_and_of_the_database() {
    let sim = Sim::start(Scenario {
        token_requests: Some(3),
        transient: 0.2,
        offline: 0.2,
        ..Scenario::default()
    });
    let site = Site::with(&devices(40));
    let mut command = site.push_command(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "4",
            "--max-attempts",
            "20",
        ],
    );
    command
        .env("FLEETPUSH_ACCESS_KEY", "access-key-of-the-test")
        .env("FLEETPUSH_ACCESS_SECRET", "hush-hush-hush")
        .env("FLEETPUSH_LOG", "trace");
    let ended = crate::support::Push::start(command).ended().expect(1);
    let database: Vec<u8> = ["push.db", "push.db.lock"]
        .iter()
        .flat_map(|name| std::fs::read(site.path(name)).unwrap())
        .collect();
    let database = String::from_utf8_lossy(&database);
    assert!(
        ended.stderr.len() > 10_000,
        "the log is not at its most talkative"
    );
    for text in [ended.stderr.as_str(), &ended.stdout, &database] {
        for secret in ["hush-hush-hush", "QJWT", "sign_method=", "password="] {
            assert!(!text.contains(secret), "{secret} is told");
        }
    }
    let mode = std::fs::metadata(site.path("push.db.lock"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o077, 0);
}

/// A file, and a folder, that another user may only read.
#[test]
fn what_may_only_be_read_is_read_and_never_written() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let binary = site.path("fleetpush");
    // By another process: what this one has open for writing, a process that another test starts may have as well, and then nobody may run it.
    let copied = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_fleetpush"))
        .arg(&binary)
        .status();
    assert!(copied.unwrap().success());
    let mode = |name: &str, mode| {
        std::fs::set_permissions(site.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    // Nothing binds the superuser, who therefore becomes somebody else; anybody else is bound as the owner.
    let as_reader = |push: std::process::Command| {
        let mut command = std::process::Command::new(&binary);
        command.args(push.get_args()).current_dir(site.folder());
        for (name, value) in push.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        crate::support::Push::start(command).ended()
    };
    let refused = || {
        for args in [&["run", "fleet.csv"][..], &["resume"]] {
            as_reader(site.push_command(&sim, args))
                .expect(6)
                .says(&["push.db", "ermission denied"]);
        }
    };
    let read = || {
        let ended = as_reader(site.command(&["results", "--format", "csv"])).expect(0);
        assert_eq!(ended.stdout.lines().count(), 4, "{}", ended.stdout);
    };

    // What the last reader of the push has left behind, being no writer.
    let remove_log = || {
        for name in ["push.db-wal", "push.db-shm"] {
            let _ = std::fs::remove_file(site.path(name));
        }
    };
    remove_log();
    mode("push.db", 0o444);
    mode("", 0o777);
    refused();
    read();
    remove_log();
    mode("", 0o555);
    refused();
    read();
    mode("push.db", 0o666);
    refused();
    mode("", 0o755);
    assert_eq!(sim.stats().requests, 1, "nothing was sent");
}
