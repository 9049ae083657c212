//! By a label: the tasks are read once, in large pieces, together with how they ended. SQLite would parse and sort each row's labels, which
//! takes three times as long.

use std::{borrow::Cow, collections::HashMap};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{BreakdownError, Group, GroupCounts, within_bounds};
use crate::{
    model::{Dimension, TaskState},
    store::{
        RunRow,
        reader::{ReadError, Reader},
        select::{Tasks, label_names},
    },
};

/// Tasks in one piece.
const PIECE: i64 = 10_000;

/// A piece of a run: its labels line by line, and what its tasks came to.
struct Piece {
    labels: String,
    /// The state of each task, in their order; none of those that have not ended.
    states: Vec<Option<TaskState>>,
}

impl Reader {
    pub(super) async fn by_label(
        &mut self,
        run: &RunRow,
        dimension: &Dimension,
        label: &str,
    ) -> Result<Vec<Group>, BreakdownError> {
        let mut groups: HashMap<String, GroupCounts> = HashMap::new();
        let mut without = GroupCounts::default();
        for first in (run.first_task..run.end_task).step_by(PIECE as usize) {
            let end = run.end_task.min(first + PIECE);
            let piece = self.piece(first, end).await?;
            if piece.labels.split('\n').count() != piece.states.len() {
                return Err(self
                    .damaged(format!("tasks are missing between {first} and {end}"))
                    .into());
            }
            for (labels, state) in piece.labels.split('\n').zip(piece.states) {
                let counts = match value_of(label, labels) {
                    None => &mut without,
                    Some(value) => match groups.get_mut(&*value) {
                        Some(counts) => counts,
                        None => groups.entry(value.into_owned()).or_default(),
                    },
                };
                match state {
                    Some(state) => counts.add(state, 1),
                    None => counts.pending += 1,
                }
            }
            within_bounds(run, dimension, groups.len())?;
        }
        if groups.is_empty() {
            let tasks = Tasks {
                run: run.id,
                first: run.first_task,
                end: run.end_task,
            };
            let known = label_names(&mut self.connection, tasks)
                .await
                .map_err(|error| self.failure(error))?;
            return Err(BreakdownError::UnknownLabel {
                run: run.name.clone(),
                label: label.to_owned(),
                known,
            });
        }
        let mut listed: Vec<Group> = groups
            .into_iter()
            .map(|(value, counts)| Group {
                value: Some(value),
                text: None,
                counts,
            })
            .collect();
        if without != GroupCounts::default() {
            listed.push(Group {
                value: None,
                text: None,
                counts: without,
            });
        }
        Ok(listed)
    }

    /// The tasks from `first` up to `end`.
    async fn piece(&mut self, first: i64, end: i64) -> Result<Piece, ReadError> {
        let read = async {
            // A text of JSON has no line breaks.
            let labels: Option<String> = sqlx::query_scalar(
                "SELECT group_concat(coalesce(labels, ''), char(10))
                 FROM (SELECT labels FROM task WHERE id >= ? AND id < ? ORDER BY id)",
            )
            .bind(first)
            .bind(end)
            .fetch_one(&mut self.connection)
            .await?;
            let outcomes: Vec<(i64, i64)> = sqlx::query_as(
                "SELECT task_id, state FROM outcome WHERE task_id >= ? AND task_id < ?",
            )
            .bind(first)
            .bind(end)
            .fetch_all(&mut self.connection)
            .await?;
            // One span may begin before.
            let spans: Vec<(i64, i64)> = sqlx::query_as(
                "SELECT first_task, end_task FROM accepted_span
                 WHERE first_task >= coalesce((SELECT max(first_task) FROM accepted_span WHERE first_task <= ?1), ?1)
                 AND first_task < ?2",
            )
            .bind(first)
            .bind(end)
            .fetch_all(&mut self.connection)
            .await?;
            Ok::<_, sqlx::Error>((labels, outcomes, spans))
        };
        let (labels, outcomes, spans) = read.await.map_err(|error| self.failure(error))?;
        let mut states = vec![None; (end - first) as usize];
        for (span_first, span_end) in spans {
            let from = span_first.max(first) - first;
            let to = span_end.min(end) - first;
            if from < to {
                states[from as usize..to as usize].fill(Some(TaskState::Accepted));
            }
        }
        for (task, number) in outcomes {
            let state = TaskState::from_number(number)
                .ok_or_else(|| self.damaged(format!("a task has the state {number}")))?;
            states[(task - first) as usize] = Some(state);
        }
        Ok(Piece {
            labels: labels.unwrap_or_default(),
            states,
        })
    }
}

/// The value of a label in a JSON object of labels, if it has one.
fn value_of<'l>(label: &str, labels: &'l str) -> Option<Cow<'l, str>> {
    if labels.is_empty() {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(labels);
    Wanted(label).deserialize(&mut deserializer).ok().flatten()
}

/// Takes one value out of an object.
struct Wanted<'w>(&'w str);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(IsKey(self.0))? {
            if is_wanted {
                let value: &'de RawValue = map.next_value()?;
                found = text_of(value.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A text as it is, anything else as it is written; nothing of null.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let plain = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match plain {
        Some(text) if !text.contains('\\') => Some(Cow::Borrowed(text)),
        Some(_) => serde_json::from_str(json).ok().map(Cow::Owned),
        None => (json != "null").then_some(Cow::Borrowed(json)),
    }
}

/// Whether a key is this one.
struct IsKey<'w>(&'w str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a label")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_whatever_stands_around_it() {
        let labels = r#"{"a":"site","site":"Oslo \"S\"","n":5,"none":null,"ø.b":"c"}"#;
        let value = |label| value_of(label, labels);
        assert_eq!(value("site").as_deref(), Some("Oslo \"S\""));
        assert_eq!(value("a").as_deref(), Some("site"));
        assert_eq!(value("n").as_deref(), Some("5"));
        assert_eq!(value("ø.b").as_deref(), Some("c"));
        for label in ["Oslo", "none", "b", ""] {
            assert_eq!(value(label), None, "{label}");
        }
        assert_eq!(value_of("site", ""), None);
        assert_eq!(value_of("site", "not json"), None);
    }
}
