//! What a device's history proves about a task in doubt: a pure function of the two.
//!
//! A ticket is adopted on a single match only, since an adopted ticket is never asked about again. An entry matches when it lies within
//! the time of one of the task's sends and carries the same data as JSON. Where the entry does not tell its data, time alone has to do,
//! and then it must be the only unexplained entry in that time. An entry that another send of ours may have made matches nothing for
//! sure, and an entry whose ticket is recorded is explained already.

use std::{collections::HashSet, time::Duration};

use serde_json::Value;

use crate::model::{Doubt, Downlink, Ticket, Timestamp, Trace, Window};

/// What a device's history says of a task in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Every entry once, in the order in which they came.
    pub entries: Vec<Weighed>,
    /// What follows.
    pub verdict: Verdict,
}

/// An entry, and what it is to the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// The entry.
    pub downlink: Downlink,
    /// Whether it may be the task's.
    pub matches: Match,
    /// The place among the task's sends of the one that it is nearest to.
    pub send: usize,
}

/// How an entry stands to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
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
    pub fn name(self) -> &'static str {
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
pub enum Verdict {
    /// One entry alone is the task's: the platform took the command.
    Adopt {
        /// Its ticket.
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
pub fn spans(doubt: &Doubt, tolerance: Duration) -> Vec<Window> {
    let mut windows: Vec<Window> = doubt
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

/// Weighs a device's history. `tolerance` is how far the platform's clock may be from ours.
pub fn weigh(doubt: &Doubt, trace: Trace, tolerance: Duration) -> Evidence {
    let data = serde_json::from_str::<Value>(&doubt.data).ok();
    let mut seen = HashSet::new();
    let entries: Vec<Weighed> = trace
        .downlinks
        .into_iter()
        // A page that has grown since the one before it was read gives an entry twice.
        .filter(|downlink| match &downlink.ticket {
            Some(ticket) => seen.insert(ticket.clone()),
            None => true,
        })
        .map(|downlink| Weighed {
            matches: how(doubt, data.as_ref(), &downlink, tolerance),
            send: nearest(doubt, &downlink),
            downlink,
        })
        .collect();
    let verdict = if trace.cut {
        Verdict::TooMany
    } else {
        conclude(&entries)
    };
    Evidence { entries, verdict }
}

fn how(doubt: &Doubt, data: Option<&Value>, downlink: &Downlink, tolerance: Duration) -> Match {
    // Without a time, the entry may lie anywhere in what was asked about.
    let within = |window: Window| {
        downlink
            .sent_at
            .is_none_or(|time| window.widened(tolerance).contains(time))
    };
    if downlink
        .ticket
        .as_ref()
        .is_some_and(|ticket| doubt.recorded.contains(ticket))
    {
        return Match::Recorded;
    }
    if !doubt.sends.iter().any(|send| within(send.window)) {
        return Match::OtherTime;
    }
    let matches = match (&downlink.data, data) {
        (Some(told), Some(sent)) if told != sent => return Match::OtherData,
        (Some(_), Some(_)) => Match::TimeAndData,
        _ => Match::TimeAlone,
    };
    let contested = doubt.rivals.iter().any(|rival| {
        within(rival.window)
            && match &downlink.data {
                None => true,
                Some(told) => {
                    serde_json::from_str::<Value>(&rival.data).map_or(true, |sent| sent == *told)
                }
            }
    });
    if contested { Match::Contested } else { matches }
}

/// The last send before the entry, or the first one.
fn nearest(doubt: &Doubt, downlink: &Downlink) -> usize {
    let Some(time) = downlink.sent_at else {
        return 0;
    };
    doubt
        .sends
        .iter()
        .rposition(|send| send.window.from <= time)
        .unwrap_or(0)
}

fn conclude(entries: &[Weighed]) -> Verdict {
    let mut candidates = entries.iter().filter(|entry| {
        matches!(
            entry.matches,
            Match::TimeAndData | Match::TimeAlone | Match::Contested
        )
    });
    let Some(only) = candidates.next() else {
        return Verdict::NoneFound;
    };
    let unexplained = entries
        .iter()
        .filter(|entry| !matches!(entry.matches, Match::Recorded | Match::OtherTime))
        .count();
    if candidates.next().is_some() || (only.matches == Match::TimeAlone && unexplained > 1) {
        return Verdict::Several;
    }
    if only.matches == Match::Contested {
        return Verdict::Contested;
    }
    match (&only.downlink.ticket, only.downlink.sent_at) {
        (Some(ticket), Some(sent_at)) => Verdict::Adopt {
            ticket: ticket.clone(),
            sent_at,
            by: only.matches,
        },
        _ => Verdict::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{DoubtfulSend, Rival, TaskId};

    const TOLERANCE: Duration = Duration::from_secs(5);
    const DATA: &str = r#"[{"fuwu":[{"raw1":"AA"}]}]"#;

    fn window(from: i64, to: i64) -> Window {
        Window {
            from: Timestamp(from),
            to: Timestamp(to),
        }
    }

    /// A task that was sent at 100 s and given up at 130 s.
    fn doubt() -> Doubt {
        Doubt {
            task: TaskId(1),
            line: 2,
            product_key: "PK".into(),
            device_key: "A".into(),
            data: DATA.into(),
            sends: vec![DoubtfulSend {
                attempt: 1,
                window: window(100_000, 130_000),
            }],
            rivals: Vec::new(),
            recorded: HashSet::new(),
        }
    }

    fn entry(ticket: &str, at: i64) -> Downlink {
        Downlink {
            ticket: Ticket::new(ticket),
            sent_at: Some(Timestamp(at)),
            status: Some(1),
            data: serde_json::from_str(DATA).ok(),
        }
    }

    fn untold(ticket: &str, at: i64) -> Downlink {
        Downlink {
            data: None,
            ..entry(ticket, at)
        }
    }

    fn other(ticket: &str, at: i64) -> Downlink {
        Downlink {
            data: Some(serde_json::json!([{"fuwu": "other"}])),
            ..entry(ticket, at)
        }
    }

    fn verdict(doubt: &Doubt, downlinks: &[Downlink]) -> Verdict {
        let trace = Trace {
            downlinks: downlinks.to_vec(),
            cut: false,
        };
        weigh(doubt, trace, TOLERANCE).verdict
    }

    fn adopts(ticket: &str, at: i64, by: Match) -> Verdict {
        Verdict::Adopt {
            ticket: Ticket::new(ticket).unwrap(),
            sent_at: Timestamp(at),
            by,
        }
    }

    #[test]
    fn a_single_match_is_adopted() {
        let doubt = doubt();
        assert_eq!(
            verdict(
                &doubt,
                &[
                    other("7", 101_000),
                    entry("8", 102_000),
                    entry("9", 200_000)
                ]
            ),
            adopts("8", 102_000, Match::TimeAndData)
        );
        // The same entry on two pages is one.
        assert_eq!(
            verdict(&doubt, &[entry("8", 102_000), entry("8", 102_000)]),
            adopts("8", 102_000, Match::TimeAndData)
        );
    }

    #[test]
    fn the_window_ends_where_the_tolerance_does() {
        for (at, found) in [
            (94_999, false),
            (95_000, true),
            (135_000, true),
            (135_001, false),
        ] {
            let expected = if found {
                adopts("8", at, Match::TimeAndData)
            } else {
                Verdict::NoneFound
            };
            assert_eq!(verdict(&doubt(), &[entry("8", at)]), expected, "{at}");
        }
    }

    #[test]
    fn several_matches_or_none_leave_it_in_doubt() {
        assert_eq!(verdict(&doubt(), &[]), Verdict::NoneFound);
        assert_eq!(
            verdict(&doubt(), &[other("8", 102_000)]),
            Verdict::NoneFound
        );
        assert_eq!(
            verdict(&doubt(), &[entry("8", 102_000), entry("9", 103_000)]),
            Verdict::Several
        );
        let cut = Trace {
            downlinks: vec![entry("8", 102_000)],
            cut: true,
        };
        assert_eq!(weigh(&doubt(), cut, TOLERANCE).verdict, Verdict::TooMany);
    }

    #[test]
    fn time_alone_needs_an_entry_that_stands_alone() {
        assert_eq!(
            verdict(&doubt(), &[untold("8", 102_000)]),
            adopts("8", 102_000, Match::TimeAlone)
        );
        assert_eq!(
            verdict(&doubt(), &[untold("8", 102_000), entry("9", 300_000)]),
            adopts("8", 102_000, Match::TimeAlone)
        );
        for beside in [other("9", 103_000), entry("9", 103_000)] {
            assert_eq!(
                verdict(&doubt(), &[untold("8", 102_000), beside]),
                Verdict::Several
            );
        }
    }

    #[test]
    fn a_recorded_ticket_is_no_candidate() {
        let mut doubt = doubt();
        doubt.recorded.extend(Ticket::new("8"));
        assert_eq!(verdict(&doubt, &[entry("8", 102_000)]), Verdict::NoneFound);
        assert_eq!(
            verdict(&doubt, &[entry("8", 102_000), untold("9", 103_000)]),
            adopts("9", 103_000, Match::TimeAlone)
        );
    }

    #[test]
    fn what_another_send_may_have_made_is_not_adopted() {
        let rival = |from, data: &str| {
            let mut doubt = doubt();
            doubt.rivals.push(Rival {
                window: window(from, from + 1000),
                data: data.into(),
            });
            doubt
        };
        let entries = [entry("8", 102_000)];
        assert_eq!(verdict(&rival(104_000, DATA), &entries), Verdict::Contested);
        let adopted = adopts("8", 102_000, Match::TimeAndData);
        assert_eq!(verdict(&rival(104_000, "[]"), &entries), adopted);
        assert_eq!(verdict(&rival(108_000, DATA), &entries), adopted);
        // What does not tell its data may be of any send at that time.
        assert_eq!(
            verdict(&rival(104_000, "[]"), &[untold("8", 102_000)]),
            Verdict::Contested
        );
    }

    #[test]
    fn an_entry_that_lacks_what_is_needed_proves_nothing() {
        let no_ticket = Downlink {
            ticket: None,
            ..entry("8", 102_000)
        };
        let no_time = Downlink {
            sent_at: None,
            ..entry("8", 0)
        };
        assert_eq!(
            verdict(&doubt(), std::slice::from_ref(&no_ticket)),
            Verdict::Unusable
        );
        assert_eq!(
            verdict(&doubt(), std::slice::from_ref(&no_time)),
            Verdict::Unusable
        );
        // It may be the task's all the same, and then the other one is not.
        assert_eq!(
            verdict(&doubt(), &[no_time, entry("9", 102_000)]),
            Verdict::Several
        );
    }

    #[test]
    fn sends_of_one_task_share_their_single_entry() {
        let mut doubt = doubt();
        doubt.sends.push(DoubtfulSend {
            attempt: 2,
            window: window(131_000, 140_000),
        });
        doubt.sends.push(DoubtfulSend {
            attempt: 3,
            window: window(900_000, 930_000),
        });
        assert_eq!(
            spans(&doubt, TOLERANCE),
            [window(95_000, 145_000), window(895_000, 935_000)]
        );
        let trace = Trace {
            downlinks: vec![entry("8", 132_000), other("9", 901_000)],
            cut: false,
        };
        let evidence = weigh(&doubt, trace, TOLERANCE);
        assert_eq!(evidence.verdict, adopts("8", 132_000, Match::TimeAndData));
        let sends: Vec<usize> = evidence.entries.iter().map(|entry| entry.send).collect();
        assert_eq!(sends, [1, 2]);
    }

    proptest! {
        /// Whatever the history says, an adopted ticket is that of the only entry that could be the task's.
        #[test]
        fn nothing_is_adopted_that_has_a_rival(
            entries in prop::collection::vec((0_u8..6, 90_000_i64..140_000, 0_u8..3), 0..5),
            recorded in 0_u8..6,
        ) {
            let mut doubt = doubt();
            doubt.recorded.extend(Ticket::new(&recorded.to_string()));
            let downlinks: Vec<Downlink> = entries
                .iter()
                .map(|(ticket, at, kind)| match kind {
                    0 => entry(&ticket.to_string(), *at),
                    1 => untold(&ticket.to_string(), *at),
                    _ => other(&ticket.to_string(), *at),
                })
                .collect();
            let alike: Value = serde_json::from_str(DATA).unwrap();
            if let Verdict::Adopt { ticket, sent_at, .. } = verdict(&doubt, &downlinks) {
                prop_assert_ne!(ticket.as_str(), recorded.to_string());
                prop_assert!((95_000..=135_000).contains(&sent_at.0));
                let others = downlinks.iter().filter(|one| {
                    one.ticket.as_ref() != Some(&ticket)
                        && one.ticket.as_ref().is_some_and(|ticket| !doubt.recorded.contains(ticket))
                        && one.sent_at.is_some_and(|at| (95_000..=135_000).contains(&at.0))
                        && one.data.as_ref().is_none_or(|data| *data == alike)
                });
                // Of entries with one ticket, the first counts.
                let firsts: HashSet<&str> = others
                    .filter(|one| {
                        let first = downlinks.iter().find(|other| other.ticket == one.ticket);
                        first == Some(one)
                    })
                    .filter_map(|one| one.ticket.as_ref().map(Ticket::as_str))
                    .collect();
                prop_assert!(firsts.is_empty(), "{:?}", firsts);
            }
        }
    }
}
