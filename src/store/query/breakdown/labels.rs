//! By labels: the tasks are read once, in large pieces, together with how they ended, and all labels of a row are looked at together. SQLite
//! would parse and sort each row's labels, which takes three times as long, and again for each label.

use std::{borrow::Cow, collections::HashMap};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{BreakdownError, Group, GroupCounts, MOST_GROUPS, sort, within_bounds};
use crate::{
    model::{Dimension, TaskState},
    store::{
        RunRow,
        reader::{ReadError, Reader},
        select::label_names,
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
        let mut census = Census::of(label);
        for (first, end) in pieces(run) {
            census.count(&self.piece(first, end).await?);
            let values = census.labels.first().map_or(0, |label| label.values.len());
            within_bounds(run, dimension, values)?;
        }
        match census.into_groups().pop() {
            Some((_, groups)) => Ok(groups),
            None => Err(BreakdownError::UnknownLabel {
                run: run.name.clone(),
                label: label.to_owned(),
                known: label_names(&mut self.connection, run.tasks())
                    .await
                    .map_err(|error| self.failure(error))?,
            }),
        }
    }

    /// Breaks the tasks of a run down by each of its labels, in the order in which they come up, at most so many. Labels with too many values
    /// are left out.
    pub(crate) async fn breakdown_by_labels(
        &mut self,
        run: &RunRow,
        most: usize,
    ) -> Result<Vec<(String, Vec<Group>)>, ReadError> {
        let mut census = Census::of_all(most);
        for (first, end) in pieces(run) {
            census.count(&self.piece(first, end).await?);
            census.give_up_large();
        }
        let mut labels = census.into_groups();
        for (_, groups) in &mut labels {
            sort(groups);
        }
        Ok(labels)
    }

    /// The tasks from `first` up to `end`.
    async fn piece(&mut self, first: i64, end: i64) -> Result<Piece, ReadError> {
        let read = async {
            // A text of JSON has no line breaks.
            let labels: Option<String> = sqlx::query_scalar(
                "SELECT string_agg(coalesce(labels, ''), char(10))
                 FROM (SELECT labels FROM task WHERE id >= ? AND id < ? ORDER BY id) AS piece",
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
        let labels = labels.unwrap_or_default();
        if labels.split('\n').count() != states.len() {
            return Err(self.damaged(format!("tasks are missing between {first} and {end}")));
        }
        Ok(Piece { labels, states })
    }
}

/// The pieces of a run, each from its first task up to its end.
fn pieces(run: &RunRow) -> impl Iterator<Item = (i64, i64)> {
    let end = run.end_task;
    (run.first_task..end)
        .step_by(PIECE as usize)
        .map(move |first| (first, end.min(first + PIECE)))
}

/// Counts the values of labels.
struct Census {
    all: GroupCounts,
    labels: Vec<LabelCensus>,
    /// So many labels are counted; any that come up, unless they stand among `labels` from the beginning.
    most: usize,
}

/// What has been counted of one label.
struct LabelCensus {
    name: String,
    values: HashMap<String, GroupCounts>,
    /// It had more values than are told apart.
    is_too_large: bool,
}

impl LabelCensus {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: HashMap::new(),
            is_too_large: false,
        }
    }
}

impl Census {
    /// Of this label alone.
    fn of(label: &str) -> Self {
        Self {
            all: GroupCounts::default(),
            labels: vec![LabelCensus::new(label)],
            most: 1,
        }
    }

    /// Of the first labels that come up.
    fn of_all(most: usize) -> Self {
        Self {
            all: GroupCounts::default(),
            labels: Vec::new(),
            most,
        }
    }

    fn count(&mut self, piece: &Piece) {
        for (labels, state) in piece.labels.split('\n').zip(&piece.states) {
            self.all.count(*state);
            if labels.is_empty() {
                continue;
            }
            let mut deserializer = serde_json::Deserializer::from_str(labels);
            // What is no object has no labels.
            let _ = Row {
                census: self,
                state: *state,
            }
            .deserialize(&mut deserializer);
        }
    }

    /// The place of a label that is counted.
    fn place(&mut self, name: &str) -> Option<usize> {
        let known = self.labels.iter().position(|label| label.name == name);
        if known.is_none() && self.labels.len() < self.most {
            self.labels.push(LabelCensus::new(name));
            return Some(self.labels.len() - 1);
        }
        known.filter(|place| !self.labels[*place].is_too_large)
    }

