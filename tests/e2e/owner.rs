//! Who owns the results database: by its inode and not by its name, and no other program's; what another process holds is waited for.

use std::{path::Path, process::Command, sync::mpsc, thread, time::Duration};

use fleetpush::simulator::Scenario;
use rustix::process::Signal;
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use tokio::runtime::Runtime;

use crate::support::{Push, Sim, Site, agree, devices, wait_for};

/// A platform at which a push of `fleet` takes a while.
pub(super) fn slow() -> Sim {
    Sim::start(Scenario {
        latency_ms: 20,
        ..Scenario::default()
    })
}

pub(super) const SLOWLY: &[&str] = &[
    "run",
    "fleet.csv",
    "--chunk-size",
    "5",
    "--concurrency",
    "2",
];

/// Somebody else's `sqlite3`.
pub(super) async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .connect()
        .await
        .expect("the database can be opened")
}

/// Executes something as somebody else's `sqlite3`, and closes the database.
pub(super) fn sqlite(path: &Path, sql: &'static str) {
    Runtime::new().expect("a runtime").block_on(async {
        let mut connection = open(path).await;
        connection.execute(sql).await.expect("a statement");
        connection.close().await.expect("a database closes");
    });
}

#[test]
fn a_deleted_lock_file_makes_no_second_owner() {
    let sim = slow();
    let site = Site::with(&devices(500));
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(5);
    std::fs::remove_file(site.path("push.db.lock")).unwrap();
    let before = sim.stats().logins;
    site.push(&sim, SLOWLY)
        .expect(7)
        .says(&["owns the database", "push.db"]);
    assert_eq!(sim.stats().logins, before, "the second has asked nobody");
    push.ended().expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(sim.deliveries().len(), 500, "nobody twice");
}

#[test]
fn a_second_name_of_the_database_is_refused() {
    let sim = slow();
    let site = Site::with(&devices(500));
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(5);
    let other = site.path("other/push.db");
    std::fs::create_dir(site.path("other")).unwrap();
    std::fs::hard_link(site.path("push.db"), &other).unwrap();
    let by_other_name = || {
        let mut command = site.push_command(&sim, SLOWLY);
        command.args(["--db", "other/push.db"]);
        // The last --db counts; the support gives one of its own.
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let at = args.iter().position(|arg| arg == "--db").unwrap();
        let mut once = Command::new(command.get_program());
        once.args(args[..at].iter().chain(&args[at + 2..]))
            .current_dir(site.folder());
        for (name, value) in command.get_envs() {
            once.env(name, value.unwrap());
        }
        Push::start(once).ended()
    };
    by_other_name().expect(7);
    push.ended().expect(0);
    by_other_name()
        .expect(6)
        .says(&["2 names", "other/push.db"]);
    site.push(&sim, SLOWLY).expect(6).says(&["2 names"]);
    std::fs::remove_file(other).unwrap();
    site.push(&sim, SLOWLY).expect(0);
    assert_eq!(sim.deliveries().len(), 500, "nobody twice");
}

#[test]
fn an_owner_whose_mark_was_overwritten_stops() {
    let sim = slow();
    let site = Site::with(&devices(2_000));
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(5);
    sqlite(&site.path("push.db"), "UPDATE owner SET mark = mark + 1");
    push.ended()
        .expect(6)
        .says(&["another process has taken the results database over"]);
    assert!(sim.deliveries().len() < 2_000);
    site.push(&sim, SLOWLY).expect(0);
    agree(&site.journal(), &sim);
}

#[test]
fn another_programs_database_stays_as_it_is() {
    let sim = Sim::healthy();
    for (name, sql) in [
        (
            "its own tables",
            "CREATE TABLE run (id INTEGER); INSERT INTO run VALUES (1)",
        ),
        (
            "the table of another sqlx",
            "CREATE TABLE _sqlx_migrations (version INTEGER, checksum BLOB); INSERT INTO _sqlx_migrations VALUES (1, x'00'); CREATE TABLE run (id)",
        ),
        ("a mark of its own", "PRAGMA application_id = 7"),
        (
            "a log",
            "PRAGMA journal_mode = WAL; CREATE TABLE t (id); INSERT INTO t VALUES (1)",
        ),
    ] {
        let site = Site::with(&devices(3));
        sqlite(&site.path("push.db"), sql);
        let before = std::fs::read(site.path("push.db")).unwrap();
        for args in [&["run", "fleet.csv"][..], &["resume"]] {
            site.push(&sim, args).expect(6).says(&[
                "push.db",
                "not a results database of fleetpush",
                "--db",
            ]);
        }
        site.run(&["prune", "--keep", "1"]).expect(6);
        assert_eq!(
            std::fs::read(site.path("push.db")).unwrap(),
            before,
            "{name}"
        );
        assert!(!site.path("push.db.lock").exists(), "{name}");
        assert!(!site.path("push.db-wal").exists(), "{name}");
    }
    assert_eq!(sim.stats().requests, 0);
}

