//! What follows from refusals that a meter explains, that none does, and that are accidents.

use super::{
    tests::{assert_near, begun, fit, held},
    *,
};

/// The record of a platform that takes forty a second and ten at once: of so many bunches of refusals, met at other rates each.
fn measured(bunches: usize) -> Controller {
    let mut controller = begun(None);
    let (mut level, mut at) = (0.0_f64, 0.0);
    for rate in [60.0, 44.0, 80.0, 52.0].into_iter().cycle().take(bunches) {
        loop {
            at += 1.0 / rate;
            level = (level - 40.0 / rate).max(0.0);
            if level > 9.0 {
                break;
            }
            level += 1.0;
            controller.record.taken(at);
        }
        controller.record.refused(at, true);
        at += 0.2;
        level -= 8.0;
    }
    controller.bunch_ends = at;
    controller.bounds.push_back(46.0);
    controller
}

fn name(explained: &Explained) -> &'static str {
    match explained {
        Explained::Little => "little",
        Explained::By(_) => "by",
        Explained::Not => "not",
    }
}

#[test]
fn refusals_are_explained_by_a_meter_of_enough_bunches() {
    for (bunches, wanted, expected) in [
        (1, 2, "little"),
        (2, 2, "by"),
        (2, 3, "not"),
        (4, 3, "by"),
        (4, 4, "by"),
        (4, 5, "not"),
    ] {
        let mut controller = measured(bunches);
        controller.wanted = wanted;
        let explained = controller.explained();
        let what = format!("{bunches} of {wanted}: {explained:?}");
        assert_eq!(name(&explained), expected, "{what}");
        assert_eq!(controller.wanted, wanted, "{what}");
        if let Explained::By(fit) = explained {
            assert!((39.0..41.0).contains(&fit.rate), "{what}");
        }
    }
    // Between the bunches enough must have been taken.
    for (taken, is_little) in [(7, true), (8, false)] {
        let mut controller = begun(None);
        controller.record.refused(1.0, true);
        for n in 1..=taken {
            controller.record.taken(1.0 + f64::from(n) / 10.0);
        }
        controller.record.refused(2.0, true);
        controller.bounds.push_back(9.0);
        let explained = controller.explained();
        assert_eq!(name(&explained) == "little", is_little, "{taken}");
    }
}

#[test]
fn an_explanation_is_wrong_when_many_requests_are_or_when_it_is_doubted() {
    // The rate, the bunches, how many are explained wrongly, and the doubt.
    for (rate, bunches, misfit, doubt, expected) in [
        (25.0, 2, 3.5, 0.0, false),
        (25.0, 2, 3.6, 0.0, true),
        (25.0, 4, 5.5, 0.0, false),
        (25.0, 4, 5.6, 0.0, true),
        (100.0, 2, 6.5, 0.0, false),
        (100.0, 2, 6.6, 0.0, true),
        (25.0, 2, 0.0, 0.25, false),
        (25.0, 2, 0.0, 0.26, true),
    ] {
        let fit = Fit {
            misfit,
            bunches,
            ..fit(rate, (rate, rate))
        };
        assert_eq!(is_wrong(&fit, doubt), expected, "{fit:?} {doubt}");
    }
}

#[test]
fn an_explanation_that_is_wrong_is_none() {
    // The bound, and how many bunches have to be explained by one meter; what is found, and how many have to be explained from then on.
    let cases = [
        (46.0, 2, "by", 2),
        // The further below the rate of the meter, the more is explained wrongly.
        (38.4, 2, "by", 2),
        (38.0, 2, "not", 3),
        (38.0, 4, "not", 5),
        (38.0, 5, "not", 5),
        // Far above it nothing would ever be refused.
        (1000.0, 2, "not", 3),
    ];
    for (bound, wanted, expected, then) in cases {
        let mut controller = measured(4);
        controller.bounds = [bound + 1.0, bound].into();
        controller.wanted = wanted;
        assert_eq!(name(&controller.explained()), expected, "{bound}");
        assert_eq!(controller.wanted, then, "{bound}");
        // From then on the last two bunches are looked at, and the last bound.
        let (bounds, bunches) = if expected == "by" { (2, 4) } else { (1, 2) };
        assert_eq!(controller.bounds.len(), bounds, "{bound}");
        assert_eq!(controller.bounds.back(), Some(&bound));
        assert_eq!(controller.fit().unwrap().bunches, bunches, "{bound}");
    }
}

