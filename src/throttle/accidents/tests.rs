use super::*;

/// Answers a hundred requests at a rate, of which so many are refused, evenly spread. Gives how many of them were accidents.
fn answer(accidents: &mut Accidents, rate: f64, refused: u32) -> u32 {
    let mut explained = 0;
    for n in 0..100 {
        if refused > 0 && n % (100 / refused) == 0 {
            explained += u32::from(accidents.explain(rate));
        } else {
            accidents.accepted(rate);
        }
    }
    explained
}

#[test]
fn what_is_refused_at_one_rate_alone_may_be_a_limit() {
    let mut accidents = Accidents::default();
    assert_eq!(answer(&mut accidents, 25.0, 10), 0);
    assert_eq!(accidents.as_good(25.0), None);
}

#[test]
fn what_is_refused_at_a_lower_rate_as_well_is_accidents() {
    let mut accidents = Accidents::default();
    answer(&mut accidents, 25.0, 10);
    assert!(answer(&mut accidents, 12.0, 10) >= 5);
    let good = accidents.as_good(12.0).unwrap();
    assert!((22.0..27.0).contains(&good), "{good}");
    // And at the higher rate so much is expected now, and no more.
    accidents.begin_anew();
    assert_eq!(answer(&mut accidents, 25.0, 10), 10);
    assert!(answer(&mut accidents, 25.0, 50) < 40);
}

#[test]
fn a_limit_between_two_rates_is_none() {
    let mut accidents = Accidents::default();
    answer(&mut accidents, 25.0, 50);
    answer(&mut accidents, 12.5, 0);
    assert_eq!(answer(&mut accidents, 25.0, 50), 0);
    assert_eq!(accidents.as_good(12.5), None);
}

#[test]
fn accidents_are_forgotten_when_they_stop() {
    let mut accidents = Accidents::default();
    answer(&mut accidents, 25.0, 10);
    answer(&mut accidents, 12.0, 10);
    for _ in 0..10 {
        answer(&mut accidents, 25.0, 0);
    }
    answer(&mut accidents, 25.0, 1);
    assert!(accidents.allowed < 0.03, "{}", accidents.allowed);
}

#[test]
fn a_rate_may_be_lowered_before_anything_was_answered() {
    let mut accidents = Accidents::default();
    accidents.lowered(0.0, 0, 0);
    accidents.accepted(f64::INFINITY);
    assert!(!accidents.explain(0.0));
    assert_eq!(accidents.as_good(0.0), None);
}

#[test]
fn everything_in_a_row_is_no_accident() {
    let mut accidents = Accidents::default();
    answer(&mut accidents, 25.0, 10);
    answer(&mut accidents, 12.0, 10);
    let explained: u32 = (0..100).map(|_| u32::from(accidents.explain(25.0))).sum();
    assert!(explained < 8, "{explained}");
    assert_eq!(accidents.as_good(12.0), None);
}
