//! Claims: how first sends and repeated ones share them, and that the parts of a request that was split stay apart.

use tempfile::TempDir;

use crate::{
    journal::{Claim, ClaimLimits, Journal, Next, Record, RequestEnd, Settlement},
    model::{
        AfterFailure, Class, History, Outcome, Payload, Row, TaskId, TaskState, Ticket, Timestamp,
    },
    store::{FinishedRequest, NewRun, Store},
};

const NOW: Timestamp = Timestamp(1_000);

/// A row of a manifest.
fn row(line: u64, device_key: &str, data: &str) -> Row {
    Row {
        line,
        device_key: device_key.into(),
        payload: Payload::plain("PK", data).into(),
        labels: None,
    }
}

/// A store with a run of so many devices and one payload.
async fn staged(folder: &TempDir, devices: u64) -> Store {
    let rows = (0..devices).map(|n| row(n + 2, &format!("DK{n:05}"), "[1]"));
    staged_rows(folder, rows.collect()).await
}

/// A store with a run of these rows.
async fn staged_rows(folder: &TempDir, rows: Vec<Row>) -> Store {
    let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
    let about = NewRun {
        name: "test".into(),
        manifest: "test.csv".into(),
        manifest_path: None,
        manifest_sha256: "0".repeat(64),
        defaults: "{}".into(),
        base_url: "simulator".into(),
        identity: "1".repeat(64),
    };
    let mut stager = store.stage(&about, 10, NOW).await.unwrap();
    stager.rows(rows).await.unwrap();
    stager.finish(NOW).await.unwrap();
    store
}

async fn journal(store: &mut Store) -> Journal<'_> {
    let run = store.run_by_name("test").await.unwrap().unwrap();
    Journal::open(store, run, AfterFailure::Block)
        .await
        .unwrap()
}

fn limits(requests: usize, chunk_size: u32) -> ClaimLimits {
    ClaimLimits {
        probe: false,
        requests,
        chunk_size,
        now: NOW,
    }
}

/// A claim that came back, and what follows for its n-th member.
fn back(claim: Claim, next: impl Fn(usize) -> Next) -> Record {
    let tasks = claim
        .members
        .iter()
        .enumerate()
        .map(|(n, member)| {
            let next = next(n);
            let is_accepted = next == Next::End(TaskState::Accepted);
            Settlement {
                outcome: Outcome {
                    class: if is_accepted {
                        Class::Accepted
                    } else {
                        Class::Transient
                    },
                    code: None,
                    message: None,
                    ticket: Ticket::new("1").filter(|_| is_accepted),
                },
                history: History {
                    sends: member.history.sends + 1,
                    ..member.history
                },
                next,
                next_task_at: None,
            }
        })
        .collect();
    let finished = FinishedRequest::answered(claim.request, None, NOW);
    Record {
        claim,
        end: RequestEnd::Sent {
            finished,
            passed: None,
            together: None,
            refused: None,
            tasks,
        },
    }
}

const AGAIN: Next = Next::Again {
    due_at: NOW,
    keep_bundle: true,
};

/// Of these claims, how many are first sends, and how many are not.
fn shares(claims: &[Claim]) -> (usize, usize) {
    let first = claims
        .iter()
        .filter(|claim| claim.members[0].history.sends == 0)
        .count();
    (first, claims.len() - first)
}

#[tokio::test]
async fn due_tasks_and_first_sends_share_each_claim_by_halves() {
    let folder = TempDir::new().unwrap();
    let mut store = staged(&folder, 4000).await;
    let mut journal = journal(&mut store).await;
    let claims = journal
        .exchange(vec![], limits(200, 10))
        .await
        .unwrap()
        .claims;
    assert_eq!(shares(&claims), (200, 0));
    // 2,000 tasks are due now, and 2,000 have never been sent.
    let records = claims
        .into_iter()
        .map(|claim| back(claim, |_| AGAIN))
        .collect();
    journal.exchange(records, limits(0, 10)).await.unwrap();
    for _ in 0..3 {
        let claims = journal
            .exchange(vec![], limits(8, 10))
            .await
            .unwrap()
            .claims;
        assert_eq!(shares(&claims), (4, 4));
    }
    // Of three requests the odd one goes to each of them in turn, and so does a single one.
    for most in [3, 1] {
        let mut total = (0, 0);
        for _ in 0..10 {
            let claims = journal
                .exchange(vec![], limits(most, 10))
                .await
                .unwrap()
                .claims;
            let (first, due) = shares(&claims);
            assert!(due <= most.div_ceil(2), "{due} of {most}");
            total = (total.0 + first, total.1 + due);
        }
        assert_eq!(total, (5 * most, 5 * most), "in claims of {most}");
    }
}

#[tokio::test]
async fn what_is_due_gets_all_when_no_first_send_is_left_and_the_other_way_round() {
    let folder = TempDir::new().unwrap();
    let mut store = staged(&folder, 80).await;
    let mut journal = journal(&mut store).await;
    let claims = journal
        .exchange(vec![], limits(8, 10))
        .await
        .unwrap()
        .claims;
    assert_eq!(shares(&claims), (8, 0), "nothing else is due");
    let records = claims
        .into_iter()
        .map(|claim| back(claim, |_| AGAIN))
        .collect();
    let claims = journal
        .exchange(records, limits(8, 10))
        .await
        .unwrap()
        .claims;
    assert_eq!(shares(&claims), (0, 8), "nothing else is left");
}

