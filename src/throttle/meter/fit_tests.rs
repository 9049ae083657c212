//! Whether the meter of a platform is found from what it answered.

use super::{
    tests::{
        Came::{First, Taken},
        fixed, is_near, record, sliding,
    },
    *,
};

/// A platform that counts so and takes a request at no higher reading than the burst allows.
struct Platform {
    meter: Meter,
    counts_refused: bool,
    burst: f64,
    /// When requests were counted.
    counted: Vec<f64>,
    level: f64,
    then: f64,
}

impl Platform {
    fn takes(&mut self, at: f64) -> bool {
        let level = match self.meter {
            Meter::Bucket { rate } => (self.level - (at - self.then) * rate).max(0.0),
            Meter::Sliding { seconds } => {
                self.counted.retain(|counted| counted + seconds > at);
                self.counted.len() as f64
            }
            Meter::Fixed { seconds, phase } => {
                let window = |at: f64| ((at - phase) / seconds).floor() as i64;
                self.counted
                    .retain(|counted| window(*counted) == window(at));
                self.counted.len() as f64
            }
        };
        let is_taken = level <= self.burst - 1.0;
        let is_counted = is_taken || self.counts_refused;
        if is_counted {
            self.counted.push(at);
        }
        (self.level, self.then) = (level + f64::from(u8::from(is_counted)), at);
        is_taken
    }
}

/// Sends until so many bunches of refusals have come, each at such a multiple of the rate that is taken, and followed by two requests at
/// once and by a pause, which rests so long in relation to others.
fn met(
    bunches: usize,
    (meter, counts_refused): (Meter, bool),
    burst: f64,
    rate: f64,
    rests: f64,
) -> Record {
    let mut platform = Platform {
        meter,
        counts_refused,
        burst,
        counted: Vec::new(),
        level: 0.0,
        then: 0.0,
    };
    let mut record = Record::default();
    let mut at = 0.0;
    let paces = [(1.5, 0.6), (1.1, 0.9), (2.0, 0.7), (1.3, 0.8), (1.1, 0.0)];
    for (times, pause) in paces.into_iter().take(bunches) {
        let gap = 1.0 / (times * rate);
        at += gap;
        while platform.takes(at) {
            record.taken(at);
            at += gap;
        }
        record.refused(at, true);
        for _ in 0..2 {
            at += 0.1 * gap;
            if platform.takes(at) {
                record.taken(at);
            } else {
                record.refused(at, false);
            }
        }
        at += rests * pause * burst / rate;
    }
    record
}

#[test]
fn the_meter_that_answered_is_found() {
    let bucket = |rate| Meter::Bucket { rate };
    // The meter and whether it counts refused requests; the burst, the rate that it allows, and how long pauses are.
    let cases = [
        (bucket(40.0), false, 5.0, 40.0, 1.0),
        (bucket(40.0), true, 10.0, 40.0, 1.0),
        (bucket(2.0), false, 10.0, 2.0, 1.0),
        (bucket(300.0), false, 60.0, 300.0, 1.0),
        (bucket(300.0), true, 60.0, 300.0, 1.0),
        (sliding(1.0), false, 20.0, 20.0, 1.0),
        (sliding(5.0), true, 50.0, 10.0, 0.5),
        (sliding(10.0), false, 40.0, 4.0, 1.0),
        (fixed(1.0, 0.5), false, 30.0, 30.0, 1.0),
        (fixed(10.0, 2.5), false, 50.0, 5.0, 1.0),
    ];
    for (meter, counts_refused, burst, rate, rests) in cases {
        let mut record = met(5, (meter, counts_refused), burst, rate, rests);
        let bound = record.bound(0.0).unwrap();
        let fit = record.fit(bound).unwrap();
        let what = format!("{meter:?} {counts_refused} {burst}: {fit:?}");
        assert!((fit.rate / rate - 1.0).abs() < 0.01, "{what}");
        assert!((fit.burst / burst - 1.0).abs() < 0.03, "{what}");
        assert_eq!(
            (fit.counts_refused, fit.bunches),
            (counts_refused, 5),
            "{what}"
        );
        if !matches!(meter, Meter::Bucket { .. }) {
            assert_eq!(fit.meter, meter, "{what}");
        }
        assert!(record.doubt(&fit) < 0.01, "{what}");
        assert!(is_near(record.stood, 0.0), "nothing was before: {what}");
    }
}

