//! What is taken for a reading statement, and what is said of a mistake.

use super::*;
use crate::store::sample;

#[test]
fn one_reading_statement_is_taken_and_nothing_else() {
    for sql in [
        "select 1",
        " -- a; comment\n/* and; one */ WITH a AS (SELECT ';') SELECT * FROM a;;",
        "VALUES (1), ('a''; b')",
        "EXPLAIN QUERY PLAN SELECT \"a;\", [b;], `c;` FROM runs;",
    ] {
        assert!(only_reads(sql).is_ok(), "{sql}");
    }
    for (sql, told) in [
        ("", "there is no statement"),
        (" -- SELECT 1", "there is no statement"),
        ("delete from run", "DELETE does not read"),
        ("PRAGMA query_only = OFF", "PRAGMA does not read"),
        ("ATTACH 'x.db' AS x", "ATTACH does not read"),
        (
            "SELECT 1;\n  DELETE FROM run",
            "there is more than one statement; give only one\nline 2:   DELETE FROM run\n          ^",
        ),
    ] {
        let error = only_reads(sql).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn of_a_long_line_what_is_near_the_place_is_shown() {
    let sql = format!("SELECT '{}' FROM runs; DELETE", "x".repeat(100_000));
    let error = only_reads(&sql).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    let [_, line, mark] = lines[..] else {
        panic!("{error}")
    };
    assert!(line.chars().count() < 300 && line.ends_with("x' FROM runs; DELETE"));
    assert_eq!(&line[mark.len() - 1..], "DELETE");
}

/// Takes everything, and keeps nothing.
struct Nobody;

impl Answer for Nobody {
    fn head(&mut self, _: Vec<String>) {}
    fn row(&mut self, _: Vec<Cell>) -> bool {
        true
    }
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let before = std::fs::read(&path).unwrap();
    let mut reader = Reader::open(&path).await.unwrap();
    for sql in [
        "WITH a AS (SELECT 1) DELETE FROM run",
        "WITH a AS (SELECT 1) INSERT INTO owner SELECT 1, 2, 3",
    ] {
        let answer = reader.answer(sql, &mut Nobody).await;
        assert!(matches!(answer, Err(SqlError::Writes)), "{sql}: {answer:?}");
    }
    reader.close().await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_is_wrong_is_shown_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    for (sql, told) in [
        (
            "SELECT *\n\tFORM runs",
            "near \"FORM\": syntax error\nline 2:  FORM runs\n         ^",
        ),
        (
            "SELECT sate FROM runs",
            "no such column: sate\nline 1: SELECT sate FROM runs\n               ^",
        ),
        (
            "SELECT * FROM rums",
            "no such table: rums\nline 1: SELECT * FROM rums\n                      ^",
        ),
        (
            "SELECT * FROM runs WHERE",
            "incomplete input\nline 1: SELECT * FROM runs WHERE\n                                ^",
        ),
        (
            "SELECT nix(1)",
            "no such function: nix\nline 1: SELECT nix(1)\n               ^",
        ),
    ] {
        let error = reader.answer(sql, &mut Nobody).await.unwrap_err();
        assert_eq!(error.to_string(), told, "{sql}");
    }
}
