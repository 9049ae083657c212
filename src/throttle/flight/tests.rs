use super::*;

/// Under a ceiling of ten, four at a time are found to be taken, at second 100.
fn four_of_ten() -> Most {
    let mut most = Most::new(10);
    assert!(most.limit(4, 100.0));
    most
}

/// The same while a fifth is tried, since second 130.
fn trying_five() -> Most {
    let mut most = four_of_ten();
    assert_eq!(most.now(130.0), 5);
    most
}

fn send(most: &mut Most, times: u32, in_flight: usize) {
    for _ in 0..times {
        most.sent(in_flight, 0.0, 130.0);
    }
}

#[test]
fn a_limit_is_news_when_it_is_lower() {
    let mut most = Most::new(10);
    assert_eq!((most.found(), most.now(1000.0)), (None, 10));
    let cases = [
        (11, false, None),
        (10, false, None),
        (9, true, Some(9)),
        (4, true, Some(4)),
        (4, false, Some(4)),
        (5, false, Some(4)),
        (3, true, Some(3)),
    ];
    for (limit, is_news, found) in cases {
        assert_eq!(most.limit(limit, 1000.0), is_news, "{limit}");
        assert_eq!(most.found(), found, "{limit}");
    }
    // While one more is tried, another limit would be no surprise.
    let mut most = trying_five();
    assert!(!most.limit(2, 131.0));
    assert_eq!((most.found(), most.now(131.0)), (Some(4), 5));
}

#[test]
fn one_more_is_tried_after_a_hold_and_one_alone() {
    let mut most = four_of_ten();
    for (at, now) in [(129.9, 4), (130.0, 5), (131.0, 5), (1000.0, 5)] {
        assert_eq!(most.now(at), now, "{at}");
        assert_eq!(most.found(), Some(4), "{at}");
    }
}

#[test]
fn one_more_is_taken_when_enough_were_sent_as_the_last_for_long_enough() {
    let cases = [
        (19, 5, 1000.0, false),
        (20, 5, 131.9, false),
        (20, 5, 132.0, true),
        (20, 6, 132.0, true),
        (20, 4, 1000.0, false),
    ];
    for (times, in_flight, at, is_taken) in cases {
        let mut most = trying_five();
        send(&mut most, times, in_flight);
        let what = format!("{times} times {in_flight} at {at}");
        assert_eq!(most.returned(at), is_taken, "{what}");
        assert_eq!(most.found(), Some(4 + usize::from(is_taken)), "{what}");
    }
    // Nothing is taken that was not tried.
    let mut most = four_of_ten();
    send(&mut most, 100, 10);
    assert!(!most.returned(1000.0));
    // The next one is tried soon.
    let mut most = trying_five();
    send(&mut most, 20, 5);
    assert!(most.returned(140.0));
    for (at, now) in [(140.9, 5), (141.0, 6)] {
        assert_eq!(most.now(at), now, "{at}");
    }
}

#[test]
fn one_too_many_is_tried_again_later_and_later() {
    let mut most = four_of_ten();
    assert!(!most.refused(101.0));
    assert_eq!(most.now(101.0), 4);
    let mut refused = 100.0;
    for hold in [30.0, 60.0, 120.0, 240.0, 240.0] {
        assert_eq!(most.now(refused + hold - 0.1), 4, "{hold}");
        assert_eq!(most.now(refused + hold), 5, "{hold}");
        refused += hold + 1.0;
        assert!(most.refused(refused), "{hold}");
        assert_eq!(most.found(), Some(4), "{hold}");
    }
    // After one that was taken, the next that is not costs the first hold again.
    let mut most = trying_five();
    send(&mut most, 20, 5);
    assert!(most.returned(132.0));
    assert_eq!(most.now(133.0), 6);
    assert!(most.refused(134.0));
    for (at, now) in [(163.9, 5), (164.0, 6)] {
        assert_eq!(most.now(at), now, "{at}");
    }
}

#[test]
fn a_dozen_refusals_in_a_hold_may_mean_a_lower_limit() {
    assert_eq!(Most::new(10).may_be_lower(0.0), None);
    let mut most = four_of_ten();
    for suspects in 1..=12 {
        let at = 199.0 + f64::from(suspects);
        assert_eq!(most.may_be_lower(at), Some(suspects));
    }
    for (at, suspects) in [
        (212.0, None),
        (229.9, None),
        (230.0, Some(1)),
        (231.0, Some(2)),
    ] {
        assert_eq!(most.may_be_lower(at), suspects, "{at}");
    }
    assert!(most.limit(3, 232.0));
    assert_eq!(most.may_be_lower(233.0), Some(1));
}

