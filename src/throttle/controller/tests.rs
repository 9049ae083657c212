//! What becomes of each request, from states that are written down.

use super::{measure::Limit, *};
use crate::throttle::{
    flight::Before,
    meter::{Fit, Meter},
};

/// Begun at a rate of 60 a second without a ceiling, with so many requests in flight at most.
pub(super) fn begun(concurrency: usize) -> Controller {
    Controller::new(Ceilings::default(), concurrency, None, Instant::now())
}

#[track_caller]
pub(super) fn assert_near(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-6, "{one} and not {other}");
}

/// A bucket of such a rate and burst.
pub(super) fn fit(rate: f64, burst: f64) -> Fit {
    Fit {
        meter: Meter::Bucket { rate },
        counts_refused: false,
        rate,
        between: (rate, rate),
        burst,
        misfit: 0.0,
        bunches: 2,
    }
}

/// A limit of such a rate that has been confirmed so often.
pub(super) fn limit(rate: f64, confirmed: Option<u32>, fit: Option<Fit>) -> Limit {
    let mut limit = Limit::remembered(0.99 * rate);
    (limit.confirmed, limit.fit) = (confirmed, fit);
    limit
}

/// The time after so many seconds.
fn at(controller: &Controller, seconds: f64) -> Instant {
    controller.epoch + Duration::from_secs_f64(seconds)
}

fn take(controller: &mut Controller, seconds: f64) -> Ticket {
    controller.take(1, at(controller, seconds)).unwrap()
}

/// Takes one and has it back after so many seconds, before it is known what it came to.
fn sent(controller: &mut Controller, seconds: f64, took: f64) -> Ticket {
    let ticket = take(controller, seconds);
    controller.returned(ticket, at(controller, seconds + took));
    ticket
}

#[test]
fn the_next_request_goes_when_it_is_due_and_one_is_back() {
    let due = |controller: &Controller, seconds| {
        Err(Wait::Until(
            at(controller, seconds) + Duration::from_nanos(1),
        ))
    };
    // When refusals ask to go on, and when it is wise to, at second three; until when to wait.
    for (asked_until, wait_until, until) in [
        (0.0, 0.0, None),
        (3.0, 0.0, None),
        (3.5, 0.0, Some(3.5)),
        (3.5, 4.25, Some(4.25)),
        (2.0, 4.25, Some(4.25)),
    ] {
        let mut controller = begun(10);
        (controller.asked_until, controller.wait_until) = (asked_until, wait_until);
        let taken = controller.take(1, at(&controller, 3.0)).map(|_| ());
        let expected = until.map_or(Ok(()), |until| due(&controller, until));
        assert_eq!(taken, expected, "{asked_until} {wait_until}");
    }
    // So many in flight, and whether one alone is to find out whether any are taken.
    for (in_flight, is_trying, may_go) in [
        (0, false, true),
        (1, false, true),
        (2, false, false),
        (0, true, true),
        (1, true, false),
    ] {
        let mut controller = begun(2);
        (controller.in_flight, controller.trying) = (in_flight, is_trying);
        let taken = controller.take(1, at(&controller, 3.0));
        assert_eq!(taken.is_ok(), may_go, "{in_flight} {is_trying}");
        if !may_go {
            assert_eq!(taken, Err(Wait::InFlight));
        }
    }
}

#[test]
fn what_is_sent_is_counted_and_the_last_nine_are_remembered() {
    let mut controller = begun(20);
    for nth in 1..=12_u32 {
        let ticket = take(&mut controller, f64::from(nth));
        assert_eq!(ticket.number, u64::from(nth) - 1);
        assert_near(ticket.sent_at, f64::from(nth));
        assert_eq!(controller.in_flight, nth as usize);
        let expected: Vec<f64> = (1..=nth).map(f64::from).collect();
        let expected = &expected[expected.len().saturating_sub(9)..];
        assert_eq!(controller.departures, expected);
    }
    // When the one before was resumed at, and when the bunch ended; and after a request at second three.
    for (resumed, bunch_ends, then) in [
        (1.0, 2.0, 3.0),
        (2.0, 2.0, 3.0),
        (2.5, 2.0, 2.5),
        (0.0, -1.0, 0.0),
    ] {
        let mut controller = begun(1);
        controller.resumed[0] = resumed;
        controller.bunch_ends = bunch_ends;
        take(&mut controller, 3.0);
        assert_near(controller.resumed[0], then);
    }
}

#[test]
fn waiting_for_a_reply_counts_from_when_the_next_request_is_due() {
    // At one every so many seconds: of five that the reply took, the rest were spent waiting.
    for (every, is_full) in [(2.0, true), (2.5, false), (4.0, false)] {
        let mut controller = begun(1);
        controller.rate = 1.0 / every;
        sent(&mut controller, 0.0, 5.0);
        assert_eq!(controller.most.is_full(), is_full, "{every}");
    }
}

