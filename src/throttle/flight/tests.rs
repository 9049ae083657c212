use super::*;

/// Under a ceiling of ten, four at a time are found to be taken, at second 100.
fn four_of_ten() -> Most {
    let mut most = Most::new(10);
    assert!(most.limit(4, 100.0));
    pass(&mut most, 4, 100.0);
    most
}

/// Puts a limit to the test that was found at a time: none of those that are sent as the last of so many is refused.
fn pass(most: &mut Most, in_flight: usize, found_at: f64) {
    send(most, 20, in_flight);
    most.returned(found_at + 2.0);
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
        pass(&mut most, limit, 1000.0);
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
    assert_eq!(Most::new(10).doubt(0.0), Doubt::None);
    let mut most = four_of_ten();
    for suspect in 1..=12 {
        let doubt = if suspect == 1 {
            Doubt::First
        } else {
            Doubt::More
        };
        assert_eq!(most.doubt(199.0 + f64::from(suspect)), doubt);
    }
    for (at, doubt) in [
        (212.0, Doubt::None),
        (229.9, Doubt::None),
        (230.0, Doubt::First),
        (231.0, Doubt::More),
    ] {
        assert_eq!(most.doubt(at), doubt, "{at}");
    }
    assert!(most.limit(3, 232.0));
    assert_eq!(most.doubt(233.0), Doubt::First);
}

#[test]
fn a_limit_is_found_when_it_has_been_put_to_the_test() {
    // How many are sent as the last of how many, and until when.
    for (times, in_flight, at, is_found) in [
        (19, 4, 1000.0, false),
        (20, 4, 101.9, false),
        (20, 3, 1000.0, false),
        (20, 4, 102.0, true),
    ] {
        let mut most = Most::new(10);
        assert!(most.limit(4, 100.0));
        send(&mut most, times, in_flight);
        most.returned(at);
        let what = format!("{times} times {in_flight} at {at}");
        assert_eq!(most.now(at + 40.0), 4 + usize::from(is_found), "{what}");
        assert_eq!(most.found(), is_found.then_some(4), "{what}");
        let before = if is_found {
            Before::Known
        } else {
            Before::Refuted(0)
        };
        assert_eq!(most.before(), before, "{what}");
    }
}

#[test]
fn a_limit_at_which_requests_are_still_refused_is_none() {
    // So many are sent as the last of so many before each refusal.
    for (sent, refused) in [(0, 2), (9, 2), (10, 0)] {
        let mut most = Most::new(10);
        assert!(most.limit(4, 100.0));
        let mut doubts = Vec::new();
        for _ in 0..4 {
            send(&mut most, sent, 4);
            doubts.push(most.doubt(101.0));
        }
        let refuted = doubts.iter().position(|doubt| *doubt == Doubt::Refuted);
        assert_eq!(refuted, usize::checked_sub(refused, 1), "{sent}");
        if refuted.is_some() {
            assert_eq!((most.now(101.0), most.found()), (10, None));
            assert_eq!(most.before(), Before::Refuted(1));
            assert_eq!(doubts.last(), Some(&Doubt::None));
        }
    }
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