#[test]
fn the_ceiling_limits_the_rate_when_requests_wait_half_of_the_time() {
    // Of one window: the number in flight, when the next is due, and when a reply comes.
    let cases = [
        (10, 0.0, 4.9, false),
        (10, 0.0, 5.0, true),
        (11, 0.0, 5.0, true),
        (9, 0.0, 5.0, false),
        (10, 2.4, 5.0, true),
        (10, 2.5, 5.0, false),
        (10, 2.6, 5.0, false),
        (10, 6.0, 5.0, false),
    ];
    for (in_flight, due, back, is_full) in cases {
        for begins in [0.0, 5.0] {
            let what = format!("{in_flight} in flight, due {due}, back {back}, from {begins}");
            let mut most = Most::new(10);
            if begins > 0.0 {
                most.returned(begins);
            }
            most.sent(in_flight, due, begins);
            most.returned(begins + back);
            assert_eq!(most.is_full(), is_full, "{what}");
        }
    }
    // A reply before the next is due takes nothing from the time that was waited, and a reply ends the waiting.
    let mut most = Most::new(10);
    for (due, sent, back) in [(0.0, 0.0, 2.6), (2.0, 2.6, 3.0)] {
        most.sent(10, due, sent);
        most.returned(back);
    }
    most.returned(5.0);
    assert!(most.is_full());
    // That it was full is not forgotten.
    most.returned(10.0);
    assert!(most.is_full());
    let mut most = Most::new(10);
    most.sent(10, 0.0, 0.0);
    most.returned(1.0);
    most.returned(5.0);
    assert!(!most.is_full());
    // A limit that was found is another matter.
    let mut most = four_of_ten();
    most.sent(4, 0.0, 101.0);
    most.returned(1000.0);
    assert!(!most.is_full());
}

#[test]
fn requests_are_counted_by_the_taken_ones_that_are_not_yet_back() {
    let mut flights = Flights::new(3);
    let cases = [
        (0.0, 1.0, true, 0),
        (0.1, 1.1, true, 1),
        (0.2, 9.0, false, 2),
        (0.3, 1.3, true, 2),
        (1.0, 2.0, true, 2),
        (1.2, 3.0, true, 2),
        (1.2, 3.0, true, 3),
        (1.2, 3.0, true, 3),
        (3.0, 4.0, false, 0),
    ];
    let mut expected = vec![(0.0, 0.0); 4];
    for (sent, back, taken, others) in cases {
        flights.count(sent, back, taken);
        if taken {
            expected[others].0 += 1.0;
        } else {
            expected[others].1 += 1.0;
        }
        assert_eq!(flights.by_others, expected, "sent at {sent}");
    }
    flights.begin_anew();
    assert_eq!(flights.by_others, [(0.0, 0.0); 4]);
    assert_eq!(flights.since, [(f64::INFINITY, 0.0); 4]);
    // The last one that was taken is still on its way.
    flights.count(2.9, 3.9, true);
    assert_eq!(flights.by_others[3], (1.0, 0.0));
}

#[test]
fn what_is_long_ago_counts_for_less() {
    for (taken, refused) in [(200, 0), (150, 50), (0, 200)] {
        let mut flights = Flights::new(1);
        for n in 0..200 {
            flights.count(f64::from(n), f64::from(n), n < taken);
        }
        let known = (f64::from(taken), f64::from(refused));
        assert_eq!(flights.by_others[0], known);
        flights.count(201.0, 201.0, true);
        assert_eq!(flights.by_others[0], (known.0 / 2.0 + 1.0, known.1 / 2.0));
    }
    // One that does not come back fills a place until twice as many were taken as there are places.
    let mut flights = Flights::new(2);
    flights.count(0.0, 1000.0, true);
    for n in 1..=7 {
        flights.count(f64::from(n), f64::from(n), true);
    }
    assert_eq!(flights.by_others, [(2.0, 0.0), (6.0, 0.0), (0.0, 0.0)]);
}

#[test]
fn the_times_since_those_before_are_kept() {
    let mut flights = Flights::new(3);
    for (sent, taken) in [
        (1.0, true),
        (2.0, true),
        (2.25, false),
        (2.5, false),
        (4.0, true),
        (4.25, false),
    ] {
        flights.count(sent, sent, taken);
    }
    let none = f64::INFINITY;
    assert_eq!(
        flights.since,
        [(1.0, 0.5), (3.0, 2.25), (none, 3.25), (none, 0.0)]
    );
}