#[test]
fn while_none_is_explained_an_explanation_is_looked_for_once_a_second() {
    for (is_doubted, fitted_at, is_looked_for) in [
        (true, 9.1, false),
        (true, 9.0, true),
        (true, 8.0, true),
        (false, 9.1, true),
    ] {
        let mut controller = measured(2);
        (controller.doubted, controller.fitted_at) = (is_doubted, fitted_at);
        controller.bunch_ends = 10.0;
        let explained = controller.explained();
        let what = format!("{is_doubted} {fitted_at}");
        assert_eq!(name(&explained) == "by", is_looked_for, "{what}");
        let then = if is_looked_for { 10.0 } else { fitted_at };
        assert_near(controller.fitted_at, then);
    }
}

#[test]
fn a_meter_gives_the_rate_and_what_is_refused_at_a_rate_is_no_limit_below_it() {
    // What was known, the rate, how many were taken since the last bunch; the rate of the limit, none for that of the meter.
    let known = |confirmed| Limit {
        confirmed,
        ..held(40.0, None)
    };
    for (before, rate, taken, limited, confirmed) in [
        (known(None), 36.0, 8.0, Some(36.0), 0),
        (known(Some(0)), 36.0, 8.0, Some(36.0), 1),
        (known(Some(1)), 36.0, 7.0, None, 2),
        (known(None), 33.0, 8.0, Some(33.0), 0),
        (known(None), 31.0, 8.0, None, 0),
        (known(None), 60.0, 8.0, None, 0),
    ] {
        let mut controller = measured(4);
        (controller.limit, controller.rate) = (Some(before), rate);
        (controller.unexplained, controller.asked_until) = ((1.0, 1.0), 101.0);
        controller.since_bunch = (taken, 1.0);
        (controller.doubted, controller.bunch_ends) = (true, 100.0);
        controller.judge(100.0);
        let limit = controller.limit.unwrap();
        let fit = limit.fit.unwrap();
        let what = format!("{rate} {taken}: {limit:?}");
        assert_near(limit.rate, limited.unwrap_or(fit.rate));
        assert!((39.0..41.0).contains(&fit.rate), "{what}");
        assert_eq!(limit.confirmed, Some(confirmed), "{what}");
        assert_near(controller.rate, 0.99 * limit.rate);
        assert!(!controller.doubted, "{what}");
        assert_eq!(controller.unexplained, (0.0, 0.0), "{what}");
        assert_near(controller.unexplained_from, 101.0);
        assert_eq!(controller.record.usual.is_some(), confirmed > 0, "{what}");
    }
}

#[test]
fn what_is_refused_at_four_fifths_of_the_rate_of_a_meter_is_no_limit_below_it() {
    let Explained::By(fit) = measured(4).explained() else {
        panic!("a meter explains this");
    };
    for (share, is_limit) in [(0.8, false), (0.81, true)] {
        let mut controller = measured(4);
        controller.limit = Some(held(40.0, None));
        controller.rate = share * fit.rate;
        controller.since_bunch = (8.0, 1.0);
        controller.judge(100.0);
        let limited = if is_limit { share * fit.rate } else { fit.rate };
        assert_near(controller.limit.unwrap().rate, limited);
    }
}