#[test]
fn a_window_is_thought_of_from_two_bunches_on_and_first_when_it_promises_more() {
    let bucket = |rate| Meter::Bucket { rate };
    // The meter, its burst and the rate that it allows, the bunches, and the bound; the window that is found, if any.
    for (meter, burst, rate, bunches, bound, window) in [
        // A bucket of 12.8 a second explains as much, and more than a window of ten a second.
        (sliding(1.0), 20.0, 20.0, 2, 23.1, Some(sliding(1.0))),
        (sliding(1.0), 20.0, 20.0, 2, 19.8, None),
        (sliding(1.0), 20.0, 20.0, 3, 19.8, Some(fixed(2.0, 0.8))),
        // A single bunch of a bucket is explained by a window that promises more.
        (bucket(2.0), 10.0, 2.0, 1, 1.98, None),
    ] {
        let mut record = met(bunches, (meter, false), burst, rate, 1.0);
        let fit = record.fit(bound).unwrap();
        let what = format!("{meter:?} {bunches} {bound}: {fit:?}");
        let is_bucket = matches!(fit.meter, Meter::Bucket { .. });
        assert_eq!((!is_bucket).then_some(fit.meter), window, "{what}");
    }
}

#[test]
fn an_explanation_is_better_when_less_is_explained_wrongly() {
    let fit = |misfit| Fit {
        meter: sliding(1.0),
        counts_refused: false,
        rate: 10.0,
        between: (10.0, 10.0),
        burst: 10.0,
        misfit,
        bunches: 2,
    };
    for (misfit, other, so_much, is_it) in [
        (1.0, 2.0, 0.0, true),
        (2.0, 1.0, 0.0, false),
        (1.0, 1.0, 0.0, false),
        (1.5, 1.0, 1.0, true),
        (2.0, 1.0, 1.0, false),
    ] {
        let better = fit(misfit).or(fit(other), so_much);
        let expected = if is_it { misfit } else { other };
        assert!(is_near(better.misfit, expected), "{misfit} {other}");
    }
    for (misfit, is_worse) in [(1.9, false), (2.0, false), (2.1, true)] {
        assert_eq!(fit(misfit).is_much_worse(&fit(1.0)), is_worse, "{misfit}");
    }
    for (rate, other, bunches, so_much) in [
        (2.0, 1.0, 2, 1.1),
        (2.0, 1.0, 3, 1.0),
        (1.0, 2.0, 2, 0.0),
        (1.0, 1.0, 3, 0.0),
    ] {
        let what = format!("{rate} {other} {bunches}");
        assert!(is_near(lead(rate, other, bunches), so_much), "{what}");
    }
}

#[test]
fn no_request_is_explained_wrongly_wherever_a_window_begins() {
    let costs = WINDOW_COSTS + PHASE_COSTS + BURST_COSTS * 30_f64.ln();
    for nth in 0..80 {
        let phase = f64::from(nth) / 80.0;
        let mut record = met(5, (fixed(1.0, phase), false), 30.0, 30.0, 1.0);
        let bound = record.bound(0.0).unwrap();
        let fit = record.fit(bound).unwrap();
        assert!(is_near(fit.misfit, costs), "{phase}: {fit:?}");
    }
}

