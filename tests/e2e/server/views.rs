//! Every public view shows the same on both, and what is there to be shown is everything that a push can leave.

use std::{collections::BTreeSet, fmt::Write as _};

use fleetpush::simulator::{AtFirst, Fault, Limit, Scenario};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Database as SqlDatabase, Row,
    TypeInfo as _, ValueRef as _, sqlite::SqliteConnectOptions,
};

use super::{copy, made};
use crate::support::{Database, Sim, Site, devices, wait_for};

/// The views that are a public interface.
const VIEWS: [&str; 9] = [
    "runs",
    "results",
    "attempts",
    "deliveries",
    "requests",
    "sessions",
    "pruned_runs",
    "devices",
    "parts",
];

/// A view: its columns in their order, and its rows in any.
#[derive(Debug, PartialEq)]
struct Shown {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Shown {
    /// The values of a column.
    fn values(&self, column: &str) -> BTreeSet<&str> {
        let place = self.columns.iter().position(|name| name == column);
        let place = place.expect("a column of this name");
        let values = self.rows.iter().filter_map(|row| row[place].as_deref());
        values.collect()
    }
}

fn shown<R: Row>(rows: &[R], cell: impl Fn(&R, usize) -> Option<String>) -> Shown {
    let columns = rows
        .first()
        .map(|row| {
            row.columns()
                .iter()
                .map(|column| column.name().to_owned())
                .collect()
        })
        .unwrap_or_default();
    let mut rows: Vec<Vec<Option<String>>> = rows
        .iter()
        .map(|row| (0..row.len()).map(|place| cell(row, place)).collect())
        .collect();
    rows.sort();
    Shown { columns, rows }
}

/// A number or a text, told apart.
fn told<DB, R>(row: &R, place: usize) -> Option<String>
where
    DB: SqlDatabase,
    R: Row<Database = DB>,
    usize: sqlx::ColumnIndex<R>,
    for<'v> i64: sqlx::Decode<'v, DB> + sqlx::Type<DB>,
    for<'v> String: sqlx::Decode<'v, DB> + sqlx::Type<DB>,
{
    let value = row.try_get_raw(place).expect("a column");
    if value.is_null() {
        return None;
    }
    let kind = value.type_info().name().to_owned();
    Some(match kind.as_str() {
        "INTEGER" | "INT8" => format!("number {}", row.get::<i64, _>(place)),
        "TEXT" => format!("text {}", row.get::<String, _>(place)),
        other => panic!("{other} in column {place}"),
    })
}

fn in_sqlite(site: &Site, view: &str) -> Shown {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut connection = SqliteConnectOptions::new()
            .filename(site.path("push.db"))
            .read_only(true)
            .connect()
            .await
            .expect("the database opens");
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {view}")))
            .fetch_all(&mut connection)
            .await
            .expect("the view can be read");
        let shown = shown(&rows, told);
        connection.close().await.expect("it closes");
        shown
    })
}

pub(super) fn on_server(database: &Database, view: &str) -> Vec<Vec<Option<String>>> {
    read(database, view).rows
}

fn read(database: &Database, view: &str) -> Shown {
    database.on(async |connection| {
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT * FROM fleetpush.{view}")))
            .fetch_all(connection)
            .await
            .expect("the view can be read");
        shown(&rows, told)
    })
}

/// Fails the test unless every view shows the same on both.
#[track_caller]
pub(super) fn are_equal(site: &Site, database: &Database) {
    for view in VIEWS {
        let (here, there) = (in_sqlite(site, view), read(database, view));
        assert_eq!(here.columns, there.columns, "{view}");
        for (ours, theirs) in here.rows.iter().zip(&there.rows) {
            assert_eq!(ours, theirs, "{view}");
        }
        assert_eq!(here.rows.len(), there.rows.len(), "{view}");
    }
}

/// A platform with everything that can come of a send.
fn varied() -> Scenario {
    Scenario {
        seed: 5,
        offline: 0.05,
        rejected: 0.05,
        transient: 0.05,
        poison: 0.02,
        frequency_at_first: AtFirst {
            share: 0.05,
            sends: 1,
        },
        faults: [(Fault::ResetAfter, 0.05), (Fault::BadGateway, 0.05)].into(),
        ..Scenario::default()
    }
}

