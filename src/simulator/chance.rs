//! Chance that can be repeated: every decision follows from the seed, the question and what it is asked about.

use std::collections::BTreeMap;

/// What is being decided, so that two decisions about the same device do not go together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    Offline = 1,
    Rejected,
    RejectedCode,
    Transient,
    TransientCode,
    FrequencyAtFirst,
    QuotaAtFirst,
    Poison,
    Latency,
    Fault,
    LoginFault,
    CutAt,
    LeftOut,
    LeftOutAt,
    Doubled,
    DoubledAt,
    Stray,
    Reordered,
    DataNull,
    DataMissing,
    DataObject,
    CodeText,
    TicketNumber,
    TicketNull,
    MsgNull,
    MsgObject,
    HistoryGap,
    KeyLower,
    KeyPadded,
    KeyForeign,
    CodeUnreadable,
    ListedTwice,
    Inactive,
    Raw,
    Seen,
    DeliveryState,
    Answered,
    Repeated,
    MessageMissing,
    MessageRepeated,
    MessageLate,
    MessageAnswer,
    MessageOnline,
    HistoryRefused,
}

/// The source of a scenario's chance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    seed: u64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: mix(seed) }
    }

    /// A number for this question about this subject.
    pub(super) fn number(self, question: Question, subject: u64) -> u64 {
        mix(self.seed ^ mix(subject ^ ((question as u64) << 56)))
    }

    /// The same as a share: evenly from 0 up to but not including 1.
    pub(super) fn share(self, question: Question, subject: u64) -> f64 {
        (self.number(question, subject) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether the subject belongs to this share of all.
    pub(super) fn within(self, share: f64, question: Question, subject: u64) -> bool {
        share > 0.0 && self.share(question, subject) < share
    }

    /// One of the choices, or nothing if there are none.
    pub(super) fn choose<T: Copy>(
        self,
        choices: &[T],
        question: Question,
        subject: u64,
    ) -> Option<T> {
        let count = u64::try_from(choices.len()).ok().filter(|&n| n > 0)?;
        let index = usize::try_from(self.number(question, subject) % count).ok()?;
        choices.get(index).copied()
    }

    /// One of several alternatives, each with its share, or none of them.
    pub(super) fn alternative<T: Copy>(
        self,
        shares: &BTreeMap<T, f64>,
        question: Question,
        subject: u64,
    ) -> Option<T> {
        if shares.is_empty() {
            return None;
        }
        let draw = self.share(question, subject);
        shares
            .iter()
            .scan(0.0, |sum, (&alternative, &share)| {
                *sum += share;
                Some((alternative, *sum))
            })
            .find_map(|(alternative, sum)| (draw < sum).then_some(alternative))
    }
}

/// The finaliser of splitmix64.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of a text that is the same on every machine and in every release.
pub(super) fn hash(text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    // Mixed, or the length of a short text could make up for a difference in its first byte.
    let mut state = mix(text.len() as u64);
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state ^ u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_of_devices_is_about_that_share() {
        let chance = Chance::new(7);
        let hits = (0..100_000)
            .filter(|n| chance.within(0.2, Question::Offline, hash(&format!("DK{n:05}"))))
            .count();
        assert!((19_000..21_000).contains(&hits), "{hits}");
    }

    #[test]
    fn the_demo_loses_one_reply_early_and_few_later() {
        let demo = crate::simulator::Scenario::demo();
        let chance = Chance::new(demo.seed);
        let faulty: Vec<u64> = (1..=150)
            .filter(|&request| {
                chance
                    .alternative(&demo.faults, Question::Fault, request)
                    .is_some()
            })
            .collect();
        assert_eq!(faulty, [4]);
    }

    #[test]
    fn decisions_about_one_device_do_not_go_together() {
        let chance = Chance::new(7);
        let both = (0..100_000)
            .map(|n| hash(&format!("DK{n:05}")))
            .filter(|&id| {
                chance.within(0.5, Question::Offline, id)
                    && chance.within(0.5, Question::Rejected, id)
            })
            .count();
        assert!((24_000..26_000).contains(&both), "{both}");
    }

    #[test]
    fn another_seed_is_another_fleet() {
        let offline = |seed| -> Vec<u64> {
            let chance = Chance::new(seed);
            (0..1000)
                .filter(|&n| chance.within(0.5, Question::Offline, n))
                .collect()
        };
        assert_eq!(offline(1), offline(1));
        assert_ne!(offline(1), offline(2));
    }

    #[test]
    fn alternatives_come_in_their_shares() {
        let chance = Chance::new(0);
        let shares = BTreeMap::from([('a', 0.25), ('b', 0.5)]);
        let drawn = |what| {
            (0..10_000)
                .filter(|&n| chance.alternative(&shares, Question::Fault, n) == what)
                .count()
        };
        assert!((2300..2700).contains(&drawn(Some('a'))));
        assert!((4800..5200).contains(&drawn(Some('b'))));
        assert!((2300..2700).contains(&drawn(None)));
    }

    #[test]
    fn an_empty_choice_is_none() {
        assert_eq!(
            Chance::new(0).choose::<i64>(&[], Question::RejectedCode, 1),
            None
        );
    }

    #[test]
    fn neither_padding_nor_length_hides_a_difference() {
        assert_ne!(hash("a"), hash("a\0"));
        assert_ne!(hash("a"), hash("b\0"));
        assert_ne!(hash("12345678"), hash("12345678\0"));
    }

    proptest! {
        #[test]
        fn all_and_none_are_exact(seed: u64, subject: u64) {
            let chance = Chance::new(seed);
            prop_assert!(chance.within(1.0, Question::Offline, subject));
            prop_assert!(!chance.within(0.0, Question::Offline, subject));
        }

        #[test]
        fn texts_that_differ_hash_apart(one in ".{0,20}", other in ".{0,20}") {
            prop_assert_eq!(one == other, hash(&one) == hash(&other));
        }
    }
}