#[test]
fn a_bucket_that_was_full_when_it_began_to_be_followed_is_found() {
    for burst in [5.0, 10.0, 25.0, 60.0] {
        let mut record = met(5, (Meter::Bucket { rate: 40.0 }, false), burst, 40.0, 1.0);
        let bound = record.bound(0.0).unwrap();
        record.forget(record.bunches()[1]);
        let fit = record.fit(bound).unwrap();
        assert!((fit.rate / 40.0 - 1.0).abs() < 0.01, "{fit:?}");
        assert_eq!(fit.bunches, 4, "{fit:?}");
    }
}

#[test]
fn few_refusals_leave_a_range_of_rates() {
    // Two refusals, each after ten acceptances in a second.
    let told: Vec<_> = [0.0, 1.5]
        .into_iter()
        .flat_map(|from| {
            let taken = (0..10).map(move |n| (from + f64::from(n) / 10.0, Taken));
            taken.chain([(from + 1.0, First)])
        })
        .collect();
    let mut record = record(&told);
    // The bound, and between which rates as much is explained.
    let cases = [
        (1.0, 0.794, 1.0),
        (5.0, 4.80, 5.0),
        (8.0, 6.39, 8.0),
        (9.0, 7.46, 9.0),
        (f64::INFINITY, 8.70, HIGHEST),
    ];
    for (bound, lowest, highest) in cases {
        let fit = record.fit(bound).unwrap();
        let what = format!("{bound}: {fit:?}");
        assert!((fit.between.0 / lowest - 1.0).abs() < 0.01, "{what}");
        let short = highest / fit.between.1;
        assert!((1.0..COARSE).contains(&short), "{what}");
        let middle = (fit.between.0 * fit.between.1).sqrt();
        assert!(is_near(fit.rate, middle), "{what}");
    }
}

#[test]
fn all_rates_that_explain_as_little_are_as_good() {
    // Pairs of requests at once are taken, and single ones after a rest are refused: no rate explains that.
    let told: Vec<_> = [0.0, 1.0]
        .into_iter()
        .flat_map(|from| {
            let taken = (0..10).map(move |n| (from + f64::from(n / 2) / 10.0, Taken));
            taken.chain([(from + 0.7, First)])
        })
        .collect();
    let fit = record(&told).bucket((1.0, 100.0), false).unwrap();
    assert!(fit.misfit > 1.0, "{fit:?}");
    assert!((15.0..25.0).contains(&fit.between.0), "{fit:?}");
    assert!((100.0 / COARSE..100.0).contains(&fit.between.1), "{fit:?}");
}

#[test]
fn the_usual_meter_is_kept_while_it_explains_about_as_much() {
    let meter = Meter::Bucket { rate: 40.0 };
    for (rate, is_kept) in [(40.0, true), (40.1, true), (40.5, false)] {
        let mut record = met(5, (meter, false), 20.0, 40.0, 1.0);
        let bound = record.bound(0.0).unwrap();
        let best = record.fit(bound).unwrap();
        let usual = Fit {
            meter: Meter::Bucket { rate },
            rate,
            burst: 20.0,
            misfit: 99.0,
            bunches: 99,
            ..best
        };
        record.usual = Some(usual);
        let fit = record.fit(bound).unwrap();
        let again = record.explain(usual.meter, false);
        if is_kept {
            let (misfit, bunches) = (again.misfit, 5);
            assert_eq!(
                fit,
                Fit {
                    misfit,
                    bunches,
                    ..usual
                },
                "{rate}"
            );
        } else {
            assert_eq!(fit, best, "{rate}");
        }
    }
}

#[test]
fn the_last_six_bunches_are_explained() {
    for (bunches, since) in [(6, 0.0), (7, 2.0), (9, 4.0)] {
        let told: Vec<_> = (0..bunches)
            .flat_map(|n| {
                let at = 1.0 + f64::from(n);
                [(at, First), (at + 0.5, Taken)]
            })
            .collect();
        let mut record = record(&told);
        let fit = record.fit(10.0).unwrap();
        assert_eq!((record.since, fit.bunches), (since, 6), "{bunches}");
    }
}