#[test]
fn the_last_two_bounds_are_kept() {
    for (before, after) in [(vec![], 1), (vec![50.0], 2), (vec![50.0, 49.0], 2)] {
        let mut controller = measured(1);
        controller.bounds = before.into();
        controller.since_bunch = (20.0, 1.0);
        controller.judge(10.0);
        assert_eq!(controller.bounds.len(), after);
        assert!((60.0..64.0).contains(&controller.bounds[after - 1]));
    }
}

/// At several rates, the last one of six, so many of a hundred requests were refused; at the highest one none when these are few.
fn accidents(refused: u32) -> Controller {
    let mut controller = begun(None);
    for rate in [96.0, 48.0, 24.0, 12.0, 6.0] {
        for n in 0..200 {
            if n % (100 / refused) == 0 && (refused > 2 || rate < 96.0) {
                controller.accidents.explain(rate);
            } else {
                controller.accidents.accepted(rate);
            }
        }
    }
    (controller.doubted, controller.rate) = (true, 6.0);
    controller.limit = Some(held(6.0, None));
    controller
}

#[test]
fn an_explanation_makes_accidents_count_for_little_and_a_change_for_nothing() {
    // How many of ten are refused at any rate, what came of late at six a second, and whether an explanation is looked for; whether that
    // rate is known to be as good as others, and higher ones to be as good as that.
    for (share, since_bunch, is_looked_for, is_known, are_higher) in [
        (1, (90.0, 10.0), true, true, false),
        (1, (90.0, 10.0), false, true, true),
        (4, (80.0, 20.0), true, false, false),
        (4, (80.0, 20.0), false, false, false),
    ] {
        let mut controller = begun(None);
        for rate in [96.0, 48.0, 24.0, 12.0, 6.0] {
            for n in 0..200 {
                if n * share % 10 < share {
                    controller.accidents.explain(rate);
                } else {
                    controller.accidents.accepted(rate);
                }
            }
        }
        (controller.limit, controller.rate) = (Some(held(6.0, None)), 6.0);
        controller.doubted = !is_looked_for;
        controller.since_bunch = since_bunch;
        controller.judge(0.5);
        let what = format!("{share} {since_bunch:?} {is_looked_for}");
        let is_good = |rate| controller.accidents.as_good(rate).is_some();
        assert_eq!(is_good(3.0), is_known, "{what}");
        assert_eq!(is_good(6.0), are_higher, "{what}");
    }
}

#[test]
fn an_accident_says_nothing_against_the_rate() {
    // Of a hundred so many are refused. Whether refusals are doubted and ask for a pause; whether this is an accident, and the rate then.
    for (refused, is_doubted, asks, is_accident, rate) in [
        (10, true, false, true, 6.0),
        (10, false, false, false, 6.0),
        (10, true, true, true, 96.0),
        (2, true, true, true, 6.0),
        (2, false, true, false, 6.0),
    ] {
        for ceiling in [1000.0, 50.0] {
            let mut controller = accidents(refused);
            (controller.doubted, controller.ceiling) = (is_doubted, ceiling);
            let what = format!("{refused} of a hundred, {is_doubted}, {asks}");
            let found = controller.is_accident(6.0, asks, 50.0);
            assert_eq!(found, is_accident, "{what}");
            let expected = ceiling.min(rate);
            let is_near = (controller.rate / expected - 1.0).abs() < 0.06;
            assert!(is_near, "{what}: {}", controller.rate);
        }
    }
    // Without a limit there is nothing to take back.
    let mut controller = accidents(10);
    controller.limit = None;
    assert!(!controller.is_accident(6.0, true, 50.0));
    // When more come than are expected, and no fewer than at the higher rate, it was lowered in vain.
    let mut controller = accidents(10);
    let mut refused = 0;
    while controller.rate < 7.0 && refused < 40 {
        refused += 1;
        controller.is_accident(6.0, false, 50.0);
        for _ in 0..2 {
            controller.accidents.accepted(6.0);
        }
    }
    assert!(controller.rate > 80.0, "{refused}: {}", controller.rate);
}