#[test]
fn the_usual_time_of_a_reply_rises_faster_than_it_falls() {
    for (took, latency) in [(0.45, 0.15), (0.07, 0.055), (0.05, 0.05), (0.018, 0.048)] {
        let mut controller = begun(1);
        controller.in_flight = 3;
        let ticket = Ticket {
            number: 0,
            sent_at: 1.0,
            rate: 60.0,
        };
        controller.returned(ticket, at(&controller, 1.0 + took));
        assert_near(controller.latency, latency);
        assert_eq!(controller.in_flight, 2);
    }
}

#[test]
fn a_refusal_begins_a_bunch_when_it_was_sent_after_the_last() {
    for (bunch_ends, begins) in [(2.9, true), (3.0, false), (4.0, false)] {
        let mut controller = begun(10);
        // An earlier one is not back, so that nothing is understood yet.
        take(&mut controller, 2.0);
        let ticket = sent(&mut controller, 3.0, 0.5);
        (controller.bunch_ends, controller.latency) = (bunch_ends, 2.0);
        controller.refused(ticket, None, at(&controller, 3.5));
        let bunch = begins.then_some(ticket.number);
        assert_eq!(controller.bunch, bunch, "{bunch_ends}");
        assert_eq!(controller.bunch_open, begins, "{bunch_ends}");
        let ends = if begins { 3.5 } else { bunch_ends };
        assert_near(controller.bunch_ends, ends);
    }
}

#[test]
fn after_a_first_refusal_the_rest_of_its_bunch_is_waited_for() {
    // Whether the limit is known, how well, and the usual time of a reply; for how long nothing goes.
    let held = |confirmed| Some(limit(60.0, confirmed, None));
    for (limit, latency, wait) in [
        (None, 0.25, 1.0),
        (None, 0.125, 0.75),
        (held(None), 0.25, 1.0),
        (held(Some(0)), 0.25, 0.4),
    ] {
        let mut controller = begun(10);
        let ticket = take(&mut controller, 1.0);
        (controller.limit, controller.latency) = (limit, latency);
        controller.rate = 2.5;
        controller.resumed = [1.0, 0.5];
        controller.begin_bunch(ticket, 3.0);
        assert_near(controller.wait_until, 3.0 + wait);
        assert_near(controller.resumed[0], 1.0);
        assert_near(controller.resumed[1], 1.0);
    }
}

#[test]
fn a_request_without_an_answer_is_not_waited_for_for_ever() {
    // The usual time of a reply, and when is looked; whether one that was sent at second one is still waited for.
    for (latency, now, is_waited_for) in [
        (0.25, 1.9, true),
        (0.25, 2.0, true),
        (0.25, 2.1, false),
        (0.5, 2.4, true),
        (0.5, 2.6, false),
    ] {
        let mut controller = begun(10);
        take(&mut controller, 1.0);
        controller.latency = latency;
        controller.understand(now);
        assert_eq!(
            !controller.sent.is_empty(),
            is_waited_for,
            "{latency} {now}"
        );
        assert_eq!(controller.first, u64::from(!is_waited_for));
    }
}

/// Five requests that came to this, the last of them without an answer.
fn came_to(said: [Said; 5], bunch: Option<u64>) -> Controller {
    let mut controller = begun(10);
    for (nth, said) in said.into_iter().enumerate() {
        let ticket = sent(&mut controller, 1.0 + nth as f64, 0.5);
        controller.note(ticket, said);
    }
    controller.bunch = bunch;
    controller.understand(6.0);
    controller
}

#[test]
fn what_requests_came_to_is_counted() {
    use Said::{Nothing, Refused, Taken, TooMany};
    // The number of the first refusal of a bunch; how many were taken and refused since the last one, and taken since the first refusal.
    for (said, bunch, counted, since) in [
        ([Taken; 5], None, (5.0, 0.0), 5.0),
        (
            [Taken, Taken, Refused, Taken, Refused],
            Some(2),
            (3.0, 2.0),
            1.0,
        ),
        (
            [Taken, Taken, Refused, Taken, Refused],
            None,
            (3.0, 2.0),
            3.0,
        ),
        (
            [Taken, Refused, Taken, Taken, Taken],
            Some(1),
            (4.0, 1.0),
            3.0,
        ),
        (
            [Taken, TooMany, Taken, Taken, Nothing],
            Some(1),
            (3.0, 0.0),
            3.0,
        ),
        ([Nothing; 5], None, (0.0, 0.0), 0.0),
    ] {
        let controller = came_to(said, bunch);
        let what = format!("{said:?} {bunch:?}");
        assert_eq!(controller.since_bunch, counted, "{what}");
        assert_near(controller.taken, counted.0);
        assert_near(controller.record.taken_and_seconds().0, counted.0);
        assert_near(controller.record.taken_since_refused(), since);
        assert_eq!(controller.first, 5, "{what}");
        assert!(controller.sent.is_empty(), "{what}");
    }
}

