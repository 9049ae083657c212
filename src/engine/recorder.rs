//! What a request's result means for its tasks: a pure function, from a claim and the report of its send to what is recorded.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    gateway::SendReport,
    journal::{Claim, Next, Refused, RequestEnd, Settlement, suspect},
    model::{
        Answer, BundleStatus, Class, History, InDoubt, Outcome, RequestId, SendResult, Stray,
        Timestamp,
    },
    policy::{self, Basis, DeviceOutcome, Disposition, Judgement, Rules, codes},
    store::{FinishedRequest, Member},
};

/// What is recorded of a request.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) end: RequestEnd,
    /// Devices whose command was accepted without a ticket.
    pub(super) without_ticket: u32,
}

/// Settles a request. `together` is how it stands when it was refused as a whole.
pub(super) fn settle(
    claim: &Claim,
    send_report: &SendReport,
    judgement: Judgement,
    together: Option<BundleStatus>,
    now: Timestamp,
    rules: &Rules,
    random: &mut impl Rng,
) -> Settled {
    // What failed together pauses equally long, or jitter would scatter a chunk into requests of one device each.
    let shared = random.next_u64();
    let suspect = together.is_some_and(|bundle_status| bundle_status.suspect);
    let parts = match (together, judgement.devices.first()) {
        (Some(_), Some(one)) => parts(claim, &one.outcome, suspect, now, rules, shared),
        _ => false,
    };
    let is_refused =
        |device: &DeviceOutcome| refused_as_a_whole(device, parts || together.is_none(), parts);
    let refused = judgement
        .devices
        .iter()
        .filter(|device| is_refused(device))
        .count();
    // A code for several devices says nothing of any one of them: the request is split until each stands alone.
    let split = refused > 0 && claim.members.len() > 1;
    let passed = passed(&judgement);
    let refusal = judgement
        .devices
        .first()
        .filter(|_| refused == claim.members.len())
        .and_then(|device| device.outcome.code)
        .and_then(|code| Some((refused_scope(code)?, code)));
    let mut without_ticket = 0;
    let mut split_off = 0;
    let tasks = claim
        .members
        .iter()
        .zip(judgement.devices)
        .map(|(member, mut judged)| {
            if suspect && is_the_platforms(judged.outcome.class) {
                judged.outcome.class = Class::Transient;
            }
            if split && is_refused(&judged) {
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
            let next = Next::of(disposition, judged.basis == Basis::Request);
            Settlement {
                outcome: judged.outcome,
                history,
                next,
                next_task_at,
            }
        })
        .collect();
    Settled {
        end: RequestEnd::Sent {
            finished: finished(claim.request, send_report, now),
            passed,
            together,
            refused: refusal,
            tasks,
        },
        without_ticket,
    }
}

/// Whether a request passed, as far as that speaks of its size: only a rejection can be about the number of devices.
fn passed(judgement: &Judgement) -> Option<bool> {
    let mut devices = judgement.devices.iter();
    let is_rejected = |device: &DeviceOutcome| {
        device.basis == Basis::Request && device.outcome.class == Class::Rejected
    };
    if devices.clone().any(is_rejected) {
        return Some(false);
    }
    devices
        .all(|device| device.basis == Basis::Element)
        .then_some(true)
}

/// What is kept of a result as a whole.
fn finished(request: RequestId, send_report: &SendReport, now: Timestamp) -> FinishedRequest {
    let sent = FinishedRequest {
        sent_at: Some(send_report.sent_at),
        latency: Some(send_report.latency),
        released: false,
        ..FinishedRequest::released(request, now)
    };
    match &send_report.result {
        SendResult::Answered(answer) => FinishedRequest {
            http_status: Some(answer.http_status),
            code: answer.code,
            message: answer.message.clone(),
            error: strays(answer),
            ..sent
        },
        SendResult::Lost { http_status, error } => FinishedRequest {
            http_status: *http_status,
            error: Some(error.as_str().into()),
            ..sent
        },
        SendResult::Unsent(unsent) => FinishedRequest {
            error: Some(unsent.error().into()),
            ..sent
        },
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
            "the reply has entries for devices that are not in the request: {}",
            each.join("; ")
        )
        .into(),
    )
}

/// Whether a code for the whole request says that one of its devices is at fault, and not which one. That a device is offline or, when
/// it is not a limit that all share, `throttled` is no more true of its neighbours than that it is refused. Of what comes in `parts`
/// anything is.
fn refused_as_a_whole(judged: &DeviceOutcome, throttled: bool, parts: bool) -> bool {
    judged.basis == Basis::Request
        && match judged.outcome.class {
            Class::Rejected | Class::Offline => true,
            Class::Frequency | Class::Quota => throttled,
            _ => parts,
        }
}

/// Whether a request that stays together as a rule comes in parts: it is a suspect, or has paused or failed for as long as it may, which
/// must not fail the neighbours of whoever is the reason.
fn parts(
    claim: &Claim,
    outcome: &Outcome,
    suspect: bool,
    now: Timestamp,
    rules: &Rules,
    seed: u64,
) -> bool {
    let ends = |member: &Member| {
        let mut same = SmallRng::seed_from_u64(seed);
        let (disposition, _) = policy::dispose(outcome, member.history, now, rules, &mut same);
        matches!(disposition, Disposition::End(_))
    };
    match outcome.class {
        _ if claim.members.len() < 2 => false,
        // What is held was acted on, perhaps.
        Class::InDoubt if rules.in_doubt == InDoubt::Hold => false,
        Class::Frequency | Class::Quota => suspect || claim.members.iter().any(ends),
        // Who wants few sends of what may have been acted on gets no more.
        Class::InDoubt | Class::Transient if rules.max_attempts >= suspect::ENOUGH => {
            suspect || claim.members.iter().any(ends)
        }
        _ => suspect,
    }
}

/// Whether a class as a rule speaks of the platform, so that it uses no attempt.
fn is_the_platforms(class: Class) -> bool {
    matches!(class, Class::Outage | Class::Auth | Class::Refused)
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
    use crate::model::{Element, Payload, PayloadId, RequestId, TaskId, TaskState, Unsent};

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
            payload: Arc::new(Payload::plain("PK", "[]")),
            bundle: None,
            bundle_status: BundleStatus::default(),
            members: (0..devices)
                .map(|i| Member::never_sent(TaskId(i as i64), format!("DK{i}").into()))
                .collect(),
        }
    }

    fn settled(devices: usize, result: SendResult) -> Settled {
        let send_report = SendReport {
            sent_at: Timestamp(1),
            latency: Duration::from_millis(5),
            result,
        };
        let mut random = SmallRng::seed_from_u64(3);
        let judgement = policy::judge(&send_report.result, devices);
        let together = suspect::refusal(&judgement, true).map(|_| BundleStatus::default());
        settle(
            &claim(devices),
            &send_report,
            judgement,
            together,
            Timestamp(1000),
            &RULES,
            &mut random,
        )
    }

    fn answer(code: i64, elements: &[Option<i64>]) -> SendResult {
        SendResult::Answered(Answer {
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
        let RequestEnd::Sent { finished, .. } = settled(1, SendResult::Unsent(unsent)).end else {
            panic!("a settled request has an end")
        };
        let FinishedRequest {
            error, http_status, ..
        } = finished;
        assert_eq!(error.as_deref(), Some("connection refused"));
        assert_eq!(http_status, None);
    }
}
