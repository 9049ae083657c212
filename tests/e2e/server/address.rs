//! How a database on a server is named, and what is said when it cannot be used.

use std::os::unix::fs::PermissionsExt;

use super::made;
use crate::support::{Ended, PASSWORD, Postgres, Push, Sim, Site, USER, devices, with_server};

/// Runs a command with the password in the environment.
fn run(site: &Site, args: &[&str]) -> Ended {
    Push::start(with_server(site, args)).ended()
}

#[test]
fn a_password_in_the_address_is_refused_and_not_repeated() {
    let site = Site::new();
    let url = "postgres://fleet:hush@localhost/fleet";
    for args in [
        &["db", "migrate", "--db", url][..],
        &["db", "copy", "push.db", url],
        &["runs", "--db", url],
        &["config", "show", "--db", url],
    ] {
        let ended = run(&site, args).expect(2);
        assert!(
            !ended.stderr.contains("hush") && !ended.stdout.contains("hush"),
            "{ended:?}"
        );
        ended.says(&[
            "has a password in it",
            "FLEETPUSH_DB_PASSWORD_FILE",
            ".pgpass",
        ]);
    }
    let mut command = with_server(&site, &["runs"]);
    command.env("FLEETPUSH_DB", url);
    Push::start(command)
        .ended()
        .expect(2)
        .says(&["in FLEETPUSH_DB", "has a password in it"]);
}

#[test]
fn simulated_runs_are_in_a_file() {
    let site = Site::with(&devices(1));
    let url = "postgres://fleet@localhost/fleet";
    for args in [&["run", "fleet.csv"][..], &["runs"], &["diff", "a", "b"]] {
        run(&site, &[args, &["--simulate", "--db", url]].concat())
            .expect(2)
            .says(&["--simulate", "is an SQLite file", url, "leave out one"]);
    }
    // What is named for the platform is not what the simulator writes into.
    let mut command = with_server(&site, &["run", "fleet.csv", "--simulate"]);
    command.env("FLEETPUSH_DB", url);
    command.env("XDG_STATE_HOME", site.path("state"));
    Push::start(command).ended();
    assert!(site.path("state/fleetpush/simulated.db").exists());
    let shown = run(&site, &["config", "show", "--db", url]).expect(0);
    assert!(shown.stdout.contains(url), "{shown:?}");
}

#[test]
fn flags_of_a_file_are_refused_for_a_server() {
    let site = Site::new();
    let url = "postgres://fleet@localhost/fleet";
    run(&site, &["db", "migrate", "--db", url, "--backup", "x.db"])
        .expect(2)
        .says(&["--backup is for an SQLite database", "pg_dump"]);
    run(&site, &["db", "copy", "a.db", "b.db"])
        .expect(2)
        .says(&["from an SQLite file to a PostgreSQL database"]);
    run(&site, &["db", "copy", url, url])
        .expect(2)
        .says(&["from an SQLite file"]);
    run(&site, &["db", "copy", "a.db", url, "--db", "c.db"])
        .expect(2)
        .says(&["leave --db out"]);
    run(&site, &["db", "copy", "a.db", url]).expect(2).says(&[
        "no results database at a.db",
        "name the SQLite file of a push as FROM",
    ]);
    site.write("text.db", "no database");
    run(&site, &["db", "copy", "text.db", url])
        .expect(6)
        .says(&["is not a results database", "as FROM"]);
    let wrong = "postgres://fleet@db.example.com/fleet?sslmod=require";
    run(&site, &["db", "copy", "a.db", wrong])
        .expect(2)
        .says(&["error: TO: ", "'sslmod'"]);
}

