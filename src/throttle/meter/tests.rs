use super::*;

/// What a request comes to.
#[derive(Clone, Copy)]
pub(super) enum Came {
    Taken,
    Refused,
    /// Refused, the first of a bunch.
    First,
}
use Came::{First, Refused, Taken};

/// What requests came to that were sent at these times.
pub(super) type Told<'a> = &'a [(f64, Came)];

pub(super) fn record(told: Told) -> Record {
    let mut record = Record::default();
    for (at, came) in told {
        match came {
            Taken => record.taken(*at),
            Refused => record.refused(*at, false),
            First => record.refused(*at, true),
        }
    }
    record
}

const BUCKET: Meter = Meter::Bucket { rate: 2.0 };

pub(super) fn sliding(seconds: f64) -> Meter {
    Meter::Sliding { seconds }
}

pub(super) fn fixed(seconds: f64, phase: f64) -> Meter {
    Meter::Fixed { seconds, phase }
}

pub(super) fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-4
}

fn are_near(some: &[f64], others: &[f64]) -> bool {
    let mut pairs = some.iter().zip(others);
    some.len() == others.len() && pairs.all(|(one, other)| is_near(*one, *other))
}

#[test]
fn a_meter_is_followed_along_the_record() {
    let told = [
        (0.0, Taken),
        (0.5, Taken),
        (0.75, Taken),
        (0.875, First),
        (1.0, Taken),
        (1.6, Taken),
        (3.0, Taken),
    ];
    // The meter, whether refused requests count, since when it is followed, and what it reads before each request and at last.
    let cases: [(Meter, bool, f64, &[f64]); 15] = [
        (
            BUCKET,
            false,
            0.0,
            &[0.0, 0.0, 0.5, 1.25, 1.0, 0.8, 0.0, 1.0],
        ),
        (
            BUCKET,
            true,
            0.0,
            &[0.0, 0.0, 0.5, 1.25, 2.0, 1.8, 0.0, 1.0],
        ),
        (
            sliding(1.0),
            false,
            0.0,
            &[0.0, 1.0, 2.0, 3.0, 2.0, 2.0, 0.0, 1.0],
        ),
        (
            sliding(1.0),
            true,
            0.0,
            &[0.0, 1.0, 2.0, 3.0, 3.0, 3.0, 0.0, 1.0],
        ),
        (
            sliding(2.0),
            false,
            0.0,
            &[0.0, 1.0, 2.0, 3.0, 3.0, 4.0, 1.0, 2.0],
        ),
        (
            fixed(1.0, 0.25),
            false,
            0.0,
            &[0.0, 0.0, 1.0, 2.0, 2.0, 0.0, 0.0, 1.0],
        ),
        (
            fixed(1.0, 0.25),
            true,
            0.0,
            &[0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 1.0],
        ),
        (
            fixed(2.0, 0.5),
            false,
            0.0,
            &[0.0, 0.0, 1.0, 2.0, 2.0, 3.0, 0.0, 1.0],
        ),
        // Of a bucket it is only known how high it stood, and of a window how many were in it.
        (BUCKET, false, 0.75, &[3.0, 3.75, 3.5, 3.3, 1.5, 2.5]),
        (BUCKET, false, 0.7, &[3.0, 3.75, 3.5, 3.3, 1.5, 2.5]),
        (sliding(1.0), false, 0.75, &[2.0, 3.0, 2.0, 2.0, 0.0, 1.0]),
        (sliding(1.0), false, 1.5, &[2.0, 0.0, 1.0]),
        (sliding(1.0), false, 1.75, &[0.0, 1.0]),
        (fixed(1.0, 0.25), false, 1.0, &[2.0, 0.0, 0.0, 1.0]),
        (BUCKET, false, 9.0, &[1.0]),
    ];
    for (meter, counts_refused, since, expected) in cases {
        let mut record = record(&told);
        record.since = since;
        record.stood = 3.0;
        let mut readings = Vec::new();
        let last = record.follow(meter, counts_refused, |_, reading| readings.push(reading));
        readings.push(last);
        let fit = Fit {
            meter,
            counts_refused,
            rate: 1.0,
            between: (1.0, 1.0),
            burst: 1.0,
            misfit: 0.0,
            bunches: 0,
        };
        assert!(is_near(record.reading(&fit), last));
        let what = format!("{meter:?} {counts_refused} since {since}: {readings:?}");
        if since < 9.0 {
            assert!(are_near(&readings, expected), "{what}");
        } else {
            assert_eq!(readings.len(), 1, "{what}");
        }
    }
}

