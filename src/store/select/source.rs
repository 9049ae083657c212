//! Where results are looked for: for each filter the indexes that answer it without reading the whole run.

use std::{collections::VecDeque, ops::RangeInclusive};

use sqlx::AssertSqlSafe;

use super::Tasks;
use crate::{
    model::{Class, Tally, TaskFilter, TaskState, TaskStatus},
    store::accepted_range::in_no_accepted_range,
    store::db::DbConnection,
};

/// Where the ids of candidates come from. Each yields ids in ascending order, and yields a superset of what its `statuses` and the
/// filter ask for; rows are checked again when they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Source {
    /// Every task of the run.
    All,
    /// The tasks of these devices.
    Devices(Vec<String>),
    /// Failed or in doubt with this class and code.
    Trouble {
        state: TaskState,
        class: Class,
        code: Option<i64>,
    },
    /// Ended as one of the states that no index knows.
    Ended,
    /// Every task that has not ended.
    Open,
    /// Tasks that are to be sent again, after an outcome of these classes and codes (any when empty).
    Due {
        classes: Vec<Class>,
        codes: Vec<RangeInclusive<i64>>,
    },
    /// Members of requests without an end.
    InFlight,
}

impl Source {
    /// Whether rows of this status are this source's to give; others that it meets are another's, or not wanted.
    pub(in crate::store) fn gives(&self, status: TaskStatus) -> bool {
        match self {
            Self::All | Self::Devices(_) => true,
            Self::Trouble { state, .. } => status == TaskStatus::Ended(*state),
            Self::Ended => matches!(
                status,
                TaskStatus::Ended(TaskState::Accepted | TaskState::Skipped)
            ),
            Self::Open | Self::Due { .. } => status == TaskStatus::Pending,
            Self::InFlight => status == TaskStatus::InFlight,
        }
    }
}

/// The sources that together give every row that matches the filter, each once, whatever its device.
pub(super) fn plan(filter: &TaskFilter, endings: &[(Tally, u64)]) -> VecDeque<Source> {
    if filter.statuses.is_empty() && !filter.needs_outcome() {
        return [Source::All].into();
    }
    let mut sources = VecDeque::new();
    let matching: Vec<_> = endings
        .iter()
        .flat_map(|(key, _)| codes(key.code).map(|code| (key.state, key.class, code)))
        .filter(|(state, class, code)| {
            filter.wants(TaskStatus::Ended(*state)) && filter.passes_outcome(*class, *code)
        })
        .collect();
    for &(state, class, code) in &matching {
        if let (TaskState::Failed | TaskState::InDoubt, Some(class)) = (state, class) {
            sources.push_back(Source::Trouble { state, class, code });
        }
    }
    if matching
        .iter()
        .any(|(state, ..)| matches!(state, TaskState::Accepted | TaskState::Skipped))
    {
        sources.push_back(Source::Ended);
    }
    if filter.wants(TaskStatus::InFlight) {
        sources.push_back(Source::InFlight);
    }
    if filter.wants(TaskStatus::Pending) {
        sources.push_back(if filter.needs_outcome() {
            Source::Due {
                classes: filter.classes.clone(),
                codes: filter.codes.clone(),
            }
        } else {
            Source::Open
        });
    }
    sources
}

/// The codes that an ending may stand for: the tally does not tell the code 0 from none.
fn codes(code: Option<i64>) -> impl Iterator<Item = Option<i64>> {
    std::iter::once(code).chain(code.is_none().then_some(Some(0)))
}

// The statements of the sources. ?1 and ?2 are the range of ids, ?3 the size of the page, ?4 the run.
pub(super) const ALL: &str = "SELECT id FROM task WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
pub(in crate::store) const DEVICES: &str = "
SELECT d.task_id FROM json_each(?5) AS j
CROSS JOIN device_task AS d ON d.run_id = ?4 AND d.device_key = j.value AND d.task_id >= ?1 AND d.task_id < ?2
ORDER BY 1 LIMIT ?3";
/// The first term is what lets SQLite use the partial index: it cannot know what is bound to the second.
pub(in crate::store) const TROUBLE: &str = "
SELECT task_id FROM outcome INDEXED BY outcome_trouble
WHERE state IN (2, 3) AND state = ?5 AND class = ?6 AND code IS NOT DISTINCT FROM ?7 AND task_id >= ?1 AND task_id < ?2
ORDER BY task_id LIMIT ?3";
pub(super) const ENDED: &str = concat!(
    "SELECT t.id FROM task AS t WHERE t.id >= ?1 AND t.id < ?2 \
     AND (EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id AND o.state IN (1, 4)) OR NOT ",
    in_no_accepted_range!("t.id"),
    ") ORDER BY t.id LIMIT ?3"
);
pub(super) const OPEN: &str = concat!(
    "SELECT t.id FROM task AS t WHERE t.id >= ?1 AND t.id < ?2 \
     AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id) AND ",
    in_no_accepted_range!("t.id"),
    " ORDER BY t.id LIMIT ?3"
);
pub(in crate::store) const DUE: &str = "
SELECT d.task_id FROM due AS d
WHERE d.task_id >= ?1 AND d.task_id < ?2 AND d.request_id IS NULL
    AND (?5 IS NULL OR d.class IN (SELECT CAST(value AS bigint) FROM json_each(?5)))
    AND (?6 IS NULL OR EXISTS (
        SELECT 1 FROM json_each(?6) AS j JOIN attempt AS a ON a.code BETWEEN CAST(j.value ->> 0 AS bigint) AND CAST(j.value ->> 1 AS bigint)
        WHERE a.task_id = d.task_id AND a.attempt = d.sends))