    /// Forgets labels that have too many values.
    fn give_up_large(&mut self) {
        for label in &mut self.labels {
            if label.values.len() > MOST_GROUPS {
                label.is_too_large = true;
                label.values = HashMap::new();
            }
        }
    }

    /// The groups of each label that has values, in no order. Tasks without the label are a group.
    fn into_groups(self) -> Vec<(String, Vec<Group>)> {
        let all = self.all;
        self.labels
            .into_iter()
            .filter(|label| !label.values.is_empty())
            .map(|label| {
                let with = label
                    .values
                    .values()
                    .fold(GroupCounts::default(), |sum, counts| sum.plus(*counts));
                let without = all.minus(with);
                let mut groups: Vec<Group> = label
                    .values
                    .into_iter()
                    .map(|(value, counts)| Group {
                        value: Some(value),
                        text: None,
                        counts,
                    })
                    .collect();
                if without != GroupCounts::default() {
                    groups.push(Group {
                        value: None,
                        text: None,
                        counts: without,
                    });
                }
                (label.name, groups)
            })
            .collect()
    }
}

/// Counts the labels of one row.
struct Row<'c> {
    census: &'c mut Census,
    state: Option<TaskState>,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Name(self.census))? {
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &'de RawValue = map.next_value()?;
            let Some(value) = text_of(value.get()) else {
                continue;
            };
            let values = &mut self.census.labels[place].values;
            match values.get_mut(&*value) {
                Some(counts) => counts,
                None => values.entry(value.into_owned()).or_default(),
            }
            .count(self.state);
        }
        Ok(())
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

/// Finds the place of a key.
struct Name<'c>(&'c mut Census);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a label")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.place(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &str =
        r#"{"a":"site","site":"Oslo \"S\"","n":5,"none":null,"ø.b":"c","q\"":"d"}"#;

    type Values = Vec<(Option<String>, u64)>;

    /// What a census says of rows with these labels, each with how many tasks have which value.
    fn counted(mut census: Census, rows: &[&str]) -> Vec<(String, Values)> {
        census.count(&Piece {
            labels: rows.join("\n"),
            states: vec![None; rows.len()],
        });
        census.give_up_large();
        let told = |group: Group| (group.value, group.counts.tasks());
        census
            .into_groups()
            .into_iter()
            .map(|(name, groups)| {
                let mut groups: Vec<_> = groups.into_iter().map(told).collect();
                groups.sort();
                (name, groups)
            })
            .collect()
    }

    #[test]
    fn a_label_is_found_whatever_stands_around_it() {
        let value = |label| {
            let found = counted(Census::of(label), &[LABELS]).pop();
            found.and_then(|(_, groups)| groups[0].0.clone())
        };
        assert_eq!(value("site").as_deref(), Some("Oslo \"S\""));
        assert_eq!(value("a").as_deref(), Some("site"));
        assert_eq!(value("n").as_deref(), Some("5"));
        assert_eq!(value("ø.b").as_deref(), Some("c"));
        assert_eq!(value("q\"").as_deref(), Some("d"));
        for label in ["Oslo", "none", "b", ""] {
            assert_eq!(value(label), None, "{label}");
        }
        for labels in ["", "not json", "[1]"] {
            assert_eq!(counted(Census::of("site"), &[labels]), [], "{labels}");
        }
    }

    #[test]
    fn all_labels_are_counted_together_as_each_by_itself() {
        let rows = [
            r#"{"site":"Oslo","model":"A"}"#,
            "",
            r#"{"model":"B","rack":"1"}"#,
            r#"{"rack":"2","site":"Oslo"}"#,
            r#"{"site":null}"#,
        ];
        let all = counted(Census::of_all(3), &rows);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["site", "model", "rack"]);
        let oslo = [(None, 3), (Some("Oslo".to_owned()), 2)];
        assert_eq!(all[0].1, oslo);
        for (name, groups) in &all {
            let alone = counted(Census::of(name), &rows);
            assert_eq!(alone, [(name.clone(), groups.clone())]);
        }
        assert_eq!(counted(Census::of_all(2), &rows), all[..2]);
    }

    #[test]
    fn a_label_that_tells_all_tasks_apart_is_left_out() {
        let rows: Vec<String> = (0..=MOST_GROUPS)
            .map(|number| format!(r#"{{"serial":{number},"site":"Oslo"}}"#))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let all = counted(Census::of_all(2), &rows);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["site"]);
    }
}
