//! Runs that are staged and pushed by hand, a request at a time.

use crate::{
    journal::{Claim, ClaimLimits, Journal, Next, Record, RequestEnd, Settlement},
    model::{
        AfterFailure, Class, History, Outcome, Payload, Row, RunState, TaskState, Ticket, Timestamp,
    },
    store::{FinishedRequest, NewRun, Run, Store},
};

/// Stages a run at the simulator: for each device its key and the service that it is to call. The product is PK.
pub(in crate::store) async fn staged(
    store: &mut Store,
    name: &str,
    devices: &[(&str, &str)],
    now: Timestamp,
) -> Run {
    let about = NewRun {
        name: name.into(),
        manifest: "test.csv".into(),
        manifest_sha256: "0".repeat(64),
        defaults: "{}".into(),
        base_url: "simulator".into(),
        manifest_path: None,
        identity: format!("identity of {name}"),
    };
    let mut stager = store.stage(&about, 10, now).await.unwrap();
    let rows = devices
        .iter()
        .zip(2..)
        .map(|((device_key, service), line)| Row {
            line,
            device_key: (*device_key).into(),
            payload: Payload::plain("PK", format!(r#"[{{"{service}":[{{"run":"{name}"}}]}}]"#))
                .into(),
            labels: None,
        })
        .collect();
    stager.rows(rows).await.unwrap();
    stager.finish(now).await.unwrap().run
}

/// Sends at most so many requests of ten devices, each of which ends as `ends`; gives the keys of the devices. The run is complete when
/// nothing is left, else stopped.
pub(in crate::store) async fn push(
    store: &mut Store,
    run: &Run,
    requests: usize,
    now: Timestamp,
    ends: impl Fn(&str) -> (Class, Next),
) -> Vec<String> {
    store.hold_run(run).await.unwrap();
    let mut journal = Journal::open(store, run.clone(), AfterFailure::Block)
        .await
        .unwrap();
    journal.begin(now).await.unwrap();
    journal.defer_throttled(now).await.unwrap();
    let mut limits = ClaimLimits {
        probe: false,
        requests,
        chunk_size: 10,
        now,
    };
    let claims = journal.exchange(vec![], limits).await.unwrap().claims;
    let devices = claims
        .iter()
        .flat_map(|claim| &claim.members)
        .map(|member| member.device_key.to_string())
        .collect();
    let records = claims
        .into_iter()
        .map(|claim| back(claim, now, &ends))
        .collect();
    limits.requests = 0;
    journal.exchange(records, limits).await.unwrap();
    let state = match journal.counts().pending {
        0 => RunState::Complete,
        _ => RunState::Stopped,
    };
    journal.end(state, now).await.unwrap();
    devices
}

/// Every device accepts.
pub(in crate::store) fn accepted(_: &str) -> (Class, Next) {
    (Class::Accepted, Next::End(TaskState::Accepted))
}

/// A reply to a claim.
fn back(claim: Claim, now: Timestamp, ends: impl Fn(&str) -> (Class, Next)) -> Record {
    // Numbers of requests are not the same in a file and on a server.
    let sent = claim.members.first().map_or(0, |first| first.task.0);
    let tasks = claim
        .members
        .iter()
        .map(|member| {
            let (class, next) = ends(&member.device_key);
            Settlement {
                next_task_at: None,
                outcome: Outcome {
                    class,
                    code: None,
                    message: None,
                    ticket: Ticket::new(&format!("T{sent}")).filter(|_| class == Class::Accepted),
                },
                history: History {
                    sends: member.history.sends + 1,
                    ..member.history
                },
                next,
            }
        })
        .collect();
    let finished = FinishedRequest::answered(claim.request, Some(200), now);
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
