use super::*;

const UNKNOWN: Before = Before::Refuted(0);

#[test]
fn outcomes_are_likelier_the_more_alike_they_are() {
    let likelihood = |taken, refused| Outcomes { taken, refused }.likelihood();
    assert_eq!((likelihood(5.0, 0.0), likelihood(0.0, 5.0)), (0.0, 0.0));
    let expected = 3.0 * 0.75_f64.ln() + 0.25_f64.ln();
    assert!((likelihood(3.0, 1.0) - expected).abs() < 1e-9);
    assert!((likelihood(1.0, 3.0) - expected).abs() < 1e-9);
}

#[test]
fn figures_are_cut_where_they_differ() {
    let mut cut = Vec::new();
    let figures = [(1.0, true), (1.0, false), (2.0, true), (3.0, true)];
    cuts(&figures, |first, next| cut.push((first, next)));
    let first = |taken| Outcomes {
        taken,
        refused: 1.0,
    };
    let expected = [
        (first(1.0), Some(2.0)),
        (first(2.0), Some(3.0)),
        (first(3.0), None),
    ];
    assert_eq!(cut, expected);
}

#[test]
fn requests_are_known_by_when_the_taken_ones_before_are_back() {
    let mut flights = Flights::new(2);
    for (sent, back, is_taken) in [
        (0.0, 1.0, true),
        (0.25, 9.0, false),
        (0.5, 3.0, true),
        (1.0, 2.0, false),
        (2.0, 2.5, true),
        (2.25, 4.0, true),
    ] {
        flights.count(sent, back, is_taken);
    }
    let all = [true, false, true, false, true, true].map(|is_taken| (f64::INFINITY, is_taken));
    let one = [
        (2.0, false),
        (1.0, true),
        (0.75, false),
        (0.75, true),
        (0.5, true),
    ];
    assert_eq!(
        flights.until_fewer(),
        [&all[..], &one[..], &[(0.25, true)][..]]
    );
    // What is forgotten is in flight still.
    flights.begin_anew();
    flights.count(2.25, 3.0, false);
    let expected = [
        vec![(f64::INFINITY, false)],
        vec![(1.75, false)],
        vec![(0.75, false)],
    ];
    assert_eq!(flights.until_fewer(), expected);
}

#[test]
fn what_is_long_ago_is_forgotten() {
    let mut flights = Flights::new(2);
    for n in 0..MEMORY + 100 {
        flights.count(n as f64, n as f64 + 0.5, n >= 50);
    }
    assert_eq!(flights.evidence().count(), MEMORY);
    let refused = flights.evidence().filter(|(_, request)| !request.is_taken);
    assert_eq!(refused.count(), 0);
}

/// What came of requests that found none in flight, and of those that found one which was back so much later.
fn seen(alone: (u32, u32), beside: (u32, u32), back_later: f64) -> Flights {
    let mut flights = Flights::new(3);
    let mut now = 0.0;
    let mut alone = [true, false]
        .into_iter()
        .zip([alone.0, alone.1])
        .flat_map(|(is_taken, n)| (0..n).map(move |_| is_taken));
    for (is_taken, n) in [(true, beside.0), (false, beside.1)] {
        for _ in 0..n {
            now += 10.0;
            assert_eq!(alone.next(), Some(true));
            flights.count(now, now + 1.0, true);
            flights.count(now + 1.0 - back_later, now + 1.9, is_taken);
        }
    }
    for is_taken in alone {
        now += 10.0;
        flights.count(now, now + 1.0, is_taken);
    }
    flights
}

#[test]
fn a_limit_is_seen_by_what_is_refused_from_it_on() {
    // What came of those that found none in flight and of those that found one, and whether that is a limit of one: when none was known
    // to be there, and when one was.
    let cases = [
        ((20, 0), (0, 3), true, true),
        ((19, 0), (0, 3), false, true),
        ((8, 0), (0, 3), false, true),
        ((7, 0), (0, 3), false, false),
        ((20, 0), (0, 2), false, false),
        ((20, 0), (5, 3), false, false),
        ((20, 0), (4, 3), true, true),
        ((20, 2), (0, 5), true, true),
        ((20, 3), (0, 5), false, false),
        ((20, 2), (3, 5), false, false),
        ((20, 0), (6, 4), true, true),
        ((27, 3), (0, 5), true, true),
    ];
    for (alone, beside, is_limit, is_known_limit) in cases {
        let flights = seen(alone, beside, 0.5);
        let all = Outcomes::of(flights.evidence().map(|(_, request)| request.is_taken));
        let limit = |before| flights.by_flight(all, before).map(|(_, most)| most);
        let what = format!("{alone:?}, {beside:?}");
        assert_eq!(limit(UNKNOWN), is_limit.then_some(1), "{what}");
        let known = is_known_limit.then_some(1);
        assert_eq!(limit(Before::Known), known, "{what}");
    }
}

