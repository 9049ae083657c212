//! What the platform's messages prove about commands.
//!
//! A message proves something about the command with its ticket. The vendor's pages suggest that messages have the ticket of the reply, but
//! none shows it. If no ticket of a queue is one of ours, a message is compared with the sends to its device by service and time, and
//! proves something only if exactly one send matches.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};

use super::delivery::cache_ends;
use crate::{
    model::{
        Delivery, Direction, EvidenceSource, HistoryEntry, InDoubtTask, MessageKind, Proof, Ticket,
        TimeRange, Timestamp, Trace,
    },
    policy::{self, Evidence, EvidenceVerdict, Match},
    store::{DeviceSend, InboxMessage, SendTicket, TaskProof, TicketMessage},
};

/// How long after a command its device may answer.
pub(crate) const ANSWER_TIME: Duration = Duration::from_mins(10);

/// What one message says.
pub(crate) fn proof_of(message: &InboxMessage) -> Proof {
    proof(message.kind, message.at, message.kv.as_deref())
}

fn proof(kind: MessageKind, at: Timestamp, values: Option<&str>) -> Proof {
    let (delivery, source) = match kind {
        MessageKind::ReqackSucc => (Delivery::Sent, EvidenceSource::RequestAck),
        MessageKind::ReqackFail => (Delivery::SendFailed, EvidenceSource::RequestAck),
        MessageKind::Input => (Delivery::Queued, EvidenceSource::Input),
        MessageKind::Output => (Delivery::Answered, EvidenceSource::Output),
    };
    Proof {
        delivery,
        source,
        at: Some(at),
        known_at: at,
        answer: values
            .filter(|_| delivery == Delivery::Answered)
            .map(Into::into),
    }
}

/// What messages say of the sends that have their tickets. Should two sends have one ticket, the device decides.
pub(crate) fn by_ticket(sends: &[SendTicket], messages: &[TicketMessage]) -> Vec<TaskProof> {
    let mut by_ticket: HashMap<&str, Vec<&SendTicket>> = HashMap::with_capacity(sends.len());
    for send in sends {
        by_ticket.entry(&send.ticket).or_default().push(send);
    }
    let mut proofs = Vec::with_capacity(messages.len());
    for message in messages {
        let sends = by_ticket
            .get(&*message.ticket)
            .map_or(&[][..], Vec::as_slice);
        let send = match sends {
            [only] => Some(*only),
            several => {
                let mut of_device = several
                    .iter()
                    .copied()
                    .filter(|send| send.device_key == message.device_key);
                of_device.next().filter(|_| of_device.next().is_none())
            }
        };
        proofs.extend(send.map(|send| TaskProof {
            task: send.task,
            attempt: send.attempt,
            proof: proof(message.kind, message.at, message.answer.as_deref()),
        }));
    }
    proofs
}

/// What messages about one device say of its sends whose tickets are not theirs: a message counts where exactly one send of any run fits
/// it, and a send is proved where all messages that fit it have one ticket. `tolerance` is how far the platform's clock may be from ours.
pub(crate) fn by_device(
    sends: &[DeviceSend],
    messages: &[InboxMessage],
    tolerance: Duration,
) -> Vec<TaskProof> {
    let mut fitting: Vec<Vec<&InboxMessage>> = vec![Vec::new(); sends.len()];
    for message in messages {
        let mut fits = (0..sends.len()).filter(|place| fits(&sends[*place], message, tolerance));
        if let (Some(place), None) = (fits.next(), fits.next()) {
            fitting[place].push(message);
        }
    }
    let mut proofs = Vec::new();
    for (send, messages) in sends.iter().zip(&fitting) {
        let is_one_command = messages
            .windows(2)
            .all(|pair| pair[0].ticket == pair[1].ticket);
        if !send.is_accepted || !is_one_command {
            continue;
        }
        proofs.extend(messages.iter().map(|message| TaskProof {
            task: send.task,
            attempt: send.attempt,
            proof: Proof {
                source: EvidenceSource::Device,
                ..proof_of(message)
            },
        }));
    }
    proofs
}

