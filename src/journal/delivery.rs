//! What evidence says about a command after its reply, and how pieces of evidence combine.
//!
//! Evidence has three ranks: the platform has the command (`queued`, `expired`), the platform has dealt with it (`sent`, `send_failed`),
//! the device has answered (`answered`, `answer_failed`). A higher rank replaces a lower one, in whichever order they arrive. Within a
//! rank, later evidence replaces earlier evidence; an answer as expected is final. Missing evidence changes nothing.

use std::time::Duration;

use crate::model::{Delivery, Direction, EvidenceSource, Proof, Ticket, Timestamp, Trace};

/// `cacheTime` where it is absent, in seconds (specification, "Request Parameters").
const CACHE_TIME: i64 = 600;

/// How far a value reaches: nothing of a lower rank takes it back.
fn rank(delivery: Delivery) -> u8 {
    match delivery {
        Delivery::Unknown => 0,
        Delivery::Queued | Delivery::Expired => 1,
        Delivery::Sent | Delivery::SendFailed => 2,
        Delivery::Answered | Delivery::AnswerFailed => 3,
    }
}

/// What is known of a command once `new` has come to what was known.
pub(crate) fn fold(known: Option<Proof>, new: Proof) -> Proof {
    let Some(known) = known else {
        return new;
    };
    let replaces = match rank(new.delivery).cmp(&rank(known.delivery)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => {
            known.delivery != Delivery::Answered && new.known_at >= known.known_at
        }
    };
    if replaces { new } else { known }
}

/// The same where nothing is expected of answers: one that has been judged before stays as it was judged.
pub(crate) fn fold_unjudged(known: Option<Proof>, new: Proof) -> Proof {
    match known {
        Some(known) if known.delivery == Delivery::AnswerFailed => known,
        known => fold(known, new),
    }
}

/// What a command counts as of which `known` is recorded, once `new` is put to it by `fold`.
pub(crate) fn after(
    known: Delivery,
    new: Option<&Proof>,
    fold: impl Fn(Option<Proof>, Proof) -> Proof,
) -> Delivery {
    new.map_or(known, |new| {
        let before = Proof {
            delivery: known,
            ..new.clone()
        };
        fold(Some(before), new.clone()).delivery
    })
}

/// When a command leaves the platform's cache that was sent until `sent_by`; `None` when it is in none.
pub(crate) fn cache_ends(
    is_cache: Option<bool>,
    cache_time: Option<i64>,
    sent_by: Timestamp,
) -> Option<Timestamp> {
    let seconds = cache_time.unwrap_or(CACHE_TIME).max(0).unsigned_abs();
    (is_cache == Some(true)).then(|| sent_by.after(Duration::from_secs(seconds)))
}