#[test]
fn one_that_is_nearly_back_may_be_back() {
    for (back_later, is_limit, scale) in [
        (0.2, true, 1.0),
        (0.26, false, 1.0),
        (0.2, true, 10.0),
        (0.26, false, 10.0),
    ] {
        let mut flights = seen((20, 0), (0, 5), 0.5);
        for n in 0..20 {
            let now = 1000.0 + 10.0 * f64::from(n);
            flights.count(now, now + 1.0, true);
            flights.count(now + 1.0 - back_later, now + 2.0 - back_later, true);
        }
        for request in &mut flights.requests {
            request.sent *= scale;
            request.back *= scale;
        }
        let limit = flights.limit(Before::Known);
        assert_eq!(limit, is_limit.then_some(1), "{back_later}, {scale}");
    }
}

#[test]
fn a_look_is_worth_it_after_some_refusals() {
    let mut flights = seen((20, 0), (0, 20), 0.5);
    assert_eq!(flights.limit(Before::Known), Some(1));
    assert_eq!(flights.limit(Before::Known), None);
    flights.count(5000.0, 5001.0, true);
    for (looks, found) in [(1, None), (2, None), (3, Some(1))] {
        flights.count(5000.5, 5001.5, false);
        assert_eq!(flights.limit(Before::Known), found, "{looks}");
    }
}

#[test]
fn three_refusals_are_enough_for_a_look_and_a_tenth_more_for_another() {
    let first = seen((20, 0), (0, 3), 0.5).limit(Before::Known);
    assert_eq!(first, Some(1));
    let mut flights = seen((20, 0), (0, 9), 0.5);
    assert_eq!(flights.limit(Before::Known), Some(1));
    flights.count(5000.0, 5001.0, true);
    flights.count(5000.5, 5001.5, false);
    assert_eq!(flights.limit(Before::Known), Some(1));
}

#[test]
fn what_the_rate_explains_as_well_is_no_limit_in_flight() {
    // Those that find one in flight come soon after it.
    let mut flights = seen((20, 0), (0, 20), 0.5);
    let all = Outcomes::of(flights.evidence().map(|(_, request)| request.is_taken));
    assert_eq!(flights.by_flight(all, UNKNOWN), Some((0.0, 1)));
    assert!(flights.by_rate(all).abs() < 1e-9);
    assert_eq!(flights.limit(UNKNOWN), None);
}

#[test]
fn what_comes_too_soon_after_one_that_was_taken_is_explained_by_the_rate() {
    let mut flights = Flights::new(1);
    for n in 0..20 {
        let now = f64::from(n);
        flights.count(now, now + 0.05, true);
        flights.count(now + 0.1, now + 0.15, false);
    }
    let all = Outcomes::of(flights.evidence().map(|(_, request)| request.is_taken));
    assert!(flights.by_rate(all).abs() < 1e-9);
}

#[test]
fn fewer_places_are_looked_at_the_further_before_they_are() {
    let places: Vec<usize> = places_before().take(100).collect();
    let expected = [
        1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 33, 41, 51, 63,
    ];
    assert_eq!(places, expected);
}

#[test]
fn what_is_left_of_outcomes_is_less() {
    let of = |taken, refused| Outcomes { taken, refused };
    assert_eq!(of(5.0, 3.0).without(of(2.0, 1.0)), of(3.0, 2.0));
}

#[test]
fn both_sides_of_a_limit_count() {
    let flights = seen((27, 3), (0, 5), 0.5);
    let all = Outcomes::of(flights.evidence().map(|(_, request)| request.is_taken));
    let (likelihood, most) = flights.by_flight(all, UNKNOWN).unwrap();
    let expected = 27.0 * 0.9_f64.ln() + 3.0 * 0.1_f64.ln();
    assert_eq!(most, 1);
    assert!((likelihood - expected).abs() < 1e-9, "{likelihood}");
}

