//! What a request's fate means for its tasks: a pure function, from a claim and a delivery to what is recorded.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    gateway::Delivery,
    model::{Class, Fate, History, Timestamp},
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
            }
        })
        .collect();
    let (http_status, code, message, error) = match &delivery.fate {
        Fate::Answered(answer) => (
            Some(answer.http_status),
            answer.code,
            answer.message.clone(),
            None,
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
