//! What is older than what was delivered since, and what is not.

use tempfile::TempDir;

use super::*;
use crate::{
    journal::{
        Next,
        retry::{RetryPlan, plan, reopen},
        staleness::Leave,
    },
    model::{AfterFailure, Class, TaskFilter, TaskState, Timestamp},
    store::{
        sample::note_services,
        tests::pushed::{accepted, push, staged},
    },
};

const NOW: Timestamp = Timestamp(1_000_000);

const THREE: [(&str, &str); 3] = [("DK1", "fuwu"), ("DK2", "fuwu"), ("DK3", "fuwu")];

async fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("test.db")).await.unwrap();
    (folder, store)
}

fn rejected(_: &str) -> (Class, Next) {
    (Class::Rejected, Next::End(TaskState::Failed))
}

fn all_failed() -> TaskFilter {
    TaskFilter::ended(&[TaskState::Failed])
}

#[tokio::test]
async fn what_a_younger_run_has_delivered_makes_pending_tasks_stale() {
    let (_folder, mut store) = store().await;
    let old = staged(&mut store, "old", &THREE, NOW).await;
    assert_eq!(store.stale(&old).await.unwrap(), None);
    let new = staged(
        &mut store,
        "new",
        &[("DK2", "fuwu"), ("DK3", "fuwu"), ("DK9", "fuwu")],
        NOW,
    )
    .await;
    assert_eq!(store.stale(&old).await.unwrap(), None, "not yet");
    push(&mut store, &new, 1, NOW, accepted).await;
    let stale = Stale {
        devices: 2,
        example: "DK2".to_owned(),
        newer: "new".to_owned(),
    };
    assert_eq!(store.stale(&old).await.unwrap(), Some(stale.clone()));
    // Of two runs side by side only the older one is stale, also when it has delivered last.
    assert_eq!(store.stale(&new).await.unwrap(), None);
    // What a younger run has delivered stays delivered when it is pruned.
    store.prune(new.id, Timestamp(9_000_000)).await.unwrap();
    assert_eq!(store.stale(&old).await.unwrap(), Some(stale));
    // What has ended is no longer to be sent.
    push(&mut store, &old, 1, NOW, accepted).await;
    assert_eq!(store.stale(&old).await.unwrap(), None);
}

#[tokio::test]
async fn another_service_product_or_platform_is_another_matter() {
    let (_folder, mut store) = store().await;
    let old = staged(&mut store, "old", &THREE, NOW).await;
    let other = staged(&mut store, "other", &[("DK1", "reboot")], NOW).await;
    push(&mut store, &other, 1, NOW, accepted).await;
    assert_eq!(store.stale(&old).await.unwrap(), None, "service");
    let same = staged(&mut store, "same", &THREE, NOW).await;
    push(&mut store, &same, 1, NOW, accepted).await;
    for (what, sql, back) in [
        (
            "platform",
            "UPDATE run SET base_url = 'https://elsewhere.test' WHERE name = 'same'",
            "UPDATE run SET base_url = 'simulator' WHERE name = 'same'",
        ),
        (
            "product",
            "UPDATE payload SET product_key = 'OTHER' WHERE run_id = 3",
            "UPDATE payload SET product_key = 'PK' WHERE run_id = 3",
        ),
    ] {
        sqlx::query(sql)
            .execute(&mut store.connection)
            .await
            .unwrap();
        note_services(&mut store.connection).await;
        assert_eq!(store.stale(&old).await.unwrap(), None, "{what}");
        sqlx::query(back)
            .execute(&mut store.connection)
            .await
            .unwrap();
        note_services(&mut store.connection).await;
    }
    let stale = store.stale(&old).await.unwrap().unwrap();
    assert_eq!(stale.devices, 3);
}

#[tokio::test]
async fn a_younger_run_that_was_not_accepted_makes_nothing_stale() {
    let (_folder, mut store) = store().await;
    let old = staged(&mut store, "old", &THREE, NOW).await;
    let new = staged(&mut store, "new", &THREE, NOW).await;
    push(&mut store, &new, 1, NOW, |device| {
        if device == "DK1" {
            accepted(device)
        } else {
            rejected(device)
        }
    })
    .await;
    let stale = store.stale(&old).await.unwrap().unwrap();
    assert_eq!((stale.devices, stale.example.as_str()), (1, "DK1"));
}

#[tokio::test]
async fn what_an_older_run_has_delivered_makes_nothing_stale() {
    let (_folder, mut store) = store().await;
    let old = staged(&mut store, "old", &[("DK1", "fuwu")], NOW).await;
    let middle = staged(&mut store, "middle", &THREE, NOW).await;
    let new = staged(&mut store, "new", &[("DK2", "fuwu")], NOW).await;
    push(&mut store, &new, 1, NOW, accepted).await;
    push(&mut store, &old, 1, NOW, accepted).await;
    store.prune(old.id, Timestamp(9_000_000)).await.unwrap();
    let stale = store.stale(&middle).await.unwrap().unwrap();
    assert_eq!((stale.devices, stale.example.as_str()), (1, "DK2"));
}

#[tokio::test]
async fn a_retry_leaves_out_what_was_overtaken_unless_somebody_insists() {
    let (_folder, mut store) = store().await;
    let old = staged(&mut store, "old", &THREE, NOW).await;
    push(&mut store, &old, 1, NOW, rejected).await;
    let new = staged(&mut store, "new", &THREE[..2], NOW).await;
    push(&mut store, &new, 1, NOW, accepted).await;
    assert_eq!(store.stale(&old).await.unwrap(), None);
    let mut leave = Leave {
        stale: false,
        after_failure: AfterFailure::Block,
    };
    let filter = all_failed();
    let expected = RetryPlan {
        chosen: 1,
        stale: 2,
        example: Some("DK1".to_owned()),
        ..RetryPlan::default()
    };
    // To plan is to change nothing.
    for _ in 0..2 {
        let plan = plan(&mut store, &old, &filter, leave).await.unwrap();
        assert_eq!(plan, expected);
    }
    leave.stale = true;
    let insisting = plan(&mut store, &old, &filter, leave).await.unwrap();
    assert_eq!((insisting.chosen, insisting.stale), (3, 2));
    leave.stale = false;
    let done = reopen(&mut store, &old, &filter, leave, NOW).await.unwrap();
    assert_eq!(done, expected);
    let again = push(&mut store, &old, 1, NOW, accepted).await;
    assert_eq!(again, ["DK3"]);
}
