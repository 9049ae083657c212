//! Results of a run, a page at a time: the narrowest index gives the ids of the page, one statement reads their rows.

use std::collections::VecDeque;

use sqlx::{Connection, SqliteConnection};

use super::{
    RunRow,
    filter::Filter,
    optional_class,
    source::{PAGE, Source, candidates, plan},
};
use crate::{
    model::{Class, TaskState, TaskStatus, Timestamp},
    store::reader::{ReadError, Reader},
};

/// One row of the view `results`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The line of the manifest.
    pub line: i64,
    /// The product; none for an invalid row.
    pub product_key: Option<String>,
    /// The device, as written; empty for some invalid rows.
    pub device_key: String,
    /// The status of the task.
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
}

/// Results, a page at a time. Each page is one read transaction, so its rows agree with each other and a long listing never keeps the
/// owner of the database from tidying up; a push under way may change tasks between two pages.
#[derive(Debug)]
pub struct ResultPages<'r> {
    reader: &'r mut Reader,
    run: RunRow,
    filter: Filter,
    sources: VecDeque<Source>,
    /// The first source has given all ids before this one.
    from: i64,
    left: u64,
    /// Rows of a page.
    page: i64,
}

impl Reader {
    /// The run's results that pass the filter. Failed tasks and those in doubt come grouped by class and code, the most frequent first.
    pub async fn results(
        &mut self,
        run: &RunRow,
        filter: Filter,
    ) -> Result<ResultPages<'_>, ReadError> {
        let endings = self.breakdown(run.id).await?;
        // A row may have megabytes of data and of labels.
        let longest: i64 = sqlx::query_scalar(LONGEST)
            .bind(run.id.0)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        let page = (PAGE_BYTES / longest.max(1)).clamp(1, PAGE);
        Ok(ResultPages {
            sources: plan(&filter, &endings),
            from: run.first_task,
            left: filter.limit.unwrap_or(u64::MAX),
            run: run.clone(),
            filter,
            page,
            reader: self,
        })
    }
}

