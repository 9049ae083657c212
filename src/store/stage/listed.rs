//! A run that is being staged, beside the platform's device lists.

use sqlx::QueryBuilder;

use super::{INVALID, Stager};
use crate::{
    model::{ListedState, TaskId, Timestamp},
    store::{StoreError, device_list::DeviceLists},
};

/// Tasks that are looked at together.
const RANGE: i64 = 20_000;
/// Tasks that one statement holds back.
const MOST: usize = 500;

/// What a device list says of a task's device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// It is there, in this state.
    Here(ListedState),
    /// It is listed under other products only.
    Elsewhere,
    /// No list that was read has it.
    Nowhere,
}

/// A row of the manifest and its device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListedRow {
    pub(crate) line: u64,
    pub(crate) device_key: String,
    pub(crate) product_key: String,
    /// The product under which the device is listed instead.
    pub(crate) listed_under: Option<String>,
}

/// A task, and what the lists say of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedTask {
    pub(crate) task: TaskId,
    pub(crate) row: ListedRow,
    pub(crate) listed: Listed,
}

type TaskRow = (
    i64,
    i64,
    String,
    String,
    bool,
    Option<bool>,
    Option<bool>,
    Option<bool>,
    Option<String>,
);

const TASKS: &str = "
SELECT t.id, t.line, t.device_key, p.product_key, d.device_key IS NOT NULL, d.online, d.activated, d.raw,
    CASE WHEN d.device_key IS NULL THEN
        (SELECT min(e.product_key) FROM temp.listed_device AS e
         WHERE e.device_key = t.device_key AND e.product_key = e.listed_under)
    END
FROM task AS t
CROSS JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?3
LEFT JOIN temp.listed_device AS d
    ON d.device_key = t.device_key AND d.listed_under = p.product_key AND d.product_key = p.product_key
WHERE t.id >= ?1 AND t.id < ?2 AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id)
    AND (d.device_key IS NULL OR d.online IS DISTINCT FROM 1 OR d.activated IS DISTINCT FROM 1 OR d.raw IS DISTINCT FROM 0)
ORDER BY t.id";

impl Stager<'_> {
    /// Device lists to hold its tasks against.
    pub(crate) async fn device_lists(&mut self) -> Result<DeviceLists<'_>, StoreError> {
        DeviceLists::new(&mut self.store.connection).await
    }

    /// The products of its tasks that may be sent, and how many tasks each has, once it is arranged.
    pub(crate) async fn products(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT p.product_key, count(*) FROM task AS t CROSS JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ? \
             WHERE t.id >= ? AND t.id < ? GROUP BY p.product_key ORDER BY p.product_key",
        )
        .bind(self.run.0)
        .bind(self.first_task)
        .bind(self.next_task)
        .fetch_all(&mut self.store.connection)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(product, tasks)| (product, tasks as u64))
            .collect())
    }

    /// The next tasks from `from` on of which the lists say anything but that all is well, and where to go on; `None` behind the last task.
    pub(crate) async fn listed_tasks(
        &mut self,
        from: Option<TaskId>,
    ) -> Result<Option<(Vec<ListedTask>, TaskId)>, StoreError> {
        let first = from.map_or(self.first_task, |task| task.0);
        if first >= self.next_task {
            return Ok(None);
        }
        let end = first.saturating_add(RANGE).min(self.next_task);
        let rows: Vec<TaskRow> = sqlx::query_as(TASKS)
            .bind(first)
            .bind(end)
            .bind(self.run.0)
            .fetch_all(&mut self.store.connection)
            .await?;
        let task = |row: TaskRow| {
            let (task, line, device_key, product_key, here, online, activated, raw, other) = row;
            ListedTask {
                task: TaskId(task),
                listed: match &other {
                    _ if here => Listed::Here(ListedState {
                        online,
                        activated,
                        raw,
                    }),
                    Some(_) => Listed::Elsewhere,
                    None => Listed::Nowhere,
                },
                row: ListedRow {
                    line: line as u64,
                    device_key,
                    product_key,
                    listed_under: other,
                },
            }
        };
        Ok(Some((rows.into_iter().map(task).collect(), TaskId(end))))
    }

    /// Records tasks as failed, class `invalid`, each with its reason. All that a device has of a product is to be recorded, so that nothing waits
    /// for what is never sent.
    pub(crate) async fn hold_back(
        &mut self,
        tasks: &[(TaskId, String)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let connection = &mut self.store.connection;
        INVALID
            .run(connection, tasks, |query, (task, reason)| {
                query.bind(task.0).bind(reason.as_str()).bind(now.0)
            })
            .await?;
        for tasks in tasks.chunks(MOST) {
            for statement in [
                "UPDATE task SET held = 1 WHERE id IN (",
                "DELETE FROM follower WHERE task_id IN (",
                "DELETE FROM follower WHERE previous_id IN (",
            ] {
                let mut query = QueryBuilder::new(statement);
                let mut ids = query.separated(",");
                for (task, _) in tasks {
                    ids.push_bind(task.0);
                }
                ids.push_unseparated(")");
                query.build().execute(&mut *connection).await?;
            }
        }
        self.invalid += tasks.len() as u64;
        self.held_back += tasks.len() as u64;
        if let Some(order) = &mut self.order
            && order.followers
        {
            order.followers = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM follower WHERE previous_id >= ? AND previous_id < ?)",
            )
            .bind(self.first_task)
            .bind(self.next_task)
            .fetch_one(connection)
            .await?;
        }
        Ok(())
    }
}
