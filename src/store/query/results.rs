//! Results of a run, a page at a time: the narrowest index gives the ids of the page, one statement reads their rows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use sqlx::Connection;

use super::{RunRow, optional_class};
use crate::{
    model::{Class, RunId, TaskFilter, TaskState, TaskStatus, Timestamp},
    store::db::DbConnection,
    store::{
        reader::{ReadError, Reader},
        select::{
            Candidates, PAGE, Selection, Tasks, Unknown, UnknownValue, label_names, missing_labels,
            source::Source, unknown, unknown_values,
        },
    },
};

/// One row of the view `results`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResultRow {
    /// The task; it has no meaning outside of this database.
    pub(crate) id: i64,
    /// The line of the manifest.
    pub line: i64,
    /// The product; none for an invalid row.
    pub product_key: Option<String>,
    /// The device, as written; empty for some invalid rows.
    pub device_key: String,
    pub status: TaskStatus,
    /// The class of its last outcome.
    pub class: Option<Class>,
    /// The code of its last outcome.
    pub code: Option<i64>,
    /// The platform's words, or ours.
    pub message: Option<String>,
    /// The ticket, exactly as the platform gave it.
    pub ticket: Option<String>,
    /// Sends, all of them.
    pub attempts: i64,
    /// The request of its last outcome, or the one in flight.
    pub request_id: Option<i64>,
    /// When it is due again.
    pub due_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The wire string; none for an invalid row.
    pub data: Option<String>,
    /// The row's labels: the text of a JSON object.
    pub labels: Option<String>,
    /// The payload's `qos`.
    pub qos: Option<i64>,
    /// The payload's `isCache`.
    pub is_cache: Option<bool>,
    /// The payload's `cacheTime`, in seconds.
    pub cache_time: Option<i64>,
    /// The payload's `isCover`.
    pub is_cover: Option<bool>,
    /// The payload's `extendPara`: the text of a JSON value.
    pub extend_para: Option<String>,
    /// What became of an accepted command, as far as evidence says; none of a task that is not accepted.
    pub delivery: Option<String>,
    /// The platform's time of the evidence.
    pub delivery_at: Option<Timestamp>,
}

/// Results, a page at a time. Each page is one read transaction, so its rows agree with each other and a long listing never keeps the
/// owner of the database from tidying up; a push under way may change tasks between two pages.
#[derive(Debug)]
pub(crate) struct ResultPages<'r> {
    pub(super) reader: &'r mut Reader,
    pub(super) run: RunId,
    selection: Selection,
    left: u64,
}

impl Reader {
    /// The run's results that pass the filter, at most so many. Failed tasks and those in doubt come grouped by class and code, the most
    /// frequent first.
    pub(crate) async fn results(
        &mut self,
        run: &RunRow,
        filter: TaskFilter,
        limit: Option<u64>,
    ) -> Result<ResultPages<'_>, ReadError> {
        // A row may have megabytes of data and of labels.
        let longest: i64 = sqlx::query_scalar(LONGEST)
            .bind(run.id.0)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        let page = (PAGE_BYTES / longest.max(1)).clamp(1, PAGE);
        let selection = Selection::begin(&mut self.connection, run.tasks(), filter, page)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(ResultPages {
            run: run.id,
            selection,
            left: limit.unwrap_or(u64::MAX),
            reader: self,
        })
    }

    /// The names of all labels of the run, in the order in which they come up.
    pub(crate) async fn label_names(&mut self, run: &RunRow) -> Result<Vec<String>, ReadError> {
        label_names(&mut self.connection, run.tasks())
            .await
            .map_err(|error| self.failure(error))
    }

    /// Those of the names that no task of the run has as a label.
    pub(crate) async fn missing_labels(
        &mut self,
        run: &RunRow,
        names: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<String>, ReadError> {
        missing_labels(&mut self.connection, run.tasks(), names)
            .await
            .map_err(|error| self.failure(error))
    }

    /// What the filter names and the run does not have, but for values of labels.
    pub(crate) async fn unknown(
        &mut self,
        run: &RunRow,
        filter: &TaskFilter,
    ) -> Result<Unknown, ReadError> {
        unknown(&mut self.connection, run.tasks(), filter)
            .await
            .map_err(|error| self.failure(error))
    }

    /// The values of labels that the filter names and no task has, for a filter that has found nothing: it reads the whole run.
    pub(crate) async fn unknown_values(
        &mut self,
        run: &RunRow,
        filter: &TaskFilter,
    ) -> Result<Vec<UnknownValue>, ReadError> {
        unknown_values(&mut self.connection, run.tasks(), filter)
            .await
            .map_err(|error| self.failure(error))
    }
}

