//! What the pages say of exit codes, views and queries is true of the program.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use assert_cmd::Command;
use fleetpush::simulator::{Quirk, Scenario, Simulator};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

use crate::{Page, README, RESULTS_DATABASE, blocks};

/// The columns that each query of the page about the database returns, in its order there.
const QUERIES: [&str; 8] = [
    "session name command note user began_at stop sent accepted failed seconds",
    "product_key device_key service name line ticket accepted_at last_throttle_at",
    "site class code message devices",
    "product_key device_key line sends in_doubt tickets",
    "attempt outcome sends mean_ms worst_ms",
    "minute requests devices mean_ms",
    "product_key device_key classes",
    "http_status code said requests devices latest",
];

/// The rows of the table between a mark and the next `end`, by their first cell.
pub(crate) fn table(page: Page, mark: &str) -> BTreeMap<&'static str, &'static str> {
    let after = page
        .1
        .split(&format!("<!-- {mark} -->\n"))
        .nth(1)
        .expect("the page has the mark");
    let table = after
        .split("<!-- end -->")
        .next()
        .expect("the table has an end");
    table
        .lines()
        .skip(2)
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(str::trim);
            let mut cell = || cells.next().expect("a row has two cells or more");
            (cell(), cell())
        })
        .collect()
}

/// A database of two runs with accepted, offline, rejected and in-doubt devices and with requests refused as a whole, and its folder.
/// Who meets what is settled by the seed.
async fn pushed() -> (tempfile::TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = Scenario {
        seed: 7,
        latency_ms: 0,
        latency_jitter_ms: 0,
        offline: 0.3,
        poison: 0.1,
        quirks: BTreeMap::from([(Quirk::LeftOut, 0.5)]),
        ..Scenario::default()
    };
    let simulator = Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), scenario)
        .await
        .expect("a free port");
    let base_url = simulator.base_url();
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || {
        push(&path, &base_url, "first");
        push(&path, &base_url, "second");
    })
    .await
    .expect("both runs end");
    simulator.stop().await;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("runs.db"))
        .read_only(true);
    let connection = SqliteConnection::connect_with(&options)
        .await
        .expect("a database");
    (folder, connection)
}

/// Pushes one payload to the same 40 devices, four in a request.
fn push(folder: &Path, base_url: &str, payload: &str) {
    let mut manifest = String::from("device_key,product_key,service,param.text,site\n");
    for device in 0..40 {
        writeln!(
            manifest,
            "D{device:02},PK,setName,{payload},site {}",
            device % 3
        )
        .expect("text takes text");
    }
    std::fs::write(folder.join("fleet.csv"), manifest).expect("a manifest");
    Command::cargo_bin("fleetpush")
        .expect("the binary is built")
        .env_clear()
        .env("FLEETPUSH_ACCESS_KEY", "key")
        .env("FLEETPUSH_ACCESS_SECRET", "secret")
        .current_dir(folder)
        .args([
            "run",
            "fleet.csv",
            "--db",
            "runs.db",
            "--base-url",
            base_url,
        ])
        .args([
            "--chunk-size",
            "4",
            "--rate",
            "unlimited",
            "--in-doubt",
            "hold",
        ])
        .assert()
        .code(1);
}

#[tokio::test]
async fn every_query_answers() {
    let (_folder, mut database) = pushed().await;
    let queries: Vec<String> = blocks(RESULTS_DATABASE)
        .into_iter()
        .filter(|block| block.language == "sql")
        .map(|block| block.text)
        .collect();
    assert_eq!(queries.len(), QUERIES.len());
    for (query, documented) in queries.into_iter().zip(QUERIES) {
        let rows = database
            .fetch_all(AssertSqlSafe(query.clone()))
            .await
            .unwrap_or_else(|error| panic!("{error}: {query}"));
        let row = rows.first().unwrap_or_else(|| panic!("no row: {query}"));
        let columns: Vec<&str> = row.columns().iter().map(sqlx::Column::name).collect();
        assert_eq!(columns.join(" "), documented, "{query}");
    }
}

#[tokio::test]
async fn the_views_have_the_columns_that_are_told() {
    let (_folder, mut database) = pushed().await;
    let told = table(RESULTS_DATABASE, "views");
    assert_eq!(told.len(), 9, "{told:?}");
    for (view, columns) in told {
        let view = view.trim_matches('`');
        let actual: String =
            sqlx::query("SELECT group_concat(name, ', ' ORDER BY cid) FROM pragma_table_info(?)")
                .bind(view)
                .fetch_one(&mut database)
                .await
                .expect("the view exists")
                .get(0);
        assert_eq!(actual, columns, "{view}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let output = Command::cargo_bin("fleetpush")
        .expect("the binary is built")
        .env_clear()
        .arg("--help")
        .assert()
        .success()
        .get_output()
        .clone();
    let help = String::from_utf8(output.stdout).expect("help is text");
    let told: Vec<String> = table(README, "exit codes")
        .into_iter()
        .map(|(code, meaning)| format!("  {code}  {meaning}"))
        .collect();
    let section = help
        .split("Exit codes:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("help has a section of exit codes");
    assert_eq!(told.join("\n"), section);
}
