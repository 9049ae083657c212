use super::*;
use crate::throttle::meter::{
    Meter,
    tests::{
        Came::{First, Refused, Taken},
        Told, record,
    },
};

/// Three bunches of refusals, with acceptances before, between and after them.
fn three_bunches() -> Record {
    record(&[
        (1.0, Taken),
        (2.0, First),
        (2.5, Refused),
        (3.0, Taken),
        (4.0, Taken),
        (5.0, First),
        (6.0, Taken),
        (7.0, Taken),
        (7.0, Taken),
        (8.0, First),
        (9.0, Taken),
        (10.0, Refused),
        (11.0, Taken),
    ])
}

#[test]
fn what_was_sent_together_is_one_entry() {
    // What was told, and when each entry is, what it holds, and how it is marked.
    type Expected<'a> = &'a [(f64, f64, f64, Mark)];
    let cases: [(Told, Expected); 8] = [
        (&[(1.0, Taken)], &[(1.0, 1.0, 0.0, Mark::None)]),
        (
            &[(1.0, Taken), (1.004, Taken), (1.006, Taken)],
            &[(1.0, 2.0, 0.0, Mark::None), (1.006, 1.0, 0.0, Mark::None)],
        ),
        (
            &[(0.0, Taken), (TOGETHER, Taken), (2.0 * TOGETHER, Refused)],
            &[
                (0.0, 1.0, 0.0, Mark::None),
                (TOGETHER, 1.0, 0.0, Mark::None),
                (2.0 * TOGETHER, 0.0, 1.0, Mark::None),
            ],
        ),
        (
            &[(1.0, Taken), (1.004, Refused), (1.006, Refused)],
            &[(1.0, 1.0, 1.0, Mark::None), (1.006, 0.0, 1.0, Mark::None)],
        ),
        (
            &[(1.0, First), (1.001, Taken), (1.002, Refused)],
            &[(1.0, 0.0, 1.0, Mark::First), (1.001, 1.0, 1.0, Mark::None)],
        ),
        (
            &[(1.0, First), (1.001, Refused), (1.002, Refused)],
            &[(1.0, 0.0, 3.0, Mark::First)],
        ),
        (
            &[(1.0, First), (2.0, First), (3.0, First)],
            &[
                (1.0, 0.0, 1.0, Mark::First),
                (2.0, 0.0, 1.0, Mark::None),
                (3.0, 0.0, 1.0, Mark::Last),
            ],
        ),
        (
            &[(1.0, First), (2.0, Taken), (3.0, First)],
            &[
                (1.0, 0.0, 1.0, Mark::First),
                (2.0, 1.0, 0.0, Mark::None),
                (3.0, 0.0, 1.0, Mark::First),
            ],
        ),
    ];
    for (told, expected) in cases {
        let entries: Vec<_> = record(told)
            .entries
            .iter()
            .map(|entry| (entry.at, entry.taken, entry.refused, entry.mark))
            .collect();
        assert_eq!(entries, expected);
    }
}

#[test]
fn the_oldest_entries_are_dropped_and_the_next_bunch_is_begun_with() {
    // From when on entries are to be explained, which one is the first of a bunch, and from when on after one was dropped.
    let cases = [
        (0.0, None, 3000.0),
        (0.0, Some(1500), 1500.0),
        (1.0, Some(1500), 1.0),
        (1600.0, Some(1500), 1600.0),
    ];
    for (since, first, then) in cases {
        let mut record = Record::default();
        record.forget(since);
        for n in 0..3000 {
            if first == Some(n) {
                record.refused(f64::from(n), true);
            } else {
                record.taken(f64::from(n));
            }
        }
        let what = format!("since {since}, first {first:?}");
        let kept = |record: &Record| (record.entries.len(), record.entries[0].at, record.since);
        assert_eq!(kept(&record), (3000, 0.0, since), "{what}");
        record.taken(3000.0);
        assert_eq!(kept(&record), (3000, 1.0, then), "{what}");
    }
}

