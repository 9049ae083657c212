//! Which accepted commands to ask about, and what their delivery means for the push.

use crate::model::{
    CountedDelivery, Delivery, DeliveryLimit, DeliveryTolerance, Sampling, Untold, VerifyLevel,
};

/// Up to so many commands are all asked about: ten minutes at the usual pace.
const ALL_UP_TO: u64 = 3000;
/// Of more, so many are drawn: the share that they tell is within five percentage points.
const DRAWN: u64 = 400;

/// How many of `accepted` commands are drawn; `None` when all are asked about.
pub(crate) fn drawn(sampling: Sampling, accepted: u64) -> Option<u64> {
    let wanted = match sampling {
        Sampling::All => return None,
        Sampling::Usual if accepted <= ALL_UP_TO => return None,
        Sampling::Usual => DRAWN,
        Sampling::Tasks(tasks) => tasks,
    };
    (wanted < accepted).then_some(wanted)
}

/// The place in a part of a sample that is drawn, below `size`, and the same for the same seed: the finalizer of `SplitMix64`.
pub(crate) fn pick(seed: u64, part: u64, size: u64) -> u64 {
    let mut z = (seed ^ part.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % size.max(1)
}

/// How far commands have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliverySummary {
    /// Commands that were looked at.
    pub(crate) whole: u64,
    /// Those that have come as far as they have to.
    pub(crate) reached: u64,
    /// The others, by what they count as, without those of which there are none.
    pub(crate) short: Vec<(CountedDelivery, u64)>,
    /// Conditions that are exceeded, with their counts.
    pub(crate) exceeded: Vec<(DeliveryLimit, u64)>,
    /// What has no condition and is therefore not tolerated.
    pub(crate) untolerated: Vec<(CountedDelivery, u64)>,
}

impl DeliverySummary {
    /// Whether all came as far as they have to, but for what is tolerated.
    pub(crate) fn is_good(&self) -> bool {
        self.exceeded.is_empty() && self.untolerated.is_empty()
    }

    /// Whether more than is tolerated is missing only because the platform refused to tell of it, so that nobody knows whether it is.
    pub(crate) fn is_open(&self, untold: Untold) -> bool {
        let is_met = |(limit, part): &(DeliveryLimit, u64)| {
            !limit.is_exceeded(part - untold.of(limit.counted, *part), self.whole)
        };
        let is_untold =
            |(counted, part): &(CountedDelivery, u64)| untold.of(*counted, *part) == *part;
        !self.is_good()
            && self.exceeded.iter().all(is_met)
            && self.untolerated.iter().all(is_untold)
    }
}

/// Holds how many commands have which delivery against what is asked for.
pub(crate) fn summarize(
    counts: &[(Delivery, u64)],
    level: VerifyLevel,
    tolerance: &DeliveryTolerance,
) -> DeliverySummary {
    let sum = |wanted: &dyn Fn(Delivery) -> bool| -> u64 {
        let counted = counts.iter().filter(|(delivery, _)| wanted(*delivery));
        counted.map(|(_, n)| n).sum()
    };
    let whole = sum(&|_| true);
    let has_reached = |delivery: Delivery| level.reached().contains(&delivery);
    let part = |counted: CountedDelivery| {
        sum(&|delivery| !has_reached(delivery) && CountedDelivery::of(delivery) == counted)
    };
    let short: Vec<(CountedDelivery, u64)> = CountedDelivery::ALL
        .iter()
        .map(|counted| (*counted, part(*counted)))
        .filter(|(_, n)| *n > 0)
        .collect();
    let is_limited =
        |counted: CountedDelivery| tolerance.0.iter().any(|limit| limit.counted == counted);
    DeliverySummary {
        whole,
        reached: sum(&has_reached),
        exceeded: tolerance
            .0
            .iter()
            .map(|limit| (*limit, part(limit.counted)))
            .filter(|(limit, part)| limit.is_exceeded(*part, whole))
            .collect(),
        untolerated: short
            .iter()
            .copied()
            .filter(|(counted, _)| !is_limited(*counted))
            .collect(),
        short,
    }
}

