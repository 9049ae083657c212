//! After a crash: whatever was claimed and has no end may have been sent, and is in doubt.

use std::time::Duration;

use crate::{
    journal::{ClaimLimits, Journal, Next, Record, RequestEnd, Settlement},
    model::{Class, InDoubt, Outcome, Timestamp},
    policy,
    store::{FinishedRequest, StoreError},
};

/// Gives every request without an end one: each of its tasks gets an attempt in doubt, and what `in_doubt` says follows, for what may still be
/// under way not before it has ended. Gives the number of tasks concerned.
pub(crate) async fn recover(
    journal: &mut Journal<'_>,
    in_doubt: InDoubt,
    under_way_for: Duration,
    now: Timestamp,
) -> Result<u64, StoreError> {
    const WHAT: &str = "no reply was recorded: the process ended between the claim and the reply";
    let mut tasks = 0;
    for request in journal.unfinished().await? {
        let claim = journal.reopen(request).await?;
        tasks += claim.members.len() as u64;
        let settlements = claim
            .members
            .iter()
            .map(|member| {
                let (disposition, history) =
                    policy::after_crash(member.history, now.after(under_way_for), in_doubt);
                Settlement {
                    outcome: Outcome {
                        class: Class::InDoubt,
                        code: None,
                        message: Some(WHAT.into()),
                        ticket: None,
                    },
                    history,
                    next: Next::of(disposition, true),
                    next_task_at: None,
                }
            })
            .collect();
        let record = Record {
            claim,
            end: RequestEnd::Sent {
                finished: FinishedRequest {
                    error: Some(WHAT.into()),
                    released: false,
                    ..FinishedRequest::released(request, now)
                },
                passed: None,
                together: None,
                refused: None,
                tasks: settlements,
            },
        };
        let nothing = ClaimLimits {
            probe: false,
            requests: 0,
            chunk_size: 1,
            now,
        };
        journal.exchange(vec![record], nothing).await?;
    }
    Ok(tasks)
}
