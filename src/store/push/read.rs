//! Rows of a push, as they are read.

use std::{borrow::Cow, time::Duration};

use serde::Deserialize;
use sqlx::Row as _;

use crate::{
    model::{BundleId, Class, History, PayloadId, RequestId, TaskId},
    store::{
        StoreError,
        db::DbRow,
        row::{DueTask, Member, RefusalKey, RefusalRow},
    },
};

pub(super) fn due_task(row: &DbRow) -> Result<DueTask, StoreError> {
    let bundle: Option<i64> = row.try_get("bundle_id")?;
    Ok(DueTask {
        payload: PayloadId(row.try_get("payload_id")?),
        bundle: bundle.map(BundleId),
        member: member(row, true)?,
    })
}

/// A member of a request, from a row with its columns of `due`.
pub(in crate::store) fn member(row: &DbRow, was_due: bool) -> Result<Member, StoreError> {
    let class: Option<i64> = row.try_get("class")?;
    let snoozed_ms: i64 = row.try_get("snoozed_ms")?;
    Ok(Member {
        task: TaskId(row.try_get("task_id")?),
        device_key: row.try_get::<&str, _>("device_key")?.into(),
        history: History {
            sends: row.try_get("sends")?,
            attempts: row.try_get("attempts")?,
            throttles: row.try_get("throttles")?,
            snoozed: Duration::from_millis(snoozed_ms.unsigned_abs()),
            offline_retries: row.try_get("offline_retries")?,
        },
        class: class.and_then(Class::from_number),
        was_due,
    })
}

/// The refusals of a payload or product, from a row of `refusal`.
pub(in crate::store) fn refusal(row: &DbRow) -> Result<RefusalRow, StoreError> {
    let payload: Option<i64> = row.try_get("payload_id")?;
    Ok(RefusalRow {
        key: RefusalKey {
            payload: payload.map(PayloadId),
            product_key: row.try_get("product_key")?,
        },
        code: row.try_get("code")?,
        request: RequestId(row.try_get("request_id")?),
        requests: row.try_get("requests")?,
        devices: row.try_get("devices")?,
        ended: row.try_get("ended")?,
    })
}

/// A device's key, borrowed from its list when it can be.
#[derive(Deserialize)]
pub(super) struct Key<'l>(#[serde(borrow)] pub(super) Cow<'l, str>);

pub(super) fn list<'l, T: Deserialize<'l>>(json: &'l str) -> Result<Vec<T>, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Damaged(format!("the tasks to send are not a list: {error}")))
}
