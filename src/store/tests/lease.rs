//! Who owns a database on a server.

use std::time::Duration;

use sqlx::Connection as _;

use super::server::{connect, server_database};
use crate::{
    model::Timestamp,
    store::{
        Missing, NewRun, PushTransaction as _, Run, Store, StoreError, db::DbConnection, home::Home,
    },
};

/// A store with a run.
async fn with_run(store: Store) -> (Store, Run) {
    staged(store, "test").await
}

/// The same with another one.
async fn with_another_run(store: Store) -> (Store, Run) {
    staged(store, "other").await
}

async fn staged(mut store: Store, name: &str) -> (Store, Run) {
    let about = NewRun {
        name: name.into(),
        manifest: "test.csv".into(),
        manifest_path: None,
        manifest_sha256: "0".repeat(64),
        defaults: "{}".into(),
        base_url: "simulator".into(),
        identity: name.repeat(16),
    };
    let mut stager = store.stage(&about, 10, Timestamp(1)).await.unwrap();
    let run = stager.finish(Timestamp(1)).await.unwrap().run;
    (store, run)
}

/// Has every lease end as if its holder had been silent for so long.
async fn end_leases(store: &mut Store, ago: &str) {
    let sql = format!("UPDATE fleetpush.lease SET ends_at = clock_timestamp() - interval '{ago}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut store.connection)
        .await
        .unwrap();
}

async fn end_lease(store: &mut Store, name: &str) {
    sqlx::query("UPDATE fleetpush.lease SET ends_at = clock_timestamp() WHERE name = ?")
        .bind(name)
        .execute(&mut store.connection)
        .await
        .unwrap();
}

async fn exchanges(store: &mut Store) -> (i64, i64) {
    sqlx::query_as("SELECT epoch, exchange FROM lease")
        .fetch_one(&mut store.connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_lease_has_one_holder_and_the_next_one_when_it_is_given_back() {
    let Some(database) = server_database().await else {
        return;
    };
    let (mut first, run) = with_run(
        Store::on_server(connect(&database).await, "first")
            .await
            .unwrap(),
    )
    .await;
    let (epoch, before) = exchanges(&mut first).await;
    first.set_account(run.id, "account").await.unwrap();
    assert_eq!(
        exchanges(&mut first).await,
        (epoch, before + 1),
        "each commit counts"
    );
    assert!(first.permission().holds());
    let second = Store::on_server(connect(&database).await, "second").await;
    let error = second.expect_err("the first one holds it").to_string();
    assert!(error.contains("another process (first)"), "{error}");
    first.close().await.unwrap();
    let mut second = Store::on_server(connect(&database).await, "second")
        .await
        .unwrap();
    let (later, exchange) = exchanges(&mut second).await;
    assert!(later > epoch);
    assert_eq!(exchange, 0);
    second.close().await.unwrap();
}

#[tokio::test]
async fn two_processes_have_a_run_each_and_write_nothing_of_the_others() {
    let Some(database) = server_database().await else {
        return;
    };
    let open = async |holder| Store::on_server(connect(&database).await, holder).await;
    let (mut first, run) = with_run(open("first").await.unwrap()).await;
    first.hold_run(&run).await.unwrap();
    first.keep_to_runs().await.unwrap();
    let mut second = open("second").await.expect("it may decide what it pushes");
    let error = second.hold_run(&run).await.unwrap_err();
    assert!(matches!(error, StoreError::RunHeld { .. }), "{error}");
    assert!(
        error.to_string().contains("another process (first)"),
        "{error}"
    );
    let (mut second, other) = with_another_run(second).await;
    second.hold_run(&other).await.unwrap();
    second.keep_to_runs().await.unwrap();
    // Each commit looks at the lease of its own run.
    first.set_account(run.id, "first").await.unwrap();
    second.set_account(other.id, "second").await.unwrap();
    end_lease(&mut second, &format!("run {}", run.id.0)).await;
    second.set_account(other.id, "second").await.unwrap();
    let error = first.set_account(run.id, "late").await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced), "{error}");
    second.close().await.unwrap();
    drop(first);
    let mut third = open("third").await.unwrap();
    third.hold_run(&run).await.unwrap();
    third.hold_run(&other).await.unwrap();
    third.close().await.unwrap();
}

#[tokio::test]
async fn those_who_push_with_one_account_know_of_each_other() {
    let Some(database) = server_database().await else {
        return;
    };
    let open = async |holder| Store::on_server(connect(&database).await, holder).await;
    let (mut first, run) = with_run(open("first").await.unwrap()).await;
    let (mut first, other) = {
        first.hold_run(&run).await.unwrap();
        with_another_run(first).await
    };
    first.set_account(run.id, "account").await.unwrap();
    first.keep_to_runs().await.unwrap();
    first.look_for_sharers().await.unwrap();
    assert_eq!(first.sharing().pushes, 1);
    let mut second = open("second").await.unwrap();
    second.hold_run(&other).await.unwrap();
    second.look_for_sharers().await.unwrap();
    assert_eq!(second.sharing().pushes, 1, "its account is another one");
    second.set_account(other.id, "account").await.unwrap();
    for store in [&mut first, &mut second] {
        store.look_for_sharers().await.unwrap();
        assert_eq!(store.sharing().pushes, 2);
    }
    second.close().await.unwrap();
    first.look_for_sharers().await.unwrap();
    assert_eq!(first.sharing().pushes, 1);
    first.close().await.unwrap();
}

#[tokio::test]
async fn the_requests_of_two_pushes_have_numbers_of_their_own() {
    let Some(database) = server_database().await else {
        return;
    };
    let (mut first, run) = with_run(
        Store::on_server(connect(&database).await, "first")
            .await
            .unwrap(),
    )
    .await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let mut rows = first.transaction(run.id);
        numbers.push(rows.request_numbers().await.unwrap());
        rows.roll_back().await;
    }
    assert!(
        numbers.windows(2).all(|pair| pair[0].end <= pair[1].start),
        "{numbers:?}"
    );
    // A copy has brought higher ones.
    let copied = numbers[2].end + 12_345;
    let sql = format!(
        "INSERT INTO fleetpush.request (id, run_id, payload_id, devices, claimed_at) VALUES ({copied}, 7, 1, 1, 1)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut first.connection)
        .await
        .unwrap();
    first.close().await.unwrap();
    let mut second = Store::on_server(connect(&database).await, "second")
        .await
        .unwrap();
    let mut rows = second.transaction(run.id);
    let later = rows.request_numbers().await.unwrap();
    assert!(later.start > copied, "{later:?}");
    rows.roll_back().await;
    second.close().await.unwrap();
}

#[tokio::test]
async fn whoever_has_lost_the_lease_records_nothing() {
    let Some(database) = server_database().await else {
        return;
    };
    let (mut first, run) = with_run(
        Store::on_server(connect(&database).await, "first")
            .await
            .unwrap(),
    )
    .await;
    // Nobody has taken it: it has ended all the same.
    end_leases(&mut first, "1 minute").await;
    let error = first.set_account(run.id, "late").await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced), "{error}");
    // Another one has it, and this connection goes on.
    sqlx::raw_sql("UPDATE fleetpush.lease SET backend = NULL")
        .execute(&mut first.connection)
        .await
        .unwrap();
    let mut second = Store::on_server(connect(&database).await, "second")
        .await
        .unwrap();
    let free_for = second.free_for().unwrap();
    assert!(free_for >= Duration::from_mins(1), "{free_for:?}");
    second.set_account(run.id, "second").await.unwrap();
    let error = first.set_account(run.id, "late").await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced), "{error}");
    let account: String = sqlx::query_scalar("SELECT account FROM run")
        .fetch_one(&mut second.connection)
        .await
        .unwrap();
    assert_eq!(account, "second");
    // The first one may not even give back what is no longer its own.
    let _ = first.close().await;
    second.set_account(run.id, "second").await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn who_has_given_a_lease_back_leaves_in_order_although_another_one_takes_it() {
    let Some(database) = server_database().await else {
        return;
    };
    let first = Store::on_server(connect(&database).await, "first")
        .await
        .unwrap();
    let Store {
        home, connection, ..
    } = first;
    let (Home::Server(server), DbConnection::Postgres(mut connection, _)) = (home, connection)
    else {
        panic!("it is on a server");
    };
    server.lease.give_back(&mut connection).await.unwrap();
    let second = Store::on_server(connect(&database).await, "second")
        .await
        .unwrap();
    sqlx::raw_sql("SELECT 1")
        .execute(&mut *connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_dropped_gives_its_lease_back() {
    let Some(database) = server_database().await else {
        return;
    };
    for holder in ["first", "second"] {
        drop(
            Store::on_server(connect(&database).await, holder)
                .await
                .unwrap(),
        );
    }
}

#[tokio::test]
async fn nobody_waits_for_the_rows_of_a_holder_that_stands_still() {
    let Some(database) = server_database().await else {
        return;
    };
    let (mut first, run) = with_run(
        Store::on_server(connect(&database).await, "first")
            .await
            .unwrap(),
    )
    .await;
    let mut rows = first.connection.begin().await.unwrap();
    sqlx::query("UPDATE run SET account = 'never'")
        .execute(&mut *rows)
        .await
        .unwrap();
    let mut other = connect(&database).await;
    sqlx::raw_sql("UPDATE fleetpush.lease SET ends_at = clock_timestamp() - interval '1 minute'")
        .execute(&mut other.connection)
        .await
        .unwrap();
    let mut second = Store::on_server(other, "second").await.unwrap();
    sqlx::raw_sql("SET lock_timeout = '10s'")
        .execute(&mut second.connection)
        .await
        .unwrap();
    second.set_account(run.id, "second").await.unwrap();
    rows.commit().await.unwrap_err();
    second.close().await.unwrap();
}

#[tokio::test]
async fn what_is_missing_of_a_server_is_the_lease() {
    let Some(database) = server_database().await else {
        return;
    };
    let store = Store::on_server(connect(&database).await, "first")
        .await
        .unwrap();
    assert_eq!(store.missing(), None);
    store.permission().end_at(Duration::ZERO);
    assert_eq!(store.missing(), Some(Missing::Lease));
}

#[tokio::test]
async fn a_statement_on_a_server_can_be_interrupted() {
    let Some(database) = server_database().await else {
        return;
    };
    let mut store = Store::on_server(connect(&database).await, "first")
        .await
        .unwrap();
    store.interrupt_when(|| true).await.unwrap();
    let error = sqlx::raw_sql("SELECT pg_sleep(60)")
        .execute(&mut store.connection)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cancel"), "{error}");
    store.let_finish().await.unwrap();
    store.close().await.unwrap();
}