/// What a device's history says of the command with this ticket; `None` when it says nothing. `asked_at` is when the question was asked,
/// `cache_ends` when the command leaves the platform's cache, both on our clock.
pub(crate) fn of_history(
    trace: &Trace,
    ticket: &Ticket,
    asked_at: Timestamp,
    cache_ends: Option<Timestamp>,
) -> Option<Proof> {
    let mut entries = trace.entries.iter();
    let mut found = None;
    while let Some(entry) = entries.find(|entry| entry.ticket.as_ref() == Some(ticket)) {
        let delivery = match (entry.direction, entry.status) {
            (Some(Direction::Up), _) => Delivery::Answered,
            (_, Some(1)) => Delivery::Sent,
            (_, Some(-1)) => Delivery::SendFailed,
            (_, Some(0)) if cache_ends.is_some_and(|end| end < asked_at) => Delivery::Expired,
            (_, Some(0)) => Delivery::Queued,
            // That there is an entry says no more than the reply did.
            _ => continue,
        };
        let answer =
            (delivery == Delivery::Answered).then(|| entry.told().map(ToString::to_string));
        found = Some(fold(
            found,
            Proof {
                delivery,
                source: EvidenceSource::History,
                at: entry.sent_at,
                known_at: asked_at,
                answer: answer.flatten().map(Into::into),
            },
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::HistoryEntry;

    fn proof(delivery: Delivery, known_at: i64) -> Proof {
        Proof {
            delivery,
            source: EvidenceSource::History,
            at: None,
            known_at: Timestamp(known_at),
            answer: None,
        }
    }

    fn folded(proofs: &[Proof]) -> Option<Delivery> {
        let all = proofs.iter().cloned();
        all.fold(None, |known, new| Some(fold(known, new)))
            .map(|known| known.delivery)
    }

    #[test]
    fn a_higher_rank_stands_whatever_comes_after_it() {
        use Delivery::{AnswerFailed, Answered, Expired, Queued, SendFailed, Sent};
        for (proofs, expected) in [
            (vec![proof(Queued, 1), proof(Sent, 2)], Sent),
            (vec![proof(Sent, 1), proof(Queued, 2)], Sent),
            (vec![proof(SendFailed, 1), proof(Expired, 2)], SendFailed),
            (vec![proof(Answered, 1), proof(SendFailed, 2)], Answered),
            (vec![proof(AnswerFailed, 1), proof(Sent, 2)], AnswerFailed),
        ] {
            assert_eq!(folded(&proofs), Some(expected), "{proofs:?}");
        }
    }

    #[test]
    fn of_one_rank_the_later_stands_and_an_answer_for_good() {
        use Delivery::{AnswerFailed, Answered, Expired, Queued, SendFailed, Sent};
        for (earlier, later) in [
            (Queued, Expired),
            (Expired, Queued),
            (Sent, SendFailed),
            (SendFailed, Sent),
            (AnswerFailed, Answered),
        ] {
            let (first, second) = (proof(earlier, 1), proof(later, 2));
            assert_eq!(folded(&[first.clone(), second.clone()]), Some(later));
            if earlier != AnswerFailed {
                assert_eq!(folded(&[second, first]), Some(later), "it came first");
            }
        }
        assert_eq!(
            folded(&[proof(Answered, 1), proof(AnswerFailed, 2)]),
            Some(Answered)
        );
        assert_eq!(folded(&[]), None);
        let unjudged = |known, new| fold_unjudged(Some(proof(known, 1)), proof(new, 2)).delivery;
        assert_eq!(unjudged(AnswerFailed, Answered), AnswerFailed);
        assert_eq!(unjudged(Sent, SendFailed), SendFailed);
    }

    #[test]
    fn what_is_recorded_counts_as_older_than_what_is_put_to_it() {
        use Delivery::{AnswerFailed, Answered, Queued, SendFailed, Sent, Unknown};
        for (known, new, expected) in [
            (Unknown, None, Unknown),
            (Sent, None, Sent),
            (Unknown, Some(Queued), Queued),
            (Sent, Some(Queued), Sent),
            (Sent, Some(SendFailed), SendFailed),
            (Answered, Some(AnswerFailed), Answered),
        ] {
            let new = new.map(|new| proof(new, 1));
            assert_eq!(
                after(known, new.as_ref(), fold),
                expected,
                "{known:?} {new:?}"
            );
        }
        let judged = proof(Answered, 1);
        assert_eq!(after(AnswerFailed, Some(&judged), fold), Answered);
        assert_eq!(
            after(AnswerFailed, Some(&judged), fold_unjudged),
            AnswerFailed
        );
    }

    #[test]
    fn only_a_command_in_a_cache_expires() {
        let sent = Timestamp(1_000_000);
        assert_eq!(cache_ends(None, Some(5), sent), None);
        assert_eq!(cache_ends(Some(false), Some(5), sent), None);
        assert_eq!(
            cache_ends(Some(true), Some(5), sent),
            Some(Timestamp(1_005_000))
        );
        assert_eq!(
            cache_ends(Some(true), None, sent),
            Some(Timestamp(1_600_000))
        );
        assert_eq!(cache_ends(Some(true), Some(-1), sent), Some(sent));
    }

    fn entry(ticket: &str, direction: Direction, status: i64) -> HistoryEntry {
        HistoryEntry {
            ticket: Ticket::new(ticket),
            direction: Some(direction),
            sent_at: Some(Timestamp(7)),
            status: Some(status),
            dm_data: Some(serde_json::json!([{"id": 5, "value": true}])),
            ..HistoryEntry::default()
        }
    }

    fn told(entries: &[HistoryEntry], cache_ends: Option<i64>) -> Option<Proof> {
        let trace = Trace {
            entries: entries.to_vec(),
            cut: false,
        };
        let ticket = Ticket::new("1").unwrap();
        of_history(&trace, &ticket, Timestamp(100), cache_ends.map(Timestamp))
    }

    #[test]
    fn a_history_says_what_became_of_a_ticket_and_of_no_other() {
        use Direction::{Down, Up};
        let value = |entries: &[HistoryEntry], ends| told(entries, ends).map(|one| one.delivery);
        for (status, ends, expected) in [
            (1, None, Some(Delivery::Sent)),
            (-1, None, Some(Delivery::SendFailed)),
            (0, None, Some(Delivery::Queued)),
            (0, Some(100), Some(Delivery::Queued)),
            (0, Some(99), Some(Delivery::Expired)),
            (1, Some(99), Some(Delivery::Sent)),
            (7, None, None),
        ] {
            assert_eq!(
                value(&[entry("1", Down, status)], ends),
                expected,
                "{status}"
            );
        }
        assert_eq!(value(&[entry("2", Down, 1), entry("2", Up, 1)], None), None);
        // Newest first and oldest first.
        let pair = [entry("1", Up, 1), entry("1", Down, 0)];
        let answered = told(&pair, None).unwrap();
        assert_eq!(answered.delivery, Delivery::Answered);
        assert_eq!(
            answered.answer.as_deref(),
            Some(r#"[{"id":5,"value":true}]"#)
        );
        assert_eq!(answered.at, Some(Timestamp(7)));
        let [up, down] = pair;
        assert_eq!(told(&[down, up], None), Some(answered));
    }

    fn any_proof() -> impl Strategy<Value = Proof> {
        let delivery = proptest::sample::select(&Delivery::ALL[1..]);
        (delivery, 0..5_i64).prop_map(|(delivery, known_at)| proof(delivery, known_at))
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_of_different_ranks_does_not_matter(
            proofs in proptest::collection::vec(any_proof(), 1..8), seed in any::<u64>(),
        ) {
            // One of each rank, in two orders.
            let mut one_of_each: Vec<Proof> = Vec::new();
            for new in proofs {
                if !one_of_each.iter().any(|one| rank(one.delivery) == rank(new.delivery)) {
                    one_of_each.push(new);
                }
            }
            let mut turned = one_of_each.clone();
            let by = usize::try_from(seed % 7).unwrap() % turned.len();
            turned.rotate_left(by);
            prop_assert_eq!(folded(&one_of_each), folded(&turned));
            turned.reverse();
            prop_assert_eq!(folded(&one_of_each), folded(&turned));
        }

        #[test]
        fn nothing_takes_back_what_is_above_it(proofs in proptest::collection::vec(any_proof(), 1..12)) {
            let mut known: Option<Proof> = None;
            for new in proofs {
                let before = known.clone().map_or(0, |known| rank(known.delivery));
                let after = fold(known, new.clone());
                prop_assert!(rank(after.delivery) >= before.max(rank(new.delivery)));
                known = Some(after);
            }
        }

        #[test]
        fn the_same_evidence_again_changes_nothing(proofs in proptest::collection::vec(any_proof(), 1..8)) {
            let mut known = None;
            for new in proofs {
                let once = fold(known, new.clone());
                prop_assert_eq!(&fold(Some(once.clone()), once.clone()), &once);
                known = Some(once);
            }
        }
    }
}
