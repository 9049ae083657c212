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
    for (back_later, is_limit) in [(0.2, true), (0.26, false)] {
        let mut flights = seen((20, 0), (0, 5), 0.5);
        for n in 0..20 {
            let now = 1000.0 + 10.0 * f64::from(n);
            flights.count(now, now + 1.0, true);
            flights.count(now + 1.0 - back_later, now + 2.0 - back_later, true);
        }
        let limit = flights.limit(Before::Known);
        assert_eq!(limit, is_limit.then_some(1), "{back_later}");
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