/// A database with runs of every kind: pruned, complete with all that can come of a send, in doubt, with a canary and deliveries, cancelled,
/// stopped with snoozing tasks, and killed in the middle.
pub(super) fn everything(sim: &Sim) -> Site {
    let site = Site::with(&devices(40));
    for name in ["gone-1", "gone-2"] {
        site.push(sim, &["run", "fleet.csv", "--name", name, "--again"])
            .expect(0);
    }
    site.run(&["prune", "--keep", "1"]).expect(0);
    let labelled = devices(200)
        .replace("raw1\n", "raw1,site,label.qos\n")
        .replace(",AA\n", ",AA,Ås \\ \"x\",\t1\n");
    // A bad row, a row that stands twice, and devices with several commands.
    let mut second = String::new();
    for number in 1..=60 {
        writeln!(second, "DK{number:05},PK0001,fuwu,BB,,").expect("a string takes all");
    }
    let mixed = format!("{labelled}{second}DK00060,PK0001,fuwu,BB,,\n8.6E+14,PK0001,fuwu,AA,,\n");
    site.write("mixed.csv", mixed);
    let mixed = [
        "run",
        "mixed.csv",
        "--skip-invalid",
        "--max-attempts",
        "2",
        "--chunk-size",
        "7",
        "--abort-if",
        "never",
    ];
    sim.play(varied());
    site.push(
        sim,
        &[&mixed[..], &["--name", "mixed", "--tag", "team=a\\b"]].concat(),
    )
    .expect(1);
    site.push(
        sim,
        &[
            &mixed[..],
            &[
                "--name",
                "held",
                "--in-doubt",
                "hold",
                "--again",
                "--note",
                "a note",
            ],
        ]
        .concat(),
    )
    .expect(1);
    site.push(
        sim,
        &["retry", "mixed", "--class", "offline,transient", "--yes"],
    );
    sim.play(Scenario {
        seed: 3,
        ..Scenario::default()
    });
    site.push(
        sim,
        &[
            "run",
            "fleet.csv",
            "--name",
            "canary",
            "--again",
            "--canary",
            "4",
            "--canary-verify",
            "1m",
            "--history-rate",
            "unlimited",
        ],
    )
    .expect(0);
    site.push(
        sim,
        &[
            "run",
            "fleet.csv",
            "--name",
            "unchanged",
            "--again",
            "--skip-unchanged",
        ],
    );
    leave_unfinished(&site, sim);
    site
}

/// Leaves a run with snoozing tasks, one that was cancelled with requests in flight, and one that was killed with some.
fn leave_unfinished(site: &Site, sim: &Sim) {
    sim.play(Scenario {
        quota_limit: Some(Limit {
            messages: 1,
            window_ms: 3_600_000,
        }),
        ..Scenario::default()
    });
    let twice = format!(
        "{}{}",
        devices(60).replace(",AA", ",CC"),
        "DK00001,PK0001,fuwu,DD\nDK00002,PK0001,fuwu,DD\n"
    );
    site.write("again.csv", twice);
    let push = site.start(sim, &["run", "again.csv", "--name", "snoozing"]);
    wait_for("tasks that snooze", || {
        let runs = in_sqlite(site, "runs");
        runs.values("snoozing")
            .iter()
            .any(|n| *n != "number 0")
            .then_some(())
    });
    push.kill();
    sim.play(Scenario {
        latency_ms: 60_000,
        ..Scenario::default()
    });
    for name in ["cancelled", "killed"] {
        let args = [
            "run",
            "mixed.csv",
            "--skip-invalid",
            "--again",
            "--name",
            name,
        ];
        let push = site.start(sim, &[&args[..], &["--chunk-size", "20"]].concat());
        wait_for("requests in flight", || {
            let runs = in_sqlite(site, "runs");
            let some = runs.values("in_flight").iter().any(|n| *n != "number 0");
            some.then_some(())
        });
        push.kill();
        if name == "cancelled" {
            site.run(&["cancel", name]);
        }
    }
}

#[test]
fn every_view_shows_the_same_on_both() {
    let sim = Sim::healthy();
    let site = everything(&sim);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    are_equal(&site, &database);
    let results = read(&database, "results");
    let states = [
        "accepted",
        "failed",
        "in_doubt",
        "in_flight",
        "pending",
        "skipped",
    ]
    .map(|state| format!("text {state}"));
    assert_eq!(
        results.values("state"),
        states.iter().map(String::as_str).collect()
    );
    let classes = [
        "text invalid",
        "text blocked",
        "text rejected",
        "text quota",
        "text offline",
        "text unchanged",
    ];
    for class in classes {
        assert!(results.values("class").contains(class), "{class}");
    }
    assert!(!results.values("labels").is_empty());
    let outcomes = read(&database, "attempts");
    for class in ["text in_doubt", "text frequency", "text transient"] {
        assert!(outcomes.values("outcome").contains(class), "{class}");
    }
    let runs = read(&database, "runs");
    for state in ["text complete", "text cancelled", "text running"] {
        assert!(runs.values("state").contains(state), "{state}");
    }
    assert!(
        read(&database, "sessions")
            .values("stop")
            .contains("text killed")
    );
    for view in ["deliveries", "pruned_runs", "devices"] {
        assert!(!read(&database, view).rows.is_empty(), "{view}");
    }
    assert!(
        !read(&database, "devices")
            .values("last_throttle_at")
            .is_empty()
    );
}