/// A limit of three, hardly seen: what was taken and refused by the number of others, and the times since the third one before.
const HARDLY: ([(f64, f64); 4], (f64, f64)) = (
    [(10.0, 0.0), (7.0, 0.0), (3.0, 0.0), (1.5, 3.0)],
    (1.0, 1.11),
);

#[test]
fn a_limit_is_seen_by_what_is_refused_from_it_on() {
    let limit = |by_others: [(f64, f64); 4], since, is_known| {
        let mut flights = Flights::new(3);
        flights.by_others = by_others.to_vec();
        flights.since[2] = since;
        flights.limit(is_known)
    };
    let (hardly, since) = HARDLY;
    assert_eq!(limit(hardly, since, false), Some(3));
    // What differs at which number of others, and whether it is a limit still, and where the platform is known to have one.
    let cases = [
        (0, (9.9, 0.0), false, true),
        (1, (1.0, 0.0), false, true),
        (2, (2.9, 0.0), false, false),
        (2, (200.0, 0.0), true, true),
        (3, (1.4, 2.9), false, false),
        (3, (1.6, 3.0), false, false),
        (3, (1.6, 3.2), true, true),
        (0, (10.0, 0.14), true, true),
        (0, (10.0, 0.16), false, false),
        (3, (0.0, 0.0), false, false),
    ];
    for (others, (taken, refused), is_limit, is_known_limit) in cases {
        let mut by_others = hardly;
        by_others[others] = (taken, refused);
        let what = format!("{taken} taken and {refused} refused of {others} others");
        assert_eq!(limit(by_others, since, false).is_some(), is_limit, "{what}");
        let known = limit(by_others, since, true).is_some();
        assert_eq!(known, is_known_limit, "{what}");
    }
    // Where it is known, as few as eight are enough.
    for (taken, is_limit) in [(4.9, false), (5.0, true)] {
        let mut by_others = hardly;
        (by_others[0].0, by_others[1].0) = (taken, 0.0);
        assert_eq!(limit(by_others, since, true).is_some(), is_limit, "{taken}");
    }
    // However much is refused at the limit, below it next to nothing may be.
    for (refused, is_limit) in [(0.9, true), (1.1, false)] {
        let mut by_others = hardly;
        (by_others[0].1, by_others[3].1) = (refused, 100.0);
        assert_eq!(limit(by_others, since, true).is_some(), is_limit);
    }
}

#[test]
fn a_limit_in_flight_is_told_from_one_on_the_rate_by_the_times() {
    let limit = |refused: f64, since| {
        let mut flights = Flights::new(3);
        let (mut by_others, _) = HARDLY;
        by_others[3].1 = refused;
        flights.by_others = by_others.to_vec();
        flights.since[2] = since;
        (flights.limit(false), flights.limit(true).is_some())
    };
    let cases = [
        (3.0, (1.0, 1.09), None),
        (3.0, (1.0, 1.11), Some(3)),
        (3.0, (10.0, 10.9), None),
        (3.0, (0.0, 0.0), None),
        (3.0, (10.0, 11.1), Some(3)),
        (12.0, (1.0, 1.02), None),
        (12.0, (1.0, 1.03), Some(3)),
        (12.0, (f64::INFINITY, 5.0), None),
    ];
    for (refused, since, found) in cases {
        assert_eq!(limit(refused, since), (found, true), "{refused} {since:?}");
    }
}

/// Whether a request is taken that is sent at a time, after others that were taken: when these were sent, and are back.
type Rule<'a> = &'a dyn Fn(f64, &[(f64, f64)]) -> bool;

#[test]
fn a_platform_that_takes_three_at_a_time_is_seen_and_a_rate_is_not() {
    // A request each tenth of a second; replies take a second or two.
    let play = |takes: Rule| {
        let (mut flights, mut taken) = (Flights::new(8), Vec::new());
        for n in 0..400 {
            let sent = f64::from(n) / 10.0;
            let back = sent + f64::from(1 + n % 2);
            let is_taken = takes(sent, &taken);
            flights.count(sent, back, is_taken);
            if is_taken {
                taken.push((sent, back));
            }
        }
        flights.limit(false)
    };
    let three =
        |sent: f64, taken: &[(f64, f64)]| taken.iter().filter(|(_, back)| *back > sent).count() < 3;
    assert_eq!(play(&three), Some(3));
    let rate =
        |sent: f64, taken: &[(f64, f64)]| taken.last().is_none_or(|(last, _)| sent > last + 0.45);
    assert_eq!(play(&rate), None);
}
