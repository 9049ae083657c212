use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{MIGRATOR, NEWEST, migrate};

async fn empty() -> SqliteConnection {
    SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await
        .unwrap()
}

async fn texts(connection: &mut SqliteConnection, sql: String) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .unwrap()
}

/// The statements that make what a database has: tables, indexes and rows, without the views and the list of migrations.
async fn statements(connection: &mut SqliteConnection) -> String {
    let of = |types: &str| {
        format!(
            "SELECT {types} FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL \
             AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations' ORDER BY type DESC, rowid"
        )
    };
    let mut statements = texts(
        connection,
        "SELECT 'PRAGMA application_id = ' || application_id FROM pragma_application_id".into(),
    )
    .await;
    statements.extend(texts(connection, of("sql")).await);
    for table in texts(connection, of("DISTINCT tbl_name")).await {
        let columns: String = sqlx::query_scalar(
            "SELECT group_concat('quote(' || name || ')', ' || '', '' || ' ORDER BY cid) FROM pragma_table_info(?)",
        )
        .bind(&table)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
        let rows = format!(
            "SELECT 'INSERT INTO {table} VALUES (' || {columns} || ')' FROM {table} ORDER BY 1"
        );
        statements.extend(texts(connection, rows).await);
    }
    statements.join(";\n") + ";\n"
}

/// After a new migration: `INSTA_UPDATE=always`, as for a snapshot.
#[tokio::test]
async fn a_new_database_has_the_schema_that_the_migrations_make() {
    let mut migrated = empty().await;
    MIGRATOR.run(&mut migrated).await.unwrap();
    let wanted = statements(&mut migrated).await;
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/schema.sql");
        std::fs::write(path, &wanted).unwrap();
        return;
    }
    assert!(NEWEST == wanted, "src/store/schema.sql is another one");

    let mut new = empty().await;
    migrate(&mut new).await.unwrap();
    assert_eq!(statements(&mut new).await, wanted);
    let made = "SELECT version || ' ' || description || ' ' || hex(checksum) FROM _sqlx_migrations WHERE success ORDER BY version";
    assert_eq!(
        texts(&mut new, made.into()).await,
        texts(&mut migrated, made.into()).await
    );
}
