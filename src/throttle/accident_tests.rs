//! Whether a rate is held that lower ones do not help: refusals that come by chance, whatever the rate, in virtual time.

use super::play::{Platform, Play, PlayResult};

/// What the platform takes a second when nothing limits it: sixteen requests at a time, each of a thirty-second part of a second.
const UNLIMITED: f64 = 16.0 / 0.03125;
/// How long it takes to learn of accidents at first, in seconds at the best rate, and how long a quarter of a play is then. What is learnt
/// is learnt by requests: so many are enough.
const SETTLING: f64 = 60.0;
const QUARTER: f64 = 100.0;
const ENOUGH: f64 = 10_000.0;

/// A play on a platform that refuses so many by chance, in four quarters after the settling: the accepted requests a second of each, as
/// shares of the best possible, and the share that was refused over all.
fn played(ceiling: Option<f64>, limit: f64, accidents: f64, seed: u64) -> ([f64; 4], f64) {
    let mut platform = Platform::new(limit, seed);
    platform.accidents = accidents;
    // An accident costs the platform no token.
    let best = (ceiling.unwrap_or(UNLIMITED) * (1.0 - accidents)).min(limit);
    let mut play = Play::new(ceiling, None, platform);
    let quarter = (best * QUARTER).min(ENOUGH);
    play.until_accepted((quarter * SETTLING / QUARTER) as u32);
    let accepted = quarter as u32;
    let told: [PlayResult; 4] = std::array::from_fn(|_| play.until_accepted(accepted));
    let refused: u32 = told.iter().map(|told| told.refused).sum();
    (
        told.map(|told| f64::from(accepted) / told.seconds / best),
        f64::from(refused) / f64::from(refused + 4 * accepted),
    )
}

const SHARES: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.2];

#[test]
fn accidents_do_not_drive_the_rate_down() {
    for (ceiling, seeds) in [(Some(25.0), 2), (Some(100.0), 2), (None, 1)] {
        for accidents in SHARES {
            for seed in 0..seeds {
                let (quarters, _) = played(ceiling, f64::INFINITY, accidents, seed);
                let what = format!("{ceiling:?}, {accidents}, seed {seed}: {quarters:?}");
                assert!(quarters.iter().sum::<f64>() > 0.9 * 4.0, "{what}");
                // It does not creep.
                assert!(quarters[3] > quarters[1] - 0.1, "{what}");
            }
        }
    }
}

#[test]
fn a_limit_is_found_among_accidents() {
    for ceiling in [Some(100.0), None] {
        for accidents in SHARES {
            for seed in 0..2 {
                let (quarters, refused) = played(ceiling, 40.0, accidents, seed);
                let what =
                    format!("{ceiling:?}, {accidents}, seed {seed}: {quarters:?}, {refused}");
                // Among many accidents a limit is seen less sharply.
                let (least, creeps) = if accidents < 0.2 {
                    (0.9, 0.15)
                } else {
                    (0.85, 0.3)
                };
                assert!(quarters.iter().sum::<f64>() > least * 4.0, "{what}");
                assert!(quarters[3] > quarters[1] - creeps, "{what}");
                assert!(refused < accidents + 0.02 + accidents / 2.0, "{what}");
            }
        }
    }
}

#[test]
fn accidents_that_begin_and_end_are_learnt_and_forgotten() {
    for seed in 0..6 {
        let mut play = Play::new(Some(50.0), None, Platform::new(f64::INFINITY, seed));
        play.until_accepted(1000);
        play.platform.accidents = 0.05;
        play.until_accepted(2500);
        let told = play.until_accepted(2500);
        assert!(told.mean() > 0.9 * 50.0, "{seed}: {}", told.mean());
        play.platform.accidents = 0.0;
        play.until_accepted(1000);
        // What was allowed for accidents is not allowed for a limit for long.
        (play.platform.limit, play.platform.tokens) = (20.0, 0.0);
        play.until_accepted(500);
        let told = play.until_accepted(1000);
        assert!((18.5..21.5).contains(&told.mean()), "{seed}: {told:?}");
        assert!(
            told.refused < 40,
            "{seed}: {} {}",
            told.refused,
            told.mean()
        );
    }
}

#[test]
fn a_platform_that_takes_nothing_is_left_alone_whatever_was_an_accident_before() {
    for seed in 0..6 {
        let mut platform = Platform::new(100.0, seed);
        platform.accidents = 0.1;
        let mut play = Play::new(Some(50.0), None, platform);
        play.until_accepted(3000);
        // A bucket so deep in debt that it takes half a minute to fill.
        play.platform.tokens = -3000.0;
        let told = play.until_accepted(10);
        assert!(told.refused < 100, "{seed}: {told:?}");
        // The rate is found again, though among accidents that takes longer.
        let told = play.until_accepted(1500);
        assert!(
            told.seconds < 120.0,
            "{seed}: {} {}",
            told.refused,
            told.seconds
        );
    }
}
