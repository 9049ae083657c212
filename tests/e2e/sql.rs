//! `sql`: the database asked in its own language, and never changed.

use std::{fs::File, process::Stdio};

use serde_json::json;

use crate::support::{Push, Sim, Site, devices};

fn pushed() -> (Site, Sim) {
    let sim = Sim::some_offline();
    let site = Site::with(&devices(100));
    site.push_named(&sim, "night").expect(1);
    (site, sim)
}

const COUNT: &str =
    "SELECT state, class, code, count(*) AS devices FROM results GROUP BY 1, 2, 3 ORDER BY 4";

#[test]
fn an_answer_comes_in_every_form() {
    let (site, _sim) = pushed();
    let said = |format: &str| {
        site.run(&["sql", COUNT, "--format", format])
            .expect(0)
            .stdout
    };
    insta::assert_snapshot!(
        ["table", "csv", "jsonl", "json"].map(said).join("\n"),
        @r#"
    STATE     CLASS     CODE   DEVICES
    failed    offline   61002  14
    accepted  accepted  200    86

    state,class,code,devices
    failed,offline,61002,14
    accepted,accepted,200,86

    {"state":"failed","class":"offline","code":61002,"devices":14}
    {"state":"accepted","class":"accepted","code":200,"devices":86}

    [
    {"state":"failed","class":"offline","code":61002,"devices":14},
    {"state":"accepted","class":"accepted","code":200,"devices":86}
    ]
    "#);
    let kinds = "SELECT NULL AS a, 1.5 AS b, x'00ff' AS c, '=1' AS d, CAST(9007199254740993 AS INTEGER) AS e";
    let row = site
        .run(&["sql", kinds, "--format", "jsonl"])
        .expect(0)
        .json();
    assert_eq!(
        row,
        json!({"a": null, "b": 1.5, "c": "00FF", "d": "=1", "e": 9_007_199_254_740_993_i64})
    );
    let nothing = site
        .run(&["sql", "SELECT name FROM runs WHERE 0", "--format", "csv"])
        .expect(0);
    assert_eq!(nothing.stdout, "name\n");

    site.write("count.sql", COUNT);
    let mut command = site.command(&["sql", "-", "--out", "count.csv", "--format", "csv"]);
    command.stdin(Stdio::from(File::open(site.path("count.sql")).unwrap()));
    Push::start_with_input(command).ended().expect(0);
    assert_eq!(
        std::fs::read_to_string(site.path("count.csv")).unwrap(),
        said("csv")
    );
}

#[test]
fn what_does_not_only_read_is_refused_and_changes_nothing() {
    let (site, _sim) = pushed();
    let before = std::fs::read(site.path("push.db")).unwrap();
    for (statement, words) in [
        ("DELETE FROM run", "DELETE does not read"),
        (
            "WITH a AS (SELECT 1) DELETE FROM run",
            "the statement would change the database",
        ),
        ("SELECT 1; DROP VIEW runs", "more than one statement"),
        ("PRAGMA query_only = OFF", "PRAGMA does not read"),
        ("ATTACH 'new.db' AS new", "ATTACH does not read"),
        ("VACUUM INTO 'copy.db'", "VACUUM does not read"),
        ("-- nothing", "there is no statement"),
    ] {
        site.run(&["sql", statement]).expect(2).says(&[words]);
    }
    assert_eq!(std::fs::read(site.path("push.db")).unwrap(), before);
    assert!(!site.path("new.db").exists() && !site.path("copy.db").exists());
}

#[test]
fn a_mistake_is_shown_at_its_place_with_what_there_is() {
    let (site, _sim) = pushed();
    let told = |statement: &str| site.run(&["sql", statement]).expect(2).stderr;
    insta::assert_snapshot!(told("SELECT name,\n  sate\nFROM runs"), @r"
    error: no such column: sate
        line 2:   sate
                  ^
        did you mean state?
    ");
    insta::assert_snapshot!(told("SELECT * FROM rusn"), @r"
    error: no such table: rusn
        line 1: SELECT * FROM rusn
                              ^
        did you mean runs?
    ");
    insta::assert_snapshot!(told("SELECT * FORM runs"), @r#"
    error: near "FORM": syntax error
        line 1: SELECT * FORM runs
                         ^
    "#);
}

#[test]
fn a_question_is_answered_while_a_push_is_on() {
    let sim = Sim::slow(100);
    let site = Site::with(&devices(100));
    let push = site.start(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--name",
            "night",
            "--chunk-size",
            "5",
            "--concurrency",
            "2",
        ],
    );
    sim.wait_for_requests(3);
    let state = "SELECT state, tasks FROM runs";
    let row = site
        .run(&["sql", state, "--format", "jsonl"])
        .expect(0)
        .json();
    assert_eq!(row, json!({"state": "running", "tasks": 100}));
    push.ended().expect(0);
}
