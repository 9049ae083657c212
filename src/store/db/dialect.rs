//! Statements are written in the words that SQLite and PostgreSQL share. What is left of SQLite's own is said in PostgreSQL's here: the
//! placeholders, and hints for SQLite's planner. Functions that SQLite has and PostgreSQL lacks are made with the schema
//! (`postgres/functions.sql`).

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// The same statement for PostgreSQL.
pub(super) fn of_postgres(sql: SqlStr) -> SqlStr {
    AssertSqlSafe(translate(sql.as_str())).into_sql_str()
}

/// `?` and `?3` become `$1` and `$3`. What stands in quotes and comments stays.
///
/// A `CROSS JOIN` with a condition keeps the order of tables in SQLite; PostgreSQL calls it `JOIN`. `INDEXED BY` names an index for SQLite's
/// planner.
fn translate(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    let mut placeholders = 0;
    while let Some(at) = rest.find(['?', '\'', '"', '-']) {
        let (before, from) = rest.split_at(at);
        text.push_str(&plain(before));
        let taken = match from.as_bytes() {
            [b'?', ..] => {
                let digits = from[1..].bytes().take_while(u8::is_ascii_digit).count();
                if digits == 0 {
                    placeholders += 1;
                    let _ = write!(text, "${placeholders}");
                } else {
                    let _ = write!(text, "${}", &from[1..=digits]);
                }
                1 + digits
            }
            [quote @ (b'\'' | b'"'), ..] => {
                let quote = char::from(*quote);
                let end = from[1..].find(quote).map_or(from.len(), |end| end + 2);
                text.push_str(&from[..end]);
                end
            }
            [b'-', b'-', ..] => {
                let end = from.find('\n').unwrap_or(from.len());
                text.push_str(&from[..end]);
                end
            }
            _ => {
                text.push('-');
                1
            }
        };
        rest = &from[taken..];
    }
    text.push_str(&plain(rest));
    text
}

/// Text outside of quotes, without what only SQLite understands.
fn plain(text: &str) -> String {
    text.replace("CROSS JOIN", "JOIN")
        .replace(" INDEXED BY outcome_trouble", "")
        .replace("temp.", "pg_temp.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_get_numbers_and_text_in_quotes_stays() {
        for (sqlite, postgres) in [
            ("SELECT ?, ?", "SELECT $1, $2"),
            ("SELECT ?1, ?12, ?1", "SELECT $1, $12, $1"),
            (
                "SELECT '?', \"a?\", 'it''s ?', ?",
                "SELECT '?', \"a?\", 'it''s ?', $1",
            ),
            (
                "SELECT 1 -- why? CROSS JOIN\n, 2 - ?",
                "SELECT 1 -- why? CROSS JOIN\n, 2 - $1",
            ),
            (
                "FROM a CROSS JOIN b ON b.x = a.x",
                "FROM a JOIN b ON b.x = a.x",
            ),
            ("SELECT 'CROSS JOIN temp.x", "SELECT 'CROSS JOIN temp.x"),
            ("SELECT '', ?", "SELECT '', $1"),
        ] {
            assert_eq!(translate(sqlite), postgres);
        }
    }
}
