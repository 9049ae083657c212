//! What a filter names and the run does not have, and what it has instead: for the words about a mistake of the command line.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::{Tasks, devices::absent};
use crate::{
    model::{RunId, TaskFilter},
    store::db::DbConnection,
    store::tally::endings,
};

/// Values of a label that are looked for: more are no help to anybody.
const VALUES: i64 = 1000;

/// What a filter names and the run does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Device keys that were named one by one.
    pub devices: Vec<String>,
    /// Names of labels that no task of the run has.
    pub labels: Vec<String>,
    /// The names of all labels of the run; looked up only when one is unknown.
    pub known_labels: Vec<String>,
    /// Codes that no task of the run has.
    pub codes: Vec<RangeInclusive<i64>>,
    /// The codes of the run, ascending; looked up only when one is unknown.
    pub known_codes: Vec<i64>,
    /// Products of which the run has no task.
    pub products: Vec<String>,
    /// The products of the run; looked up only when one is unknown.
    pub known_products: Vec<String>,
}

/// A value of a label that no task of the run has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownValue {
    pub label: String,
    pub value: String,
    /// The values that tasks have, the most frequent first, at most a thousand.
    pub known: Vec<String>,
}

/// What the filter names and the run does not have, but for values of labels.
pub(in crate::store) async fn unknown(
    connection: &mut DbConnection,
    tasks: Tasks,
    filter: &TaskFilter,
) -> Result<Unknown, sqlx::Error> {
    let mut unknown = Unknown::default();
    if let Some(devices) = &filter.devices {
        unknown.devices = absent(connection, tasks.run, &devices.keys).await?;
    }
    unknown.labels =
        missing_labels(connection, tasks, filter.labels.keys().map(String::as_str)).await?;
    if !unknown.labels.is_empty() {
        unknown.known_labels = label_names(connection, tasks).await?;
    }
    if !filter.codes.is_empty() {
        let known = codes(connection, tasks.run, &filter.codes).await?;
        unknown.codes = filter
            .codes
            .iter()
            .filter(|range| !known.iter().any(|code| range.contains(code)))
            .cloned()
            .collect();
        if !unknown.codes.is_empty() {
            unknown.known_codes = known.into_iter().collect();
        }
    }
    for product in &filter.products {
        let exists: bool = sqlx::query_scalar(HAS_PRODUCT)
            .bind(tasks.run.0)
            .bind(product)
            .fetch_one(&mut *connection)
            .await?;
        if !exists {
            unknown.products.push(product.clone());
        }
    }
    if !unknown.products.is_empty() {
        unknown.known_products = sqlx::query_scalar(PRODUCTS)
            .bind(tasks.run.0)
            .fetch_all(&mut *connection)
            .await?;
    }
    Ok(unknown)
}

/// The values of labels that the filter names and no task has. It reads the run from end to end: only for a filter that has found nothing.
pub(in crate::store) async fn unknown_values(
    connection: &mut DbConnection,
    tasks: Tasks,
    filter: &TaskFilter,
) -> Result<Vec<UnknownValue>, sqlx::Error> {
    let mut unknown = Vec::new();
    for (label, wanted) in &filter.labels {
        let known: Vec<String> = sqlx::query_scalar(LABEL_VALUES)
            .bind(tasks.first)
            .bind(tasks.end)
            .bind(label)
            .bind(VALUES)
            .fetch_all(&mut *connection)
            .await?;
        // Of a label with more values than are looked for nobody can say that one is missing.
        if known.len() as i64 == VALUES {
            continue;
        }
        unknown.extend(
            wanted
                .iter()
                .filter(|value| !known.contains(value))
                .map(|value| UnknownValue {
                    label: label.clone(),
                    value: value.clone(),
                    known: known.clone(),
                }),
        );
    }
    Ok(unknown)
}

/// Those of the names that no task has as a label.
pub(in crate::store) async fn missing_labels(
    connection: &mut DbConnection,
    tasks: Tasks,
    names: impl IntoIterator<Item = &str>,
) -> Result<Vec<String>, sqlx::Error> {
    let mut missing = Vec::new();
    for name in names {
        let exists: bool = sqlx::query_scalar(HAS_LABEL)
            .bind(tasks.first)
            .bind(tasks.end)
            .bind(name)
            .bind(serde_json::Value::from(name).to_string())
            .fetch_one(&mut *connection)
            .await?;
        if !exists {
            missing.push(name.to_owned());
        }
    }
    Ok(missing)
}

/// The names of all labels of the tasks, in the order in which they come up.
pub(in crate::store) async fn label_names(
    connection: &mut DbConnection,
    tasks: Tasks,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(LABEL_NAMES)
        .bind(tasks.first)
        .bind(tasks.end)
        .fetch_all(connection)
        .await
}

/// The codes of the run. What has not ended is asked only when a range has no code of what has.
async fn codes(
    connection: &mut DbConnection,
    run: RunId,
    wanted: &[RangeInclusive<i64>],
) -> Result<BTreeSet<i64>, sqlx::Error> {
    let ended = endings(connection, run).await?;
    let mut codes: BTreeSet<i64> = ended.iter().filter_map(|(key, _)| key.code).collect();
    let is_met =
        |range: &RangeInclusive<i64>, codes: &BTreeSet<i64>| codes.range(range.clone()).count() > 0;
    if !wanted.iter().all(|range| is_met(range, &codes)) {
        let waiting: Vec<i64> = sqlx::query_scalar(WAITING_CODES)
            .bind(run.0)
            .fetch_all(connection)
            .await?;
        codes.extend(waiting);
    }
    Ok(codes)
}

/// Whether a task from ?1 up to ?2 has the label ?3. Most labels of a manifest stand in its first row; the text of the name, ?4, is looked
/// for before a row is parsed.
const HAS_LABEL: &str = "
SELECT EXISTS (
    SELECT 1 FROM task AS t WHERE t.id >= ?1 AND t.id < ?2 AND instr(t.labels, ?4) > 0
    AND EXISTS (SELECT 1 FROM json_each(t.labels) AS j WHERE j.key = ?3))";
const HAS_PRODUCT: &str =
    "SELECT EXISTS (SELECT 1 FROM payload WHERE run_id = ?1 AND product_key = ?2)";
const PRODUCTS: &str = "SELECT DISTINCT product_key FROM payload WHERE run_id = ?1 ORDER BY 1";
const LABEL_NAMES: &str = "
SELECT j.key FROM task AS t CROSS JOIN json_each(t.labels) AS j ON true WHERE t.id >= ?1 AND t.id < ?2
GROUP BY j.key ORDER BY min(t.id), min(j.id)";
const LABEL_VALUES: &str = "
SELECT CAST(j.value AS TEXT) COLLATE BINARY FROM task AS t CROSS JOIN json_each(t.labels) AS j ON true
WHERE t.id >= ?1 AND t.id < ?2 AND j.key = ?3
GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ?4";
const WAITING_CODES: &str = "
SELECT DISTINCT a.code FROM due AS d CROSS JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends
WHERE d.run_id = ?1 AND a.code IS NOT NULL";
