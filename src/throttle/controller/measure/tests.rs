use std::time::Instant;

use super::*;
use crate::throttle::{Ceilings, meter::Meter};

/// Begun at a rate of 60 a second, below such a ceiling.
pub(super) fn begun(ceiling: Option<f64>) -> Controller {
    let ceilings = Ceilings {
        requests: ceiling,
        devices: None,
    };
    let mut controller = Controller::new(ceilings, 10, None, Instant::now());
    (controller.rate, controller.start) = (60.0, 60.0);
    controller
}

pub(super) fn fit(rate: f64, between: (f64, f64)) -> Fit {
    Fit {
        meter: Meter::Bucket { rate },
        counts_refused: false,
        rate,
        between,
        burst: 10.0,
        misfit: 0.0,
        bunches: 2,
    }
}

/// A limit of such a rate that is held since second ten, for so long.
pub(super) fn held(rate: f64, hold: Option<f64>) -> Limit {
    Limit::unknown(rate, 10.0, hold)
}

#[track_caller]
pub(super) fn assert_near(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-6, "{one} and not {other}");
}

#[test]
fn a_limit_is_held_the_longer_the_better_it_is_known() {
    let known = |rate, confirmed| {
        Some(Limit {
            confirmed,
            ..held(rate, None)
        })
    };
    // What was known, the rate found and up to which multiple it may be, the pause asked for; how often confirmed, and how long it is held.
    let cases = [
        (None, 100.0, 1.14, 0.0, Some(0), 6.0),
        (None, 100.0, 1.16, 0.0, None, 1.0),
        (None, 1.0, 1.16, 0.0, None, 5.0),
        (None, 1.0, 1.15, 0.0, None, 5.0),
        (None, 0.25, 1.0, 0.0, Some(0), 20.0),
        (None, 100.0, 1.0, 1.0, Some(0), 18.0),
        (None, 100.0, 1.0, 9.0, Some(0), 30.0),
        (known(100.0, None), 100.0, 1.0, 0.0, Some(0), 6.0),
        (known(100.0, Some(0)), 100.0, 1.0, 0.0, Some(1), 12.0),
        (known(100.0, Some(1)), 100.0, 1.0, 0.0, Some(2), 24.0),
        (known(100.0, Some(2)), 100.0, 1.0, 0.0, Some(3), 30.0),
        (known(100.0, Some(1)), 105.0, 1.0, 0.0, Some(2), 24.0),
        (known(100.0, Some(1)), 107.0, 1.0, 0.0, Some(0), 6.0),
        (known(100.0, Some(1)), 95.0, 1.0, 0.0, Some(2), 24.0),
        (known(100.0, Some(1)), 93.0, 1.0, 0.0, Some(0), 6.0),
    ];
    for (before, rate, times, asked, confirmed, hold) in cases {
        let found = fit(rate, (rate, rate * times));
        let limit = Limit::confirmed_by(before, &found, asked, 77.0);
        assert_eq!(limit.confirmed, confirmed, "{before:?} {rate} {times}");
        assert_near(limit.hold.unwrap(), hold);
        assert_eq!(limit.fit, confirmed.map(|_| found));
        assert_near(limit.rate, rate);
        assert_near(limit.since, 77.0);
    }
    let remembered = Limit::remembered(99.0);
    assert_near(remembered.rate, 100.0);
    assert_near(remembered.hold.unwrap(), 1.0);
}

