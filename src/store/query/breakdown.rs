//! The tasks of a run, broken down. What the tally knows costs nothing; a product, a payload or an hour costs the rows that are not in
//! spans; a label costs a reading of the run's tasks.

mod labels;

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::RunRow;
use crate::{
    model::{Dimension, TaskState, Timestamp},
    store::reader::{ReadError, Reader},
};

/// The most groups that are told apart: a payload or a label may have as many values as the run has tasks.
const MOST_GROUPS: usize = 100_000;

/// Why a run cannot be broken down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BreakdownError {
    /// No task has such a label.
    #[error("no task of run '{run}' has the label '{label}'; {}", listed_labels(.known))]
    UnknownLabel {
        run: String,
        label: String,
        /// The labels that there are.
        known: Vec<String>,
    },
    /// There are too many values.
    #[error(
        "{dimension} has more than {MOST_GROUPS} values in run '{run}'; break it down by something else, or query the view results"
    )]
    TooManyGroups {
        run: String,
        /// What it was broken down by.
        dimension: Dimension,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn listed_labels(labels: &[String]) -> String {
    if labels.is_empty() {
        "it has no labels".to_owned()
    } else {
        format!("its labels are {}", labels.join(", "))
    }
}

/// How many tasks of a group are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct GroupCounts {
    /// Tasks that the platform has accepted.
    pub accepted: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that ended in doubt.
    pub in_doubt: u64,
    /// Tasks that were skipped.
    pub skipped: u64,
    /// Tasks that have not ended.
    pub pending: u64,
}

/// The tasks that have one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The value; none of tasks that have none.
    pub value: Option<String>,
    /// What it stands for, where it does not speak for itself.
    pub text: Option<String>,
    /// How many there are.
    pub counts: GroupCounts,
}

impl GroupCounts {
    /// How many tasks there are.
    pub(crate) fn tasks(&self) -> u64 {
        self.accepted + self.failed + self.in_doubt + self.skipped + self.pending
    }

    fn add(&mut self, state: TaskState, tasks: u64) {
        *match state {
            TaskState::Accepted => &mut self.accepted,
            TaskState::Failed => &mut self.failed,
            TaskState::InDoubt => &mut self.in_doubt,
            TaskState::Skipped => &mut self.skipped,
        } += tasks;
    }

    /// Counts one task; without a state it has not ended.
    fn count(&mut self, state: Option<TaskState>) {
        match state {
            Some(state) => self.add(state, 1),
            None => self.pending += 1,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            failed: self.failed + other.failed,
            in_doubt: self.in_doubt + other.in_doubt,
            skipped: self.skipped + other.skipped,
            pending: self.pending + other.pending,
        }
    }

    /// What is left when a part is taken away.
    fn minus(self, part: Self) -> Self {
        Self {
            accepted: self.accepted.saturating_sub(part.accepted),
            failed: self.failed.saturating_sub(part.failed),
            in_doubt: self.in_doubt.saturating_sub(part.in_doubt),
            skipped: self.skipped.saturating_sub(part.skipped),
            pending: self.pending.saturating_sub(part.pending),
        }
    }

    fn ended(&self) -> u64 {
        self.tasks() - self.pending
    }
}

/// Groups by value, while they are counted.
type Groups = BTreeMap<Option<String>, GroupCounts>;

/// How the tasks of a payload, in `e`, get their value.
struct Source {
    value: &'static str,
    join: &'static str,
}

const PRODUCT: Source = Source {
    value: "p.product_key",
    join: "LEFT JOIN payload AS p ON p.id = e.payload_id AND p.run_id = ?3",
};
const PAYLOAD: Source = Source {
    value: "CAST(e.payload_id AS TEXT)",
    join: "",
};

/// How the tasks of each payload have ended, from ?1 up to ?2. What came of a request has the request's payload, so that no task is read
/// for it: requests are few and stand in order. Numbers are sorted three times as quickly as texts.
const ENDED: &str = "
SELECT q.payload_id, 1 AS state, sum(g.end_task - g.first_task) AS n
FROM accepted_span AS g CROSS JOIN request AS q ON q.id = g.request_id
WHERE g.first_task >= ?1 AND g.first_task < ?2 GROUP BY 1
UNION ALL
SELECT coalesce(q.payload_id, t.payload_id), o.state, count(*)
FROM outcome AS o
LEFT JOIN request AS q ON q.id = o.request_id
LEFT JOIN task AS t ON t.id = CASE WHEN q.id IS NULL THEN o.task_id END
WHERE o.task_id >= ?1 AND o.task_id < ?2 GROUP BY 1, 2";
/// The tasks of each payload, from ?1 up to ?2.
const ALL: &str =
    "SELECT payload_id, count(*) AS n FROM task WHERE id >= ?1 AND id < ?2 GROUP BY 1";

impl Reader {
    /// Breaks the tasks of a run down: hours in their order, otherwise what has most failures first.
    pub(crate) async fn breakdown_by(
        &mut self,
        run: &RunRow,
        dimension: &Dimension,
    ) -> Result<Vec<Group>, BreakdownError> {
        let mut groups = match dimension {
            Dimension::Code => self.by_code(run).await?,
            Dimension::Hour => self.by_hour(run).await?,
            Dimension::Product => self.by_column(run, dimension, &PRODUCT).await?,
            Dimension::Payload => {
                let mut groups = self.by_column(run, dimension, &PAYLOAD).await?;
                sort(&mut groups);
                self.describe_payloads(run, &mut groups).await?;
                groups
            }
            Dimension::Label(label) => self.by_label(run, dimension, label).await?,
        };
        if *dimension != Dimension::Hour {
            sort(&mut groups);
        }
        Ok(groups)
    }

