//! Every command that reads shows the same of a file and of a server.

use super::{copy, made, views::everything};
use crate::support::{Database, Ended, Push, Sim, Site, devices, with_server};

/// What is asked of both.
const QUESTIONS: [&[&str]; 36] = [
    &["runs"],
    &["runs", "--format", "json"],
    &["runs", "--state", "complete", "--limit", "2"],
    &["runs", "--pruned", "--format", "csv"],
    &["runs", "--tag", "team=a\\b"],
    &["sessions", "mixed"],
    &["sessions", "held", "--format", "jsonl"],
    &["status", "mixed"],
    &["status", "gone-1"],
    &["status", "nothing-like-it"],
    &["status", "held", "--by", "code", "--by", "hour"],
    &["status", "mixed", "--by", "product", "--by", "payload"],
    &["status", "mixed", "--by", "label", "--by", "label.site"],
    &[
        "results", "snoozing", "--state", "pending", "--format", "csv",
    ],
    &["results", "mixed"],
    &["results", "held", "--format", "csv"],
    &["results", "snoozing", "--format", "jsonl"],
    &["results", "killed", "--state", "in_flight,pending"],
    &["results", "cancelled", "--state", "skipped", "--limit", "3"],
    &[
        "results",
        "mixed",
        "--state",
        "failed,in_doubt",
        "--format",
        "json",
    ],
    &["results", "mixed", "--class", "offline,rejected"],
    &["results", "mixed", "--code", "60000-62000"],
    &["results", "mixed", "--code", "1-2"],
    &["results", "snoozing", "--code", "61006"],
    &[
        "results", "mixed", "--device", "DK00001", "--device", "DK0001*",
    ],
    &["results", "mixed", "--device", "nobody"],
    &["results", "mixed", "--label", "site=Ås \\ \"x\""],
    &["results", "mixed", "--label", "site=nowhere"],
    &["results", "mixed", "--label", "colour=red"],
    &[
        "results",
        "mixed",
        "--product",
        "PK0001",
        "--attempts",
        "2-",
    ],
    &["results", "mixed", "--product", "PK0009"],
    &[
        "results",
        "canary",
        "--delivery",
        "unknown,answered",
        "--limit",
        "5",
    ],
    &[
        "results",
        "mixed",
        "--sort",
        "device_key,-code",
        "--limit",
        "40",
    ],
    &[
        "results",
        "mixed",
        "--sort",
        "-finished_at",
        "--columns",
        "line,state,code",
    ],
    &["results", "mixed", "--state", "failed", "--as-manifest"],
    &[
        "results",
        "held",
        "--after",
        "2020-01-01T00:00:00Z",
        "--format",
        "csv",
    ],
];

pub(super) fn ask(site: &Site, question: &[&str], database: &str) -> Ended {
    let args = [question, &["--db", database]].concat();
    Push::start(with_server(site, &args)).ended()
}

/// What is said, with one name for either database. What may be done next is left out: of a server's, commands only read.
pub(super) fn said(ended: &Ended, names: [&str; 2]) -> (Option<i32>, String, String) {
    let without = |text: &str| {
        names
            .iter()
            .fold(text.to_owned(), |text, name| text.replace(name, "DATABASE"))
    };
    (
        ended.code,
        without_next(&without(&ended.stdout)),
        without(&ended.stderr),
    )
}

/// The text without the paragraph that begins with `next:`.
fn without_next(text: &str) -> String {
    let mut skips = false;
    text.split_inclusive('\n')
        .filter(|line| {
            skips = *line == "next:\n" || (skips && *line != "\n");
            !skips
        })
        .collect()
}

fn are_alike(site: &Site, database: &Database, questions: &[&[&str]]) {
    let (here, there) = (site.path("push.db").display().to_string(), database.url());
    let names = [&*here, &*there];
    for question in questions {
        let ours = said(&ask(site, question, &here), names);
        let theirs = said(&ask(site, question, &there), names);
        assert_eq!(ours, theirs, "{question:?}");
    }
}

#[test]
fn every_command_that_reads_shows_the_same_of_both() {
    let sim = Sim::healthy();
    let site = everything(&sim);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    are_alike(&site, &database, &QUESTIONS);
    pages_are_alike(&site, &database);
    // Only of a file can be seen whether a push works on it, and only on a file can one go on.
    let status = ask(&site, &["status", "snoozing"], &database.url()).expect(0);
    assert!(status.stdout.contains("running, 96 %"), "{status:?}");
    assert!(!status.stdout.contains("resume"), "{status:?}");
}

/// The pages of a run and of a part of it.
fn pages_are_alike(site: &Site, database: &Database) {
    let (here, there) = (site.path("push.db").display().to_string(), database.url());
    for part in [&[][..], &["--state", "failed"]] {
        let pages = [&here, &there].map(|name| {
            let report = [&["report", "mixed", "--out", "page.html"], part].concat();
            ask(site, &report, name).expect(0);
            let page = std::fs::read_to_string(site.path("page.html")).expect("a page");
            page.replace(&here, "DATABASE").replace(&there, "DATABASE")
        });
        // It says when it was made.
        let lines = |page: String| -> Vec<String> {
            let lines = page.lines().filter(|line| !line.contains("This page"));
            lines.map(str::to_owned).collect()
        };
        let [ours, theirs] = pages.map(lines);
        let differing: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).collect();
        assert!(differing.is_empty(), "{differing:#?}");
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn a_statement_of_ones_own_only_reads_and_is_told_where_it_is_wrong() {
    let site = Site::with(&devices(3));
    let sim = Sim::healthy();
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(0);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    let sql = |statement: &str| {
        ask(
            &site,
            &["sql", statement, "--format", "csv"],
            &database.url(),
        )
    };
    let asked = "SELECT count(*) AS n, sum(tasks) AS tasks, 0.5 AS half, state = 'complete' AS over, NULL AS nothing FROM runs GROUP BY 4";
    assert_eq!(
        sql(asked).expect(0).stdout,
        "n,tasks,half,over,nothing\n1,3,0.5,1,\n"
    );
    assert_eq!(sql("SELECT 1 AS one WHERE false").expect(0).stdout, "one\n");
    // What the server remarks is for who asks for more.
    database.execute(
        "CREATE FUNCTION remark() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''mind this''; RETURN 1; END'",
    );
    let remarked = ["sql", "SELECT remark()"];
    assert_eq!(ask(&site, &remarked, &database.url()).expect(0).stderr, "");
    ask(&site, &[&remarked[..], &["-v"]].concat(), &database.url())
        .expect(0)
        .says(&["mind this"]);
    let moment = sql("SELECT current_setting('transaction_isolation') AS level").expect(0);
    assert_eq!(moment.stdout, "level\nrepeatable read\n");
    for (statement, words) in [
        (
            "SELECT nope FROM runs",
            &["\"nope\" does not exist", "did you mean", "  ^"][..],
        ),
        ("SELECT * FROM result", &["did you mean results"]),
        ("SELECT FORM runs WHERE", &["line 1: SELECT FORM", "^"]),
        (
            "SELECT * FROM runs WHERE",
            &["at end of input", "RE\n", "^"],
        ),
        ("DELETE FROM run", &["DELETE does not read"]),
        (
            "WITH gone AS (DELETE FROM run RETURNING 1) SELECT * FROM gone",
            &["only reads"],
        ),
        ("SELECT 1 / 0", &["division by zero"]),
    ] {
        sql(statement).expect(2).says(words);
    }
    assert_eq!(
        sql("SELECT count(*) AS n FROM runs").expect(0).stdout,
        "n\n1\n"
    );
}