impl RunRow {
    /// Where its tasks are.
    pub(in crate::store) fn tasks(&self) -> Tasks {
        Tasks {
            run: self.id,
            first: self.first_task,
            end: self.end_task,
        }
    }
}

impl ResultPages<'_> {
    /// Has device keys that the run does not have be noted on the way.
    #[must_use]
    pub(crate) fn noting_absent(mut self) -> Self {
        self.selection.note_absent();
        self
    }

    /// Device keys of the filter that the run does not have.
    pub(crate) async fn into_absent(self) -> Result<Vec<String>, ReadError> {
        self.selection
            .into_absent(&mut self.reader.connection)
            .await
            .map_err(|error| self.reader.failure(error))
    }

    /// The reader, for a question between two pages.
    pub(crate) fn reader(&mut self) -> &mut Reader {
        self.reader
    }

    /// The most rows of a page.
    pub(super) fn page(&self) -> i64 {
        self.selection.page()
    }

    /// The next rows; an empty page is the end.
    pub(crate) async fn next_page(&mut self) -> Result<Vec<ResultRow>, ReadError> {
        while self.left > 0 {
            let read = self.read().await;
            let Some((source, rows)) = read.map_err(|error| self.reader.failure(error))? else {
                break;
            };
            let filter = self.selection.filter();
            let mut page = Vec::with_capacity(rows.len());
            for raw in rows {
                let row = raw.into_row().map_err(|what| self.reader.damaged(what))?;
                if source.gives(row.status)
                    && filter.wants(row.status)
                    && filter.passes_outcome(row.class, row.code)
                {
                    page.push(row);
                }
            }
            page.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= page.len() as u64;
            if !page.is_empty() {
                return Ok(page);
            }
        }
        Ok(Vec::new())
    }

    /// The next candidates with their rows, in one transaction.
    async fn read(&mut self) -> Result<Option<(Source, Vec<RawRow>)>, sqlx::Error> {
        let mut transaction = self.reader.connection.begin().await?;
        let Some(Candidates { source, ids }) = self.selection.next(&mut transaction).await? else {
            return Ok(None);
        };
        let rows = read_rows(&mut transaction, self.run, &ids).await?;
        transaction.commit().await?;
        Ok(Some((source, rows)))
    }
}

/// The rows of these tasks, by task. They come as one text: each value of a row by itself costs sqlx an allocation and a lock, and each row a
/// message between threads. What they carry is read once for each payload.
pub(super) async fn read_rows(
    connection: &mut DbConnection,
    run: RunId,
    ids: &[i64],
) -> Result<Vec<RawRow>, sqlx::Error> {
    let text: String = sqlx::query_scalar(ROWS)
        .bind(serde_json::json!(ids).to_string())
        .bind(run.0)
        .bind(ids.iter().min().copied())
        .bind(ids.iter().max().copied())
        .fetch_one(&mut *connection)
        .await?;
    let mut rows: Vec<RawRow> =
        serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
    drop(text);
    rows.sort_unstable_by_key(|row| row.id);
    let used: BTreeSet<i64> = rows.iter().filter_map(|row| row.payload_id).collect();
    let payloads: Vec<RawPayload> = sqlx::query_as(PAYLOADS)
        .bind(serde_json::json!(used).to_string())
        .bind(run.0)
        .fetch_all(connection)
        .await?;
    let payloads: HashMap<i64, Arc<RawPayload>> = payloads
        .into_iter()
        .map(|payload| (payload.id, Arc::new(payload)))
        .collect();
    for row in &mut rows {
        row.payload = row.payload_id.and_then(|id| payloads.get(&id).cloned());
    }
    Ok(rows)
}

