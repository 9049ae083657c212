//! The views of the schema, from `views.sql`. Each view is defined only there, whatever the migrations made of it.

use std::collections::HashSet;

use sqlx::{Connection as _, SqliteConnection};

#[cfg(test)]
mod tests;

const FILE: &str = include_str!("views.sql");
const BEGIN: &str = "CREATE VIEW ";

/// The statements of the file, each as SQLite keeps it.
fn statements() -> impl Iterator<Item = &'static str> {
    // A comment may stand before a statement, and ends with its line.
    let begins = |at: usize| at == 0 || FILE.as_bytes()[at - 1] == b'\n';
    FILE.match_indices(BEGIN)
        .filter(move |(at, _)| begins(*at))
        .filter_map(|(at, _)| FILE[at..].split_once(";\n"))
        .map(|(statement, _)| statement)
}

/// The name of a statement's view.
fn name(statement: &'static str) -> &'static str {
    let rest = statement.trim_start_matches(BEGIN);
    rest.split(' ').next().unwrap_or(rest)
}

/// Whether the database has every view as it is here.
pub(super) async fn are_current(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let found: Vec<String> =
        sqlx::query_scalar("SELECT sql FROM main.sqlite_schema WHERE type = 'view'")
            .fetch_all(connection)
            .await?;
    let found: HashSet<&str> = found.iter().map(String::as_str).collect();
    Ok(statements().all(|statement| found.contains(statement)))
}

/// Makes those views of the database anew that are not as here, in one transaction.
pub(super) async fn renew(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    if are_current(connection).await? {
        return Ok(());
    }
    let mut script = String::new();
    for statement in statements() {
        script.push_str("DROP VIEW IF EXISTS main.");
        script.push_str(name(statement));
        script.push_str(";\n");
        script.push_str(statement);
        script.push_str(";\n");
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(script))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Makes the views for this connection alone, which looks for its own first; nothing if it has them.
pub(super) async fn make_temporary(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // Tables of an older schema are views there, too.
    let made: bool =
        sqlx::query_scalar("SELECT count(*) > 0 FROM temp.sqlite_schema WHERE name = 'results'")
            .fetch_one(&mut *connection)
            .await?;
    if made {
        return Ok(());
    }
    let mut script = String::new();
    for statement in statements() {
        script.push_str(&statement.replacen(BEGIN, "CREATE TEMP VIEW ", 1));
        script.push_str(";\n");
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(script))
        .execute(connection)
        .await?;
    Ok(())
}
