use std::sync::PoisonError;

use super::super::{
    measure::Limit,
    tests::{assert_near, begun, find_in_flight, fit, limit},
    *,
};
use crate::throttle::Pacer;

/// A controller that knows a limit, while so many requests were taken in two seconds.
fn taken_in_two_seconds(limit: Limit, taken: u32) -> Controller {
    let mut controller = begun(10);
    for nth in 0..taken {
        let at = 2.0 * f64::from(nth) / f64::from(taken - 1);
        controller.record.taken(at);
    }
    controller.limit = Some(limit);
    controller
}

#[test]
fn a_limit_is_told_when_it_is_confirmed_and_was_kept_by_the_clock() {
    // The limit, how often it was confirmed, whether by a meter, and how many were taken in two seconds; whether it is told.
    for (rate, confirmed, is_metered, taken, is_told) in [
        (20.0, Some(1), true, 40, true),
        (20.0, Some(3), true, 40, true),
        (20.0, Some(0), true, 40, false),
        (20.0, None, true, 40, false),
        (20.0, Some(1), false, 40, false),
        (19.5, Some(1), true, 39, false),
        (24.9, Some(1), true, 44, true),
        (25.0, Some(1), true, 44, false),
        (25.5, Some(1), true, 44, false),
        (22.5, Some(1), true, 50, true),
        (22.0, Some(1), true, 50, false),
    ] {
        let fit = is_metered.then(|| fit(rate, 10.0));
        let limit = limit(rate, confirmed, fit);
        let controller = taken_in_two_seconds(limit, taken);
        let told = controller.found();
        let what = format!("{rate}, {confirmed:?}, {is_metered}, {taken}");
        assert_eq!(told.is_some(), is_told, "{what}");
        if let Some(told) = told {
            assert_near(told, rate);
        }
    }
    assert_eq!(begun(10).found(), None);
}

/// One that has waited for so many seconds of five for a reply.
fn waited(seconds: f64) -> Controller {
    let mut controller = begun(10);
    controller.most.sent(10, 5.0 - seconds, 0.0);
    controller.most.returned(5.0);
    controller.latency = 0.25;
    controller
}

#[test]
fn a_rate_is_held_up_by_the_requests_in_flight_when_it_waits_for_replies() {
    for (seconds, rate, is_held_up) in [
        (4.0, 60.0, true),
        (1.0, 60.0, false),
        (4.0, f64::INFINITY, false),
        (1.0, f64::INFINITY, false),
    ] {
        let mut controller = waited(seconds);
        controller.rate = rate;
        let held_up = controller.held_up();
        let expected = is_held_up.then_some((10, 40.0));
        assert_eq!(held_up, expected, "{seconds} {rate}");
    }
}

/// A pacer whose controller is in such a state.
fn pacer(controller: Controller) -> Pacer {
    let pacer = Pacer::new(Ceilings::default(), 10, None);
    *pacer.state.lock().unwrap_or_else(PoisonError::into_inner) = controller;
    pacer
}

#[test]
fn a_pacer_tells_what_its_controller_has_found() {
    let nothing = pacer(begun(10));
    assert_eq!(nothing.found(), None);
    assert!(!nothing.is_limited());
    assert_eq!(nothing.held_up(), None);
    assert_eq!(nothing.found_in_flight(), None);
    let limited = pacer(taken_in_two_seconds(
        limit(25.0, Some(1), Some(fit(25.0, 10.0))),
        50,
    ));
    assert_eq!(limited.found(), Some(25.0));
    assert!(limited.is_limited());
    let mut controller = waited(4.0);
    find_in_flight(&mut controller, 3, 6.0);
    let full = pacer(controller);
    assert_eq!(full.held_up(), Some((10, 40.0)));
    assert_eq!(full.found_in_flight(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_pacer_passes_on_what_it_is_told() {
    let pacer = pacer(begun(1));
    // A reply that says nothing of the pace lets the next request go, and nothing has to be known of it any more.
    let ticket = pacer.token(1).await;
    pacer.returned(ticket);
    pacer.silent(ticket);
    assert!(pacer.lock().sent.is_empty());
    pacer.set_ceilings(
        Ceilings {
            requests: Some(50.0),
            devices: None,
        },
        usize::MAX,
    );
    assert_eq!(pacer.rate(1), Some(50.0));
    pacer.set_ceilings(
        Ceilings {
            requests: Some(20.0),
            devices: None,
        },
        usize::MAX,
    );
    assert_eq!(pacer.overloaded(), Some(14.0));
    assert_near(pacer.crowded(0.5), 7.0);
    assert_eq!(pacer.rate(1), Some(7.0));
    pacer.set_ceilings(
        Ceilings {
            requests: None,
            devices: None,
        },
        usize::MAX,
    );
    assert!(pacer.rate(1).is_none_or(|rate| rate > 6.0));
}