#[test]
fn a_database_without_a_mark_of_ours_is_adopted() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    // As the versions before the mark have left it.
    sqlite(
        &site.path("push.db"),
        "PRAGMA application_id = 0; DROP TABLE owner; DELETE FROM _sqlx_migrations WHERE version = 8",
    );
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let id = Runtime::new().unwrap().block_on(async {
        let mut connection = open(&site.path("push.db")).await;
        let id: i64 = sqlx::query_scalar("PRAGMA application_id")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        id
    });
    assert_eq!(&id.to_be_bytes()[4..], b"FLTP");
    assert_eq!(sim.deliveries().len(), 3);
}

#[test]
fn what_is_no_path_of_a_file_is_refused_and_a_new_database_is_told() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    let at = |db: &str| {
        let mut command = site.push_command(&sim, &["run", "fleet.csv"]);
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut other = Command::new(command.get_program());
        for (arg, before) in args
            .iter()
            .zip([None].into_iter().chain(args.iter().map(Some)))
        {
            other.arg(if before.is_some_and(|before| before == "--db") {
                db.as_ref()
            } else {
                arg.as_os_str()
            });
        }
        for (name, value) in command.current_dir(site.folder()).get_envs() {
            other.env(name, value.unwrap());
        }
        Push::start({
            other.current_dir(site.folder());
            other
        })
        .ended()
    };
    for db in [
        ":memory:",
        "file:x.db",
        "file:x.db?mode=memory",
        "sqlite://x.db",
        "runs/",
    ] {
        at(db).expect(2).says(&["--db", db]);
    }
    at(".").expect(6).says(&["it is a folder"]);
    at("/dev/null").expect(6).says(&["not a regular file"]);
    assert_eq!(sim.stats().logins, 0);
    at("new.db").expect(0).says(&["new.db (new database)"]);
    let again = at("new.db").expect(0);
    assert!(!again.stderr.contains("new database"), "{}", again.stderr);
}

/// Somebody else's write transaction, until the connection is dropped.
fn hold(runtime: &Runtime, path: &Path) -> SqliteConnection {
    runtime.block_on(async {
        let mut connection = open(path).await;
        connection.execute("BEGIN IMMEDIATE").await.expect("a lock");
        connection
    })
}

/// Holds a write transaction of somebody else's while something is done.
pub(super) fn hold_while(path: &Path, then: impl FnOnce()) {
    let runtime = Runtime::new().expect("a runtime");
    let other = hold(&runtime, path);
    then();
    runtime.block_on(other.close()).expect("a database closes");
}

/// Holds a write transaction of somebody else's for a moment, if there is a way to have one.
pub(super) fn hold_for(path: &Path, moment: Duration) {
    Runtime::new().expect("a runtime").block_on(async {
        let mut connection = open(path).await;
        if connection.execute("BEGIN IMMEDIATE").await.is_ok() {
            tokio::time::sleep(moment).await;
            connection.execute("ROLLBACK").await.expect("an end");
        }
        connection.close().await.expect("a database closes");
    });
}

#[test]
fn another_write_transaction_is_waited_for_and_no_reply_is_lost() {
    let sim = slow();
    let site = Site::with(&devices(1_000));
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(20);
    let runtime = Runtime::new().unwrap();
    let other = hold(&runtime, &site.path("push.db"));
    wait_for("the notice", || {
        push.stderr().contains("does not answer").then_some(())
    });
    let sent = sim.stats().requests;
    wait_for("what was under way", || {
        (sim.deliveries().len() as u64 == 5 * sim.stats().requests).then_some(())
    });
    assert!(sim.stats().requests <= sent + 2, "nothing more is sent");
    runtime.block_on(other.close()).unwrap();
    push.ended().expect(0).says(&["answers again"]);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.outcomes().get("in_doubt"), None, "no reply is lost");
    assert_eq!(sim.deliveries().len(), 1_000);
}