impl ResultPages<'_> {
    /// The next rows; an empty page is the end.
    pub async fn next_page(&mut self) -> Result<Vec<ResultRow>, ReadError> {
        while self.left > 0
            && let Some(source) = self.sources.front()
        {
            let source = source.clone();
            let (ids, rows) = read_page(
                &mut self.reader.connection,
                &self.run,
                &source,
                self.from,
                self.page,
            )
            .await
            .map_err(|error| self.reader.failure(error))?;
            match ids.last() {
                Some(last) if ids.len() as i64 == self.page => self.from = last + 1,
                _ => {
                    self.sources.pop_front();
                    self.from = self.run.first_task;
                }
            }
            let mut page = Vec::with_capacity(rows.len());
            for raw in rows {
                let row = raw.into_row().map_err(|what| self.reader.damaged(what))?;
                if source.gives(row.status)
                    && self.filter.wants(row.status)
                    && self.filter.passes_outcome(row.class, row.code)
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
}

/// Bytes of a page, about.
const PAGE_BYTES: i64 = 8 << 20;

/// The longest data of a run. `octet_length` would read none of them whole; `length` of a blob is as good.
const LONGEST: &str = "SELECT coalesce(max(octet_length(data)), 0) FROM payload WHERE run_id = ?";

/// The ids of a source's next candidates, and the rows of them.
async fn read_page(
    connection: &mut SqliteConnection,
    run: &RunRow,
    source: &Source,
    from: i64,
    most: i64,
) -> Result<(Vec<i64>, Vec<RawRow>), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let ids = candidates(&mut transaction, run, source, from, most).await?;
    let list = serde_json::json!(ids).to_string();
    let rows = sqlx::query_as(ROWS)
        .bind(list)
        .bind(run.id.0)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((ids, rows))
}

/// The rows of the tasks in a JSON array of ids. What stands in each column is what the view `results` says.
const ROWS: &str = "
SELECT
    t.line, p.product_key, t.device_key, coalesce(o.state, g.first_task IS NOT NULL OR NULL) AS state,
    d.request_id IS NOT NULL OR (
        d.task_id IS NULL AND t.held = 0 AND EXISTS (
            SELECT 1 FROM request AS q
            WHERE q.finished_at IS NULL AND q.run_id = ?2 AND q.first_task <= t.id AND q.end_task > t.id
        )
    ) AS in_flight,
    coalesce(o.class, g.first_task IS NOT NULL OR NULL, d.class) AS class,
    CASE WHEN o.task_id IS NOT NULL THEN o.code ELSE coalesce(g.code, a.code) END AS code,
    CASE WHEN o.task_id IS NOT NULL THEN o.message WHEN g.first_task IS NOT NULL THEN g.message ELSE a.message END AS message,
    CASE WHEN o.task_id IS NOT NULL THEN CAST(o.ticket AS TEXT)
        ELSE CAST(substr(g.tickets, (t.id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) AS TEXT) END AS ticket,
    coalesce(o.attempts, g.first_task IS NOT NULL OR NULL, d.sends, (SELECT max(attempt) FROM attempt WHERE task_id = t.id), 0)
        AS attempts,
    coalesce(o.request_id, g.request_id, d.request_id, a.request_id) AS request_id,
    d.due_at, coalesce(o.finished_at, g.finished_at) AS finished_at, p.data, t.labels
FROM json_each(?1) AS j
CROSS JOIN task AS t ON t.id = j.value
LEFT JOIN payload AS p ON p.id = t.payload_id
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= t.id) AND g.end_task > t.id
LEFT JOIN due AS d ON d.task_id = t.id
LEFT JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends
ORDER BY t.id";

#[derive(sqlx::FromRow)]
struct RawRow {
    line: i64,
    product_key: Option<String>,
    device_key: String,
    state: Option<i64>,
    in_flight: bool,
    class: Option<i64>,
    code: Option<i64>,
    message: Option<String>,
    ticket: Option<String>,
    attempts: i64,
    request_id: Option<i64>,
    due_at: Option<i64>,
    finished_at: Option<i64>,
    data: Option<String>,
    labels: Option<String>,
}

impl RawRow {
    /// The row in the words of the domain, or what is wrong with it.
    fn into_row(self) -> Result<ResultRow, String> {
        let line = self.line;
        let status = match self.state {
            Some(state) => TaskStatus::Ended(
                TaskState::from_number(state)
                    .ok_or_else(|| format!("state {state} in the outcome of line {line}"))?,
            ),
            None if self.in_flight => TaskStatus::InFlight,
            None => TaskStatus::Pending,
        };
        Ok(ResultRow {
            line,
            product_key: self.product_key,
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
            data: self.data,
            labels: self.labels,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::RunId,
        store::{
            query::source::{DEVICE, DUE, IN_FLIGHT, TROUBLE},
            sample,
        },
    };

    fn as_the_view(row: &ResultRow) -> serde_json::Value {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        serde_json::json!([
            row.line,
            row.product_key,
            row.device_key,
            row.status.name(),
            row.class.map(Class::name),
            row.code,
            row.message,
            row.ticket,
            row.attempts,
            row.request_id,
            text(row.due_at),
            text(row.finished_at),
            row.data,
            row.labels,
        ])
    }

    async fn view(reader: &mut Reader, run: RunId) -> Vec<serde_json::Value> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT json_array(line, product_key, device_key, state, class, code, message, ticket, attempts, request_id, due_at,
                               finished_at, data, labels)
             FROM results WHERE run = ? ORDER BY line",
        )
        .bind(run.0)
        .fetch_all(&mut reader.connection)
        .await
        .unwrap();
        rows.iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect()
    }

    async fn listed(reader: &mut Reader, run: &RunRow, filter: Filter) -> Vec<ResultRow> {
        let mut pages = reader.results(run, filter).await.unwrap();
        let mut rows = Vec::new();
        loop {
            let page = pages.next_page().await.unwrap();
            if page.is_empty() {
                return rows;
            }
            rows.extend(page);
        }
    }

    /// Every filter that the sample can tell apart, against the view filtered by hand.
    #[tokio::test]
    async fn every_filter_gives_what_the_view_gives() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let mut reader = Reader::open(&path).await.unwrap();
        let mut statuses: Vec<Vec<TaskStatus>> = TaskStatus::ALL.map(|status| vec![status]).into();
        statuses.push(Vec::new());
        statuses.push(vec![
            TaskStatus::Ended(TaskState::Failed),
            TaskStatus::Pending,
        ]);
        statuses.push(TaskStatus::ALL.into());
        let mut classes: Vec<Vec<Class>> = Class::ALL.map(|class| vec![class]).into();
        classes.push(Vec::new());
        classes.push(vec![Class::Accepted, Class::Offline, Class::Frequency]);
        let codes: [&[i64]; 5] = [&[], &[0], &[61007], &[70091], &[70091, 61007]];
        let devices: [&[&str]; 5] = [&[], &["DK01"], &["DK09"], &[""], &["DK09", "DK01", "DK09"]];

        for run in reader.runs().await.unwrap() {
            let view = view(&mut reader, run.id).await;
            assert_eq!(view.len() as u64, run.counts.tasks);
            for statuses in &statuses {
                for classes in &classes {
                    for codes in codes {
                        for devices in devices {
                            let filter = Filter {
                                statuses: statuses.clone(),
                                classes: classes.clone(),
                                codes: codes.to_vec(),
                                devices: devices.iter().map(ToString::to_string).collect(),
                                limit: None,
                            };
                            let expected: Vec<_> = view
                                .iter()
                                .filter(|row| {
                                    (statuses.is_empty()
                                        || statuses.iter().any(|status| row[3] == status.name()))
                                        && (classes.is_empty()
                                            || classes.iter().any(|class| row[4] == class.name()))
                                        && (codes.is_empty()
                                            || codes.iter().any(|code| row[5] == *code))
                                        && (devices.is_empty()
                                            || devices.iter().any(|device| row[2] == *device))
                                })
                                .cloned()
                                .collect();
                            let mut rows: Vec<_> = listed(&mut reader, &run, filter.clone())
                                .await
                                .iter()
                                .map(as_the_view)
                                .collect();
                            rows.sort_by_key(|row| row[0].as_i64());
                            assert_eq!(rows, expected, "{filter:?}");
                        }
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn the_limit_holds_across_sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let mut reader = Reader::open(&path).await.unwrap();
        let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
        for (limit, rows) in [(0, 0), (1, 1), (3, 3), (4, 4), (5, 4)] {
            let filter = Filter {
                statuses: vec![TaskStatus::Ended(TaskState::Failed)],
                limit: Some(limit),
                ..Filter::default()
            };
            assert_eq!(
                listed(&mut reader, &run, filter).await.len(),
                rows,
                "{limit}"
            );
        }
    }

    /// The run fills two pages and a half, failed and pending tasks alternating.
    #[tokio::test]
    async fn pages_lose_and_repeat_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::alternating(folder.path(), 2500).await;
        let mut reader = Reader::open(&path).await.unwrap();
        let run = reader.find_run(None).await.unwrap();
        let failed = Filter {
            statuses: vec![TaskStatus::Ended(TaskState::Failed)],
            ..Filter::default()
        };
        let pending = Filter {
            statuses: vec![TaskStatus::Pending],
            ..Filter::default()
        };
        for (filter, first, step) in [(Filter::default(), 1, 1), (failed, 2, 2), (pending, 1, 2)] {
            let lines: Vec<i64> = listed(&mut reader, &run, filter)
                .await
                .iter()
                .map(|row| row.line)
                .collect();
            assert_eq!(lines, (first..=2500).step_by(step).collect::<Vec<_>>());
        }
        let mut pages = reader
            .results(
                &run,
                Filter {
                    limit: Some(1500),
                    ..Filter::default()
                },
            )
            .await
            .unwrap();
        let mut sizes = Vec::new();
        for _ in 0..3 {
            sizes.push(pages.next_page().await.unwrap().len());
        }
        assert_eq!(sizes, [1000, 500, 0]);
    }

    /// What makes the listing of failures as quick at ten million tasks as at ten: no step of it scans a table.
    #[tokio::test]
    async fn narrow_sources_search_and_never_scan() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let mut reader = Reader::open(&path).await.unwrap();
        for sql in [TROUBLE, DEVICE, IN_FLIGHT, DUE, ROWS] {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                    .fetch_all(&mut reader.connection)
                    .await
                    .unwrap();
            for (.., step) in plan {
                assert!(
                    !step.starts_with("SCAN") || step.contains("VIRTUAL TABLE"),
                    "{step}\n{sql}"
                );
            }
        }
    }
}