fn fits(send: &DeviceSend, message: &InboxMessage, tolerance: Duration) -> bool {
    let held_until = cache_ends(send.is_cache, send.cache_time, send.sent.to);
    let latest = held_until.unwrap_or(send.sent.to);
    let window = TimeRange {
        from: send.sent.from,
        to: match message.kind {
            MessageKind::Output => latest.after(ANSWER_TIME),
            _ => latest,
        },
    };
    window.widened(tolerance).contains(message.at)
        && message
            .code
            .as_deref()
            .is_none_or(|code| calls(&send.data).is_none_or(|called| called == code))
}

/// The service that a command calls, if it calls one alone.
fn calls(data: &str) -> Option<String> {
    let call: Value = serde_json::from_str(data).ok()?;
    let [only] = call.as_array()?.as_slice() else {
        return None;
    };
    let members = only.as_object()?;
    let mut codes = members.keys();
    codes.next().filter(|_| members.len() == 1).cloned()
}

/// The `INPUT` messages about a device, as entries of a history tell of commands. One without values proves too little and is left out.
pub(crate) fn trace_of(messages: &[InboxMessage]) -> Trace {
    let inputs = messages
        .iter()
        .filter(|message| message.kind == MessageKind::Input);
    let entry = |message: &InboxMessage| {
        Some(HistoryEntry {
            ticket: Some(Ticket::new(&message.ticket)?),
            direction: Some(Direction::Down),
            sent_at: Some(message.at),
            named: Some(call_of(message)?),
            ..HistoryEntry::default()
        })
    };
    Trace {
        entries: inputs.filter_map(entry).collect(),
        cut: false,
    }
}

/// What the messages about a device say of a doubt, with the ticket that they give it.
pub(crate) fn weighed(
    doubt: &InDoubtTask,
    messages: &[InboxMessage],
    tolerance: Duration,
) -> Option<(Evidence, String)> {
    let trace = trace_of(messages);
    let evidence = policy::weigh(doubt, &trace, tolerance, is_same_call);
    match &evidence.verdict {
        EvidenceVerdict::Adopt {
            ticket,
            by: Match::TimeAndData,
            ..
        } => {
            let ticket = ticket.as_str().to_owned();
            Some((evidence, ticket))
        }
        _ => None,
    }
}

/// The command that an `INPUT` tells, in the wire form as far as names go.
fn call_of(message: &InboxMessage) -> Option<Value> {
    let values: Value = serde_json::from_str(message.kv.as_deref()?).ok()?;
    let pairs: Vec<Value> = values
        .as_object()?
        .iter()
        .map(|(name, value)| json!({ name: value }))
        .collect();
    Some(json!([{ message.code.as_deref()?: pairs }]))
}

/// Whether two commands call the same with the same values, whatever the order of their members and whether scalars are quoted.
pub(crate) fn is_same_call(told: &Value, sent: &Value) -> bool {
    plain(told) == plain(sent)
}

/// A command without what the wire form adds: objects of one member each are the members of one object, the elements of an array have no
/// number, and scalars are text.
fn plain(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        Value::String(text) => Value::String(number_or(text)),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        Value::Array(items) => {
            let members: Option<Vec<(&String, &Value)>> = items
                .iter()
                .map(|item| {
                    let members = item.as_object().filter(|members| members.len() == 1)?;
                    members.iter().next()
                })
                .collect();
            match members {
                Some(members) if members.iter().all(|(name, _)| *name == "0") => {
                    members.into_iter().map(|(_, value)| plain(value)).collect()
                }
                Some(members) if has_each_once(&members) => members
                    .into_iter()
                    .map(|(name, value)| (name.clone(), plain(value)))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
                _ => items.iter().map(plain).collect(),
            }
        }
    }
}

fn has_each_once(members: &[(&String, &Value)]) -> bool {
    let mut names: Vec<&String> = members.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

/// A decimal number without the zeros at its end: `20.50` and `20.5` are one value. Zeros in front may be part of a text.
fn number_or(text: &str) -> String {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.split_once('.') {
        Some((whole, part))
            if !whole.is_empty()
                && !part.is_empty()
                && (whole.bytes().chain(part.bytes())).all(|byte| byte.is_ascii_digit()) =>
        {
            let short = text.trim_end_matches('0');
            short.trim_end_matches('.').to_owned()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
