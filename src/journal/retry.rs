//! A retry: which tasks of a run are sent again, and which are left out.

use super::{
    retriable::of_filter,
    staleness::{DeviceLine, Leave, RetryDecision, retry_decisions},
};
use crate::{
    model::{TaskFilter, TaskId, Timestamp},
    store::{DeviceTask, Reader, RetryDraft, Run, Store, StoreError},
};

/// What a retry sends again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RetryPlan {
    /// Tasks that the filter chooses.
    pub(crate) chosen: u64,
    /// Tasks that were blocked by one of them, and go along.
    pub(crate) blocked: u64,
    /// Tasks left out because their devices have accepted the same service since, or sent all the same.
    pub(crate) stale: u64,
    /// One of the devices of those.
    pub(crate) example: Option<String>,
    /// Tasks left out because the one that blocked them has failed or is in doubt, and is not sent again.
    pub(crate) waiting: u64,
}

/// What a retry with this filter would send again. Changes nothing.
pub(crate) async fn plan(
    store: &mut Store,
    run: &Run,
    filter: &TaskFilter,
    leave: Leave,
) -> Result<RetryPlan, StoreError> {
    let mut draft = store.draft_retry(run, filter, of_filter(filter)).await?;
    let plan = decide(&mut draft, leave).await?;
    draft.abandon().await?;
    Ok(plan)
}

/// The same of a database that another process may own.
pub(crate) async fn foresee(
    reader: &mut Reader,
    run: &Run,
    filter: &TaskFilter,
    leave: Leave,
) -> Result<RetryPlan, StoreError> {
    let mut draft = reader.draft_retry(run, filter, of_filter(filter)).await?;
    let plan = decide(&mut draft, leave).await?;
    draft.abandon().await?;
    Ok(plan)
}

/// Opens the chosen tasks again, with a fresh budget of attempts.
pub(crate) async fn reopen(
    store: &mut Store,
    run: &Run,
    filter: &TaskFilter,
    leave: Leave,
    now: Timestamp,
) -> Result<RetryPlan, StoreError> {
    let mut draft = store.draft_retry(run, filter, of_filter(filter)).await?;
    let plan = decide(&mut draft, leave).await?;
    draft.commit(now).await?;
    Ok(plan)
}

async fn decide(draft: &mut RetryDraft<'_>, leave: Leave) -> Result<RetryPlan, StoreError> {
    let mut plan = RetryPlan::default();
    let mut after = String::new();
    loop {
        let page = draft.devices_with_several(&after).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.device_key);
        let mut left_out = Vec::new();
        for device in page.chunk_by(|one, next| {
            (&one.device_key, &one.product_key) == (&next.device_key, &next.product_key)
        }) {
            decide_device(device, leave, &mut plan, &mut left_out);
        }
        draft.leave_out(&left_out).await?;
    }
    // The others have one task each, so that only a younger run can have overtaken them.
    let overtaken = draft.overtaken_alone().await?;
    plan.stale += overtaken.tasks;
    plan.example = plan.example.or(overtaken.example);
    if !leave.stale {
        draft.leave_out_overtaken().await?;
    }
    (plan.chosen, plan.blocked) = draft.counts().await?;
    Ok(plan)
}

fn decide_device(
    device: &[DeviceTask],
    leave: Leave,
    plan: &mut RetryPlan,
    left_out: &mut Vec<TaskId>,
) {
    let lines: Vec<DeviceLine<'_>> = device
        .iter()
        .map(|task| DeviceLine {
            task: task.task,
            ended: task.ended,
            wanted: task.wanted,
            overtaken: task.overtaken,
            services: &task.services,
        })
        .collect();
    let decided = retry_decisions(&lines, leave);
    // What would be left out if nobody insisted is told all the same.
    let by_rule = retry_decisions(
        &lines,
        Leave {
            stale: false,
            ..leave
        },
    );
    for ((task, decision), rule) in device.iter().zip(&decided).zip(&by_rule) {
        if *rule == RetryDecision::Stale {
            plan.stale += 1;
            plan.example.get_or_insert_with(|| task.device_key.clone());
        }
        if *decision == RetryDecision::Waits {
            plan.waiting += 1;
        }
        // What goes along was taken along when the draft was made; it goes only when its blocker does.
        if !matches!(decision, RetryDecision::Sent | RetryDecision::Along) {
            left_out.push(task.task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{AfterFailure, Class, TaskState};

    const RULE: Leave = Leave {
        stale: false,
        after_failure: AfterFailure::Block,
    };

    fn task(task: i64, ended: (TaskState, Class), wanted: bool) -> DeviceTask {
        DeviceTask {
            task: TaskId(task),
            device_key: format!("D{task}"),
            product_key: "PK".into(),
            ended: Some((ended.0, Some(ended.1))),
            wanted,
            overtaken: false,
            services: Arc::new([Some("fuwu".into())]),
        }
    }

    /// What is planned for a device, and what is left out of the draft.
    fn planned(device: &[DeviceTask], leave: Leave) -> (RetryPlan, Vec<i64>) {
        let (mut plan, mut left_out) = (RetryPlan::default(), Vec::new());
        decide_device(device, leave, &mut plan, &mut left_out);
        (plan, left_out.iter().map(|task| task.0).collect())
    }

    #[test]
    fn what_is_left_out_is_counted_by_its_reason() {
        let doubt = (TaskState::InDoubt, Class::InDoubt);
        let blocked = (TaskState::Failed, Class::Blocked);
        let waiting = [
            task(1, doubt, false),
            task(2, blocked, true),
            task(3, blocked, true),
        ];
        let (plan, left_out) = planned(&waiting, RULE);
        assert_eq!((plan.waiting, plan.stale), (2, 0));
        assert_eq!((plan.example, left_out), (None, vec![1, 2, 3]));

        let failed = (TaskState::Failed, Class::Offline);
        let accepted = (TaskState::Accepted, Class::Accepted);
        let stale = [
            task(4, failed, true),
            task(5, failed, true),
            task(6, accepted, false),
            task(7, failed, true),
        ];
        let (plan, left_out) = planned(&stale, RULE);
        assert_eq!((plan.waiting, plan.stale), (0, 2));
        assert_eq!(
            (plan.example.as_deref(), left_out),
            (Some("D4"), vec![4, 5, 6])
        );
        // Whoever insists is told all the same.
        let insists = Leave {
            stale: true,
            ..RULE
        };
        let (plan, left_out) = planned(&stale, insists);
        assert_eq!((plan.stale, left_out), (2, vec![6]));
    }
}
