use proptest::prelude::*;

use super::*;
use crate::model::{CompetingSend, Direction, InDoubtSend, TaskId};

const TOLERANCE: Duration = Duration::from_secs(5);
const DATA: &str = r#"[{"fuwu":[{"raw1":"AA"}]}]"#;

fn window(from: i64, to: i64) -> TimeRange {
    TimeRange {
        from: Timestamp(from),
        to: Timestamp(to),
    }
}

/// A task that was sent at 100 s and given up at 130 s.
fn doubt() -> InDoubtTask {
    InDoubtTask {
        task: TaskId(1),
        line: 2,
        product_key: "PK".into(),
        device_key: "A".into(),
        data: DATA.into(),
        sends: vec![InDoubtSend {
            attempt: 1,
            window: window(100_000, 130_000),
        }],
        competing: Vec::new(),
        recorded: HashSet::new(),
    }
}

fn entry(ticket: &str, at: i64) -> HistoryEntry {
    HistoryEntry {
        ticket: Ticket::new(ticket),
        sent_at: Some(Timestamp(at)),
        direction: Some(Direction::Down),
        status: Some(1),
        named: serde_json::from_str(DATA).ok(),
        ..HistoryEntry::default()
    }
}

fn untold(ticket: &str, at: i64) -> HistoryEntry {
    HistoryEntry {
        named: None,
        ..entry(ticket, at)
    }
}

fn other(ticket: &str, at: i64) -> HistoryEntry {
    HistoryEntry {
        named: Some(serde_json::json!([{"fuwu": "other"}])),
        ..entry(ticket, at)
    }
}

fn verdict(doubt: &InDoubtTask, entries: &[HistoryEntry]) -> EvidenceVerdict {
    let trace = Trace {
        entries: entries.to_vec(),
        cut: false,
    };
    weigh(doubt, &trace, TOLERANCE, Value::eq).verdict
}

fn adopts(ticket: &str, at: i64, by: Match) -> EvidenceVerdict {
    EvidenceVerdict::Adopt {
        ticket: Ticket::new(ticket).unwrap(),
        sent_at: Timestamp(at),
        by,
    }
}

#[test]
fn each_match_has_a_name() {
    let names = [
        Match::TimeAndData,
        Match::TimeAlone,
        Match::Contested,
        Match::Recorded,
        Match::OtherData,
        Match::OtherTime,
    ]
    .map(Match::name);
    assert_eq!(
        names.join(", "),
        "time and data, time alone, contested, recorded, other data, other time"
    );
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
            EvidenceVerdict::NoneFound
        };
        assert_eq!(verdict(&doubt(), &[entry("8", at)]), expected, "{at}");
    }
}

#[test]
fn several_matches_or_none_leave_it_in_doubt() {
    assert_eq!(verdict(&doubt(), &[]), EvidenceVerdict::NoneFound);
    assert_eq!(
        verdict(&doubt(), &[other("8", 102_000)]),
        EvidenceVerdict::NoneFound
    );
    assert_eq!(
        verdict(&doubt(), &[entry("8", 102_000), entry("9", 103_000)]),
        EvidenceVerdict::Several
    );
    let cut = Trace {
        entries: vec![entry("8", 102_000)],
        cut: true,
    };
    assert_eq!(
        weigh(&doubt(), &cut, TOLERANCE, Value::eq).verdict,
        EvidenceVerdict::TooMany
    );
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
            EvidenceVerdict::Several
        );
    }
}

#[test]
fn a_recorded_ticket_is_no_candidate() {
    let mut doubt = doubt();
    doubt.recorded.extend(Ticket::new("8"));
    assert_eq!(
        verdict(&doubt, &[entry("8", 102_000)]),
        EvidenceVerdict::NoneFound
    );
    assert_eq!(
        verdict(&doubt, &[entry("8", 102_000), untold("9", 103_000)]),
        adopts("9", 103_000, Match::TimeAlone)
    );
}