/// The share that `part` of a sample of `whole` stands for, as an interval of 95 % confidence (Wilson 1927, without continuity correction).
pub(crate) fn wilson(part: u64, whole: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if whole == 0 {
        return (0.0, 1.0);
    }
    let (part, whole) = (part as f64, whole as f64);
    let share = part / whole;
    let square = Z * Z / whole;
    let middle = share + square / 2.0;
    let half = Z * (share * (1.0 - share) / whole + square / (4.0 * whole)).sqrt();
    let scale = 1.0 + square;
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn up_to_three_thousand_are_all_asked_about() {
        for (sampling, accepted, expected) in [
            (Sampling::Usual, 3000, None),
            (Sampling::Usual, 3001, Some(400)),
            (Sampling::All, 1_000_000, None),
            (Sampling::Tasks(50), 51, Some(50)),
            (Sampling::Tasks(50), 50, None),
        ] {
            assert_eq!(
                drawn(sampling, accepted),
                expected,
                "{sampling:?} {accepted}"
            );
        }
    }

    #[test]
    fn the_interval_is_that_of_the_textbook() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (part, whole, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (from, to) = wilson(part, whole);
            assert!(
                (from - low).abs() < 5e-5 && (to - high).abs() < 5e-5,
                "{part} {from} {to}"
            );
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn what_falls_short_is_tolerated_only_where_a_condition_says_so() {
        let counts = [
            (Delivery::Unknown, 3),
            (Delivery::Queued, 1),
            (Delivery::Sent, 90),
            (Delivery::SendFailed, 2),
            (Delivery::Answered, 4),
        ];
        let of = |level, tolerance: &str| {
            let tolerance = match tolerance {
                "" => DeliveryTolerance::default(),
                text => text.parse().unwrap(),
            };
            summarize(&counts, level, &tolerance)
        };
        let strict = of(VerifyLevel::Sent, "");
        assert_eq!((strict.whole, strict.reached), (100, 94));
        let short = [
            (CountedDelivery::SendFailed, 2),
            (CountedDelivery::Unconfirmed, 4),
        ];
        assert_eq!(
            (&*strict.short, &*strict.untolerated),
            (&short[..], &short[..])
        );
        assert!(!strict.is_good());
        assert!(of(VerifyLevel::Sent, "send_failed>2%;unconfirmed>4").is_good());
        let exceeded = of(VerifyLevel::Sent, "send_failed>1%;unconfirmed>4");
        assert_eq!(exceeded.exceeded.len(), 1);
        assert!(!exceeded.is_good());
        assert!(!of(VerifyLevel::Sent, "send_failed>2%").is_good());
        assert_eq!(of(VerifyLevel::Answered, "").reached, 4);
        assert_eq!(
            of(VerifyLevel::Answered, "").short[2],
            (CountedDelivery::Unanswered, 90)
        );
        assert!(summarize(&[], VerifyLevel::Answered, &DeliveryTolerance::default()).is_good());
    }

    #[test]
    fn what_the_platform_does_not_tell_of_is_open_and_no_failure() {
        let refused = |known: &[(Delivery, u64)]| {
            let mut untold = Untold::default();
            for (delivery, count) in known {
                (0..*count).for_each(|_| untold.add(*delivery));
            }
            untold
        };
        let counts = [
            (Delivery::Unknown, 6),
            (Delivery::Queued, 4),
            (Delivery::Sent, 85),
            (Delivery::SendFailed, 5),
        ];
        let of = |level, tolerance: &str, known: &[(Delivery, u64)]| {
            let tolerance = tolerance.parse().unwrap();
            summarize(&counts, level, &tolerance).is_open(refused(known))
        };
        let sent =
            |tolerance: &str, known: &[(Delivery, u64)]| of(VerifyLevel::Sent, tolerance, known);
        let all = [(Delivery::Unknown, 6), (Delivery::Queued, 4)];
        assert!(sent("send_failed>5", &all));
        assert!(
            !sent("send_failed>5", &all[..1]),
            "4 are known to be queued"
        );
        assert!(sent("send_failed>5;unconfirmed>4", &all[..1]));
        assert!(sent("send_failed>5%;unconfirmed>4%", &all[..1]));
        assert!(!sent("send_failed>5%;unconfirmed>3%", &all[..1]));
        assert!(!sent("send_failed>5;unconfirmed>10", &all), "it is good");
        // What failed is known, whatever else the platform refuses to tell.
        assert!(!sent("unconfirmed>1", &all));
        let failed = [all[0], all[1], (Delivery::SendFailed, 5)];
        assert!(!sent("unconfirmed>1", &failed));
        // Those that the platform told of before count as often as they are there.
        assert!(sent("send_failed>5", &[(Delivery::Unknown, 100)]));
        let answers = [all[0], all[1], (Delivery::Sent, 85)];
        assert!(of(VerifyLevel::Answered, "send_failed>5", &answers));
        assert!(!of(VerifyLevel::Answered, "send_failed>5", &answers[..2]));
        assert!(!sent("send_failed>5", &answers[2..]));
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_share(whole in 1_u64..10_000, share in 0.0..=1.0) {
            let part = (whole as f64 * share) as u64;
            let (low, high) = wilson(part, whole);
            let share = part as f64 / whole as f64;
            prop_assert!(0.0 <= low && low <= share + 1e-12 && share <= high + 1e-12 && high <= 1.0);
        }

        #[test]
        fn every_command_counts_once(counts in proptest::collection::vec(0_u64..50, 7)) {
            let counts: Vec<(Delivery, u64)> = Delivery::ALL.into_iter().zip(counts).collect();
            for level in VerifyLevel::ALL {
                let summary = summarize(&counts, *level, &DeliveryTolerance::default());
                let short: u64 = summary.short.iter().map(|(_, n)| n).sum();
                prop_assert_eq!(summary.reached + short, summary.whole);
                prop_assert_eq!(summary.is_good(), short == 0);
            }
        }
    }
}
