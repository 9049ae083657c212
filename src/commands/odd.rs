//! Likely mistakes in a manifest as text: for `check`, and for the beginning of a push.

use super::phases::{Phases, time};
use crate::{
    preview::{self, Preview},
    ui::preview::{message, own_payloads},
};

/// Warnings of one kind that are given.
const MOST: usize = 5;

/// One warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Odd {
    /// Which kind it is, for programs.
    pub(super) kind: &'static str,
    /// The line where it stands first, when it stands anywhere.
    pub(super) line: Option<u64>,
    /// How many rows it is about.
    pub(super) rows: u64,
    /// What is odd: lower case, no full stop.
    pub(super) message: String,
}

impl Odd {
    /// The warning of a manifest of this name.
    pub(super) fn words(&self, file: &str) -> String {
        match self.line {
            Some(line) => format!("{file}, line {line}: {}", self.message),
            None => format!("{file}: {}", self.message),
        }
    }
}

/// Everything that looks like a mistake. `payloads` is how many different ones are sent, in these phases, of so many tasks with at most so
/// many a second.
pub(super) fn warnings(
    preview: &Preview,
    payloads: u64,
    phases: &Phases,
    pace: (u64, Option<f64>),
) -> Vec<Odd> {
    let mut found: Vec<Odd> = Vec::new();
    for warning in preview::warnings(preview) {
        let kind = warning.kind.name();
        if found.iter().filter(|odd| odd.kind == kind).count() < MOST {
            found.push(Odd {
                kind,
                line: Some(warning.met.line),
                rows: warning.met.rows,
                message: message(&warning),
            });
        } else if let Some(last) = found.iter_mut().rfind(|odd| odd.kind == kind)
            && !last.message.ends_with(MORE)
        {
            last.message.push_str(MORE);
        }
    }
    if let Some(causes) = preview::own_payloads(preview, payloads) {
        let requests = phases.all_requests();
        let time = time(phases, pace, 0);
        let time = time.split(", ").next().unwrap_or_default();
        found.push(Odd {
            kind: "own_payloads",
            line: None,
            rows: preview.rows,
            message: own_payloads(preview.rows, payloads, requests, time, &causes),
        });
    }
    found
}

/// What is said of the last one that is given when there are others.
const MORE: &str = "; and there are more of this kind";
