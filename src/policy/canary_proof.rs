//! Whether the evidence about the commands to a canary is good enough for the other devices to follow.

use crate::model::{AbortIf, Condition, CountedDelivery, Delivery, Untold, VerifyLevel};

/// What is taken for a condition where `--abort-if` has none on the same word.
const USUAL: &str = "10%";

/// What evidence says of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Whatever is still missing, no condition is met any more.
    Good,
    /// A condition is met, as things stand.
    Bad(String),
    /// Nothing that could be asked says which.
    Unknown(String),
    /// No condition is met as things stand, and more evidence may change that.
    GoodSoFar,
}

/// The conditions that the commands to a canary are held against: those of `--abort-if`, and the usual one for each word that has none.
pub(crate) fn conditions(
    abort_if: &AbortIf,
    level: VerifyLevel,
) -> Vec<Condition<CountedDelivery>> {
    let given = abort_if.deliveries();
    let usual = CountedDelivery::ALL
        .iter()
        .filter(|counted| counts_at(**counted, level))
        .filter(|counted| !given.iter().any(|one| one.counted == **counted))
        .filter_map(|counted| format!("{counted}>{USUAL}").parse().ok());
    given.iter().copied().chain(usual).collect()
}

/// Whether a word is counted where commands have to come as far as this.
fn counts_at(counted: CountedDelivery, level: VerifyLevel) -> bool {
    counted != CountedDelivery::Unanswered || level == VerifyLevel::Answered
}

