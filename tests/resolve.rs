//! `fleetpush resolve` against the simulator: what the platform's history proves becomes accepted, and nothing else does.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot do its work fails the test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
    process::Output,
};

use assert_cmd::Command;
use fleetpush::simulator::{Fault, Outage, Scenario, Simulator};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

const TOKEN: &str = "QJWT ready";

/// A platform whose every send meets this fault, or none.
fn faulty(fault: Option<Fault>) -> Scenario {
    Scenario {
        ready_token: Some(TOKEN.to_owned()),
        faults: fault.map(|fault| (fault, 1.0)).into_iter().collect(),
        ..Scenario::default()
    }
}

/// A simulator and a folder with a manifest and a results database.
struct Bench {
    folder: TempDir,
    simulator: Simulator,
}

impl Bench {
    /// Pushes a manifest of these rows, device and value, to a platform of this scenario, holding what is in doubt.
    async fn push(scenario: Scenario, rows: &[(&str, &str)], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = "product_key,device_key,data\n".to_owned();
        for (device, value) in rows {
            writeln!(
                manifest,
                r#"PK1,{device},"[{{""setMode"":[{{""mode"":""{value}""}}]}}]""#
            )
            .unwrap();
        }
        std::fs::write(folder.path().join("fleet.csv"), manifest).unwrap();
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), scenario)
            .await
            .unwrap();
        let bench = Self { folder, simulator };
        let manifest = bench.path("fleet.csv");
        let mut words = vec![
            "run",
            manifest.to_str().unwrap(),
            "--name",
            "night",
            "--in-doubt",
            "hold",
            "--abort-if",
            "never",
            "--rate",
            "unlimited",
            "--chunk-size",
            "4",
            "--progress",
            "none",
        ];
        words.extend(flags);
        bench.fleetpush(&words).await;
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the binary against the simulator.
    async fn fleetpush(&self, words: &[&str]) -> Output {
        let base_url = self.simulator.base_url();
        self.fleetpush_at(&base_url, words).await
    }

    async fn fleetpush_at(&self, base_url: &str, words: &[&str]) -> Output {
        let mut command = Command::cargo_bin("fleetpush").unwrap();
        command
            .env_clear()
            .env("FLEETPUSH_TOKEN", TOKEN)
            .env("FLEETPUSH_BASE_URL", base_url)
            .args(words)
            .arg("--db")
            .arg(self.path("fleet.db"))
            .write_stdin("");
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// Resolves: the exit code, the rows of evidence, and what was said.
    async fn resolve(&self, flags: &[&str]) -> (i32, Vec<Value>, String) {
        let mut words = vec![
            "resolve",
            "night",
            "--format",
            "jsonl",
            "--rate",
            "unlimited",
        ];
        words.extend(flags);
        let output = self.fleetpush(&words).await;
        let rows = String::from_utf8(output.stdout).unwrap();
        let rows = rows.lines().map(|line| serde_json::from_str(line).unwrap());
        (
            output.status.code().unwrap(),
            rows.collect(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    /// One column of a query on the results database.
    async fn query(&self, sql: &'static str) -> Vec<String> {
        let mut connection = SqliteConnectOptions::new()
            .filename(self.path("fleet.db"))
            .read_only(true)
            .connect()
            .await
            .unwrap();
        let column = sqlx::query_scalar(sql)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        column
    }

    /// How many tasks are in which state, by the tasks themselves; the counts of the view `runs` are checked to say the same.
    async fn states(&self) -> BTreeMap<String, u64> {
        let mut states = BTreeMap::new();
        for state in self.query("SELECT state FROM results").await {
            *states.entry(state).or_default() += 1;
        }
        let counted = self
            .query("SELECT accepted || ' ' || failed || ' ' || in_doubt || ' ' || pending || ' ' || skipped FROM runs")
            .await;
        let of = |state| states.get(state).copied().unwrap_or(0_u64);
        let expected = ["accepted", "failed", "in_doubt", "pending", "skipped"]
            .map(|state| of(state).to_string())
            .join(" ");
        assert_eq!(counted, [expected]);
        states
    }

    /// The simulator's tickets by device.
    fn delivered(&self) -> BTreeSet<String> {
        self.simulator
            .deliveries()
            .into_iter()
            .map(|one| format!("{} {}", one.device_key, one.ticket))
            .collect()
    }

    /// The tickets by device of a view.
    async fn recorded(&self, sql: &'static str) -> BTreeSet<String> {
        self.query(sql).await.into_iter().collect()
    }
}

const RESULTS: &str = "SELECT device_key || ' ' || ticket FROM results WHERE state = 'accepted'";
const ATTEMPTS: &str =
    "SELECT device_key || ' ' || ticket FROM attempts WHERE outcome = 'accepted'";

/// So many devices with one command each.
fn fleet(devices: usize) -> Vec<(String, &'static str)> {
    (0..devices).map(|n| (format!("D{n:02}"), "2")).collect()
}

fn rows<'a>(fleet: &'a [(String, &'static str)]) -> Vec<(&'a str, &'static str)> {
    fleet
        .iter()
        .map(|(device, value)| (device.as_str(), *value))
        .collect()
}

fn count(state: &str, n: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(state.to_owned(), n)])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acted_on_is_adopted_ticket_by_ticket_and_once() {
    let fleet = fleet(10);
    let bench = Bench::push(faulty(Some(Fault::ResetAfter)), &rows(&fleet), &[]).await;
    assert_eq!(bench.states().await, count("in_doubt", 10));

    let (code, evidence, said) = bench.resolve(&["--dry-run"]).await;
    assert_eq!((code, evidence.len()), (1, 10), "{said}");
    assert_eq!(evidence[0]["verdict"], "would be accepted");
    assert_eq!(bench.states().await, count("in_doubt", 10));

    let (code, evidence, said) = bench.resolve(&[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("10 accepted now, 0 still in doubt"), "{said}");
    for row in &evidence {
        assert_eq!(row["match"], "time and data", "{row}");
        assert_eq!(row["verdict"], "accepted", "{row}");
        assert_eq!(
            (&row["attempt"], &row["send_status"]),
            (&1.into(), &1.into())
        );
    }
    assert_eq!(bench.states().await, count("accepted", 10));
    let delivered = bench.delivered();
    assert_eq!(delivered.len(), 10);
    assert_eq!(bench.recorded(RESULTS).await, delivered);
    assert_eq!(bench.recorded(ATTEMPTS).await, delivered);
    let told = bench
        .query(
            "SELECT attempt || ' ' || count(*) FROM attempts \
             WHERE message LIKE 'adopted from the device''s history: sent at 2___-__-__T%' GROUP BY attempt",
        )
        .await;
    assert_eq!(told, ["1 10"]);

    let asked = bench.simulator.stats().histories;
    let (code, evidence, said) = bench.resolve(&[]).await;
    assert_eq!((code, evidence.len()), (0, 0));
    assert!(said.contains("no task is in doubt"), "{said}");
    assert_eq!(bench.simulator.stats().histories, asked);
    assert_eq!(bench.delivered(), delivered, "asking sends nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_arrived_stays_in_doubt() {
    let fleet = fleet(3);
    let bench = Bench::push(faulty(Some(Fault::ResetBefore)), &rows(&fleet), &[]).await;
    let (code, evidence, _) = bench.resolve(&[]).await;
    assert_eq!((code, evidence.len()), (1, 3));
    for row in evidence {
        assert_eq!(row["verdict"], "in doubt: no entry matches");
        assert_eq!(row["ticket"], Value::Null);
    }
    assert_eq!(bench.states().await, count("in_doubt", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_in_the_history_leave_their_tasks_in_doubt() {
    // Four requests without a reply: five in a row would be an outage, and waited out.
    let fleet = fleet(16);
    let scenario = Scenario {
        history_gap: 0.5,
        ..faulty(Some(Fault::ResetAfter))
    };
    let bench = Bench::push(scenario.clone(), &rows(&fleet), &[]).await;
    assert_eq!(bench.resolve(&[]).await.0, 1);
    let recorded = bench.recorded(RESULTS).await;
    assert!((1..16).contains(&recorded.len()), "{}", recorded.len());
    assert!(recorded.is_subset(&bench.delivered()));
    let states = bench.states().await;
    assert_eq!(states["accepted"] + states["in_doubt"], 16);

    bench
        .simulator
        .play(Scenario {
            history_gap: 0.0,
            ..scenario
        })
        .unwrap();
    assert_eq!(bench.resolve(&[]).await.0, 0);
    assert_eq!(bench.recorded(RESULTS).await, bench.delivered());
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_come_late_are_adopted_when_they_have_come() {
    let fleet = fleet(3);
    let scenario = Scenario {
        history_lag_ms: 3_600_000,
        ..faulty(Some(Fault::ResetAfter))
    };
    let bench = Bench::push(scenario.clone(), &rows(&fleet), &[]).await;
    assert_eq!(bench.resolve(&[]).await.0, 1);
    assert_eq!(bench.states().await, count("in_doubt", 3));
    bench
        .simulator
        .play(Scenario {
            history_lag_ms: 0,
            ..scenario
        })
        .unwrap();
    assert_eq!(bench.resolve(&[]).await.0, 0);
    assert_eq!(bench.recorded(RESULTS).await, bench.delivered());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sends_alike_neither_is_adopted() {
    let bench = Bench::push(
        faulty(Some(Fault::ResetAfter)),
        &[("A", "1"), ("A", "0"), ("A", "1"), ("B", "1")],
        &["--after-failure", "continue"],
    )
    .await;
    assert_eq!(bench.delivered().len(), 4);
    let (code, evidence, said) = bench.resolve(&[]).await;
    assert_eq!(code, 1, "{said}");
    let states = bench
        .query("SELECT line || ' ' || state FROM results ORDER BY line")
        .await;
    assert_eq!(
        states,
        ["2 in_doubt", "3 accepted", "4 in_doubt", "5 accepted"]
    );
    let matches: Vec<&str> = evidence
        .iter()
        .filter(|row| row["line"] == 2)
        .map(|row| row["match"].as_str().unwrap())
        .collect();
    assert_eq!(matches, ["contested", "other data", "contested"]);
    bench.states().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_ticket_is_not_given_to_another_task() {
    let bench = Bench::push(faulty(None), &[("A", "1")], &[]).await;
    assert_eq!(bench.states().await, count("accepted", 1));
    // The same command again, at once, which does not arrive: what the first one made is in its window.
    bench
        .simulator
        .play(faulty(Some(Fault::ResetBefore)))
        .unwrap();
    let manifest = bench.path("fleet.csv");
    let again = bench
        .fleetpush(&[
            "run",
            manifest.to_str().unwrap(),
            "--name",
            "again",
            "--again",
            "--in-doubt",
            "hold",
            "--progress",
            "none",
        ])
        .await;
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let runs = bench
        .query("SELECT name FROM runs WHERE in_doubt = 1")
        .await;
    let output = bench
        .fleetpush(&["resolve", &runs[0], "--format", "jsonl"])
        .await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["match"], "recorded");
    assert_eq!(row["verdict"], "in doubt: no entry matches");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_doubt_has_blocked_stays_failed_until_a_retry() {
    let bench = Bench::push(
        faulty(Some(Fault::ResetAfter)),
        &[("A", "1"), ("A", "0"), ("A", "1")],
        &[],
    )
    .await;
    let (code, _, said) = bench.resolve(&[]).await;
    assert_eq!(code, 1);
    assert!(
        said.contains("blocked by them, and failed as before: 2 tasks")
            && said.contains("fleetpush retry night --class blocked --base-url http://127.0.0.1:"),
        "{said}"
    );
    assert_eq!(
        bench
            .query("SELECT coalesce(class, '-') FROM results ORDER BY line")
            .await,
        ["accepted", "blocked", "blocked"]
    );
    bench.simulator.play(faulty(None)).unwrap();
    let retried = bench
        .fleetpush(&["retry", "night", "--class", "blocked", "--progress", "none"])
        .await;
    assert_eq!(retried.status.code(), Some(0), "{retried:?}");
    assert_eq!(bench.states().await, count("accepted", 3));
    let sent: Vec<String> = bench
        .simulator
        .deliveries()
        .into_iter()
        .map(|one| one.data)
        .collect();
    assert_eq!(sent.len(), 3);
    assert!(sent[1].contains(r#""mode":"0""#) && sent[0] == sent[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_bridged_by_the_tolerance() {
    let scenario = Scenario {
        clock_skew_ms: -90_000,
        ..faulty(Some(Fault::ResetAfter))
    };
    let bench = Bench::push(scenario, &[("A", "1")], &[]).await;
    assert_eq!(bench.resolve(&[]).await.0, 1);
    assert_eq!(bench.resolve(&["--tolerance", "2m"]).await.0, 0);
    assert_eq!(bench.recorded(RESULTS).await, bench.delivered());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_target_is_refused_and_not_asked() {
    let bench = Bench::push(faulty(Some(Fault::ResetAfter)), &[("A", "1")], &[]).await;
    let output = bench
        .fleetpush_at("http://127.0.0.1:1", &["resolve", "night"])
        .await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("run 'night' was made for"), "{said}");
    assert_eq!(bench.states().await, count("in_doubt", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_or_a_refusal_ends_it_with_its_own_code() {
    let bench = Bench::push(faulty(Some(Fault::ResetAfter)), &[("A", "1")], &[]).await;
    let away = Scenario {
        outage: Outage::Unavailable,
        ..faulty(None)
    };
    bench.simulator.play(away).unwrap();
    let (code, _, said) = bench.resolve(&["--max-outage", "1s"]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("the platform does not answer"), "{said}");
    let locked_out = Scenario {
        ready_token: None,
        ..faulty(None)
    };
    bench.simulator.play(locked_out).unwrap();
    let (code, _, said) = bench.resolve(&[]).await;
    assert_eq!(code, 5, "{said}");
    assert_eq!(bench.states().await, count("in_doubt", 1));
    bench.simulator.play(faulty(None)).unwrap();
    assert_eq!(bench.resolve(&[]).await.0, 0);
}
