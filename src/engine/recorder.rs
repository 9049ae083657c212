//! What a request's fate means for its tasks: a pure function, from a claim and a delivery to what is recorded.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    gateway::Delivery,
    model::{Answer, Class, Fate, History, Stray, Timestamp},
    policy::{self, Basis, Disposition, Judged, Rules, Signal, codes},
    store::{Claim, Next, Refused, RequestEnd, Settlement},
};

/// What is recorded of a request, and what it says of the platform.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) end: RequestEnd,
    pub(super) signal: Signal,
    /// Devices whose command was accepted without a ticket.
    pub(super) without_ticket: u32,
}

/// Settles a request.
pub(super) fn settle(
    claim: &Claim,
    delivery: &Delivery,
    now: Timestamp,
    rules: &Rules,
    random: &mut impl Rng,
) -> Settled {
    let judgement = policy::judge(&delivery.fate, claim.members.len());
    let refused = judgement
        .devices
        .iter()
        .filter(|device| refused_as_a_whole(device))
        .count();
    // A code for several devices says nothing of any one of them: the request is split until each stands alone.
    let split = refused > 0 && claim.members.len() > 1;
    let answered_one_by_one = judgement
        .devices
        .iter()
        .all(|device| device.basis == Basis::Element);
    let passed = match refused {
        0 => answered_one_by_one.then_some(true),
        _ => Some(false),
    };
    let refusal = judgement
        .devices
        .first()
        .filter(|_| refused == claim.members.len())
        .and_then(|device| device.outcome.code)
        .and_then(|code| Some((refused_scope(code)?, code)));
    // What failed together pauses equally long, or jitter would scatter a chunk into requests of one device each.
    let shared = random.next_u64();
    let mut without_ticket = 0;
    let mut split_off = 0;
    let tasks = claim
        .members
        .iter()
        .zip(judgement.devices)
        .map(|(member, judged)| {
            if split && refused_as_a_whole(&judged) {
                split_off += 1;
                return Settlement {
                    outcome: judged.outcome,
                    history: History {
                        sends: member.history.sends + 1,
                        ..member.history
                    },
                    next: Next::Split {
                        second_half: split_off > refused.div_ceil(2),
                    },
                    next_task_at: None,
                };
            }
            let accepted = judged.outcome.class == Class::Accepted;
            without_ticket += u32::from(accepted && judged.outcome.ticket.is_none());
            let (disposition, history) = match judged.basis {
                Basis::Element => {
                    policy::dispose(&judged.outcome, member.history, now, rules, random)
                }
                Basis::Request => {
                    let mut same = SmallRng::seed_from_u64(shared);
                    policy::dispose(&judged.outcome, member.history, now, rules, &mut same)
                }
            };
            let next_task_at =
                policy::next_task_at(&judged.outcome, member.class, member.history, now);
            let next = match disposition {
                Disposition::End(state) => Next::End(state),
                Disposition::Again { due_at } => Next::Again {
                    due_at,
                    keep_bundle: judged.basis == Basis::Request,
                },
            };
            Settlement {
                outcome: judged.outcome,
                history,
                next,
                next_task_at,
            }
        })
        .collect();
    let (http_status, code, message, error) = match &delivery.fate {
        Fate::Answered(answer) => (
            Some(answer.http_status),
            answer.code,
            answer.message.clone(),
            strays(answer),
        ),
        Fate::Lost { http_status, error } => {
            (*http_status, None, None, Some(error.as_str().into()))
        }
        Fate::Unsent(unsent) => (None, None, None, Some(unsent.error().into())),
    };
    Settled {
        end: RequestEnd::Sent {
            sent_at: Some(delivery.sent_at),
            finished_at: now,
            latency: Some(delivery.latency),
            http_status,
            code,
            message,
            error,
            passed,
            refused: refusal,
            tasks,
        },
        signal: judgement.signal,
        without_ticket,
    }
}

/// What a reply says of devices that were not asked about, tickets and all.
fn strays(answer: &Answer) -> Option<Box<str>> {
    if answer.strays.is_empty() {
        return None;
    }
    let each: Vec<String> = answer.strays.iter().map(Stray::to_string).collect();
    Some(
        format!(
            "the reply speaks of what was not asked for: {}",
            each.join("; ")
        )
        .into(),
    )
}

/// Whether a code for the whole request says that one of its devices is at fault, and not which one. That a device is offline or
/// throttled is no more true of its neighbours than that it is refused.
fn refused_as_a_whole(judged: &Judged) -> bool {
    judged.basis == Basis::Request
        && matches!(
            judged.outcome.class,
            Class::Rejected | Class::Offline | Class::Frequency | Class::Quota
        )
}

