//! What a device's history proves about a task in doubt: a pure function of the two.
//!
//! A ticket is adopted on a single match only, since an adopted ticket is never asked about again. An entry matches when it lies within
//! the time of one of the task's sends and carries the same values. Where its values cannot be compared, time alone has to do, and then it must be the only unexplained entry in that time. An entry that another send of ours may have made matches nothing for
//! sure, and an entry whose ticket is recorded is explained already.

use std::{collections::HashSet, time::Duration};

use serde_json::Value;

use crate::model::{HistoryEntry, InDoubtTask, Ticket, TimeRange, Timestamp, Trace};

/// What a device's history says of a task in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Every entry once, in the order in which they came.
    pub(crate) entries: Vec<Weighed>,
    /// What follows.
    pub(crate) verdict: EvidenceVerdict,
}

/// An entry, and what it is to the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weighed {
    pub(crate) entry: HistoryEntry,
    /// Whether it may be the task's.
    pub(crate) matches: Match,
    /// The place among the task's sends of the one that it is nearest to.
    pub(crate) send: usize,
}

/// How an entry stands to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// Its time and its data are a send's.
    TimeAndData,
    /// Its time is a send's, and its data cannot be compared.
    TimeAlone,
    /// It could be the task's, but another send of ours to the device may have made it as well.
    Contested,
    /// Its ticket is recorded for another send.
    Recorded,
    /// It carries something else.
    OtherData,
    /// It was sent at another time.
    OtherTime,
}

impl Match {
    /// The name on the screen.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TimeAndData => "time and data",
            Self::TimeAlone => "time alone",
            Self::Contested => "contested",
            Self::Recorded => "recorded",
            Self::OtherData => "other data",
            Self::OtherTime => "other time",
        }
    }
}

/// What follows for the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EvidenceVerdict {
    /// One entry alone is the task's: the platform took the command.
    Adopt {
        ticket: Ticket,
        /// When the platform sent it, on its own clock.
        sent_at: Timestamp,
        /// Whether the data agreed, or only the time.
        by: Match,
    },
    /// No entry matches: not sent, or not shown yet.
    NoneFound,
    /// Several entries match, or one that tells no data stands beside others.
    Several,
    /// The one entry that matches may be another send's.
    Contested,
    /// The one entry that matches has no ticket or no time.
    Unusable,
    /// There are more entries than are read.
    TooMany,
}

/// The times to ask the platform about: the task's sends, each widened by the tolerance, overlapping ones as one.
pub(crate) fn spans(doubt: &InDoubtTask, tolerance: Duration) -> Vec<TimeRange> {
    let mut windows: Vec<TimeRange> = doubt
        .sends
        .iter()
        .map(|send| send.window.widened(tolerance))
        .collect();
    windows.sort_unstable_by_key(|window| window.from);
    windows.into_iter().fold(Vec::new(), |mut spans, window| {
        match spans.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => spans.push(window),
        }
        spans
    })
}

/// Weighs a device's history. `tolerance` is how far the platform's clock may be from ours, and `is_same` says whether what an entry tells is
/// the data that was sent.
pub(crate) fn weigh(
    doubt: &InDoubtTask,
    trace: &Trace,
    tolerance: Duration,
    is_same: impl Fn(&Value, &Value) -> bool,
) -> Evidence {
    let data = serde_json::from_str::<Value>(&doubt.data).ok();
    let mut seen = HashSet::new();
    let entries: Vec<Weighed> = trace
        .entries
        .iter()
        .filter(|entry| entry.may_be_command())
        // A platform may tell of a command twice.
        .filter(|entry| match &entry.ticket {
            Some(ticket) => seen.insert(ticket),
            None => true,
        })
        .map(|entry| Weighed {
            matches: how(doubt, data.as_ref(), entry, tolerance, &is_same),
            send: nearest(doubt, entry),
            entry: entry.clone(),
        })
        .collect();
    let verdict = if trace.cut {
        EvidenceVerdict::TooMany
    } else {
        conclude(&entries)
    };
    Evidence { entries, verdict }
}

fn how(
    doubt: &InDoubtTask,
    data: Option<&Value>,
    entry: &HistoryEntry,
    tolerance: Duration,
    is_same: impl Fn(&Value, &Value) -> bool,
) -> Match {
    // Without a time, the entry may lie anywhere in what was asked about.
    let within = |window: TimeRange| {
        entry
            .sent_at
            .is_none_or(|time| window.widened(tolerance).contains(time))
    };
    if entry
        .ticket
        .as_ref()
        .is_some_and(|ticket| doubt.recorded.contains(ticket))
    {
        return Match::Recorded;
    }
    if !doubt.sends.iter().any(|send| within(send.window)) {
        return Match::OtherTime;
    }
    if entry.is_read() {
        return Match::OtherData;
    }
    let matches = match (&entry.named, data) {
        (Some(told), Some(sent)) if !is_same(told, sent) => return Match::OtherData,
        (Some(_), Some(_)) => Match::TimeAndData,
        _ => Match::TimeAlone,
    };
    let contested = doubt.competing.iter().any(|competitor| {
        within(competitor.window)
            && match &entry.named {
                None => true,
                Some(told) => serde_json::from_str::<Value>(&competitor.data)
                    .map_or(true, |sent| is_same(told, &sent)),
            }
    });
    if contested { Match::Contested } else { matches }
}

/// The last send before the entry, or the first one.
fn nearest(doubt: &InDoubtTask, entry: &HistoryEntry) -> usize {
    let Some(time) = entry.sent_at else {
        return 0;
    };
    doubt
        .sends
        .iter()
        .rposition(|send| send.window.from <= time)
        .unwrap_or(0)
}

fn conclude(entries: &[Weighed]) -> EvidenceVerdict {
    let mut candidates = entries.iter().filter(|entry| {
        matches!(
            entry.matches,
            Match::TimeAndData | Match::TimeAlone | Match::Contested
        )
    });
    let Some(only) = candidates.next() else {
        return EvidenceVerdict::NoneFound;
    };
    let unexplained = entries
        .iter()
        .filter(|entry| !matches!(entry.matches, Match::Recorded | Match::OtherTime))
        .count();
    if candidates.next().is_some() || (only.matches == Match::TimeAlone && unexplained > 1) {
        return EvidenceVerdict::Several;
    }
    if only.matches == Match::Contested {
        return EvidenceVerdict::Contested;
    }
    match (&only.entry.ticket, only.entry.sent_at) {
        (Some(ticket), Some(sent_at)) => EvidenceVerdict::Adopt {
            ticket: ticket.clone(),
            sent_at,
            by: only.matches,
        },
        _ => EvidenceVerdict::Unusable,
    }
}

#[cfg(test)]
mod tests;