#[test]
fn an_acceptance_raises_a_rate_that_is_not_held() {
    let rising = Limit {
        rise: 1.1,
        faster: 0.5,
        ..held(60.0, None)
    };
    // The limit, the ceiling, the rate, when the request was sent, and the rate after it.
    let cases = [
        (None, None, 60.0, 9.0, 72.0),
        (None, Some(70.0), 60.0, 9.0, 70.0),
        (None, Some(50.0), 60.0, 9.0, 60.0),
        (None, None, 83_000.0, 9.0, 99_600.0),
        (None, None, 84_000.0, 9.0, f64::INFINITY),
        (Some(held(60.0, Some(1.0))), None, 60.0, 9.0, 60.0),
        (Some(rising), None, 60.0, 9.0, 66.0),
        (Some(rising), None, 60.0, 5.0, 60.0),
        (Some(rising), Some(61.0), 60.0, 9.0, 61.0),
        (Some(rising), Some(50.0), 60.0, 9.0, 60.0),
    ];
    for (nth, (limit, ceiling, rate, sent_at, raised)) in cases.into_iter().enumerate() {
        let mut controller = begun(ceiling);
        (controller.limit, controller.rate) = (limit, rate);
        (controller.bunch_ends, controller.last_taken) = (5.0, 7.0);
        controller.trying = true;
        controller.as_if_accepted(sent_at);
        assert_near(controller.rate.min(1e9), raised.min(1e9));
        assert_near(controller.last_taken, sent_at.max(7.0));
        assert!(!controller.trying);
        if raised > 65.0 && raised < 67.0 {
            assert_near(controller.limit.unwrap().rise, 1.15);
        }
        assert_eq!(controller.limit.is_some(), limit.is_some(), "case {nth}");
    }
}

#[test]
fn a_rate_that_was_held_rises_slowly_and_then_faster() {
    // The limit, the ceiling, and the time; the rate, and whether there still is a limit.
    let cases = [
        (held(100.0, Some(2.0)), None, 11.0, 99.0, true),
        (held(100.0, Some(2.0)), None, 12.0, 99.0, true),
        (held(100.0, Some(2.0)), None, 13.0, 99.0 * 1.005, true),
        (held(100.0, Some(2.0)), None, 14.0, 99.0 * 1.04, true),
        (held(100.0, Some(2.0)), None, 16.0, 99.0 * 1.32, true),
        (held(100.0, Some(2.0)), Some(95.0), 14.0, 95.0, true),
        (held(100.0, Some(2.0)), Some(70.0), 14.0, 70.0, true),
        (held(100.0, Some(2.0)), Some(68.0), 14.0, 68.0, false),
        (held(100.0, Some(2.0)), Some(66.0), 11.0, 66.0, true),
        (held(100.0, Some(2.0)), Some(65.0), 11.0, 65.0, false),
        (held(0.1, Some(2.0)), None, 11.0, 0.5, true),
        (held(0.1, Some(2.0)), Some(0.3), 11.0, 0.3, true),
        (held(100.0, None), None, 99.0, 60.0, true),
        (held(101_000.0, Some(2.0)), None, 11.0, 99_990.0, true),
        (held(102_000.0, Some(2.0)), None, 11.0, 100_980.0, false),
    ];
    for (nth, (limit, ceiling, now, rate, is_limited)) in cases.into_iter().enumerate() {
        let mut controller = begun(ceiling);
        controller.limit = Some(limit);
        controller.rise(now);
        assert_near(controller.rate, rate);
        assert_eq!(controller.limit.is_some(), is_limited, "case {nth}");
    }
}

#[test]
fn a_rate_that_was_not_measured_is_held_and_what_was_is_forgotten() {
    for (rate, then) in [(40.0, 40.0), (0.1, 0.5)] {
        let mut controller = begun(None);
        controller.record.taken(1.0);
        controller.bounds.push_back(1.0);
        (controller.taken, controller.wait_until) = (9.0, 9.0);
        (controller.bunch_open, controller.trying) = (true, true);
        controller.hold(rate, 12.0);
        assert_near(controller.rate, then);
        let limit = controller.limit.unwrap();
        assert_near(limit.rate * 0.99, then);
        assert_eq!((limit.since, limit.hold), (12.0, Some(1.0)));
        assert_eq!(limit.confirmed, Some(0));
        assert_eq!((controller.taken, controller.taken_from), (0.0, 12.0));
        assert_eq!((controller.bunch_ends, controller.wait_until), (12.0, 0.0));
        assert!(!controller.bunch_open && !controller.trying);
        assert!(controller.bounds.is_empty());
        assert_eq!(controller.record.taken_and_seconds(), (0.0, 0.0));
    }
}

