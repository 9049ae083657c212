//! What is written about the tasks of requests that have ended.

use super::{
    request::{Claim, Next, Settlement},
    task_end::TaskEnd,
    throttled::throttle_of,
};
use crate::{
    model::{BundleId, Timestamp},
    store::{Attempt, Changes, Due, EndedTask},
};

/// What follows for tasks, gathered over all requests of an exchange.
#[derive(Debug, Default)]
pub(super) struct TaskChanges {
    pub(super) due: Vec<Due>,
    pub(super) ended: Vec<TaskEnd>,
}

impl TaskChanges {
    /// Tasks of a request that was not sent are pending as before.
    pub(super) fn release(&mut self, claim: Claim, now: Timestamp) {
        self.due.extend(claim.members.into_iter().map(|member| Due {
            task: member.task,
            payload: claim.payload_id,
            bundle: claim.bundle,
            not_before: now,
            class: member.class,
            history: member.history,
        }));
    }

    /// Tasks of a request that was sent; `halves` are the bundles of a request that is split.
    pub(super) fn settle(
        &mut self,
        changes: &mut Changes,
        claim: Claim,
        tasks: Vec<Settlement>,
        halves: [Option<BundleId>; 2],
        now: Timestamp,
    ) {
        let alone = tasks.len() == 1;
        for (member, settlement) in claim.members.into_iter().zip(tasks) {
            changes.throttles.extend(throttle_of(
                &claim.payload,
                &member,
                alone,
                &settlement,
                now,
            ));
            let Settlement {
                outcome,
                history,
                next,
                next_task_at,
            } = settlement;
            let (bundle, not_before) = match next {
                Next::End(state) => {
                    self.ended.push(TaskEnd {
                        task: EndedTask {
                            task: member.task,
                            state,
                            class: Some(outcome.class),
                            code: outcome.code,
                            message: outcome.message,
                            ticket: outcome.ticket,
                            request: Some(claim.request),
                            sends: history.sends,
                        },
                        was_due: member.was_due,
                        next_task_at,
                    });
                    continue;
                }
                Next::Again {
                    due_at,
                    keep_bundle,
                } => (claim.bundle.filter(|_| keep_bundle), due_at),
                Next::Split { second_half } => (halves[usize::from(second_half)], now),
            };
            self.due.push(Due {
                task: member.task,
                payload: claim.payload_id,
                bundle,
                not_before,
                class: Some(outcome.class),
                history,
            });
            changes.attempts.push(Attempt {
                task: member.task,
                number: history.sends,
                request: claim.request,
                outcome,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        BundleStatus, Class, History, Outcome, Payload, PayloadId, RequestId, TaskId,
    };

    /// A throttle of a request as a whole.
    fn throttled(devices: i64) -> Changes {
        let claim = Claim {
            request: RequestId(7),
            payload_id: PayloadId(1),
            payload: Arc::new(Payload::plain("PK", "[1]")),
            bundle: None,
            bundle_status: BundleStatus::default(),
            members: (1..=devices)
                .map(|task| crate::store::Member::never_sent(TaskId(task), "DK".into()))
                .collect(),
        };
        let settlement = || Settlement {
            outcome: Outcome {
                class: Class::Frequency,
                code: Some(61007),
                message: None,
                ticket: None,
            },
            history: History::default(),
            next: Next::Again {
                due_at: Timestamp(9),
                keep_bundle: true,
            },
            next_task_at: None,
        };
        let tasks = (0..devices).map(|_| settlement()).collect();
        let mut changes = Changes::default();
        TaskChanges::default().settle(&mut changes, claim, tasks, [None, None], Timestamp(1));
        changes
    }

    #[test]
    fn a_throttle_of_a_whole_request_is_the_devices_own_only_when_it_was_alone() {
        assert_eq!(throttled(1).throttles.len(), 1);
        assert_eq!(throttled(2).throttles.len(), 0);
    }
}
