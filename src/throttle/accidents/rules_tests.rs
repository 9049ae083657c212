//! Each rule alone, on accounts that are written down.

use super::*;

/// Accounts by place: what was answered and refused, and when last.
pub(super) type Accounts<'a> = &'a [(i32, f64, f64, u64)];

pub(super) fn known(accounts: Accounts) -> Accidents {
    Accidents {
        accounts: accounts
            .iter()
            .map(|(place, answered, refused, last)| (*place, account(*answered, *refused, *last)))
            .collect(),
        answered: 500,
        limit: f64::INFINITY,
        ..Accidents::default()
    }
}

pub(super) fn account(answered: f64, refused: f64, last: u64) -> Account {
    Account {
        answered,
        refused,
        last,
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The accounts as they were written down, rounded.
pub(super) fn written(accidents: &Accidents) -> Vec<(i32, f64, f64, u64)> {
    accidents
        .accounts
        .iter()
        .map(|(place, account)| {
            let (answered, refused) = (rounded(account.answered), rounded(account.refused));
            (*place, answered, refused, account.last)
        })
        .collect()
}

#[track_caller]
pub(super) fn assert_near(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-6, "{one} and not {other}");
}

#[test]
fn rates_are_told_apart_by_a_twentieth() {
    for (rate, at) in [
        (1.0, 0),
        (1.02, 0),
        (1.03, 1),
        (1.05, 1),
        (1.1025, 2),
        (0.95, -1),
        (0.0, -94),
        (f64::INFINITY, 283),
    ] {
        assert_eq!(place(rate), at, "{rate}");
    }
    assert_near(rate_at(2), 1.1025);
}

#[test]
fn an_account_is_of_the_last_requests() {
    let one = account(10.0, 4.0, 7);
    let other = account(30.0, 1.0, 5);
    let fields = |account: Account| (account.answered, account.refused, account.last);
    assert_eq!(fields(one.with(other)), (40.0, 5.0, 7));
    assert_eq!(fields(other.without(one)), (20.0, 0.0, 5));
    assert_eq!(fields(one.without(other)), (0.0, 3.0, 7));
    for (answered, refused, then) in [
        (10.0, 4.0, (11.0, 5.0)),
        (199.0, 40.0, (200.0, 41.0)),
        (200.0, 40.0, (200.0, 40.8)),
    ] {
        let mut account = account(answered, refused, 0);
        account.add(true);
        assert_near(account.answered, then.0);
        assert_near(account.refused, then.1);
        account.add(false);
        assert_near(account.answered, (then.0 + 1.0).min(200.0));
    }
    for (answered, refused, share) in [(0.0, 0.0, 0.0), (10.0, 4.0, 0.4), (0.5, 0.5, 0.5)] {
        assert_near(account(answered, refused, 0).share(), share);
    }
}

#[test]
fn accounts_differ_when_that_is_hardly_chance() {
    let likelihoods = [
        (10.0, 5.0, 0.5, 10.0 * 0.5_f64.ln()),
        (10.0, 2.0, 0.3, 2.0 * 0.3_f64.ln() + 8.0 * 0.7_f64.ln()),
        (10.0, 0.0, 0.0, 10.0 * 0.998_f64.ln()),
        (10.0, 10.0, 1.0, 10.0 * 0.998_f64.ln()),
    ];
    for (answered, refused, share, likelihood) in likelihoods {
        assert_near(account(answered, refused, 0).likelihood(share), likelihood);
    }
    for (refused, differ) in [(0.0, false), (10.0, false), (11.0, true), (90.0, true)] {
        let (one, other) = (account(100.0, 0.0, 0), account(100.0, refused, 0));
        assert_eq!(one.differs(other), differ, "{refused}");
        assert_eq!(other.differs(one), differ, "{refused}");
    }
}

#[test]
fn so_many_accidents_may_come_at_once() {
    for (allowed, at_once) in [(0.0, 0.0), (0.1, 8.0), (0.35, 18.0)] {
        let mut accidents = known(&[]);
        accidents.allowed = allowed;
        accidents.begin_anew();
        assert_near(accidents.spare, at_once);
        // No more are saved up.
        accidents.count(1.0, false);
        assert_near(accidents.spare, at_once);
        accidents.spare = at_once - allowed * 2.0;
        accidents.count(1.0, false);
        assert_near(accidents.spare, at_once - allowed);
    }
    let mut accidents = known(&[]);
    for (refused, lately) in [(true, 1.0 / 16.0), (false, 15.0 / 256.0)] {
        accidents.count(1.0, refused);
        assert_near(accidents.lately, lately);
    }
    assert_eq!(written(&accidents), [(0, 2.0, 1.0, 502)]);
}

#[test]
fn accidents_in_a_row_are_soon_none() {
    for (allowed, in_a_row, is_row) in [
        (0.2, 7, false),
        (0.2, 8, true),
        (0.05, 3, false),
        (0.05, 4, true),
        (0.0, 0, false),
        (0.0, 1, true),
        (1e-5, 1, false),
        (0.9e-5, 1, true),
    ] {
        let accidents = Accidents {
            in_a_row,
            allowed,
            ..Accidents::default()
        };
        assert_eq!(accidents.is_row(), is_row, "{in_a_row} of {allowed}");
    }
}

#[test]
fn a_refusal_is_an_accident_as_long_as_more_may_be() {
    // So many would be accidents, the share of late, how many came in a row before; whether the next one is an accident.
    for (spare, lately, in_a_row, is_accident) in [
        (5.0, 0.1, 0, true),
        (0.8, 0.1, 0, true),
        (0.7, 0.1, 0, false),
        (5.0, 0.41, 0, true),
        (5.0, 0.42, 0, false),
        (5.0, 31.0 / 75.0, 0, false),
        (5.0, 0.1, 6, true),
        (5.0, 0.1, 7, false),
    ] {
        let mut accidents = Accidents {
            in_a_row,
            believed_at: 500,
            allowed: 0.2,
            spare,
            lately,
            ..known(&[(0, 100.0, 10.0, 500)])
        };
        let what = format!("{spare} {lately} {in_a_row}");
        assert_eq!(accidents.explain(1.0), is_accident, "{what}");
        if spare > 1.0 {
            assert_near(
                accidents.spare,
                spare + 0.2 - f64::from(u8::from(is_accident)),
            );
        }
        assert_eq!(accidents.answered, 501, "{what}");
        assert_eq!(accidents.in_a_row, in_a_row + 1, "{what}");
    }
    // The ninth in a row is no accident however many may be, and is not counted.
    for (in_a_row, is_accident, answered) in [(7, true, 501), (8, false, 500)] {
        let mut accidents = Accidents {
            allowed: 0.35,
            spare: 5.0,
            in_a_row,
            believed_at: 500,
            ..known(&[])
        };
        assert_eq!(accidents.explain(1.0), is_accident);
        assert_eq!(accidents.answered, answered);
    }
}

#[test]
fn what_is_believed_is_looked_at_again_after_fifty_requests() {
    let told = |allowed, believed_at, refused| {
        let mut accidents = Accidents {
            allowed,
            believed_at,
            spare: 5.0,
            in_a_row: 1,
            ..known(&[(0, 100.0, 10.0, 500)])
        };
        if refused {
            accidents.explain(1.0);
        } else {
            accidents.accepted(1.0);
            assert_eq!(accidents.in_a_row, 0);
        }
        accidents.believed_at
    };
    for (believed_at, then) in [(451, 501), (452, 452)] {
        assert_eq!(told(0.1, believed_at, false), then, "{believed_at}");
        assert_eq!(told(0.1, believed_at, true), then, "{believed_at}");
    }
    // Without accidents, acceptances are no reason.
    assert_eq!(told(0.0, 0, false), 0);
}

#[test]
fn few_accidents_at_any_rate_are_no_reason_to_heed() {
    for (limit, allowed, are) in [
        (f64::INFINITY, 0.09, true),
        (f64::INFINITY, 0.1, false),
        (40.0, 0.09, false),
    ] {
        let accidents = Accidents {
            limit,
            allowed,
            ..Accidents::default()
        };
        assert_eq!(accidents.are_few_and_all(), are, "{limit} {allowed}");
    }
}

/// Rates up to place 20 have been tried, with accidents at all of them.
fn tried() -> Accidents {
    Accidents {
        allowed: 0.2,
        ..known(&[(10, 100.0, 10.0, 400), (20, 100.0, 10.0, 500)])
    }
}

#[test]
fn a_rate_that_was_tried_is_as_good_when_it_is_noticeably_higher() {
    let (none, highest) = (f64::INFINITY, Some(2.653));
    // The limit, the present rate, the share allowed, the one of late, and how many in a row.
    let cases = [
        (none, 10.0, 0.2, 0.1, 0, highest),
        (none, 18.9, 0.2, 0.1, 0, highest),
        (none, 19.1, 0.2, 0.1, 0, None),
        (none, 30.0, 0.2, 0.1, 0, None),
        (rate_at(15), 10.0, 0.2, 0.1, 0, Some(1.98)),
        (rate_at(15), 13.1, 0.2, 0.1, 0, None),
        (none, 10.0, 0.0, 0.1, 0, None),
        (none, 10.0, 0.2, 0.44, 0, highest),
        (none, 10.0, 0.2, 0.45, 0, None),
        (none, 10.0, 0.2, 0.1, 8, None),
    ];
    for (nth, (limit, place, allowed, lately, in_a_row, good)) in cases.into_iter().enumerate() {
        let accidents = Accidents {
            in_a_row,
            limit,
            allowed,
            lately,
            ..tried()
        };
        let found = accidents.as_good(APART.powf(place)).map(rounded);
        assert_eq!(found, good, "case {nth}");
    }
    assert_eq!(known(&[]).as_good(1.0), None);
    // One step higher is not noticeably so.
    let accidents = Accidents {
        limit: none,
        allowed: 0.2,
        ..known(&[(1, 100.0, 10.0, 500)])
    };
    assert_eq!(accidents.as_good(1.0), None);
    assert_eq!(accidents.as_good(0.99), Some(APART));
}

#[test]
fn a_rate_is_taken_back_once_in_a_while_where_pauses_are_asked_for() {
    let mut accidents = tried();
    let good = Some(2.653);
    for (answered, found, good_at) in [
        (149, None, 0),
        (150, good, 150),
        (151, None, 150),
        (299, None, 150),
        (301, good, 301),
    ] {
        accidents.answered = answered;
        let is_good = accidents.as_good_though_asked(1.0).map(rounded);
        assert_eq!(is_good, found, "{answered}");
        assert_eq!(accidents.good_at, good_at, "{answered}");
    }
    // One that is not found is not waited for.
    accidents.answered = 500;
    assert_eq!(accidents.as_good_though_asked(rate_at(20)), None);
    assert_eq!(accidents.good_at, 301);
}

#[test]
fn what_is_known_is_forgotten_when_the_platform_has_changed() {
    let before = [
        (7, 9.0, 1.0, 1),
        (8, 9.0, 1.0, 2),
        (9, 9.0, 1.0, 3),
        (10, 200.0, 20.0, 4),
        (11, 9.0, 1.0, 5),
    ];
    let after = [(7, 9.0, 1.0, 1), (8, 9.0, 1.0, 2), (10, 100.0, 20.0, 500)];
    for (place, answered, refused, has_changed) in [
        (10, 100, 20, true),
        (10, 100, 10, false),
        (10, 100, 1, false),
        (10, 100, 0, false),
        (12, 100, 20, false),
    ] {
        let mut accidents = known(&before);
        accidents.allowed = 0.1;
        accidents.forget_if_changed(rate_at(place), answered, refused);
        let (expected, allowed): (Accounts, _) = if has_changed {
            (&after, 0.0)
        } else {
            (&before, 0.1)
        };
        assert_eq!(written(&accidents), expected, "{place} {refused}");
        assert_near(accidents.allowed, allowed);
    }
}

#[test]
fn what_is_known_counts_for_little_when_the_rate_is_lowered() {
    let before = [
        (8, 100.0, 4.0, 1),
        (9, 30.0, 3.0, 301),
        (10, 60.0, 6.0, 500),
        (11, 9.0, 1.0, 300),
        (12, 10.0, 0.0, 400),
    ];
    // The share allowed, and what is known afterwards: of a hundred requests twelve, or twenty-five where there are accidents.
    let cases: [(f64, Accounts, f64); 2] = [
        (
            0.0,
            &[
                (8, 100.0, 4.0, 1),
                (9, 3.6, 0.36, 301),
                (10, 7.2, 0.72, 500),
                (12, 1.2, 0.0, 400),
            ],
            0.0,
        ),
        (
            0.1,
            &[
                (8, 100.0, 4.0, 1),
                (9, 7.5, 0.75, 301),
                (10, 15.0, 1.5, 500),
                (12, 2.5, 0.0, 400),
            ],
            8.0,
        ),
    ];
    for (allowed, after, spare) in cases {
        let mut accidents = known(&before);
        (accidents.allowed, accidents.spare) = (allowed, 1.0);
        accidents.lowered(rate_at(10), 10, 1);
        assert_eq!(written(&accidents), after, "{allowed}");
        assert_near(accidents.spare, spare);
    }
    // What is of long ago is forgotten from one step below the rate.
    let mut accidents = known(&[(8, 10.0, 1.0, 300), (9, 10.0, 1.0, 300)]);
    accidents.lowered(rate_at(10), 0, 0);
    assert_eq!(written(&accidents), [(8, 10.0, 1.0, 300)]);
    // What is little already stays.
    let little = [(10, 12.0, 2.0, 500)];
    let mut accidents = known(&little);
    accidents.lowered(rate_at(10), 0, 0);
    assert_eq!(written(&accidents), little);
    // When the platform has changed, only the last requests are known.
    let mut accidents = known(&[(10, 200.0, 10.0, 500)]);
    accidents.lowered(rate_at(10), 10, 10);
    assert_eq!(written(&accidents), [(10, 10.0, 10.0, 500)]);
}