/// What was told, the meter and whether refused requests count; the burst, the rate, how many are explained wrongly, and in how many
/// bunches.
type Explained<'a> = (Told<'a>, Meter, bool, (f64, f64, f64), usize);

#[test]
fn the_burst_is_the_one_that_explains_most() {
    let two = [
        (0.0, Taken),
        (0.001, Taken),
        (0.002, Taken),
        (0.5, First),
        (2.0, Taken),
        (2.5, First),
    ];
    let last = [
        (0.0, Taken),
        (0.001, Taken),
        (0.002, Taken),
        (0.5, First),
        (1.0, First),
    ];
    let counted = [(0.0, Taken), (0.5, First), (0.6, Refused), (0.7, Refused)];
    let one = Meter::Bucket { rate: 1.0 };
    let cases: [Explained; 11] = [
        (&two, one, false, (2.5, 1.0, 0.5 + 0.1 * 2.5_f64.ln()), 2),
        (&two, one, true, (3.0, 1.0, 0.3 + 0.1 * 3_f64.ln()), 2),
        (
            &two,
            sliding(2.0),
            false,
            (2.0, 1.0, 1.5 + 0.1 * 2_f64.ln()),
            2,
        ),
        (
            &two,
            sliding(2.0),
            true,
            (2.0, 1.0, 1.8 + 0.1 * 2_f64.ln()),
            2,
        ),
        (
            &two,
            fixed(2.0, 0.0),
            false,
            (2.0, 1.0, 2.0 + 0.1 * 2_f64.ln()),
            2,
        ),
        (
            &two,
            fixed(10.0, 0.0),
            false,
            (4.0, 0.4, 1.0 + 0.1 * 4_f64.ln()),
            2,
        ),
        (&last, one, false, (3.0, 1.0, 0.1 * 3_f64.ln()), 1),
        (&last, BUCKET, false, (2.0, 2.0, 1.0 + 0.1 * 2_f64.ln()), 1),
        (&counted, one, true, (1.0, 1.0, 0.3), 1),
        (&[], one, false, (1.0, 1.0, 0.0), 0),
        (&[], sliding(2.0), true, (1.0, 0.5, 0.8), 0),
    ];
    for (nth, (told, meter, counts_refused, expected, bunches)) in cases.into_iter().enumerate() {
        let fit = record(told).explain(meter, counts_refused);
        let what = format!("case {nth}: {fit:?} and not {expected:?}");
        let found = [
            fit.burst,
            fit.rate,
            fit.misfit,
            fit.between.0,
            fit.between.1,
        ];
        let (burst, rate, misfit) = expected;
        assert!(
            are_near(&found, &[burst, rate, misfit, rate, rate]),
            "{what}"
        );
        assert_eq!((fit.meter, fit.counts_refused), (meter, counts_refused));
        assert_eq!(fit.bunches, bunches, "{what}");
    }
}

#[test]
fn a_meter_is_doubted_by_what_is_taken_at_readings_at_which_others_are_refused() {
    let mixed = [
        (0.0, Taken),
        (1.0, First),
        (2.0, Taken),
        (3.0, First),
        (4.0, Taken),
        (5.0, Refused),
    ];
    let apart = [
        (0.0, Taken),
        (1.0, Taken),
        (2.0, First),
        (12.0, Taken),
        (13.0, Taken),
        (14.0, First),
    ];
    let cases: [(Told, bool, f64); 4] = [
        (&mixed, false, 0.5),
        (&mixed, true, 0.5),
        (&apart, false, 0.0),
        (&[], false, 0.0),
    ];
    for (told, counts_refused, doubt) in cases {
        let record = record(told);
        let fit = record.explain(sliding(10.0), counts_refused);
        let found = record.doubt(&fit);
        assert!(
            is_near(found, doubt),
            "{counts_refused}: {found} and not {doubt}"
        );
    }
}