#[tokio::test]
async fn parts_of_a_split_request_stay_apart_whatever_becomes_of_them() {
    let folder = TempDir::new().unwrap();
    let mut store = staged(&folder, 8).await;
    let mut journal = journal(&mut store).await;
    let mut claims = journal
        .exchange(vec![], limits(4, 100))
        .await
        .unwrap()
        .claims;
    assert_eq!(claims.len(), 1);
    let whole = claims.remove(0);
    let tasks =
        |claim: &Claim| -> Vec<TaskId> { claim.members.iter().map(|member| member.task).collect() };
    let halves: Vec<Vec<TaskId>> = tasks(&whole).chunks(4).map(<[_]>::to_vec).collect();
    let split = back(whole, |n| Next::Split {
        second_half: n >= 4,
    });
    let mut records = vec![split];
    // Both are due at the same time, and a request has room for both; a failure in passing changes nothing of that.
    for _ in 0..3 {
        let claims = journal
            .exchange(records, limits(4, 100))
            .await
            .unwrap()
            .claims;
        let found: Vec<Vec<TaskId>> = claims.iter().map(tasks).collect();
        assert_eq!(found, halves);
        records = claims
            .into_iter()
            .map(|claim| back(claim, |_| AGAIN))
            .collect();
    }
}

#[tokio::test]
async fn a_device_with_very_many_tasks_is_blocked_in_pieces_and_a_crash_loses_none() {
    const TASKS: u64 = 1500;
    let folder = TempDir::new().unwrap();
    // No two in a row are alike, so that none is a duplicate.
    let rows = (0..TASKS).map(|n| row(n + 2, "DK", &format!("[{}]", n % 2)));
    let mut store = staged_rows(&folder, rows.collect()).await;
    {
        let mut journal = journal(&mut store).await;
        let mut claims = journal
            .exchange(vec![], limits(4, 10))
            .await
            .unwrap()
            .claims;
        assert_eq!(claims.len(), 1);
        let rejected = back(claims.remove(0), |_| Next::End(TaskState::Failed));
        journal
            .exchange(vec![rejected], limits(0, 10))
            .await
            .unwrap();
        let failed = journal.counts().failed;
        assert!((2..TASKS / 2).contains(&failed), "{failed}");
    }
    // What a crash would leave is all on the disk.
    store.close().await.unwrap();
    let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
    let mut journal = journal(&mut store).await;
    let mut pieces = 0;
    while journal.counts().pending > 0 {
        let before = journal.counts().failed;
        let exchange = journal.exchange(vec![], limits(1, 10)).await.unwrap();
        assert!(exchange.claims.is_empty() && exchange.more);
        let ended = journal.counts().failed - before;
        assert!((1..TASKS / 2).contains(&ended), "{ended}");
        pieces += 1;
    }
    assert!(pieces > 1, "{pieces}");
    assert_eq!(journal.counts().failed, TASKS);
    let named: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM outcome AS o JOIN task AS t ON t.id = o.task_id \
         WHERE o.class = 11 AND o.message = 'not sent: the device''s task of line ' || (t.line - 1) || ' ended as failed'",
    )
    .fetch_one(&mut store.connection)
    .await
    .unwrap();
    assert_eq!(named.unsigned_abs(), TASKS - 1);
    let due: i64 = sqlx::query_scalar("SELECT count(*) FROM due")
        .fetch_one(&mut store.connection)
        .await
        .unwrap();
    assert_eq!(due, 0);
}

#[tokio::test]
async fn large_payloads_wait_for_room_and_all_of_them_go() {
    let folder = TempDir::new().unwrap();
    let data = |n: u64| format!("[{n},\"{}\"]", "x".repeat(4 << 20));
    let rows = (0..6).map(|n| row(n + 2, &format!("DK{n}"), &data(n)));
    let mut store = staged_rows(&folder, rows.collect()).await;
    let mut journal = journal(&mut store).await;
    let (mut records, mut sizes) = (vec![], vec![]);
    for again in [true, false] {
        for _ in 0..3 {
            let exchange = journal
                .exchange(std::mem::take(&mut records), limits(8, 10))
                .await
                .unwrap();
            sizes.push((exchange.claims.len(), exchange.full));
            let next = |_| {
                if again {
                    AGAIN
                } else {
                    Next::End(TaskState::Accepted)
                }
            };
            let claims = exchange.claims.into_iter();
            records.extend(claims.map(|claim| back(claim, next)));
        }
    }
    // Sent again, they need room again.
    assert!(sizes.iter().all(|(claims, _)| *claims <= 5), "{sizes:?}");
    assert!(sizes[0].1, "{sizes:?}");
    while journal.counts().pending > 0 {
        let claims = journal
            .exchange(std::mem::take(&mut records), limits(8, 10))
            .await
            .unwrap()
            .claims
            .into_iter();
        records.extend(claims.map(|claim| back(claim, |_| Next::End(TaskState::Accepted))));
    }
    assert_eq!(journal.counts().accepted, 6);
}