#[test]
fn one_that_is_back_in_a_quarter_of_the_usual_time_may_be_back() {
    // Each takes a second. Those that are refused find one that is back in half a second.
    let mut flights = Flights::new(1);
    for n in 0..20 {
        let now = 10.0 * f64::from(n);
        flights.count(now, now + 1.0, true);
        flights.count(now + 0.5, now + 1.5, false);
        flights.count(now + 5.0, now + 6.0, true);
        flights.count(now + 5.75, now + 6.75, true);
    }
    let all = Outcomes::of(flights.evidence().map(|(_, request)| request.is_taken));
    assert_eq!(flights.by_flight(all, UNKNOWN), Some((0.0, 1)));
}

#[test]
fn some_must_have_been_taken_with_one_fewer_in_flight() {
    // How many were taken that found one in flight, and what came of those that found two.
    for (with_one, with_two, limit) in [(3, (0, 5), 2), (2, (0, 5), 1), (2, (3, 5), 1)] {
        let mut flights = Flights::new(2);
        for n in 0..20 + with_one {
            let now = 10.0 * f64::from(n);
            flights.count(now, now + 1.0, true);
            if n >= 20 {
                flights.count(now + 0.25, now + 1.25, true);
            }
        }
        // The last two are in flight still.
        let mut now = 10.0 * f64::from(20 + with_one - 1) + 0.5;
        for (is_taken, n) in [(false, with_two.1), (true, with_two.0)] {
            for _ in 0..n {
                flights.count(now, now + 1.0, is_taken);
                now += 0.01;
            }
        }
        let all = Outcomes::of(flights.evidence().map(|(_, request)| request.is_taken));
        let found = flights.by_flight(all, UNKNOWN).map(|(_, most)| most);
        assert_eq!(found, Some(limit), "{with_one}, {with_two:?}");
    }
}

/// A platform: whether it takes a request that is sent at a time, after others that were taken, of which it knows when they were sent and
/// when it has ended them.
type Rule<'a> = &'a dyn Fn(f64, &[(f64, f64)]) -> bool;

/// What is found when a request is sent each tenth of a second on average. The platform takes a second or two for each; the reply is read
/// up to so much later. Each so manieth is refused by accident.
fn found(rule: Rule, late: f64, accident: u32, before: Before) -> Option<usize> {
    let mut flights = Flights::new(8);
    let mut taken = Vec::new();
    // Figures that look like chance and are the same each time.
    let chance = |n: u32, salt: u32| f64::from((n * 7919 + salt * 104_729) % 1000) / 1000.0;
    for n in 0..400 {
        let sent = (f64::from(n) + chance(n, 1)) / 10.0;
        let ended = sent + 1.0 + chance(n, 2);
        let is_taken = rule(sent, &taken) && n % accident != accident / 2;
        flights.count(sent, ended + late * chance(n, 3), is_taken);
        if is_taken {
            taken.push((sent, ended));
        }
    }
    flights.limit(before)
}

fn three_at_a_time(sent: f64, taken: &[(f64, f64)]) -> bool {
    taken.iter().filter(|(_, ended)| *ended > sent).count() < 3
}

fn not_too_soon(sent: f64, taken: &[(f64, f64)]) -> bool {
    taken.last().is_none_or(|(last, _)| sent > last + 0.45)
}

fn three_a_second(sent: f64, taken: &[(f64, f64)]) -> bool {
    taken.iter().filter(|(last, _)| *last > sent - 1.0).count() < 3
}

#[test]
fn a_platform_that_takes_three_at_a_time_is_seen_though_replies_are_read_late() {
    for late in [0.0, 0.1, 0.2] {
        for accident in [1000, 40] {
            let limit = found(&three_at_a_time, late, accident, UNKNOWN);
            assert_eq!(limit, Some(3), "{late} s late, accidents {accident}");
        }
    }
}

#[test]
fn a_limit_on_the_rate_is_seen_as_none_in_flight_with_accidents_or_without() {
    for rule in [&not_too_soon as Rule, &three_a_second, &|_, _| true] {
        for late in [0.0, 0.1, 0.5] {
            for accident in [1000, 40, 10] {
                let limit = found(rule, late, accident, UNKNOWN);
                assert_eq!(limit, None, "{late} s late, accidents {accident}");
            }
        }
    }
}

#[test]
fn the_more_often_it_was_an_error_the_more_it_takes() {
    let limit = |times| found(&three_at_a_time, 0.1, 40, Before::Refuted(times));
    assert_eq!((limit(0), limit(1000)), (Some(3), None));
}
