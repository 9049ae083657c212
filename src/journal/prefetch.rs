//! First sends that were read in batches before they are claimed.

use std::collections::VecDeque;

use crate::{
    model::{PayloadId, TaskId},
    store::{FirstTask, Member},
};

/// Tasks read ahead for first sends: at least this many …
const READ_LEAST: usize = 256;
/// … and at most this many.
pub(super) const READ_MOST: usize = 8192;

/// Bytes of keys that are read at once, about.
const LONGEST_KEYS: usize = 2 << 20;

/// First sends, read ahead of their claim. Tasks leave the first sends before the first of these reads, so that what has been read stays
/// true; only a task that becomes a probe before its turn leaves them later, and is [removed](Self::remove) here.
#[derive(Debug)]
pub(super) struct Prefetch {
    tasks: VecDeque<FirstTask>,
    /// Where to read on.
    next: TaskId,
    /// The most tasks to read at once.
    most: usize,
    exhausted: bool,
}

impl Prefetch {
    pub(super) fn from(next: TaskId) -> Self {
        Self {
            tasks: VecDeque::new(),
            next,
            most: READ_MOST,
            exhausted: false,
        }
    }

    /// What to read, when so many tasks are wanted: from which id on, and how many at most.
    pub(super) fn wants(&self, tasks: usize) -> (TaskId, usize) {
        let most = tasks.clamp(READ_LEAST, READ_MOST).min(self.most);
        (self.next, most)
    }

    /// Takes what has been read; it was asked for so many.
    pub(super) fn fill(&mut self, read: Vec<FirstTask>, most: usize) {
        // Keys may be long.
        let bytes: usize = read.iter().map(|first| first.device_key.len()).sum();
        if bytes > LONGEST_KEYS {
            self.most = (most * LONGEST_KEYS / bytes).max(1);
        }
        self.exhausted = read.len() < most;
        if let Some(last) = read.last() {
            self.next = TaskId(last.task.0 + 1);
        }
        self.tasks.extend(read);
    }

    /// Puts a chunk back that was taken last.
    pub(super) fn give_back(&mut self, payload: PayloadId, members: Vec<Member>) {
        for Member {
            task, device_key, ..
        } in members.into_iter().rev()
        {
            self.tasks.push_front(FirstTask {
                task,
                payload,
                device_key,
            });
        }
    }

    /// How many tasks have been read and not been taken.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether the database has no more of them.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether none is left, neither here nor in the database.
    pub(super) fn is_empty(&self) -> bool {
        self.exhausted && self.tasks.is_empty()
    }

    /// The payload of the task at the front.
    pub(super) fn front(&self) -> Option<PayloadId> {
        Some(self.tasks.front()?.payload)
    }

    /// Takes a task out that is to go another way.
    pub(super) fn remove(&mut self, task: TaskId) {
        if let Ok(at) = self.tasks.binary_search_by_key(&task, |first| first.task) {
            self.tasks.remove(at);
        }
    }

    /// The tasks at the front that share a payload, at most `most`.
    pub(super) fn take_chunk(&mut self, most: usize) -> Option<(PayloadId, Vec<Member>)> {
        let payload = self.tasks.front()?.payload;
        let size = self
            .tasks
            .iter()
            .take(most)
            .take_while(|task| task.payload == payload)
            .count();
        let members = self
            .tasks
            .drain(..size)
            .map(|first| Member::never_sent(first.task, first.device_key))
            .collect();
        Some((payload, members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(task: i64, payload: i64, key: &str) -> FirstTask {
        FirstTask {
            task: TaskId(task),
            payload: PayloadId(payload),
            device_key: key.into(),
        }
    }

    proptest! {
        /// Whatever is read, put back and taken, every task comes once, in its order, with its payload.
        #[test]
        fn every_task_is_taken_once_in_order(payloads in prop::collection::vec(0_i64..3, 0..700), sizes in prop::collection::vec((1_usize..40, any::<bool>()), 1..60)) {
            let all: Vec<FirstTask> = (1..).zip(&payloads).map(|(id, payload)| first(id, *payload, "DK")).collect();
            let mut prefetch = Prefetch::from(TaskId(1));
            let mut taken = Vec::new();
            let mut sizes = sizes.into_iter().cycle();
            while !prefetch.is_empty() {
                let (size, back) = sizes.next().unwrap();
                if prefetch.len() < size && !prefetch.is_exhausted() {
                    let (from, most) = prefetch.wants(size);
                    let read: Vec<FirstTask> = all.iter().filter(|first| first.task >= from).take(most).cloned().collect();
                    prefetch.fill(read, most);
                    continue;
                }
                let Some((payload, members)) = prefetch.take_chunk(size) else { continue };
                prop_assert!((1..=size).contains(&members.len()));
                if back {
                    prefetch.give_back(payload, members);
                    let (same, members) = prefetch.take_chunk(1).unwrap();
                    prop_assert_eq!(same, payload);
                    taken.extend(members.into_iter().map(|member| (member.task, payload)));
                } else {
                    taken.extend(members.into_iter().map(|member| (member.task, payload)));
                }
            }
            let expected: Vec<_> = all.iter().map(|first| (first.task, first.payload)).collect();
            prop_assert_eq!(taken, expected);
        }
    }

    #[test]
    fn long_keys_are_read_a_few_at_a_time() {
        let mut prefetch = Prefetch::from(TaskId(1));
        let (_, most) = prefetch.wants(usize::MAX);
        assert_eq!(most, READ_MOST);
        let long = "K".repeat(LONGEST_KEYS / 4);
        let read = (1..=READ_LEAST as i64)
            .map(|id| first(id, 1, &long))
            .collect();
        prefetch.fill(read, READ_LEAST);
        assert!(!prefetch.is_exhausted());
        assert_eq!(
            prefetch.wants(usize::MAX),
            (TaskId(READ_LEAST as i64 + 1), 4)
        );
    }

    #[test]
    fn keys_of_just_that_length_are_read_as_many_as_ever() {
        let mut prefetch = Prefetch::from(TaskId(1));
        let key = "K".repeat(LONGEST_KEYS / READ_LEAST);
        let read = (1..=READ_LEAST as i64).map(|id| first(id, 1, &key));
        prefetch.fill(read.collect(), READ_LEAST);
        assert_eq!(prefetch.len(), READ_LEAST);
        assert_eq!(prefetch.wants(usize::MAX).1, READ_MOST);
        prefetch.take_chunk(6);
        assert_eq!(prefetch.len(), READ_LEAST - 6);
    }

    #[test]
    fn what_goes_another_way_is_not_taken() {
        let mut prefetch = Prefetch::from(TaskId(1));
        prefetch.fill((1..=3).map(|id| first(id, 1, "DK")).collect(), 256);
        prefetch.remove(TaskId(2));
        prefetch.remove(TaskId(9));
        let (_, members) = prefetch.take_chunk(9).unwrap();
        let tasks: Vec<i64> = members.iter().map(|member| member.task.0).collect();
        assert_eq!(tasks, [1, 3]);
        assert!(prefetch.is_empty());
    }
}