#[test]
fn a_limit_is_no_more_when_its_meter_stands_far_above_its_burst() {
    // So many were taken at once, the rate, so many since the last bunch; whether the limit is still there.
    let cases = [
        (18, 60.0, 16.0, false),
        (17, 60.0, 16.0, true),
        (18, 50.0, 16.0, true),
        (18, 60.0, 17.0, true),
    ];
    for (taken, rate, since_bunch, is_there) in cases {
        let mut controller = begun(None);
        for _ in 0..taken {
            controller.record.taken(11.0);
        }
        controller.rate = rate;
        controller.since_bunch.0 = since_bunch;
        controller.limit = Some(Limit {
            fit: Some(fit(40.0, (30.0, 50.0))),
            ..held(40.0, Some(1.0))
        });
        controller.look_beyond(11.0);
        let limit = controller.limit.unwrap();
        let what = format!("{taken} at {rate}, {since_bunch}");
        assert_eq!(limit.fit.is_some(), is_there, "{what}");
        if !is_there {
            assert_eq!((limit.rate, limit.since, limit.hold), (rate, 11.0, None));
        }
    }
}

#[test]
fn while_nothing_is_taken_a_request_is_tried_now_and_then() {
    // When something was taken last, when refusals ask to go on; until when to wait, and since when the limit is held.
    let cases = [
        (90.0, 0.0, 103.0, 100.0),
        (90.0, 150.0, 103.0, 150.0),
        (-200.0, 0.0, 160.0, 100.0),
        (100.0, 0.0, 100.0 + 1.0 / 60.0, 100.0),
    ];
    for (last_taken, asked_until, wait_until, since) in cases {
        let mut controller = begun(None);
        controller.limit = Some(held(40.0, None));
        (controller.last_taken, controller.asked_until) = (last_taken, asked_until);
        controller.since_bunch = (0.0, 5.0);
        controller.judge(100.0);
        assert_near(controller.wait_until, wait_until);
        assert_near(controller.limit.unwrap().since, since);
        assert!(controller.trying);
        assert_eq!(
            (controller.rate, controller.since_bunch),
            (60.0, (0.0, 0.0))
        );
    }
}

#[test]
fn what_is_not_explained_lowers_the_rate_a_little() {
    // Taken and refused in four seconds, the pause asked for; the rate that is left of 60, and after how many it rises e times as fast.
    let cases = [
        ((60.0, 2.0), 0.0, 60.0 * 0.88, 100.0),
        ((10.0, 10.0), 0.0, 60.0 * 11.4 / 21.0, 100.0),
        (
            (10.0, 10.0),
            2.0,
            60.0 * 11.4 / 21.0,
            100.0 + 8.0 * 60.0 * 11.4 / 21.0,
        ),
        ((0.0, 100.0), 0.0, 60.0 * 1.4 / 101.0, 600.0 * 1.4 / 101.0),
        ((0.0, 1000.0), 0.0, 0.5, 8.0),
        ((220.0, 10.0), 0.0, 55.0, 100.0),
        ((400.0, 10.0), 0.0, 60.0, 100.0),
    ];
    for (came, asked, rate, regained) in cases {
        let mut controller = begun(None);
        (controller.asked, controller.unexplained_from) = (asked, 96.0);
        let limit = controller.ease(None, 60.0, came, 100.0).unwrap();
        assert_near(controller.rate, rate);
        assert_eq!((limit.rate, limit.since), (controller.rate, 100.0));
        assert_near(limit.rise, 1.0 + 0.032 / regained);
        assert_near(limit.faster, 1.0 / regained);
        assert_eq!(controller.unexplained, (0.0, 0.0));
        assert_near(controller.unexplained_from, 100.0);
    }
    // A few say nothing while the rate rises, and are counted with those that follow.
    let rising = Some(held(60.0, None));
    let mut controller = begun(None);
    assert!(controller.ease(rising, 60.0, (4.0, 3.0), 10.0).is_none());
    assert_eq!(
        (controller.rate, controller.unexplained),
        (60.0, (4.0, 3.0))
    );
    assert!(controller.ease(rising, 60.0, (0.0, 1.0), 10.0).is_some());
    assert_near(controller.rate, 60.0 * 5.4 / 9.0);
    let resting = Some(held(60.0, Some(1.0)));
    assert!(begun(None).ease(resting, 60.0, (1.0, 1.0), 10.0).is_some());
}

