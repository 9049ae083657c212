//! The tasks of a run that a filter chooses, page by page. The narrowest index yields ids; conditions without an index are checked only for
//! these. The owner uses it for what is sent again, and readers for what they list.

mod devices;
mod known;
pub(super) mod source;

use std::collections::VecDeque;

use serde_json::json;

use self::{
    devices::Batches,
    source::{Source, candidates, plan},
};
use super::{db::DbConnection, tally::endings};
use crate::model::{RunId, TaskFilter};

#[cfg(test)]
pub(super) use devices::{ABSENT, KEYS_AFTER, KEYS_FROM};
pub(crate) use known::{Unknown, UnknownValue};
pub(super) use known::{label_names, missing_labels, unknown, unknown_values};

/// Tasks in one page.
pub(super) const PAGE: i64 = 1000;

/// Where the tasks of a run are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tasks {
    pub(super) run: RunId,
    /// Its first id.
    pub(super) first: i64,
    /// The id behind its last one.
    pub(super) end: i64,
}

/// The next candidates.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Where they come from: those of other statuses are another source's.
    pub(super) source: Source,
    /// Their ids, ascending. Every condition holds for them but the status and the outcome, which are to be looked at once more.
    pub(super) ids: Vec<i64>,
}

/// A selection that is under way.
#[derive(Debug)]
pub(super) struct Selection {
    tasks: Tasks,
    filter: TaskFilter,
    sources: VecDeque<Source>,
    /// Devices that are still to become sources.
    devices: Option<Batches>,
    /// The first source has given all ids before this one.
    from: i64,
    /// The most ids of a page.
    page: i64,
}

impl Selection {
    /// Begins a selection in pages of at most so many tasks.
    pub(super) async fn begin(
        connection: &mut DbConnection,
        tasks: Tasks,
        filter: TaskFilter,
        page: i64,
    ) -> Result<Self, sqlx::Error> {
        let devices = filter.devices.as_ref().map(Batches::new);
        let sources = match devices {
            Some(_) => VecDeque::new(),
            None => plan(&filter, &endings(connection, tasks.run).await?),
        };
        Ok(Self {
            tasks,
            sources,
            devices,
            from: tasks.first,
            page,
            filter,
        })
    }

    /// Has device keys that the run does not have be noted on the way.
    pub(super) fn note_absent(&mut self) {
        if let Some(devices) = &mut self.devices {
            devices.note_absent();
        }
    }

    /// Device keys of the filter that the run does not have.
    pub(super) async fn into_absent(
        self,
        connection: &mut DbConnection,
    ) -> Result<Vec<String>, sqlx::Error> {
        match self.devices {
            Some(devices) => devices.into_absent(connection, self.tasks.run).await,
            None => Ok(Vec::new()),
        }
    }

    /// The most tasks of a page.
    pub(super) fn page(&self) -> i64 {
        self.page
    }

    pub(super) fn filter(&self) -> &TaskFilter {
        &self.filter
    }

    /// The next candidates, which may be none for a page; `None` is the end.
    pub(super) async fn next(
        &mut self,
        connection: &mut DbConnection,
    ) -> Result<Option<Candidates>, sqlx::Error> {
        if self.sources.is_empty()
            && let Some(devices) = &mut self.devices
        {
            let keys = devices.next(connection, self.tasks.run).await?;
            self.sources.extend(keys.map(Source::Devices));
        }
        let Some(source) = self.sources.front().cloned() else {
            return Ok(None);
        };
        let ids = candidates(connection, &self.tasks, &source, self.from, self.page).await?;
        match ids.last() {
            Some(last) if ids.len() as i64 == self.page => self.from = last + 1,
            _ => {
                self.sources.pop_front();
                self.from = self.tasks.first;
            }
        }
        let ids = if self.filter.needs_row() {
            passing(connection, &self.filter, &ids).await?
        } else {
            ids
        };
        Ok(Some(Candidates { source, ids }))
    }
}

/// Those of the tasks that meet the conditions for which no index is kept.
pub(super) async fn passing(
    connection: &mut DbConnection,
    filter: &TaskFilter,
    ids: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let attempts = filter.attempts.as_ref();
    let bound = |bound: u64| i64::try_from(bound).unwrap_or(i64::MAX);
    sqlx::query_scalar(PASSING)
        .bind(json!(ids).to_string())
        .bind((!filter.products.is_empty()).then(|| json!(filter.products).to_string()))
        .bind(json!(filter.labels).to_string())
        .bind(attempts.map(|range| bound(*range.start())))
        .bind(attempts.map(|range| bound(*range.end())))
        .bind(filter.ended_after.map(|time| time.0))
        .bind(filter.ended_before.map(|time| time.0))
        .bind((!filter.deliveries.is_empty()).then(|| {
            json!(
                filter
                    .deliveries
                    .iter()
                    .map(|one| one.name())
                    .collect::<Vec<_>>()
            )
            .to_string()
        }))
        .fetch_all(connection)
        .await
}

/// The ids in ?1 whose tasks have one of the products ?2, the labels ?3, from ?4 to ?5 sends, ended from ?6 on and before ?7, and have one of
/// the deliveries ?8.
pub(super) const PASSING: &str = "
SELECT t.id
FROM json_each(?1) AS j
CROSS JOIN task_end AS t ON t.id = CAST(j.value AS bigint)
WHERE (?2 IS NULL OR (
        SELECT p.product_key FROM payload AS p CROSS JOIN run AS r ON r.id = p.run_id
        WHERE p.id = t.payload_id AND t.id >= r.first_task AND t.id < r.end_task
    ) IN (SELECT value FROM json_each(?2)))
    AND NOT EXISTS (
        SELECT 1 FROM json_each(?3) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM json_each(wanted.value) AS choice CROSS JOIN json_each(t.labels) AS label ON true
            WHERE label.key = wanted.key AND CAST(label.value AS TEXT) = choice.value))
    AND (?4 IS NULL OR coalesce(t.attempts, (SELECT d.sends FROM due AS d WHERE d.task_id = t.id),
        (SELECT max(attempt) FROM attempt WHERE task_id = t.id), 0) BETWEEN ?4 AND ?5)
    AND (?6 IS NULL OR t.finished_at >= ?6)
    AND (?7 IS NULL OR t.finished_at < ?7)
    AND (?8 IS NULL OR (t.state = 1 AND coalesce(
        (SELECT y.delivery FROM known_delivery AS y WHERE y.task_id = t.id AND y.attempt = t.attempts), 'unknown')
        IN (SELECT value FROM json_each(?8))))
ORDER BY t.id";
