//! Every kind of limit, with several seeds: what a push gets of it and what it is refused. The bounds are those that hold for many seeds;
//! what is aimed at, and how near it comes, is in the documentation of performance.

use super::{Played, Trial};

/// What the limits on the rate give, in requests a second.
const LIMIT: f64 = 40.0;

fn trial(limit: &str, retry_after: &str) -> Trial {
    let text = format!("{limit},retry-after={retry_after}");
    Trial::of(Some(text.parse().expect("a limit")))
}

/// The share of what a limit gives, in a stretch of time.
fn share(played: &Played, limit: f64, from: f64, to: f64) -> f64 {
    played.accepted_between(from, to) / (to - from) / limit
}

/// Each with the least goodput of 30 s and of their second half, and the share that may be refused.
#[test]
fn limits_that_ask_for_a_pause_are_measured_and_made_use_of() {
    let mut missed = Vec::new();
    for (limit, least, least_later, most_refused) in [
        ("token-bucket:40,burst=1", 0.7, 0.75, 0.02),
        ("token-bucket:40,burst=10", 0.83, 0.88, 0.03),
        (
            "token-bucket:40,burst=10,count-refused=yes",
            0.8,
            0.85,
            0.04,
        ),
        ("token-bucket:40,burst=40", 0.92, 0.92, 0.03),
        ("fixed-window:40,window=1s", 0.6, 0.6, 0.04),
        // Half of the second window is in the second half, and is over by then.
        ("fixed-window:400,window=10s", 0.95, 0.65, 0.04),
        ("sliding-window:40,window=1s", 0.8, 0.85, 0.03),
        ("leaky-bucket:40,queue=1", 0.78, 0.85, 0.02),
    ] {
        // Of long windows whole ones are counted.
        let older = if limit.contains("window=10s") {
            0.0
        } else {
            1.0
        };
        for seed in [10, 11, 12] {
            let trial = Trial {
                older,
                ..trial(limit, "yes")
            };
            let played = trial.play(30.0, seed).remove(0);
            let all = share(&played, LIMIT, 0.0, 30.0);
            let later = share(&played, LIMIT, 15.0, 30.0);
            let refused = played.refused_between(0.0, 30.0);
            if all < least || later < least_later || refused > most_refused {
                missed.push(format!("{limit}, seed {seed}: {all}, {later}, {refused}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Two spells that end in a refusal are explained by a bucket of 22 to 32 a second as well, which then would be kept to for half a minute.
#[test]
fn windows_of_a_second_are_made_use_of_wherever_in_one_a_push_begins() {
    let shares: Vec<f64> = (10..34)
        .map(|seed| {
            let played = trial("fixed-window:40,window=1s", "yes").play(30.0, seed);
            share(&played[0], LIMIT, 0.0, 30.0)
        })
        .collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!(mean > 0.9, "{mean}: {shares:?}");
}

#[test]
fn a_limit_in_flight_is_found_kept_below_and_told() {
    for most in [2, 8] {
        for retry_after in ["no", "yes"] {
            let trial = trial(&format!("in-flight:{most}"), retry_after);
            let limit = f64::from(most) / trial.round_trip();
            let played: Vec<Played> = (10..22)
                .map(|seed| trial.play(45.0, seed).remove(0))
                .collect();
            let found = |played: &&Played| {
                played.found_in_flight == Some(most as usize)
                    && played.found.is_none()
                    && played.refused_between(0.0, 45.0) < 0.02
                    && share(played, limit, 15.0, 45.0) > 0.9
            };
            let found = played.iter().filter(found).count();
            assert_eq!(found, 12, "{most}, Retry-After {retry_after}");
        }
    }
}

/// Stalls of up to 10 ms, fifty times a second, of the push and of the platform.
const BUSY: Option<(f64, f64)> = Some((0.02, 0.01));

/// Replies are read late there, so that a request seems to be in flight that the platform has ended.
#[test]
fn a_limit_in_flight_is_found_on_a_busy_machine_too() {
    for most in [2, 8_usize] {
        for retry_after in ["no", "yes"] {
            let trial = Trial {
                stalls: BUSY,
                ..trial(&format!("in-flight:{most}"), retry_after)
            };
            let is_found = |seed: &u64| {
                let played = trial.play(30.0, *seed).remove(0);
                let found = played.found_in_flight;
                found.is_some_and(|found| found.abs_diff(most) <= 1)
            };
            let found = (10..22).filter(is_found).count();
            assert!(found >= 11, "{most}, Retry-After {retry_after}: {found}");
        }
    }
}

#[test]
fn a_limit_on_the_rate_with_accidents_is_never_told_as_one_in_flight() {
    for limit in [
        "token-bucket:40,burst=1",
        "token-bucket:40,burst=5",
        "sliding-window:40,window=1s",
    ] {
        for accidents in [0.02, 0.1] {
            for stalls in [None, BUSY] {
                let trial = Trial {
                    accidents,
                    stalls,
                    ..trial(limit, "no")
                };
                for seed in [10, 11, 12] {
                    let told = trial.play(30.0, seed).remove(0).told_in_flight;
                    assert_eq!(told, [], "{limit}, {accidents}, {stalls:?}, {seed}");
                }
            }
        }
    }
}

#[test]
fn a_limit_in_flight_that_is_lifted_is_left_behind_one_by_one() {
    for retry_after in ["no", "yes"] {
        let trial = Trial {
            then: Some((20.0, None)),
            ..trial("in-flight:4", retry_after)
        };
        let until_lifted = trial.play(20.0, 10).remove(0);
        assert_eq!(until_lifted.found_in_flight, Some(4));
        let played = trial.play(120.0, 10).remove(0);
        assert_eq!(played.found_in_flight, None, "Retry-After {retry_after}");
        assert!(share(&played, 400.0, 105.0, 120.0) > 0.95);
    }
}

#[test]
fn a_limit_in_flight_that_is_lowered_is_found_again() {
    for retry_after in ["no", "yes"] {
        let lower = trial("in-flight:4", retry_after);
        let limit = 4.0 / lower.round_trip();
        let trial = Trial {
            then: Some((20.0, lower.limit)),
            ..trial("in-flight:8", retry_after)
        };
        for seed in [10, 11, 12] {
            let played = trial.play(60.0, seed).remove(0);
            assert_eq!(played.found_in_flight, Some(4), "{retry_after}, {seed}");
            let later = share(&played, limit, 30.0, 60.0);
            assert!(later > 0.9, "{retry_after}, {seed}: {later}");
        }
    }
}

/// At a ceiling of 25 and with 1 of 100 requests refused, a second of pause for each leaves 0.79.
#[test]
fn accidents_that_ask_for_pauses_do_not_drive_the_rate_down() {
    let trial = Trial {
        ceiling: Some(25.0),
        accidents: 0.01,
        accidents_ask: Some(1),
        ..Trial::of(None)
    };
    for seed in [10, 11, 12] {
        let played = trial.play(300.0, seed).remove(0);
        let later = share(&played, 25.0, 200.0, 300.0);
        assert!(later > 0.55, "{seed}: {later}");
    }
}

#[test]
fn a_limit_on_the_rate_is_none_on_requests_in_flight() {
    for limit in [
        "token-bucket:40,burst=1",
        "token-bucket:40,burst=10",
        "token-bucket:200,burst=20",
        "leaky-bucket:40,queue=20",
        "sliding-window:40,window=1s",
    ] {
        for retry_after in ["no", "yes"] {
            let played = trial(limit, retry_after).play(30.0, 10).remove(0);
            assert_eq!(played.found_in_flight, None, "{limit}");
        }
    }
}

#[test]
fn a_ceiling_below_the_limit_is_not_refused() {
    for retry_after in ["no", "yes"] {
        let trial = Trial {
            ceiling: Some(25.0),
            ..trial("token-bucket:30,burst=5", retry_after)
        };
        let played = trial.play(60.0, 10).remove(0);
        assert_eq!(played.refused, [] as [f64; 0]);
        assert!(share(&played, 25.0, 10.0, 60.0) > 0.98);
        assert_eq!(played.found, None);
    }
}