ORDER BY d.task_id LIMIT ?3";
/// Cross joins keep the order of the tables: requests without an end are few, and SQLite cannot know it.
pub(in crate::store) const IN_FLIGHT: &str = "
SELECT d.task_id FROM request AS q CROSS JOIN due AS d ON d.request_id = q.id
WHERE q.run_id = ?4 AND q.finished_at IS NULL AND d.task_id >= ?1 AND d.task_id < ?2
UNION
SELECT t.id FROM request AS q CROSS JOIN task AS t ON t.id >= q.first_task AND t.id < q.end_task
WHERE q.run_id = ?4 AND q.finished_at IS NULL AND t.held = 0 AND t.id >= ?1 AND t.id < ?2
ORDER BY 1 LIMIT ?3";

/// The next ids, at most so many, of a source, from `from` on, in ascending order.
pub(super) async fn candidates(
    connection: &mut DbConnection,
    tasks: &Tasks,
    source: &Source,
    from: i64,
    most: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    let sql = match source {
        Source::All => ALL,
        Source::Devices(_) => DEVICES,
        Source::Trouble { .. } => TROUBLE,
        Source::Ended => ENDED,
        Source::Open => OPEN,
        Source::Due { .. } => DUE,
        Source::InFlight => IN_FLIGHT,
    };
    // As one text: a row by itself costs a message between threads.
    let listed = format!("WITH found (id) AS ({sql}) SELECT json_group_array(id) FROM found");
    let query = sqlx::query_scalar(AssertSqlSafe(listed))
        .bind(from)
        .bind(tasks.end)
        .bind(most)
        .bind(tasks.run.0);
    let query = match source {
        Source::Devices(keys) => query.bind(serde_json::json!(keys).to_string()),
        Source::Trouble { state, class, code } => {
            query.bind(*state as i64).bind(*class as i64).bind(*code)
        }
        Source::Due { classes, codes } => {
            let classes: Vec<i64> = classes.iter().map(|class| *class as i64).collect();
            query.bind(list(&classes)).bind(list(&bounds(codes)))
        }
        _ => query,
    };
    let text: String = query.fetch_one(connection).await?;
    let mut ids: Vec<i64> =
        serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
    ids.sort_unstable();
    Ok(ids)
}

/// A list for `json_each`, or nothing when it is empty.
fn list<T: serde::Serialize>(items: &[T]) -> Option<String> {
    (!items.is_empty()).then(|| serde_json::json!(items).to_string())
}

/// The ends of ranges.
fn bounds(ranges: &[RangeInclusive<i64>]) -> Vec<[i64; 2]> {
    ranges
        .iter()
        .map(|range| [*range.start(), *range.end()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(state: TaskState, class: Option<Class>, code: Option<i64>) -> (Tally, u64) {
        (Tally { state, class, code }, 1)
    }

    #[test]
    fn only_what_the_tally_knows_of_is_looked_for() {
        let endings = [
            ending(TaskState::Accepted, Some(Class::Accepted), Some(200)),
            ending(TaskState::Failed, Some(Class::Rejected), Some(70091)),
            ending(TaskState::Failed, Some(Class::Offline), Some(61002)),
        ];
        let offline = TaskFilter {
            classes: vec![Class::Offline],
            ..TaskFilter::default()
        };
        assert_eq!(
            plan(&offline, &endings),
            [
                Source::Trouble {
                    state: TaskState::Failed,
                    class: Class::Offline,
                    code: Some(61002)
                },
                Source::InFlight,
                Source::Due {
                    classes: vec![Class::Offline],
                    codes: Vec::new()
                },
            ]
        );
        let skipped = TaskFilter {
            statuses: vec![TaskStatus::Ended(TaskState::Skipped)],
            ..TaskFilter::default()
        };
        assert_eq!(plan(&skipped, &endings), []);
        assert_eq!(plan(&TaskFilter::default(), &endings), [Source::All]);
    }

    #[test]
    fn the_code_zero_is_looked_for_where_the_tally_says_none() {
        let endings = [ending(TaskState::Failed, Some(Class::Rejected), None)];
        let zero = TaskFilter {
            statuses: vec![TaskStatus::Ended(TaskState::Failed)],
            codes: vec![0..=0],
            ..TaskFilter::default()
        };
        assert_eq!(
            plan(&zero, &endings),
            [Source::Trouble {
                state: TaskState::Failed,
                class: Class::Rejected,
                code: Some(0)
            }]
        );
    }
}
