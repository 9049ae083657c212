//! What is believed of accounts that are written down.

use super::{
    rules_tests::{Accounts, account, assert_near, known, written},
    *,
};

#[test]
fn what_is_over_is_forgotten() {
    // What is known of lower rates, of this one, and of higher ones; which of them are still known after a look from this one.
    let cases: [(Accounts, &[i32]); 10] = [
        (
            &[
                (9, 100.0, 10.0, 500),
                (10, 100.0, 10.0, 500),
                (11, 100.0, 10.0, 500),
            ],
            &[9, 10, 11],
        ),
        // Higher rates at which less is refused.
        (
            &[
                (9, 100.0, 10.0, 500),
                (10, 100.0, 10.0, 500),
                (11, 100.0, 0.0, 500),
            ],
            &[9, 10],
        ),
        (
            &[
                (9, 100.0, 0.0, 500),
                (10, 100.0, 20.0, 500),
                (11, 100.0, 0.0, 500),
            ],
            &[9, 10],
        ),
        (&[(10, 100.0, 8.0, 500), (11, 100.0, 0.0, 500)], &[10, 11]),
        (&[(10, 100.0, 0.0, 500), (11, 100.0, 50.0, 500)], &[10, 11]),
        (
            &[
                (10, 100.0, 20.0, 500),
                (11, 50.0, 0.0, 500),
                (12, 50.0, 0.0, 500),
            ],
            &[10],
        ),
        // Only what was answered of late speaks against them.
        (
            &[
                (9, 900.0, 0.0, 300),
                (10, 100.0, 10.0, 301),
                (11, 200.0, 0.0, 500),
            ],
            &[9, 10],
        ),
        // Lower rates at which more is refused.
        (
            &[
                (9, 100.0, 20.0, 500),
                (10, 100.0, 0.0, 500),
                (11, 100.0, 20.0, 500),
            ],
            &[10, 11],
        ),
        (
            &[
                (8, 50.0, 10.0, 1),
                (9, 50.0, 10.0, 1),
                (10, 100.0, 0.0, 500),
            ],
            &[10],
        ),
        // Nothing is known of this one.
        (&[(9, 100.0, 20.0, 500), (11, 100.0, 0.0, 500)], &[9, 11]),
    ];
    for (nth, (accounts, left)) in cases.into_iter().enumerate() {
        let mut accidents = known(accounts);
        accidents.forget_what_is_over(10);
        let places: Vec<i32> = accidents.accounts.keys().copied().collect();
        assert_eq!(places, left, "case {nth}: {:?}", written(&accidents));
    }
}

#[test]
fn limits_are_thought_of_below_between_and_beyond_what_was_tried() {
    let (low, high) = (account(100.0, 2.0, 1), account(100.0, 30.0, 2));
    let accidents = known(&[(10, 100.0, 2.0, 1), (13, 100.0, 30.0, 2)]);
    let limits = accidents.limits();
    let half_a_step = APART.sqrt();
    // By place from the highest: which limit that is, what is known below it, and how likely that is.
    for (nth, (limit, below, likelihood)) in limits.iter().rev().enumerate() {
        let at = 14 - nth as i32;
        let is_below = |place: i32| place < at;
        let expected = if at == 14 {
            f64::MAX
        } else {
            rate_at(at) / half_a_step
        };
        assert_near(limit.min(f64::MAX) / expected, 1.0);
        let (answered, refused) = match (is_below(10), is_below(13)) {
            (true, true) => (200.0, 32.0),
            (true, false) => (100.0, 2.0),
            _ => (0.0, 0.0),
        };
        assert_near(below.answered, answered);
        assert_near(below.refused, refused);
        let share = below.share();
        let of = |place: i32, account: Account| {
            let steps = f64::from(at - place) - 0.5;
            account.likelihood(if is_below(place) {
                share
            } else {
                1.0 - (1.0 - share) * APART.powf(steps)
            })
        };
        assert_near(*likelihood, of(10, low) + of(13, high));
    }
    // Those below all that was tried end with the first that is refuted.
    let likeliest = limits.iter().map(|limit| limit.2).fold(f64::MIN, f64::max);
    let is_refuted = |nth: usize| limits[nth].2 < likeliest - REFUTED;
    assert!(is_refuted(0) && limits.len() < 40, "{}", limits.len());
}

#[test]
fn a_limit_far_below_is_thought_of_when_nothing_refutes_it() {
    for (accounts, limits) in [
        (&[] as Accounts, 0),
        (&[(10, 1.0, 1.0, 1)], 42),
        (&[(10, 1.0, 1.0, 1), (20, 1.0, 1.0, 1)], 52),
        (&[(10, 1.0, 0.0, 1)], 42),
        // The likeliest is the one that half gets through; those that let far less through are refuted.
        (&[(10, 40.0, 20.0, 1)], 2 + 24),
    ] {
        assert_eq!(known(accounts).limits().len(), limits, "{accounts:?}");
    }
}

#[test]
fn the_lowest_limit_that_is_not_refuted_is_believed_in() {
    // What is known; the limit, by its place, and the share of accidents that goes with it.
    let larger = |refused: f64| 1.15 * refused + 2.0 * refused.sqrt();
    let cases: [(Accounts, Option<i32>, f64); 8] = [
        // Where nothing is refused, none is below.
        (&[(20, 100.0, 0.0, 1)], Some(20), 0.0),
        // The same share at two rates: at most one that is hardly noticed, and with more requests none.
        (
            &[(0, 100.0, 10.0, 1), (20, 100.0, 10.0, 1)],
            Some(19),
            larger(7.0) / 100.0,
        ),
        (
            &[(0, 2000.0, 200.0, 1), (20, 2000.0, 200.0, 1)],
            None,
            larger(397.0) / 4000.0,
        ),
        (&[(0, 100.0, 3.0, 1), (20, 100.0, 3.0, 1)], Some(20), 0.0),
        (&[(0, 100.0, 60.0, 1), (40, 100.0, 60.0, 1)], Some(34), 0.35),
        // A limit between them.
        (
            &[(0, 2000.0, 20.0, 1), (20, 2000.0, 1000.0, 1)],
            Some(6),
            larger(17.0) / 2000.0,
        ),
        // Too few below it to say something of accidents, and just enough.
        (&[(0, 19.0, 4.0, 1), (20, 1000.0, 500.0, 1)], Some(10), 0.0),
        (
            &[(0, 20.0, 4.0, 1), (20, 1000.0, 500.0, 1)],
            Some(10),
            larger(1.0) / 20.0,
        ),
    ];
    for (nth, (accounts, limit, allowed)) in cases.into_iter().enumerate() {
        for spare in [0.0, 1.0] {
            let mut accidents = known(accounts);
            (accidents.allowed, accidents.spare) = (0.1 * spare, spare);
            accidents.believe();
            let found = Some(accidents.limit).filter(|limit| limit.is_finite());
            let found = found.map(|limit| place(limit * APART.sqrt()));
            assert_eq!(found, limit, "case {nth}");
            assert_near(accidents.allowed, allowed);
            assert_eq!(accidents.believed_at, 500, "case {nth}");
            // What may come at once is given when accidents begin.
            if spare > 0.0 {
                assert_near(accidents.spare, 1.0);
            } else {
                assert_near(accidents.spare, accidents.at_once());
            }
        }
    }
}