#[test]
fn a_bunch_is_understood_when_all_that_was_sent_before_its_end_is_known() {
    // Whether there is a bunch, and when one without an answer yet was sent; whether it is still open.
    for (is_open, sent_at, then) in [
        (true, 1.5, true),
        (true, 2.0, true),
        (true, 2.5, false),
        (false, 2.5, false),
        (false, 1.5, false),
    ] {
        let mut controller = begun(10);
        take(&mut controller, sent_at);
        (controller.bunch_open, controller.bunch_ends) = (is_open, 2.0);
        controller.latency = 2.0;
        controller.since_bunch = (20.0, 1.0);
        controller.understand(2.5);
        let what = format!("{is_open} {sent_at}");
        assert_eq!(controller.bunch_open, then, "{what}");
        let is_understood = is_open && !then;
        let counted = if is_understood {
            (0.0, 0.0)
        } else {
            (20.0, 1.0)
        };
        assert_eq!(controller.since_bunch, counted, "{what}");
    }
    let mut controller = begun(10);
    (controller.bunch_open, controller.since_bunch) = (true, (20.0, 1.0));
    controller.understand(2.5);
    assert!(!controller.bunch_open, "nothing is on its way");
}

#[test]
fn without_a_limit_the_pace_is_that_of_the_last_requests() {
    // The rate, when requests were sent, and whether there is a limit; the pace, and the one that is held at the beginning.
    let tenths = [1.0, 1.1, 1.2, 1.3];
    for (rate, departures, is_limited, paced, held) in [
        (100.0, &tenths[..], false, 10.0, 60.0),
        (5.0, &tenths, false, 5.0, 5.0),
        (100.0, &tenths, true, 100.0, 100.0),
        (100.0, &tenths[..3], false, 60.0, 60.0),
        (50.0, &tenths[..3], false, 50.0, 50.0),
        (100.0, &[], false, 60.0, 60.0),
        (5000.0, &[1.0; 4], false, 3000.0, 3000.0),
        (2000.0, &[1.0; 4], false, 2000.0, 2000.0),
    ] {
        let mut controller = begun(10);
        controller.limit = is_limited.then(|| Limit::remembered(60.0));
        controller.rate = rate;
        controller.departures = departures.iter().copied().collect();
        assert_near(controller.paced(), paced);
        assert_near(controller.held(), held);
    }
}

#[test]
fn a_request_may_be_as_late_as_the_burst_bears() {
    let millis = |millis| Some(Duration::from_millis(millis));
    // The burst, the rate, and how late a request may be.
    for (burst, rate, slack) in [
        (None, 60.0, millis(0)),
        (Some(1.0), 60.0, millis(0)),
        (Some(2.0), 50.0, millis(10)),
        (Some(5.0), 200.0, millis(10)),
        (Some(10.0), 60.0, millis(25)),
    ] {
        let mut controller = begun(10);
        let fit = burst.map(|burst| fit(rate, burst));
        controller.limit = Some(limit(rate, None, fit));
        controller.rate = rate;
        assert_eq!(controller.slack(), slack, "{burst:?} {rate}");
    }
    assert_eq!(begun(10).slack(), None);
}

/// Finds that the platform takes so many at a time, and puts that to the test.
pub(super) fn find_in_flight(controller: &mut Controller, most: usize, at: f64) {
    assert!(controller.most.limit(most, at));
    for _ in 0..20 {
        controller.most.sent(most, 0.0, at);
    }
    controller.most.returned(at + 2.0);
}

/// Ten seconds of a platform that takes two requests at a time, and refuses a third one long after the first.
pub(super) fn two_at_a_time(controller: &mut Controller, from: f64) {
    for nth in 0..10 {
        let begins = from + f64::from(nth);
        // In no order that a limit on the rate would give.
        let is_quick = ![3, 4, 7, 9].contains(&nth);
        let (back, third) = if is_quick {
            (0.15_f64, 0.2)
        } else {
            (0.9, 0.4)
        };
        for (sent, taken) in [(0.0, true), (0.1, true), (third, is_quick)] {
            let (sent, back) = (begins + sent, begins + back.max(sent));
            controller.flights.count(sent, back, taken);
        }
    }
}

#[test]
fn the_first_refusal_that_may_mean_a_lower_limit_in_flight_begins_a_new_count() {
    let mut controller = begun(10);
    let ticket = take(&mut controller, 1.0);
    find_in_flight(&mut controller, 5, 1.0);
    for (from, seen) in [(0.0, None), (10.0, Some(2)), (20.0, Some(2))] {
        two_at_a_time(&mut controller, from);
        let means = controller.what_it_means(ticket, false, from);
        assert_eq!(means, Said::TooMany);
        assert_eq!(controller.flights.limit(Before::Known), seen);
    }
    let mut controller = begun(10);
    let means = controller.what_it_means(ticket, false, 12.0);
    assert_eq!(means, Said::Refused, "none was found");
}
