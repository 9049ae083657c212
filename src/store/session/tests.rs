//! What a session is measured by.

use tempfile::TempDir;

use super::*;
use crate::{
    model::{Class, RunId, TaskState},
    store::{
        SessionRow,
        tests::pushed::{push, staged},
    },
};

fn introduction(command: &'static str, began_at: i64) -> NewSession {
    NewSession {
        command,
        about: Asker {
            arguments: vec![command.into()],
            note: Some("CHG-1".into()),
            host: "web-1".into(),
            pid: 12,
            version: "1.2.3".into(),
        },
        user: "anna".into(),
        began_at: Timestamp(began_at),
    }
}

fn end(stop: &'static str) -> SessionEnd {
    SessionEnd {
        stop,
        reason: None,
        exit_code: 0,
    }
}

async fn sessions(store: &Store) -> Vec<SessionRow> {
    let mut reader = store.reader().await.unwrap();
    reader.sessions().await.unwrap()
}

/// Has the open session push since then.
async fn pushed_since(store: &mut Store, at: i64) {
    sqlx::query("UPDATE session SET pushed_at = ? WHERE ended_at IS NULL AND seen_at IS NULL")
        .bind(at)
        .execute(&mut store.connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn time_is_staging_canary_pauses_and_the_rest() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let mut store = Store::open(&path).await.unwrap();
    let run = staged(&mut store, "night", &[("DK1", "fuwu")], Timestamp(500)).await;
    store.introduce(introduction("run", 1_000));
    store.begin_session(Some(&run)).await.unwrap();
    store
        .note_staging(Duration::from_millis(700))
        .await
        .unwrap();
    store.begin_to_push(&run, Timestamp(2_000)).await.unwrap();
    // The canary goes from 2.1 to 5.0; one pause lies in it, one reaches beyond it, one lasts until the end.
    sqlx::query(
        "INSERT INTO canary (run_id, asked, seed, devices, pause, chosen_at, passed_at, accepted, verdict) \
         VALUES (1, '1', 1, 1, 0, 2100, 5000, 1, 'passed')",
    )
    .execute(&mut store.connection)
    .await
    .unwrap();
    for (from, to) in [(3_000, 3_400), (4_800, 6_000)] {
        store
            .begin_pause("HTTP 503", Timestamp(from))
            .await
            .unwrap();
        store.end_pause(Timestamp(to)).await.unwrap();
    }
    store
        .begin_pause("HTTP 503", Timestamp(9_000))
        .await
        .unwrap();
    store
        .end_session(&end("signal"), Timestamp(10_000))
        .await
        .unwrap();
    let session = &sessions(&store).await[0];
    assert_eq!(
        (
            session.staging_ms,
            session.paused_ms,
            session.canary_ms,
            session.sending_ms
        ),
        (
            700,
            400 + 1_200 + 1_000,
            2_900 - 400 - 200,
            8_000 - 2_600 - 2_300
        )
    );
    assert_eq!(session.stop.as_deref(), Some("signal"));
    assert_eq!(
        (session.run, session.note.as_deref()),
        (Some(1), Some("CHG-1"))
    );
}

#[tokio::test]
async fn a_later_owner_keeps_what_a_killed_session_has_come_to_before_it_changes_anything() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.db");
    let mut store = Store::open(&path).await.unwrap();
    let devices: Vec<String> = (0..30).map(|n| format!("DK{n:02}")).collect();
    let rows: Vec<(&str, &str)> = devices.iter().map(|key| (key.as_str(), "fuwu")).collect();
    let run = staged(&mut store, "night", &rows, Timestamp(500)).await;
    store.introduce(introduction("run", 1_000));
    // Two requests of ten devices, of which every other fails.
    push(&mut store, &run, 2, Timestamp(4_000), |key| {
        if key.ends_with(['0', '2', '4', '6', '8']) {
            (
                Class::Rejected,
                crate::journal::Next::End(TaskState::Failed),
            )
        } else {
            (
                Class::Accepted,
                crate::journal::Next::End(TaskState::Accepted),
            )
        }
    })
    .await;
    pushed_since(&mut store, 2_000).await;
    store.close().await.unwrap();

    // Whoever opens the database next does not know it.
    let mut store = Store::open(&path).await.unwrap();
    let killed = sessions(&store).await.remove(0);
    assert_eq!(
        (killed.stop.as_deref(), killed.is_open),
        (Some("killed"), false)
    );
    let counts = |session: &SessionRow| {
        (
            session.sent,
            session.accepted,
            session.failed,
            session.requests,
        )
    };
    assert_eq!(counts(&killed), (20, 10, 10, 2));
    assert_eq!(killed.sending_ms, 2_000, "until its last request");
    store.introduce(introduction("resume", 60_000));
    let run = store.run_by_id(RunId(1)).await.unwrap().unwrap();
    push(&mut store, &run, 1, Timestamp(62_000), |_| {
        (
            Class::Accepted,
            crate::journal::Next::End(TaskState::Accepted),
        )
    })
    .await;
    pushed_since(&mut store, 61_000).await;
    let totals = store
        .end_session(&end("complete"), Timestamp(63_000))
        .await
        .unwrap();
    assert_eq!(
        totals.map(|totals| (totals.sent, totals.accepted)),
        Some((10, 10))
    );
    let all = sessions(&store).await;
    assert_eq!(counts(&all[0]), counts(&killed));
    assert_eq!((all[0].sending_ms, all[1].sending_ms), (2_000, 2_000));
    assert_eq!((all[0].ended_at.as_deref(), all[0].exit_code), (None, None));
    // Its numbers stay when its run goes.
    store.prune(run.id, Timestamp(70_000)).await.unwrap();
    assert_eq!(sessions(&store).await, all);
}

#[tokio::test]
async fn without_an_introduction_nothing_is_noted() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
    store.begin_session(None).await.unwrap();
    assert_eq!(
        store
            .end_session(&end("complete"), Timestamp(1))
            .await
            .unwrap(),
        None
    );
    assert_eq!(sessions(&store).await, []);
}
