//! Reads a database of an older schema as if it had the newest one, without changing it.
//!
//! What it lacks is created in the connection's temporary schema, which SQLite searches first. A missing table is an empty one, a missing
//! column has its default, and every view is that of `views.sql`.

use std::collections::BTreeSet;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

use super::{schema, views};

/// A table of a schema, with the statement that makes it.
struct Table {
    name: String,
    sql: String,
}

/// A column: its name, and its default as SQL.
type Column = (String, Option<String>);

/// Makes what the newest schema has and the connection's database has not.
pub(super) async fn complete(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut newest = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await?;
    schema::migrate(&mut newest).await?;
    let wanted = tables(&mut newest).await?;
    let found: BTreeSet<String> = tables(connection)
        .await?
        .into_iter()
        .map(|table| table.name)
        .collect();
    let mut statements = Vec::new();
    for table in wanted {
        if !found.contains(&table.name) {
            statements.push(table.sql.replacen("CREATE TABLE", "CREATE TEMP TABLE", 1));
            continue;
        }
        let present = columns(connection, &table.name).await?;
        let missing: Vec<Column> = columns(&mut newest, &table.name)
            .await?
            .into_iter()
            .filter(|(name, _)| !present.iter().any(|(present, _)| present == name))
            .collect();
        if !missing.is_empty() {
            statements.push(widened(&table.name, &missing));
        }
    }
    newest.close().await?;
    for statement in statements {
        // It is made of the texts of our own migrations.
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    views::make_temporary(connection).await?;
    if !found.contains("called_service") {
        sqlx::raw_sql(SERVICES).execute(connection).await?;
    }
    Ok(())
}

/// A database from before they were noted has the services of payloads in their data alone.
const SERVICES: &str = "
DROP VIEW temp.payload_service;
CREATE TEMP VIEW payload_service AS
SELECT p.id AS payload_id, p.product_key, s.key AS service, p.run_id
FROM payload AS p
LEFT JOIN json_each(CASE WHEN json_valid(p.data) AND json_type(p.data) = 'array' THEN p.data END) AS c
    ON c.type = 'object' AND c.value <> '{}'
LEFT JOIN json_each(c.value) AS s";

async fn tables(connection: &mut SqliteConnection) -> Result<Vec<Table>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_%' ESCAPE '\\'",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(name, sql)| Table { name, sql })
        .collect())
}

async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<Column>, sqlx::Error> {
    sqlx::query_as("SELECT name, dflt_value FROM pragma_table_info(?, 'main')")
        .bind(table)
        .fetch_all(connection)
        .await
}

/// A view of the table's name with columns that it lacks.
fn widened(table: &str, missing: &[Column]) -> String {
    let columns: Vec<String> = missing
        .iter()
        .map(|(name, default)| format!("{} AS {name}", default.as_deref().unwrap_or("NULL")))
        .collect();
    format!(
        "CREATE TEMP VIEW {table} AS SELECT *, {} FROM main.{table}",
        columns.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sqlx::migrate::Migrator;

    use super::*;
    use crate::{
        model::TaskFilter,
        store::{Reader, db::DbConnection, sample::note_services, schema::MIGRATOR},
    };

    /// What every schema can say: a run of two tasks, of which one is accepted and one is to be sent again.
    const ROWS: &str = "
        INSERT INTO run (id, name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at, started_at, tasks, first_task,
            end_task, next_task)
        VALUES (1, 'old', 'fleet.csv', 'x', '{}', 'simulator', 'y', 'running', 1000, 1000, 2, 1, 3, 3);
        INSERT INTO payload (id, run_id, digest, product_key, data) VALUES (1, 1, x'00', 'PK', '[{\"fuwu\":[]}]');
        INSERT INTO task (id, payload_id, line, device_key, labels) VALUES (1, 1, 2, 'DK1', '{\"site\":\"Oslo\"}'), (2, 1, 3, 'DK2', NULL);
        INSERT INTO device_task (run_id, device_key, task_id) VALUES (1, 'DK1', 1), (1, 'DK2', 2);
        INSERT INTO request (id, run_id, payload_id, first_task, end_task, devices, claimed_at, sent_at, finished_at, http_status)
        VALUES (1, 1, 1, 1, 3, 2, 1000, 1000, 2000, 200);
        INSERT INTO outcome (task_id, state, class, code, ticket, request_id, attempts, finished_at) VALUES (1, 1, 1, 200, 'T1', 1, 1, 2000);
        INSERT INTO attempt (task_id, attempt, request_id, class, code) VALUES (2, 1, 1, 4, 50000);
        INSERT INTO due (task_id, run_id, payload_id, due_at, class, sends, attempts) VALUES (2, 1, 1, 3000, 4, 1, 1);
        INSERT INTO tally (run_id, state, class, code, n) VALUES (1, 1, 1, 200, 1);";

    async fn made_by(version: i64, path: &std::path::Path) {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        let migrations: Vec<_> = MIGRATOR
            .iter()
            .filter(|migration| migration.version <= version)
            .cloned()
            .collect();
        let older = Migrator {
            migrations: Cow::Owned(migrations),
            ..Migrator::DEFAULT
        };
        older.run(&mut connection).await.unwrap();
        sqlx::raw_sql(ROWS).execute(&mut connection).await.unwrap();
        let mut connection = DbConnection::from(connection);
        if version >= 18 {
            note_services(&mut connection).await;
        }
        connection.close().await.unwrap();
    }

    #[tokio::test]
    async fn every_schema_is_read_as_the_newest_and_stays_as_it_is() {
        for version in MIGRATOR.iter().map(|migration| migration.version) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("old.db");
            made_by(version, &path).await;
            let before = std::fs::read(&path).unwrap();
            let mut reader = Reader::open(&path).await.unwrap();
            let run = reader.find_run(None).await.unwrap();
            assert_eq!(
                (run.name.as_str(), run.counts.accepted, run.counts.pending),
                ("old", 1, 1),
                "schema {version}"
            );
            let mut pages = reader
                .results(&run, TaskFilter::default(), None)
                .await
                .unwrap();
            let rows = pages.next_page().await.unwrap();
            let told: Vec<_> = rows
                .iter()
                .map(|row| (row.status.name(), row.code))
                .collect();
            assert_eq!(told, [("accepted", Some(200)), ("pending", Some(50000))]);
            assert_eq!(reader.sends(&rows).await.unwrap().len(), 2);
            for view in ["runs", "results", "attempts", "requests", "devices"] {
                let rows: i64 =
                    sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {view}")))
                        .fetch_one(&mut reader.connection)
                        .await
                        .unwrap_or_else(|error| panic!("schema {version}, {view}: {error}"));
                assert!(rows > 0, "schema {version}, {view}");
            }
            let service: Vec<String> = sqlx::query_scalar("SELECT service FROM devices")
                .fetch_all(&mut reader.connection)
                .await
                .unwrap();
            assert_eq!(service, ["fuwu"], "schema {version}");
            reader.compare(&run, &run).await.unwrap();
            reader.close().await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), before, "schema {version}");
        }
    }
}