/// Holds how many commands have which delivery against the conditions. The platform refused to tell of `untold` of them.
pub(crate) fn judge(
    counts: &[(Delivery, u64)],
    level: VerifyLevel,
    abort_if: &AbortIf,
    untold: Untold,
) -> Proof {
    let whole: u64 = counts.iter().map(|(_, n)| n).sum();
    if whole == 0 {
        return Proof::Unknown("no command to the canary was accepted".to_owned());
    }
    let is_short = |delivery: Delivery| !level.reached().contains(&delivery);
    let part = |counted: CountedDelivery| -> u64 {
        let counted = counts.iter().filter(|(delivery, _)| {
            is_short(*delivery) && CountedDelivery::of(*delivery) == counted
        });
        counted.map(|(_, n)| n).sum()
    };
    let open = part(CountedDelivery::Unconfirmed);
    let unanswered = part(CountedDelivery::Unanswered);
    let mut verdict = Proof::Good;
    for condition in conditions(abort_if, level) {
        let part = part(condition.counted);
        let untold = untold.of(condition.counted, part);
        let known = part - untold;
        let possible = match condition.counted {
            CountedDelivery::Unconfirmed => part,
            // An answer is waited for where the level is that.
            CountedDelivery::AnswerFailed if level == VerifyLevel::Sent => part,
            CountedDelivery::AnswerFailed => part + open + unanswered,
            CountedDelivery::SendFailed | CountedDelivery::Unanswered => part + open,
        };
        let words = |part| {
            format!(
                "{part} of {whole} commands are {} (--abort-if '{condition}')",
                condition.counted
            )
        };
        if condition.is_met(known, whole) {
            return Proof::Bad(words(known));
        }
        if condition.is_met(part, whole) {
            verdict = Proof::Unknown(format!(
                "{}, and the platform refused information about {untold} of them",
                words(part)
            ));
        } else if verdict == Proof::Good && condition.is_met(possible, whole) {
            verdict = Proof::GoodSoFar;
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(known: Delivery, count: u64) -> Untold {
        let mut untold = Untold::default();
        (0..count).for_each(|_| untold.add(known));
        untold
    }

    fn judged(counts: &[(Delivery, u64)], abort_if: &str, untold: u64) -> Proof {
        judge(
            counts,
            VerifyLevel::Sent,
            &abort_if.parse().unwrap(),
            refused(Delivery::Unknown, untold),
        )
    }

    #[test]
    fn a_tenth_is_tolerated_unless_somebody_says_otherwise() {
        let usual = "failed>10%";
        let of = |sent, failed, unknown| {
            let counts = [
                (Delivery::Sent, sent),
                (Delivery::SendFailed, failed),
                (Delivery::Unknown, unknown),
            ];
            judged(&counts, usual, 0)
        };
        assert_eq!(of(10, 0, 0), Proof::Good);
        assert_eq!(of(9, 1, 0), Proof::Good);
        assert_eq!(of(9, 0, 1), Proof::Good);
        // If the unknown one fails, there are two.
        assert_eq!(of(8, 1, 1), Proof::GoodSoFar);
        assert_eq!(
            of(8, 2, 0),
            Proof::Bad("2 of 10 commands are send_failed (--abort-if 'send_failed>10%')".into())
        );
        assert_eq!(
            of(8, 0, 2),
            Proof::Bad("2 of 10 commands are unconfirmed (--abort-if 'unconfirmed>10%')".into())
        );
        assert_eq!(of(0, 1, 0), of(0, 1, 0));
        assert!(matches!(of(0, 1, 0), Proof::Bad(_)), "a canary is small");
    }

    #[test]
    fn what_is_said_of_one_word_leaves_the_others_as_they_are() {
        let counts = [
            (Delivery::Sent, 5),
            (Delivery::SendFailed, 1),
            (Delivery::Queued, 4),
        ];
        // The usual condition on send_failed may still be met.
        assert_eq!(judged(&counts, "unconfirmed>50%", 0), Proof::GoodSoFar);
        let lenient = "unconfirmed>50%;send_failed>50%";
        assert_eq!(judged(&counts, lenient, 0), Proof::Good);
        assert!(
            matches!(judged(&counts, "send_failed>5;unconfirmed>3", 0), Proof::Bad(why) if why.contains("4 of 10"))
        );
    }

    #[test]
    fn what_the_platform_does_not_tell_is_no_failure() {
        let counts = [(Delivery::Sent, 7), (Delivery::Unknown, 3)];
        assert!(matches!(judged(&counts, "never", 0), Proof::Bad(_)));
        assert!(matches!(judged(&counts, "never", 1), Proof::Bad(why) if why.contains("2 of 10")));
        assert!(
            matches!(judged(&counts, "never", 2), Proof::Unknown(why) if why.contains("information about 2"))
        );
        assert!(matches!(judged(&[], "never", 0), Proof::Unknown(_)));
        // An answer that is not told of is none that is missing, and says nothing of what was not sent.
        let answered = |counts: &[(Delivery, u64)]| {
            let untold = refused(Delivery::Sent, 3);
            judge(counts, VerifyLevel::Answered, &AbortIf::NEVER, untold)
        };
        let counts = [(Delivery::Answered, 7), (Delivery::Sent, 3)];
        assert!(
            matches!(answered(&counts), Proof::Unknown(why) if why.contains("information about 3"))
        );
        let counts = [(Delivery::Answered, 7), (Delivery::Unknown, 3)];
        assert!(matches!(answered(&counts), Proof::Bad(_)));
    }

    #[test]
    fn an_answer_counts_where_it_is_asked_for() {
        let counts = [(Delivery::Sent, 8), (Delivery::Answered, 2)];
        let at = |level| judge(&counts, level, &AbortIf::NEVER, Untold::default());
        assert_eq!(at(VerifyLevel::Sent), Proof::Good);
        assert!(
            matches!(at(VerifyLevel::Answered), Proof::Bad(why) if why.contains("8 of 10 commands are unanswered"))
        );
        // What has not answered yet may answer otherwise.
        let counts = [
            (Delivery::AnswerFailed, 1),
            (Delivery::Sent, 1),
            (Delivery::Answered, 8),
        ];
        let at = |level| judge(&counts, level, &AbortIf::NEVER, Untold::default());
        assert_eq!(at(VerifyLevel::Answered), Proof::GoodSoFar);
        assert_eq!(at(VerifyLevel::Sent), Proof::Good);
        // The same of what may not even have been sent.
        let counts = [
            (Delivery::AnswerFailed, 1),
            (Delivery::Unknown, 1),
            (Delivery::Answered, 8),
        ];
        let open = judge(
            &counts,
            VerifyLevel::Answered,
            &AbortIf::NEVER,
            Untold::default(),
        );
        assert_eq!(open, Proof::GoodSoFar);
    }
}
