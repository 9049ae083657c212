//! Sends in doubt that are due to be sent again, and the messages of the inbox about their devices.

use serde_json::json;
use sqlx::Row as _;

use super::{
    InboxMessage, StoreError,
    inbox::{InboxBeside, Since},
    resolve::{complete, in_doubt},
    writes::Writes,
};
use crate::model::{CLOCK_TOLERANCE, InDoubtTask, RequestId, TaskId, Timestamp};

/// A task whose last send is in doubt, and what was told of its device since the first of its doubtful sends.
#[derive(Debug, Clone)]
pub(crate) struct ToldDoubt {
    /// The task, with what else may have made a message.
    pub(crate) doubt: InDoubtTask,
    /// The request of its last send.
    pub(crate) request: RequestId,
    /// Its sends so far.
    pub(crate) sends: u32,
    /// Messages about its device, in the order in which they were recorded.
    pub(crate) messages: Vec<InboxMessage>,
}

/// Of tasks that are due, those whose last send is in doubt.
const DOUBTFUL: &str = "SELECT d.task_id, t.device_key, p.product_key, \
         (SELECT min(q.claimed_at) FROM attempt AS e JOIN request AS q ON q.id = e.request_id WHERE e.task_id = d.task_id AND e.class = 6) AS since \
     FROM json_each(?) AS j CROSS JOIN due AS d ON d.task_id = CAST(j.value AS bigint) \
     JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends AND a.class = 6 \
     JOIN task AS t ON t.id = d.task_id JOIN payload AS p ON p.id = d.payload_id AND p.run_id = d.run_id \
     ORDER BY d.task_id";

/// One of them, with what it carries.
const DOUBT: &str = "SELECT t.line, t.device_key, p.product_key, p.data, r.base_url, a.request_id, a.attempt, \
         (SELECT min(q.claimed_at) FROM attempt AS e JOIN request AS q ON q.id = e.request_id WHERE e.task_id = d.task_id AND e.class = 6) AS since \
     FROM due AS d JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends \
     JOIN task AS t ON t.id = d.task_id JOIN payload AS p ON p.id = d.payload_id AND p.run_id = d.run_id JOIN run AS r ON r.id = d.run_id \
     WHERE d.task_id = ?";

/// Those of these tasks whose last send is in doubt and of whose device an `INPUT` has come since.
pub(super) async fn told_doubts(
    writes: &mut Writes<'_>,
    inbox: &mut InboxBeside,
    tasks: &[TaskId],
    now: Timestamp,
) -> Result<Vec<TaskId>, StoreError> {
    if !inbox.is_there(now).await {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(DOUBTFUL)
        .bind(json!(tasks).to_string())
        .fetch_all(writes.connection().await?)
        .await?;
    let mut doubtful = Vec::with_capacity(rows.len());
    let mut devices = Vec::with_capacity(rows.len());
    for row in &rows {
        doubtful.push(TaskId(row.try_get("task_id")?));
        devices.push(Since {
            product_key: row.try_get("product_key")?,
            device_key: row.try_get("device_key")?,
            from: from(row.try_get("since")?),
        });
    }
    let connection = writes.connection().await?;
    let told = inbox.have_inputs(connection, &devices, now).await?;
    Ok(told
        .into_iter()
        .filter_map(|place| doubtful.get(place).copied())
        .collect())
}

/// One of those, with what it carries and what was told of its device.
pub(super) async fn told_doubt(
    writes: &mut Writes<'_>,
    inbox: &mut InboxBeside,
    task: TaskId,
    now: Timestamp,
) -> Result<Option<ToldDoubt>, StoreError> {
    let connection = writes.connection().await?;
    let row = sqlx::query(DOUBT)
        .bind(task.0)
        .fetch_one(&mut *connection)
        .await?;
    let mut doubt = in_doubt(task, &row)?;
    complete(&mut *connection, row.try_get("base_url")?, &mut doubt).await?;
    let since = Since {
        product_key: &doubt.product_key,
        device_key: &doubt.device_key,
        from: from(row.try_get("since")?),
    };
    let messages = inbox.of_device_since(connection, &since, now).await?;
    Ok(messages.map(|messages| ToldDoubt {
        doubt,
        request: RequestId(row.get("request_id")),
        sends: row.get("attempt"),
        messages,
    }))
}

/// From when on messages may be about a send, whose platform's clock may be behind.
fn from(claimed_at: i64) -> Timestamp {
    Timestamp(claimed_at).before(CLOCK_TOLERANCE)
}