#[test]
fn the_password_comes_from_a_variable_or_a_file() {
    let site = Site::new();
    let Some(database) = made(&site) else { return };
    let url = database.tcp_url("localhost");
    let args = ["db", "migrate", "--db", &url];
    let without = || {
        let mut command = with_server(&site, &args);
        command.env_remove("FLEETPUSH_DB_PASSWORD");
        command
    };
    Push::start(without())
        .ended()
        .expect(6)
        .says(&["refuses the login", "PGPASSFILE"]);
    let mut wrong = without();
    wrong.env("FLEETPUSH_DB_PASSWORD", "another");
    Push::start(wrong)
        .ended()
        .expect(6)
        .says(&["refuses the login"]);
    site.write("password", format!("{PASSWORD}\n"));
    let private = |name: &str| {
        std::fs::set_permissions(site.path(name), PermissionsExt::from_mode(0o600))
            .expect("a mode");
    };
    private("password");
    let mut from_file = without();
    from_file.env("FLEETPUSH_DB_PASSWORD_FILE", "password");
    Push::start(from_file).ended().expect(0);
    let mut twice = with_server(&site, &args);
    twice.env("FLEETPUSH_DB_PASSWORD_FILE", "password");
    Push::start(twice)
        .ended()
        .expect(2)
        .says(&["keep one of them"]);
    // Which of them it is can be seen, and not what it is.
    for (variable, value) in [
        ("FLEETPUSH_DB_PASSWORD", PASSWORD),
        ("FLEETPUSH_DB_PASSWORD_FILE", "password"),
    ] {
        let mut show = with_server(&site, &["config", "show", "--format", "csv"]);
        show.env_remove("FLEETPUSH_DB_PASSWORD")
            .env(variable, value);
        let shown = Push::start(show).ended().expect(0);
        let row = format!("\ndb-password,\"set, not shown\",variable,{variable}\n");
        assert!(shown.stdout.contains(&row), "{shown:?}");
        assert!(!shown.stdout.contains(PASSWORD), "{shown:?}");
    }
    site.write("pgpass", format!("localhost:*:*:{USER}:{PASSWORD}\n"));
    private("pgpass");
    let mut from_pgpass = without();
    from_pgpass.env("PGPASSFILE", "pgpass");
    Push::start(from_pgpass).ended().expect(0);
}

#[test]
fn tls_is_checked_as_far_as_the_address_says() {
    let site = Site::new();
    let Some(server) = Postgres::shared() else {
        return;
    };
    let database = server.database();
    let migrate = |host: &str, parameters: &str| {
        let url = format!("{}?{parameters}", database.tcp_url(host));
        run(&site, &["db", "migrate", "--db", &url])
    };
    let certificate = server.certificate().display().to_string();
    let known = format!("sslmode=verify-full&sslrootcert={certificate}");
    migrate("localhost", "sslmode=verify-full")
        .expect(6)
        .says(&["TLS", "sslrootcert"]);
    migrate("127.0.0.1", &known)
        .expect(6)
        .says(&["TLS", "name in the address"]);
    migrate("localhost", &known).expect(0);
    migrate("localhost", "sslmode=require").expect(0);
    migrate("localhost", "sslmode=allow")
        .expect(2)
        .says(&["verify-full"]);
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let site = Site::with(&devices(1));
    let Some(server) = Postgres::shared() else {
        return;
    };
    site.push_named(&Sim::healthy(), "one").expect(0);
    let none = server.url("no_such_database");
    run(&site, &["db", "copy", "push.db", &none])
        .expect(6)
        .says(&["there is no database", "createdb"]);
    let empty = server.database();
    run(&site, &["db", "copy", "push.db", &empty.url()])
        .expect(6)
        .says(&["has no schema fleetpush", "fleetpush db migrate --db"]);
    run(&site, &["db", "migrate", "--db", &empty.url(), "--dry-run"])
        .expect(0)
        .says(&["nothing was done"]);
    run(&site, &["db", "copy", "push.db", &empty.url()]).expect(6);
    let foreign = server.database();
    foreign.execute("CREATE SCHEMA fleetpush; CREATE TABLE fleetpush.notes (text text)");
    run(&site, &["db", "migrate", "--db", &foreign.url()])
        .expect(6)
        .says(&["not a results database"]);
    let newer = made(&site).expect("there is a server");
    newer.execute("INSERT INTO _sqlx_migrations SELECT 9999, description, now(), success, checksum, execution_time FROM _sqlx_migrations LIMIT 1");
    for args in [
        &["db", "copy", "push.db", &newer.url()][..],
        &["db", "migrate", "--db", &newer.url()],
    ] {
        run(&site, args)
            .expect(6)
            .says(&["has schema 9999", "newer fleetpush"]);
    }
    run(
        &site,
        &[
            "db",
            "copy",
            "push.db",
            "postgres://fleet@127.0.0.1:1/fleet",
        ],
    )
    .expect(6)
    .says(&["cannot reach"]);
}
