//! First sends, read ahead of their claim in batches.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use serde::Deserialize;
use sqlx::SqliteConnection;

use super::Member;
use crate::{
    model::{PayloadId, TaskId},
    store::StoreError,
};

/// First sends, in the order in which they are laid out, as lists in one row: a row of its own for each costs several times as much.
pub(in crate::store) const FIRST_TASKS: &str = "SELECT json_group_array(id), json_group_array(payload_id), json_group_array(device_key) \
     FROM (SELECT id, payload_id, device_key FROM task WHERE id >= ? AND id < ? AND held = 0 ORDER BY id LIMIT ?)";

/// Tasks read ahead for first sends: at least this many …
const READ_LEAST: usize = 256;
/// … and at most this many.
pub(super) const READ_MOST: usize = 8192;

/// Bytes of keys that are read at once, about.
const LONGEST_KEYS: usize = 2 << 20;

/// First sends, read ahead of their claim. Tasks leave the first sends before the first of these reads or never, so that what has been
/// read stays true.
#[derive(Debug)]
pub(in crate::store) struct Ahead {
    tasks: VecDeque<First>,
    /// Where to read on.
    next: i64,
    /// The most tasks to read at once.
    most: usize,
    exhausted: bool,
}

/// A task that has never been sent.
#[derive(Debug)]
pub(super) struct First {
    pub(super) task: TaskId,
    pub(super) payload: PayloadId,
    pub(super) device_key: Arc<str>,
}

impl Ahead {
    pub(in crate::store) fn from(next: i64) -> Self {
        Self {
            tasks: VecDeque::new(),
            next,
            most: READ_MOST,
            exhausted: false,
        }
    }

    pub(super) async fn read(
        &mut self,
        connection: &mut SqliteConnection,
        end: TaskId,
        tasks: usize,
    ) -> Result<(), StoreError> {
        let most = tasks.clamp(READ_LEAST, READ_MOST).min(self.most);
        let (ids, payloads, keys): (String, String, String) = sqlx::query_as(FIRST_TASKS)
            .bind(self.next)
            .bind(end.0)
            .bind(most as i64)
            .fetch_one(connection)
            .await?;
        // Keys may be long.
        if keys.len() > LONGEST_KEYS {
            self.most = (most * LONGEST_KEYS / keys.len()).max(1);
        }
        let ids: Vec<i64> = list(&ids)?;
        let payloads: Vec<i64> = list(&payloads)?;
        let keys: Vec<Key<'_>> = list(&keys)?;
        self.exhausted = ids.len() < most;
        self.next = ids.last().map_or(self.next, |last| last + 1);
        let firsts = ids.into_iter().zip(payloads).zip(keys);
        self.tasks
            .extend(firsts.map(|((task, payload), Key(device_key))| First {
                task: TaskId(task),
                payload: PayloadId(payload),
                device_key: device_key.into(),
            }));
        Ok(())
    }

    /// Puts a chunk back that was taken last.
    pub(super) fn give_back(&mut self, payload: PayloadId, members: Vec<Member>) {
        for Member {
            task, device_key, ..
        } in members.into_iter().rev()
        {
            self.tasks.push_front(First {
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
        if let Ok(at) = self
            .tasks
            .binary_search_by_key(&task.0, |first| first.task.0)
        {
            self.tasks.remove(at);
        }
    }

    /// The tasks at the front that share a payload, at most `most`.
    pub(super) fn take_chunk(&mut self, most: usize) -> Option<(PayloadId, Vec<First>)> {
        let payload = self.tasks.front()?.payload;
        let size = self
            .tasks
            .iter()
            .take(most)
            .take_while(|task| task.payload == payload)
            .count();
        Some((payload, self.tasks.drain(..size).collect()))
    }
}

/// A device's key, borrowed from its list when it can be.
#[derive(Deserialize)]
struct Key<'l>(#[serde(borrow)] Cow<'l, str>);

fn list<'l, T: Deserialize<'l>>(json: &'l str) -> Result<Vec<T>, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Damaged(format!("the tasks to send are not a list: {error}")))
}
