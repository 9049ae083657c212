//! The memory of throttled devices: written with each throttled reply, and heeded when a push begins, so that a device is left alone for
//! as long as planned whichever run comes next.

use std::{collections::HashMap, sync::Arc};

use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use super::{
    Journal, Member, Next, Settlement, StoreError,
    bulk::Bulk,
    journal::Lookup,
    owner::BEGIN,
    record::{Due, is_snooze},
    writes::Writes,
};
use crate::model::{Class, Payload, TaskId, Timestamp};

#[cfg(test)]
mod tests;

/// A throttled reply, as it is remembered of its device.
#[derive(Debug)]
pub(super) struct Throttle {
    device_key: Arc<str>,
    payload: Arc<Payload>,
    class: Class,
    until: Timestamp,
}

impl Throttle {
    /// What a settled send says of its device, when it was throttled.
    pub(super) fn of(
        payload: &Arc<Payload>,
        member: &Member,
        alone: bool,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Option<Self> {
        let class = settlement.outcome.class;
        let until = match settlement.next {
            _ if !is_snooze(Some(class)) => return None,
            Next::Again {
                keep_bundle: true, ..
            } if !alone => return None,
            Next::Again { due_at, .. } => due_at,
            // The pause was too much for the task, and the device needs it all the same.
            Next::End(_) => now.after(
                settlement
                    .history
                    .snoozed
                    .saturating_sub(member.history.snoozed),
            ),
            // Said of several devices together, it is not known to be true of this one.
            Next::Split { .. } => return None,
        };
        Some(Self {
            device_key: Arc::clone(&member.device_key),
            payload: Arc::clone(payload),
            class,
            until,
        })
    }
}

static REMEMBER: Bulk = Bulk::insert(
    "INSERT INTO device_throttle (device_key, product_key, class, throttled_at, until)",
    "(?,?,?,?,?)",
    "ON CONFLICT DO UPDATE SET class = excluded.class, throttled_at = excluded.throttled_at, until = excluded.until",
);

/// Remembers these throttles.
pub(super) async fn remember(
    writes: &mut Writes<'_>,
    mut throttles: Vec<Throttle>,
    now: Timestamp,
) -> Result<(), StoreError> {
    throttles.sort_unstable_by(|one, other| one.device_key.cmp(&other.device_key));
    writes
        .bulk(&REMEMBER, &throttles, |values, throttle| {
            values
                .bind(&*throttle.device_key)
                .bind(&*throttle.payload.product_key)
                .bind(throttle.class as u8)
                .bind(now.0)
                .bind(throttle.until.0)
        })
        .await?;
    Ok(())
}

/// Puts off tasks that become due while their devices are to be left alone.
pub(super) async fn put_off(
    connection: &mut SqliteConnection,
    due: &mut [Due],
    now: Timestamp,
) -> Result<(), StoreError> {
    let tasks: Vec<TaskId> = due.iter().map(|due| due.task).collect();
    let until: HashMap<i64, i64> = sqlx::query_as(
        "SELECT t.id, h.until FROM json_each(?1) AS j JOIN task AS t ON t.id = j.value JOIN payload AS p ON p.id = t.payload_id \
         JOIN device_throttle AS h ON h.device_key = t.device_key AND h.product_key = p.product_key WHERE h.until > ?2 AND h.throttled_at <= ?2",
    )
    .bind(json!(tasks).to_string())
    .bind(now.0)
    .fetch_all(connection)
    .await?
    .into_iter()
    .collect();
    for due in due {
        if let Some(until) = until.get(&due.task.0) {
            due.not_before = due.not_before.max(Timestamp(*until));
        }
    }
    Ok(())
}

/// Devices to be left alone that have a task in this run. A throttle of the future is a clock's that was ahead.
macro_rules! to_be_left_alone {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM device_throttle AS h \
             CROSS JOIN device_task AS d ON d.run_id = ?1 AND d.device_key = h.device_key \
             CROSS JOIN task AS t ON t.id = d.task_id \
             CROSS JOIN payload AS p ON p.id = t.payload_id AND p.product_key = h.product_key ",
            $rest,
            " WHERE h.until > ?2 AND h.throttled_at <= ?2"
        )
    };
}

/// First sends that are not to be made yet.
pub(super) const EARLY_FIRST: &str = to_be_left_alone!(
    "INSERT INTO due (task_id, run_id, payload_id, due_at, class) SELECT t.id, ?1, t.payload_id, h.until, h.class",
    "AND t.held = 0 AND t.id >= ?3"
);

/// Tasks that are due before the pause of their device ends. Not materialised, each throttled device would be held against each task;
/// without the sign, all of `due` would be read.
pub(super) const EARLY_DUE: &str = concat!(
    "WITH early (id, until) AS MATERIALIZED (",
    to_be_left_alone!(
        "SELECT t.id, h.until",
        "CROSS JOIN due AS w ON w.task_id = t.id AND w.due_at < h.until"
    ),
    ") UPDATE due SET due_at = early.until FROM early WHERE due.task_id = +early.id"
);

impl Journal<'_> {
    /// Puts off the tasks of devices that are to be left alone for longer, and gives how many. They leave the first sends, since those go
    /// out in the order of their ids; nothing of the pause counts towards `--max-snooze`. Has to come before the first claim, and again
    /// when a canary has passed: until then `due` has nothing but the canary's tasks.
    pub async fn leave_alone(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let (store, ledger) = self.parts();
        let run = ledger.run.id.0;
        let mut transaction = store.connection.begin_with(BEGIN).await?;
        let due = sqlx::query(EARLY_DUE)
            .bind(run)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        let first = if ledger.canary.is_open() {
            0
        } else {
            sqlx::query(EARLY_FIRST)
                .bind(run)
                .bind(now.0)
                .bind(ledger.next_task)
                .execute(&mut *transaction)
                .await?
                .rows_affected()
        };
        if first > 0 {
            sqlx::query(
                "UPDATE task SET held = 1 FROM (SELECT task_id FROM due WHERE run_id = ?1 AND task_id >= ?2 ORDER BY task_id) AS later \
                 WHERE task.id = later.task_id AND task.held = 0",
            )
            .bind(run)
            .bind(ledger.next_task)
            .execute(&mut *transaction)
            .await?;
        }
        let latest: Option<i64> = sqlx::query_scalar(
            "SELECT max(due_at) FROM due WHERE run_id = ? AND due_at IS NOT NULL",
        )
        .bind(run)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        ledger.snoozing += first;
        ledger.latest_due = latest.map(Timestamp);
        ledger.next_due = Lookup::Unknown;
        Ok(first + due)
    }
}