/// What a code for a whole request is about, when that is more than the devices of the request.
fn refused_scope(code: i64) -> Option<Refused> {
    match codes::lookup(code)?.scope? {
        codes::Scope::Payload => Some(Refused::Payload),
        codes::Scope::Product => Some(Refused::Product),
        codes::Scope::Device | codes::Scope::Account => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        model::{Element, InDoubt, Payload, PayloadId, RequestId, TaskId, TaskState, Unsent},
        store::Member,
    };

    const RULES: Rules = Rules {
        max_attempts: 5,
        max_snooze: Duration::from_hours(1),
        in_doubt: InDoubt::Resend,
        retry_offline: 0,
        offline_delay: Duration::from_mins(30),
    };

    fn claim(devices: usize) -> Claim {
        Claim {
            request: RequestId(1),
            payload_id: PayloadId(1),
            payload: Arc::new(Payload {
                product_key: "PK".into(),
                data: "[]".into(),
                qos: None,
                is_cache: None,
                cache_time: None,
                is_cover: None,
                extend_para: None,
            }),
            bundle: None,
            members: (0..devices)
                .map(|i| Member::never_sent(TaskId(i as i64), format!("DK{i}").into()))
                .collect(),
        }
    }

    fn settled(devices: usize, fate: Fate) -> Settled {
        let delivery = Delivery {
            sent_at: Timestamp(1),
            latency: Duration::from_millis(5),
            fate,
        };
        let mut random = SmallRng::seed_from_u64(3);
        settle(
            &claim(devices),
            &delivery,
            Timestamp(1000),
            &RULES,
            &mut random,
        )
    }

    fn answer(code: i64, elements: &[Option<i64>]) -> Fate {
        Fate::Answered(Answer {
            http_status: 200,
            readable: true,
            code: Some(code),
            elements: elements
                .iter()
                .map(|code| {
                    code.map(|code| Element {
                        code: Some(code),
                        ..Element::default()
                    })
                })
                .collect(),
            ..Answer::default()
        })
    }

    /// Whether it passed, what was refused, and what follows for each task.
    fn parts(settled: Settled) -> (Option<bool>, Option<(Refused, i64)>, Vec<Next>) {
        let RequestEnd::Sent {
            passed,
            refused,
            tasks,
            ..
        } = settled.end
        else {
            panic!("a settled request was sent")
        };
        (
            passed,
            refused,
            tasks.into_iter().map(|task| task.next).collect(),
        )
    }

    #[test]
    fn a_refused_request_is_split_in_halves() {
        let (passed, refused, next) = parts(settled(5, answer(50005, &[])));
        assert_eq!((passed, refused), (Some(false), None));
        let halves =
            [false, false, false, true, true].map(|second_half| Next::Split { second_half });
        assert_eq!(next, halves);
    }

    #[test]
    fn a_refused_request_of_one_device_ends_it() {
        let (passed, refused, next) = parts(settled(1, answer(70091, &[])));
        assert_eq!(passed, Some(false));
        assert_eq!(refused, Some((Refused::Payload, 70091)));
        assert_eq!(next, [Next::End(TaskState::Failed)]);
    }

    #[test]
    fn only_what_the_whole_request_met_speaks_for_payload_or_product() {
        assert_eq!(
            parts(settled(2, answer(80005, &[]))).1,
            Some((Refused::Product, 80005))
        );
        assert_eq!(parts(settled(2, answer(50005, &[]))).1, None);
        // One device was answered by itself.
        let (passed, refused, next) = parts(settled(2, answer(70091, &[Some(200), None])));
        assert_eq!((passed, refused), (Some(false), None));
        assert_eq!(
            next,
            [
                Next::End(TaskState::Accepted),
                Next::Split { second_half: false }
            ]
        );
    }

    #[test]
    fn a_request_passes_when_each_device_was_answered() {
        assert_eq!(
            parts(settled(2, answer(200, &[Some(200), Some(61005)]))).0,
            Some(true)
        );
        assert_eq!(parts(settled(2, answer(200, &[Some(200), None]))).0, None);
        assert_eq!(parts(settled(2, answer(50000, &[]))).0, None);
        assert_eq!(parts(settled(2, answer(70000, &[]))).0, None);
    }

    #[test]
    fn what_failed_together_comes_back_together_and_what_failed_alone_does_not() {
        let (_, _, together) = parts(settled(50, answer(50000, &[])));
        assert!(together.iter().all(|next| next == &together[0]));
        assert!(matches!(
            together[0],
            Next::Again {
                keep_bundle: true,
                ..
            }
        ));
        let (_, _, alone) = parts(settled(50, answer(200, &[Some(50000); 50])));
        assert!(
            alone.iter().any(|next| next != &alone[0]),
            "each its own jitter"
        );
        assert!(matches!(
            alone[0],
            Next::Again {
                keep_bundle: false,
                ..
            }
        ));
    }

    #[test]
    fn tickets_that_are_missing_are_counted() {
        let reply = answer(200, &[Some(200), Some(61002), Some(201)]);
        assert_eq!(settled(3, reply).without_ticket, 2);
    }

    #[test]
    fn a_request_that_was_not_sent_keeps_the_reason() {
        let unsent = Unsent::Unreachable {
            error: "connection refused".into(),
            retry_after: None,
        };
        let RequestEnd::Sent {
            error, http_status, ..
        } = settled(1, Fate::Unsent(unsent)).end
        else {
            panic!("a settled request has an end")
        };
        assert_eq!(error.as_deref(), Some("connection refused"));
        assert_eq!(http_status, None);
    }
}