/// Bytes of a page, about. A listing has two of them: one that it writes, and one that it reads meanwhile.
const PAGE_BYTES: i64 = 4 << 20;

/// The longest data of a run. `octet_length` would read none of them whole; `length` of a blob is as good.
const LONGEST: &str = "SELECT coalesce(max(octet_length(data)), 0) FROM payload WHERE run_id = ?";

/// The rows of the run ?2 for the tasks in the JSON array ?1, of which ?3 is the first and ?4 the last, as a JSON array of arrays.
/// PostgreSQL does not look at other tasks of the run when it knows the bounds.
pub(in crate::store) const ROWS: &str = "
SELECT json_group_array(json_array(
    t.task, t.line, t.device_key, t.state, CAST(t.in_flight AS integer), t.class, t.code, t.message, t.ticket, t.attempts, t.request_id, t.due_at,
    t.finished_at, t.labels, t.payload_id, t.delivery, t.delivery_at
))
FROM json_each(?1) AS j CROSS JOIN raw_results AS t ON t.task = CAST(j.value AS bigint)
WHERE t.run = ?2 AND t.task >= ?3 AND t.task <= ?4";

/// The payloads of the run ?2 in the JSON array ?1.
const PAYLOADS: &str = "
SELECT p.id, p.product_key, p.data, p.qos, p.is_cache, p.cache_time, p.is_cover, p.extend_para
FROM json_each(?1) AS j CROSS JOIN payload AS p ON p.id = CAST(j.value AS bigint) WHERE p.run_id = ?2";

/// A row of [`ROWS`], whose columns these are, in their order.
#[derive(serde::Deserialize)]
pub(super) struct RawRow {
    pub(super) id: i64,
    line: i64,
    device_key: String,
    state: Option<i64>,
    in_flight: i64,
    class: Option<i64>,
    code: Option<i64>,
    message: Option<String>,
    ticket: Option<String>,
    attempts: i64,
    request_id: Option<i64>,
    due_at: Option<i64>,
    finished_at: Option<i64>,
    labels: Option<String>,
    payload_id: Option<i64>,
    delivery: Option<String>,
    delivery_at: Option<i64>,
    /// What it carries.
    #[serde(skip)]
    payload: Option<Arc<RawPayload>>,
}

/// A row of [`PAYLOADS`].
#[derive(sqlx::FromRow)]
struct RawPayload {
    id: i64,
    product_key: String,
    data: String,
    qos: Option<i64>,
    is_cache: Option<bool>,
    cache_time: Option<i64>,
    is_cover: Option<bool>,
    extend_para: Option<String>,
}

impl RawRow {
    /// The row in the words of the domain, or what is wrong with it.
    pub(super) fn into_row(self) -> Result<ResultRow, String> {
        let line = self.line;
        let status = match self.state {
            Some(state) => TaskStatus::Ended(
                TaskState::from_number(state)
                    .ok_or_else(|| format!("state {state} in the outcome of line {line}"))?,
            ),
            None if self.in_flight != 0 => TaskStatus::InFlight,
            None => TaskStatus::Pending,
        };
        let payload = self.payload.as_deref();
        Ok(ResultRow {
            id: self.id,
            line,
            product_key: payload.map(|payload| payload.product_key.clone()),
            device_key: self.device_key,
            status,
            class: optional_class(self.class)
                .map_err(|class| format!("class {class} in the outcome of line {line}"))?,
            code: self.code,
            message: self.message,
            ticket: self.ticket,
            attempts: self.attempts,
            request_id: self.request_id,
            due_at: self.due_at.map(Timestamp),
            finished_at: self.finished_at.map(Timestamp),
            data: payload.map(|payload| payload.data.clone()),
            labels: self.labels,
            qos: payload.and_then(|payload| payload.qos),
            is_cache: payload.and_then(|payload| payload.is_cache),
            cache_time: payload.and_then(|payload| payload.cache_time),
            is_cover: payload.and_then(|payload| payload.is_cover),
            extend_para: payload.and_then(|payload| payload.extend_para.clone()),
            delivery: self.delivery,
            delivery_at: self.delivery_at.map(Timestamp),
        })
    }
}

#[cfg(test)]
mod tests;