#[test]
fn bunches_are_explained_from_a_time_on() {
    let all = [2.0, 5.0, 8.0];
    for (since, from) in [(0.0, 0), (2.0, 0), (2.1, 1), (8.0, 2), (8.1, 3)] {
        let mut record = three_bunches();
        record.forget(since);
        assert_eq!(record.bunches(), all[from..], "{since}");
    }
    // All but the last two are forgotten, if there are so many.
    for (since, then) in [(0.0, 5.0), (3.0, 5.0), (6.0, 6.0), (9.0, 9.0)] {
        let mut record = three_bunches();
        record.forget(since);
        record.forget_but_last();
        assert_eq!((record.since, record.usual), (then, None), "{since}");
    }
}

#[test]
fn the_usual_meter_is_forgotten_with_the_rest() {
    let mut record = three_bunches();
    record.usual = Some(Fit {
        meter: Meter::Bucket { rate: 1.0 },
        counts_refused: false,
        rate: 1.0,
        between: (1.0, 1.0),
        burst: 1.0,
        misfit: 0.0,
        bunches: 2,
    });
    record.forget_but_last();
    assert_eq!(record.usual, None);
}

#[test]
fn what_was_taken_is_counted_from_a_time_on() {
    // From when on; taken in all, in how many seconds, and between the bunches.
    let cases = [
        (0.0, (8.0, 10.0), 5.0),
        (2.0, (7.0, 9.0), 5.0),
        (2.1, (7.0, 8.5), 3.0),
        (5.5, (5.0, 5.0), 0.0),
        (8.5, (2.0, 2.0), 0.0),
        (11.0, (1.0, 0.0), 0.0),
        (12.0, (0.0, 0.0), 0.0),
    ];
    for (since, taken_and_seconds, between) in cases {
        let mut record = three_bunches();
        record.forget(since);
        assert_eq!(record.taken_and_seconds(), taken_and_seconds, "{since}");
        let found = record.taken_between_bunches();
        assert!((found - between).abs() < 1e-9, "{since}: {found}");
    }
}

#[test]
fn what_was_taken_since_the_last_bunch_is_counted() {
    let cases: [(Told, f64); 4] = [
        (&[], 0.0),
        (&[(1.0, Taken), (2.0, Taken)], 2.0),
        (&[(1.0, Taken), (2.0, First), (3.0, First)], 0.0),
        (
            &[
                (1.0, Taken),
                (2.0, First),
                (3.0, Taken),
                (4.0, Refused),
                (5.0, Taken),
            ],
            2.0,
        ),
    ];
    for (told, taken) in cases {
        let found = record(told).taken_since_refused();
        assert!((found - taken).abs() < 1e-9, "{found} and not {taken}");
    }
}

#[test]
fn a_refusal_bounds_the_rate_by_those_before_it() {
    // What was told, since when it was sent after a pause, and the bound.
    let cases: [(Told, f64, Option<f64>); 11] = [
        (&[], 0.0, None),
        (
            &[(1.0, Refused), (2.0, Taken), (4.0, First)],
            0.0,
            Some(0.75),
        ),
        (&[(1.0, Taken), (2.0, Taken)], 0.0, None),
        (&[(2.0, First)], 0.0, None),
        (&[(2.0, Taken), (2.5, First)], 0.0, Some(3.0)),
        (&[(2.0, Taken), (2.0, First)], 0.0, Some(15_000.0)),
        (
            &[(1.0, Taken), (2.0, Refused), (3.0, First)],
            0.0,
            Some(0.75),
        ),
        (&[(1.0, Taken), (2.0, Taken), (4.0, First)], 2.0, Some(0.75)),
        (&[(1.0, Taken), (2.0, Taken), (4.0, First)], 2.1, None),
        (
            &[
                (1.0, Taken),
                (2.0, First),
                (3.0, Taken),
                (4.0, Taken),
                (5.0, First),
            ],
            0.0,
            Some(1.25),
        ),
        (
            &[
                (1.0, Taken),
                (2.0, First),
                (3.0, First),
                (4.0, Taken),
                (5.0, Refused),
            ],
            0.0,
            Some(1.5),
        ),
    ];
    for (nth, (told, resumed, bound)) in cases.into_iter().enumerate() {
        assert_eq!(record(told).bound(resumed), bound, "case {nth}");
    }
    // The last ten are enough.
    let mut many: Vec<_> = (0..20).map(|n| (f64::from(n), Taken)).collect();
    many.push((20.0, First));
    assert_eq!(record(&many).bound(0.0), Some(1.05));
}
