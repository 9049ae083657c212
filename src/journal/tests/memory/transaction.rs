//! What the store in memory answers.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    time::Duration,
};

use super::{Copy, PRODUCT};
use crate::{
    model::{BundleId, Class, Payload, PayloadId, RequestId, TaskId, Timestamp},
    store::{
        Blocker, Bundle, Changes, CommonTask, DueTask, FirstTask, Gate, NextTask, ProbeTask,
        PushTransaction, RefusalKey, RefusalRow, StoreError, ToldDoubt, Whole,
    },
};

impl PushTransaction for Copy<'_> {
    async fn write(&mut self, changes: Changes, now: Timestamp) -> Result<(), StoreError> {
        self.rows.apply(changes, now);
        Ok(())
    }

    async fn request_numbers(&mut self) -> Result<Range<i64>, StoreError> {
        let last = self.rows.requests.keys().last().map_or(0, |id| id.0);
        Ok(last + 1..i64::MAX)
    }

    async fn whole(&mut self) -> Result<Option<Whole>, StoreError> {
        Ok(None)
    }

    async fn gate(&mut self) -> Result<Gate, StoreError> {
        Ok(self.rows.gate)
    }

    async fn common_tasks(
        &mut self,
        tasks: &[TaskId],
        _: Duration,
    ) -> Result<HashMap<TaskId, CommonTask>, StoreError> {
        let common = tasks
            .iter()
            .filter_map(|task| Some((*task, self.rows.common.get(task)?.clone())));
        Ok(common.collect())
    }

    async fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.rows.next_due())
    }

    async fn due_tasks(
        &mut self,
        now: Timestamp,
        most: usize,
        suspects: bool,
    ) -> Result<Vec<DueTask>, StoreError> {
        let rows = &self.rows;
        let due = rows.waiting_by(now, |due| (due.not_before, due.bundle, due.payload));
        Ok(due
            .into_iter()
            .filter(|due| suspects || !rows.is_suspect(due.bundle))
            .take(most)
            .map(|due| rows.due_task(due, due.bundle))
            .collect())
    }

    async fn blocked_due(
        &mut self,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<TaskId>, StoreError> {
        let due = self.rows.waiting_by(now, |due| due.task);
        let blocked = due
            .iter()
            .filter(|due| due.class == Some(Class::Blocked))
            .map(|due| due.task);
        Ok(blocked.take(most).collect())
    }

    async fn probe_task(
        &mut self,
        now: Timestamp,
        probed: &[PayloadId],
    ) -> Result<Option<ProbeTask>, StoreError> {
        let rows = &self.rows;
        let due = rows.waiting_by(now, |due| {
            (
                rows.is_suspect(due.bundle),
                probed.contains(&due.payload),
                due.bundle.is_some(),
                due.history.sends,
                due.not_before,
            )
        });
        let best = due
            .into_iter()
            .find(|due| due.class != Some(Class::Blocked));
        Ok(best.map(|due| ProbeTask {
            due: rows.due_task(due, due.bundle.filter(|_| rows.is_suspect(due.bundle))),
            probed: probed.contains(&due.payload),
        }))
    }

    async fn first_tasks(
        &mut self,
        from: TaskId,
        end: TaskId,
        most: usize,
    ) -> Result<Vec<FirstTask>, StoreError> {
        Ok(self
            .rows
            .tasks
            .range(from..end)
            .filter(|(_, task)| !task.held)
            .take(most)
            .map(|(id, task)| FirstTask {
                task: *id,
                payload: task.payload,
                device_key: task.device_key.as_str().into(),
            })
            .collect())
    }

    async fn payload_of(&mut self, task: TaskId) -> Result<Option<PayloadId>, StoreError> {
        Ok(self.rows.tasks.get(&task).map(|task| task.payload))
    }

    async fn payload(&mut self, id: PayloadId) -> Result<Payload, StoreError> {
        Ok(Payload::plain(PRODUCT, self.rows.payloads[&id].0.as_str()))
    }

    async fn next_tasks(&mut self, ended: &[TaskId]) -> Result<Vec<NextTask>, StoreError> {
        let rows = &self.rows;
        let mut next: Vec<NextTask> = ended
            .iter()
            .filter_map(|previous| {
                let mut task = rows.follower(*previous)?;
                while rows.ended.contains_key(&task) {
                    task = rows.follower(task)?;
                }
                let sends = rows.attempts.keys().filter(|(of, _)| *of == task);
                Some(NextTask {
                    previous: *previous,
                    line: rows.tasks[previous].line,
                    task,
                    payload: rows.tasks[&task].payload,
                    sends: sends.map(|(_, number)| *number).max().unwrap_or(0),
                })
            })
            .collect();
        next.sort_by_key(|next| next.task);
        Ok(next)
    }

    async fn blockers(&mut self, tasks: &[TaskId]) -> Result<Vec<Blocker>, StoreError> {
        let rows = &self.rows;
        let blockers = tasks.iter().filter_map(|task| {
            let previous = rows.tasks[task].previous?;
            Some(Blocker {
                task: *task,
                sends: rows.due[task].due.history.sends,
                line: rows.tasks[&previous].line,
                state: rows.ended.get(&previous)?.0,
            })
        });
        Ok(blockers.collect())
    }

    async fn told_doubts(
        &mut self,
        tasks: &[TaskId],
        _now: Timestamp,
    ) -> Result<Vec<TaskId>, StoreError> {
        let told = |task: &&TaskId| self.rows.told.contains_key(*task);
        Ok(tasks.iter().filter(told).copied().collect())
    }

    async fn told_doubt(
        &mut self,
        task: TaskId,
        _now: Timestamp,
    ) -> Result<Option<ToldDoubt>, StoreError> {
        Ok(self.rows.told.get(&task).cloned())
    }

    fn take_trouble(&mut self) -> Option<String> {
        None
    }

    async fn throttled_until(
        &mut self,
        tasks: &[TaskId],
        now: Timestamp,
    ) -> Result<HashMap<TaskId, Timestamp>, StoreError> {
        let rows = &self.rows;
        let until = tasks.iter().filter_map(|task| {
            let device = rows.tasks[task].device_key.clone();
            let (at, until) = rows.throttles.get(&(device, PRODUCT.to_owned()))?;
            (*until > now && *at <= now).then_some((*task, *until))
        });
        Ok(until.collect())
    }

    async fn halves(&mut self, bundles: &[BundleId]) -> Result<Vec<Bundle>, StoreError> {
        let rows = &self.rows;
        let parents: BTreeSet<RequestId> = bundles
            .iter()
            .map(|bundle| rows.bundles[bundle].0.parent)
            .collect();
        Ok(rows
            .bundles
            .values()
            .filter(|(bundle, _)| parents.contains(&bundle.parent))
            .map(|(bundle, passed)| Bundle {
                id: bundle.bundle,
                parent: bundle.parent,
                parent_devices: rows.requests[&bundle.parent].0.devices as u32,
                devices: bundle.devices as u32,
                passed: *passed,
                of_size: bundle.of_size,
            })
            .collect())
    }

    async fn refusals(&mut self, keys: &[RefusalKey]) -> Result<Vec<RefusalRow>, StoreError> {
        let all = self.rows.refusals.iter();
        Ok(all
            .filter(|refusal| keys.contains(&refusal.key))
            .cloned()
            .collect())
    }

    async fn is_accepted(&mut self, key: &RefusalKey) -> Result<bool, StoreError> {
        Ok(match key.payload {
            Some(payload) => self.rows.payloads[&payload].1,
            None => {
                &*key.product_key == PRODUCT && self.rows.payloads.values().any(|(_, yes)| *yes)
            }
        })
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        *self.memory = self.rows.clone();
        Ok(())
    }

    async fn roll_back(self) {}
}
