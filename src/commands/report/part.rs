//! The part of a run that a page covers: the tasks that a filter chooses, counted in one pass.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::labels;
use crate::{
    cli::FilterArgs,
    exit::Failure,
    model::{Class, Counts, Dimension, TaskFilter, TaskState, TaskStatus},
    policy::codes,
    store::{Reader, ResultRow, RunRow},
    ui::{repeat::quoted, report::EndingLine},
};

/// Values of a label, or products, that are told apart; a label with more of them tells all devices apart, and so nothing about them.
const MOST_VALUES: usize = 10_000;

/// What the tasks have come to that a filter chooses.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) counts: Counts,
    endings: HashMap<(TaskState, Option<Class>, Option<i64>), u64>,
    times_sent: BTreeMap<u64, u64>,
    by: Vec<(Dimension, BTreeMap<String, Counts>)>,
}

impl Part {
    /// Reads all of the part, and breaks it down by product and by these labels.
    pub(super) async fn read(
        reader: &mut Reader,
        run: &RunRow,
        filter: TaskFilter,
        by: Vec<Dimension>,
    ) -> Result<Self, Failure> {
        let mut part = Self {
            by: by.into_iter().map(|by| (by, BTreeMap::new())).collect(),
            ..Self::default()
        };
        let mut pages = reader.results(run, filter, None).await?;
        loop {
            let page = pages.next_page().await?;
            if page.is_empty() {
                return Ok(part);
            }
            for row in &page {
                part.add(row);
            }
        }
    }

    fn add(&mut self, row: &ResultRow) {
        count(&mut self.counts, row.status);
        if let TaskStatus::Ended(state) = row.status {
            *self
                .endings
                .entry((state, row.class, row.code))
                .or_default() += 1;
        }
        if row.attempts > 0 {
            *self
                .times_sent
                .entry(row.attempts.unsigned_abs())
                .or_default() += 1;
        }
        let labels = labels(row.labels.as_deref());
        for (by, groups) in &mut self.by {
            if groups.len() > MOST_VALUES {
                continue;
            }
            let value = match by {
                Dimension::Label(name) => labels
                    .iter()
                    .find(|(label, _)| label == name)
                    .map(|(_, value)| value.as_str()),
                _ => row.product_key.as_deref(),
            };
            let value = value.unwrap_or("none");
            if !groups.contains_key(value) {
                groups.insert(value.to_owned(), Counts::default());
            }
            if let Some(counts) = groups.get_mut(value) {
                count(counts, row.status);
            }
        }
    }

    /// How its tasks have ended, the most frequent first.
    pub(super) fn endings(&self) -> Vec<EndingLine> {
        let mut endings: Vec<EndingLine> = self
            .endings
            .iter()
            .map(|(&(state, class, code), &tasks)| EndingLine {
                state,
                class,
                code,
                text: code.and_then(codes::lookup).map(|info| info.text),
                tasks,
            })
            .collect();
        endings.sort_by_key(|line| (line.state as u8, Reverse(line.tasks), line.class, line.code));
        endings
    }

    /// How many of its tasks were sent once, twice and so on.
    pub(super) fn times_sent(&self) -> Vec<(u64, u64)> {
        self.times_sent
            .iter()
            .map(|(&times, &tasks)| (times, tasks))
            .collect()
    }

    /// Its groups by each dimension, those with most failures first.
    pub(super) fn groups(&mut self) -> Vec<(Dimension, Vec<(String, Counts)>)> {
        let mut by = std::mem::take(&mut self.by);
        by.retain(|(_, groups)| groups.len() <= MOST_VALUES);
        by.into_iter()
            .map(|(by, groups)| {
                let mut groups: Vec<(String, Counts)> = groups.into_iter().collect();
                groups.sort_by_key(|(_, counts)| {
                    Reverse((counts.failed + counts.in_doubt, counts.tasks))
                });
                (by, groups)
            })
            .collect()
    }
}

fn count(counts: &mut Counts, status: TaskStatus) {
    counts.tasks += 1;
    match status {
        TaskStatus::Ended(TaskState::Accepted) => counts.accepted += 1,
        TaskStatus::Ended(TaskState::Failed) => counts.failed += 1,
        TaskStatus::Ended(TaskState::InDoubt) => counts.in_doubt += 1,
        TaskStatus::Ended(TaskState::Skipped) => counts.skipped += 1,
        TaskStatus::Pending => counts.pending += 1,
        TaskStatus::InFlight => {
            counts.pending += 1;
            counts.in_flight += 1;
        }
    }
}

/// The flags that choose this part: those of states, classes and codes, and the others. Times are those that are meant now.
pub(super) fn flags(filter: &TaskFilter, args: &FilterArgs) -> (String, String) {
    let list = |words: Vec<String>| words.join(",");
    let mut of_outcome = String::new();
    let add = |to: &mut String, flag: &str, value: String| {
        if !value.is_empty() {
            to.extend([" --", flag, " ", &quoted(&value)]);
        }
    };
    let names = filter
        .statuses
        .iter()
        .map(|status| status.name().to_owned());
    add(&mut of_outcome, "state", list(names.collect()));
    let names = filter.classes.iter().map(|class| class.name().to_owned());
    add(&mut of_outcome, "class", list(names.collect()));
    let codes = filter.codes.iter().map(|codes| {
        if codes.start() == codes.end() {
            codes.start().to_string()
        } else {
            format!("{}-{}", codes.start(), codes.end())
        }
    });
    add(&mut of_outcome, "code", list(codes.collect()));
    let mut others = String::new();
    for device in &args.device {
        add(&mut others, "device", device.clone());
    }
    if let Some(path) = &args.devices_from {
        add(
            &mut others,
            "devices-from",
            path.to_string_lossy().into_owned(),
        );
    }
    for product in &args.product {
        add(&mut others, "product", product.clone());
    }
    for (name, value) in &args.label {
        add(&mut others, "label", format!("{name}={value}"));
    }
    for word in &args.delivery {
        add(&mut others, "delivery", word.name().to_owned());
    }
    if let Some(attempts) = &filter.attempts {
        let value = match (*attempts.start(), *attempts.end()) {
            (from, to) if from == to => from.to_string(),
            (from, u64::MAX) => format!("{from}-"),
            (from, to) => format!("{from}-{to}"),
        };
        add(&mut others, "attempts", value);
    }
    for (flag, time) in [
        ("ended-after", filter.ended_after),
        ("ended-before", filter.ended_before),
    ] {
        add(
            &mut others,
            flag,
            time.map(|time| time.to_string()).unwrap_or_default(),
        );
    }
    (of_outcome, others)
}
