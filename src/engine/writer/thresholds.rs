//! Which ended tasks count towards the thresholds of `--abort-if`.

use std::collections::BTreeMap;

use super::platform::Heard;
use crate::{
    engine::Options,
    journal::{Journal, Next, Settlement, excuse::Excused},
    model::{AbortIf, Tally},
    policy::{self, Sample},
};

/// The thresholds, and what counts towards none of them.
#[derive(Debug)]
pub(super) struct Thresholds {
    abort_if: AbortIf,
    excused: Excused<Tally>,
}

impl Thresholds {
    pub(super) fn new(options: &Options, journal: &Journal<'_>) -> Self {
        let forgiven = if options.override_abort {
            journal.tally().into_iter().collect()
        } else {
            journal.excused()
        };
        Self {
            abort_if: options.abort_if.clone(),
            excused: Excused::new(forgiven),
        }
    }

    /// Tasks have ended with a request that said this of the platform.
    pub(super) fn ended(&mut self, tasks: &[Settlement], heard: &Heard, answered: bool) {
        let ended = tasks.iter().filter_map(|task| match task.next {
            Next::End(state) => Some(Tally {
                state,
                class: Some(task.outcome.class),
                code: task.outcome.code,
            }),
            Next::Again { .. } | Next::Split { .. } => None,
        });
        self.excused
            .ended(ended, heard.excuse, answered, heard.is_paused);
    }

    /// What is newly known to count towards nothing, since this was asked for last.
    pub(super) fn newly_excused(&mut self) -> BTreeMap<Tally, u64> {
        self.excused.take_pending()
    }

    /// Which threshold has been crossed, if any.
    pub(super) fn crossed(&self, journal: &Journal<'_>, sample: Sample) -> Option<String> {
        let elsewhere = journal.excused();
        let counted: Vec<(Tally, u64)> = journal
            .tally()
            .into_iter()
            .map(|(key, n)| {
                // Of a part, other workers know of outages too.
                let theirs = elsewhere.get(&key).copied().unwrap_or_default();
                (
                    key,
                    self.excused.counted(&key, n).min(n.saturating_sub(theirs)),
                )
            })
            .collect();
        policy::crossed(&self.abort_if, &counted, sample)
    }
}