    async fn by_code(&mut self, run: &RunRow) -> Result<Vec<Group>, BreakdownError> {
        let mut groups = Groups::new();
        for (key, tasks) in self.breakdown(run.id).await? {
            let code = key.code.map(|code| code.to_string());
            let class = key.class.map(|class| class.name().to_owned());
            let value = code.or(class);
            groups.entry(value).or_default().add(key.state, tasks);
        }
        if run.counts.pending > 0 {
            groups.entry(None).or_default().pending += run.counts.pending;
        }
        Ok(listed(groups))
    }

    async fn by_hour(&mut self, run: &RunRow) -> Result<Vec<Group>, BreakdownError> {
        const HOUR: i64 = 3_600_000;
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT hour, state, CAST(sum(n) AS bigint) FROM (
                 SELECT finished_at / ?3 AS hour, 1 AS state, sum(end_task - first_task) AS n FROM accepted_span
                 WHERE first_task >= ?1 AND first_task < ?2 GROUP BY 1
                 UNION ALL
                 SELECT finished_at / ?3, state, count(*) FROM outcome WHERE task_id >= ?1 AND task_id < ?2 GROUP BY 1, 2
             ) AS ended GROUP BY 1, 2",
        )
        .bind(run.first_task)
        .bind(run.end_task)
        .bind(HOUR)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        let mut hours: BTreeMap<i64, GroupCounts> = BTreeMap::new();
        for (hour, state, tasks) in rows {
            let state = self.state(state)?;
            hours.entry(hour).or_default().add(state, tasks as u64);
        }
        let mut groups: Vec<Group> = hours
            .into_iter()
            .map(|(hour, counts)| Group {
                // 2026-11-22T19
                value: Some(
                    Timestamp(hour * HOUR)
                        .to_string()
                        .chars()
                        .take(13)
                        .collect(),
                ),
                text: None,
                counts,
            })
            .collect();
        if run.counts.pending > 0 {
            groups.push(Group {
                value: None,
                text: None,
                counts: GroupCounts {
                    pending: run.counts.pending,
                    ..GroupCounts::default()
                },
            });
        }
        Ok(groups)
    }

    /// By what all tasks of a payload have in common.
    async fn by_column(
        &mut self,
        run: &RunRow,
        dimension: &Dimension,
        Source { value, join }: &Source,
    ) -> Result<Vec<Group>, BreakdownError> {
        let ended = format!(
            "SELECT {value}, e.state, CAST(sum(e.n) AS bigint) FROM ({ENDED}) AS e {join} GROUP BY 1, 2"
        );
        let rows: Vec<(Option<String>, i64, i64)> = sqlx::query_as(AssertSqlSafe(ended))
            .bind(run.first_task)
            .bind(run.end_task)
            .bind(run.id.0)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        let mut groups = Groups::new();
        for (value, state, tasks) in rows {
            let state = self.state(state)?;
            groups.entry(value).or_default().add(state, tasks as u64);
        }
        if run.counts.pending > 0 {
            let all = format!(
                "SELECT {value}, CAST(sum(e.n) AS bigint) FROM ({ALL}) AS e {join} GROUP BY 1"
            );
            let rows: Vec<(Option<String>, i64)> = sqlx::query_as(AssertSqlSafe(all))
                .bind(run.first_task)
                .bind(run.end_task)
                .bind(run.id.0)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| self.failure(error))?;
            for (value, tasks) in rows {
                let group = groups.entry(value).or_default();
                group.pending = (tasks as u64).saturating_sub(group.ended());
            }
        }
        within_bounds(run, dimension, groups.len())?;
        Ok(listed(groups))
    }

    /// Says what the first payloads carry.
    async fn describe_payloads(
        &mut self,
        run: &RunRow,
        groups: &mut [Group],
    ) -> Result<(), ReadError> {
        /// So many are described, and so much of each.
        const DESCRIBED: usize = 1000;
        for group in groups.iter_mut().take(DESCRIBED) {
            let Some(id) = group.value.as_deref().and_then(|id| id.parse::<i64>().ok()) else {
                continue;
            };
            group.text = sqlx::query_scalar(
                "SELECT product_key || ' ' || CASE WHEN length(data) > 200 THEN substr(data, 1, 200) || '…' ELSE data END \
                 FROM payload WHERE id = ? AND run_id = ?",
            )
            .bind(id)
            .bind(run.id.0)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        }
        Ok(())
    }

    fn state(&self, number: i64) -> Result<TaskState, ReadError> {
        TaskState::from_number(number)
            .ok_or_else(|| self.damaged(format!("a task has the state {number}")))
    }
}

fn within_bounds(run: &RunRow, dimension: &Dimension, groups: usize) -> Result<(), BreakdownError> {
    if groups > MOST_GROUPS {
        return Err(BreakdownError::TooManyGroups {
            run: run.name.clone(),
            dimension: dimension.clone(),
        });
    }
    Ok(())
}

fn listed(groups: Groups) -> Vec<Group> {
    groups
        .into_iter()
        .map(|(value, counts)| Group {
            value,
            text: None,
            counts,
        })
        .collect()
}

/// What has most failures and doubts comes first, then what has most tasks.
fn sort(groups: &mut [Group]) {
    groups.sort_by(|a, b| {
        let rank = |group: &Group| {
            let counts = group.counts;
            (counts.failed + counts.in_doubt, counts.tasks())
        };
        rank(b).cmp(&rank(a)).then_with(|| a.value.cmp(&b.value))
    });
}

#[cfg(test)]
mod tests;