#[test]
fn what_another_send_may_have_made_is_not_adopted() {
    let competitor = |from, data: &str| {
        let mut doubt = doubt();
        doubt.competing.push(CompetingSend {
            window: window(from, from + 1000),
            data: data.into(),
        });
        doubt
    };
    let entries = [entry("8", 102_000)];
    assert_eq!(
        verdict(&competitor(104_000, DATA), &entries),
        EvidenceVerdict::Contested
    );
    let adopted = adopts("8", 102_000, Match::TimeAndData);
    assert_eq!(verdict(&competitor(104_000, "[]"), &entries), adopted);
    assert_eq!(verdict(&competitor(108_000, DATA), &entries), adopted);
    // What does not tell its data may be of any send at that time.
    assert_eq!(
        verdict(&competitor(104_000, "[]"), &[untold("8", 102_000)]),
        EvidenceVerdict::Contested
    );
}

#[test]
fn an_entry_that_lacks_what_is_needed_proves_nothing() {
    let no_ticket = HistoryEntry {
        ticket: None,
        ..entry("8", 102_000)
    };
    let no_time = HistoryEntry {
        sent_at: None,
        ..entry("8", 0)
    };
    assert_eq!(
        verdict(&doubt(), std::slice::from_ref(&no_ticket)),
        EvidenceVerdict::Unusable
    );
    assert_eq!(
        verdict(&doubt(), std::slice::from_ref(&no_time)),
        EvidenceVerdict::Unusable
    );
    // It may be the task's all the same, and then the other one is not.
    assert_eq!(
        verdict(&doubt(), &[no_time, entry("9", 102_000)]),
        EvidenceVerdict::Several
    );
}

#[test]
fn sends_of_one_task_share_their_single_entry() {
    let mut doubt = doubt();
    doubt.sends.push(InDoubtSend {
        attempt: 2,
        window: window(131_000, 140_000),
    });
    doubt.sends.push(InDoubtSend {
        attempt: 3,
        window: window(900_000, 930_000),
    });
    assert_eq!(
        spans(&doubt, TOLERANCE),
        [window(95_000, 145_000), window(895_000, 935_000)]
    );
    let trace = Trace {
        entries: vec![entry("8", 132_000), other("9", 901_000)],
        cut: false,
    };
    let evidence = weigh(&doubt, &trace, TOLERANCE, Value::eq);
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
        let entries: Vec<HistoryEntry> = entries
            .iter()
            .map(|(ticket, at, kind)| match kind {
                0 => entry(&ticket.to_string(), *at),
                1 => untold(&ticket.to_string(), *at),
                _ => other(&ticket.to_string(), *at),
            })
            .collect();
        let alike: Value = serde_json::from_str(DATA).unwrap();
        if let EvidenceVerdict::Adopt { ticket, sent_at, .. } = verdict(&doubt, &entries) {
            prop_assert_ne!(ticket.as_str(), recorded.to_string());
            prop_assert!((95_000..=135_000).contains(&sent_at.0));
            let others = entries.iter().filter(|one| {
                one.ticket.as_ref() != Some(&ticket)
                    && one.ticket.as_ref().is_some_and(|ticket| !doubt.recorded.contains(ticket))
                    && one.sent_at.is_some_and(|at| (95_000..=135_000).contains(&at.0))
                    && one.named.as_ref().is_none_or(|data| *data == alike)
            });
            // Of entries with one ticket, the first counts.
            let firsts: HashSet<&str> = others
                .filter(|one| {
                    let first = entries.iter().find(|other| other.ticket == one.ticket);
                    first == Some(one)
                })
                .filter_map(|one| one.ticket.as_ref().map(Ticket::as_str))
                .collect();
            prop_assert!(firsts.is_empty(), "{:?}", firsts);
        }
    }
}

#[test]
fn what_comes_from_the_device_and_what_only_reads_is_no_command_of_ours() {
    let answer = HistoryEntry {
        direction: Some(Direction::Up),
        ..untold("8", 102_100)
    };
    let read = HistoryEntry {
        dm_data: Some(serde_json::json!(["5", "6"])),
        ..untold("7", 101_000)
    };
    assert_eq!(
        verdict(&doubt(), &[answer.clone(), read.clone()]),
        EvidenceVerdict::NoneFound
    );
    // Newest first: the answer stands before its command and has the same ticket.
    assert_eq!(
        verdict(&doubt(), &[answer, untold("8", 102_000), read]),
        EvidenceVerdict::Several,
        "a read beside it may have hidden the command"
    );
}