#[test]
fn a_first_refusal_leaves_a_share_of_the_rate() {
    // Taken in two seconds, of these after the first refusal, and refused; the pause asked for, and whether there is a limit already.
    let cases = [
        (20.0, 0, 1.0, 0.0, false, 60.0 * 0.7),
        (20.0, 5, 1.0, 0.0, false, 48.0),
        (20.0, 2, 4.0, 0.0, false, 60.0 * 3.4 / 7.0),
        (40.0, 0, 9.0, 0.0, false, 20.0),
        (200.0, 0, 9.0, 0.0, false, 48.0),
        (0.0, 0, 300.0, 0.0, false, 0.5),
        (10.0, 0, 1.0, 0.0, true, 7.5),
        (10.0, 0, 1.0, 1.0, true, 42.0),
        (23.0, 0, 1.0, 0.0, true, 17.25),
        (24.0, 0, 1.0, 0.0, true, 42.0),
    ];
    for (taken, after, refused, asked, is_limited, rate) in cases {
        let mut controller = begun(None);
        controller.limit = is_limited.then(|| held(60.0, None));
        controller.record.refused(99.0, true);
        for _ in 0..after {
            controller.record.taken(99.5);
        }
        (controller.taken, controller.taken_from) = (taken, 98.0);
        (controller.since_bunch, controller.asked) = ((taken.min(13.0), refused), asked);
        controller.judge(100.0);
        let limit = controller.limit.unwrap();
        assert_near(controller.rate, rate);
        assert_eq!((limit.rate, limit.since), (controller.rate, 100.0));
        assert_eq!((limit.hold, limit.confirmed), (None, None));
    }
}

#[test]
fn an_isolated_refusal_says_little() {
    let known = |confirmed, hold| {
        Some(Limit {
            confirmed,
            ..held(70.0, hold)
        })
    };
    // What was known, taken and refused since the last bunch; the limit, and whether it is still as well known.
    let cases = [
        (known(Some(2), Some(1.0)), (14.0, 1.0), 70.0, true),
        (known(Some(2), Some(1.0)), (13.0, 1.0), 60.0, false),
        (known(Some(2), Some(1.0)), (14.0, 2.0), 60.0, false),
        (known(Some(2), None), (14.0, 1.0), 60.0, false),
    ];
    for (before, since_bunch, rate, is_known) in cases {
        let mut controller = begun(None);
        controller.limit = before;
        controller.since_bunch = since_bunch;
        controller.judge(100.0);
        let limit = controller.limit.unwrap();
        assert_near(limit.rate, rate);
        assert_near(limit.since, 100.0);
        assert_eq!(limit.confirmed.is_some(), is_known, "{since_bunch:?}");
        assert_eq!(limit.hold, before.unwrap().hold);
    }
    // A ceiling that has been proven is not left for it.
    for (since_bunch, taken, rate, is_limited) in [
        ((14.0, 1.0), 50.0, 60.0, false),
        ((14.0, 1.0), 49.0, 60.0, true),
        ((13.0, 1.0), 50.0, 60.0, true),
        ((14.0, 1.0), 50.0, 59.0, true),
    ] {
        let mut controller = begun(Some(60.0));
        (controller.since_bunch, controller.taken) = (since_bunch, taken);
        controller.rate = rate;
        controller.judge(100.0);
        assert_eq!(
            controller.limit.is_some(),
            is_limited,
            "{since_bunch:?} {taken}"
        );
    }
}