#[test]
fn another_write_transaction_that_outlasts_the_patience_stops_the_push_and_no_reply_is_lost() {
    let sim = slow();
    let site = Site::with(&devices(1_000));
    let args = [SLOWLY, &["--max-outage", "3s"]].concat();
    let push = site.start(&sim, &args);
    sim.wait_for_requests(20);
    let runtime = Runtime::new().unwrap();
    let other = hold(&runtime, &site.path("push.db"));
    let (over, is_over) = mpsc::sync_channel::<()>(1);
    let holder = thread::spawn(move || {
        // Who has more patience than that sees the end of it, goes on, and does not exit with 6.
        let _ = is_over.recv_timeout(Duration::from_secs(20));
        runtime.block_on(other.close()).unwrap();
    });
    let ended = push.ended();
    drop(over);
    holder.join().unwrap();
    ended.expect(6).says(&[
        "does not answer",
        "another process holds a write transaction",
        "start the same command again",
    ]);
    assert!(sim.deliveries().len() < 1_000, "nothing more was sent");

    site.push(&sim, &args).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 1_000);
    // What was claimed when the other one began, alone: two requests of five under way, and two that were to follow them.
    let in_doubt = journal.outcomes().get("in_doubt").copied().unwrap_or(0);
    assert!(in_doubt <= 20, "{in_doubt} in doubt");
    assert!(sim.deliveries().len() <= 1_000 + in_doubt);
}

#[test]
fn a_signal_is_heard_while_another_write_transaction_is_waited_for() {
    let sim = slow();
    let site = Site::with(&devices(1_000));
    let args: Vec<&str> = SLOWLY
        .iter()
        .copied()
        .chain(["--drain-timeout", "300ms"])
        .collect();
    let push = site.start(&sim, &args);
    sim.wait_for_requests(20);
    let runtime = Runtime::new().unwrap();
    let other = hold(&runtime, &site.path("push.db"));
    wait_for("the notice", || {
        push.stderr().contains("does not answer").then_some(())
    });
    push.signal(Signal::TERM);
    // The other one still holds it.
    push.ended().expect(6).says(&["SIGTERM", "another process"]);
    runtime.block_on(other.close()).unwrap();
    site.push(&sim, SLOWLY).expect(0);
    agree(&site.journal(), &sim);
}

/// A shell in name spaces of its own, where everybody may mount.
fn mounting(script: &str, push: &Command, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c"])
        .arg(format!("set -e; {script}; exec \"$0\" \"$@\""))
        .arg(push.get_program())
        .args(push.get_args())
        .current_dir(folder);
    for (name, value) in push.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Whether this machine lets a test mount; a container's may not.
fn may_mount() -> bool {
    Command::new("unshare")
        .args(["--mount", "--map-root-user", "true"])
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn a_database_that_is_mounted_alone_or_from_a_network_is_refused() {
    if !may_mount() {
        eprintln!("this machine lets nobody mount: only the tests of store::place look at mounts");
        return;
    }
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let push = site.push_command(&sim, &["run", "fleet.csv", "--again"]);
    let alone = "mount --bind push.db push.db";
    Push::start(mounting(alone, &push, site.folder()))
        .ended()
        .expect(6)
        .says(&["mounted by itself", "mount its folder instead"]);
    // No server of a network file system is at hand, so that the list of mounts says that one is mounted here.
    let folder = site.folder().canonicalize().unwrap();
    site.write(
        "mounts",
        format!(
            "36 22 0:33 / {} rw - nfs4 nas:/share rw\n",
            folder.display()
        ),
    );
    let network = "mount --bind mounts /proc/$$/mountinfo";
    Push::start(mounting(network, &push, site.folder()))
        .ended()
        .expect(6)
        .says(&["nfs4", "--allow-network-filesystem"]);
    assert_eq!(sim.stats().requests, 1, "nothing was sent");
    let mut allowed = push;
    allowed.arg("--allow-network-filesystem");
    Push::start(mounting(network, &allowed, site.folder()))
        .ended()
        .expect(0);
    assert_eq!(sim.stats().requests, 2);
}
