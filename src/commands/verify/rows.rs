//! The rows of `fleetpush verify`: one for each history entry of a device in doubt, and one for each accepted command that has not reached
//! the level.

use crate::{
    engine::{Asked, Resolved},
    model::{Delivery, HistoryEntry, Ticket},
    policy::{EvidenceVerdict, Match, Weighed},
    ui::{
        format::{Column, RowWriter, Value},
        printer::OutputError,
    },
};

pub(super) const COLUMNS: &[Column] = &[
    Column::shown("line"),
    Column::hidden("product_key"),
    Column::shown("device_key"),
    Column::shown("attempt"),
    Column::shown("sent_at"),
    Column::shown("ticket"),
    Column::shown("send_time"),
    Column::shown("send_status"),
    Column::shown("match"),
    Column::shown("verdict"),
    Column::hidden("entry_data"),
    Column::shown("delivery"),
];

/// Prints nothing: the stdout of a push is its summary.
pub(super) struct NoRows;

impl RowWriter for NoRows {
    fn row(&mut self, _: &[Value<'_>]) -> Result<(), OutputError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}

/// Prints one doubt's evidence.
pub(super) fn doubt(
    resolved: &Resolved,
    dry_run: bool,
    writer: &mut dyn RowWriter,
) -> Result<(), OutputError> {
    let verdict = match &resolved.found {
        Ok(evidence) => words(&evidence.verdict, dry_run).to_owned(),
        Err(refusal) => format!("the platform refuses information: {refusal}"),
    };
    let entries = resolved
        .found
        .as_ref()
        .map_or(&[] as &[Weighed], |evidence| &evidence.entries);
    if entries.is_empty() {
        return entry(resolved, None, &verdict, writer);
    }
    entries
        .iter()
        .try_for_each(|one| entry(resolved, Some(one), &verdict, writer))
}

fn entry(
    resolved: &Resolved,
    entry: Option<&Weighed>,
    verdict: &str,
    writer: &mut dyn RowWriter,
) -> Result<(), OutputError> {
    let doubt = &resolved.doubt;
    let send = match entry {
        Some(entry) => doubt.sends.get(entry.send),
        None => doubt.sends.last(),
    };
    let told_of = entry.map(|entry| &entry.entry);
    let told = told_of
        .and_then(HistoryEntry::told)
        .map(ToString::to_string);
    let is_adopted =
        entry.is_some_and(|entry| matches!(entry.matches, Match::TimeAndData | Match::TimeAlone));
    let delivery = resolved.proof.as_ref().filter(|_| is_adopted);
    writer.row(&[
        Value::Integer(doubt.line),
        Value::Foreign(&doubt.product_key),
        Value::Foreign(&doubt.device_key),
        Value::integer(send.map(|send| send.attempt.into())),
        Value::own(send.map(|send| send.window.from)),
        Value::foreign(
            told_of
                .and_then(|entry| entry.ticket.as_ref())
                .map(Ticket::as_str),
        ),
        Value::own(told_of.and_then(|entry| entry.sent_at)),
        Value::integer(told_of.and_then(|entry| entry.status)),
        Value::own(entry.map(|entry| Match::name(entry.matches))),
        Value::Foreign(verdict),
        Value::foreign(told.as_deref()),
        Value::own(delivery.map(|proof| proof.delivery.name())),
    ])
}

fn words(verdict: &EvidenceVerdict, dry_run: bool) -> &'static str {
    match verdict {
        EvidenceVerdict::Adopt { .. } if dry_run => "would be accepted",
        EvidenceVerdict::Adopt { .. } => "accepted",
        EvidenceVerdict::NoneFound => "in doubt: no entry matches",
        EvidenceVerdict::Several => "in doubt: several entries may match",
        EvidenceVerdict::Contested => "in doubt: another send may have made the entry",
        EvidenceVerdict::Unusable => "in doubt: the entry has no ticket or no time",
        EvidenceVerdict::TooMany => "in doubt: too many entries",
    }
}

/// Prints an accepted command, and what is known of it now.
pub(super) fn command(
    asked: &Asked,
    delivery: Delivery,
    writer: &mut dyn RowWriter,
) -> Result<(), OutputError> {
    let command = &asked.command;
    let proof = asked.found();
    let verdict = match (&asked.found, proof) {
        (Err(refusal), _) => format!("the platform refuses information: {refusal}"),
        (_, None) if asked.cut => "more entries than are read".to_owned(),
        (_, None) => "no entry has the ticket".to_owned(),
        _ => match delivery {
            Delivery::Queued => "not sent to the device yet".to_owned(),
            Delivery::Expired => "not sent to the device before its cache time ended".to_owned(),
            Delivery::SendFailed => "could not be sent to the device".to_owned(),
            Delivery::Sent => "sent to the device".to_owned(),
            Delivery::AnswerFailed => "the answer was not the expected one".to_owned(),
            Delivery::Unknown | Delivery::Answered => "answered by the device".to_owned(),
        },
    };
    writer.row(&[
        Value::Integer(command.line),
        Value::Foreign(&command.product_key),
        Value::Foreign(&command.device_key),
        Value::Integer(command.attempt.into()),
        Value::own(Some(command.sent.from)),
        Value::Foreign(command.ticket.as_str()),
        Value::own(proof.and_then(|proof| proof.at)),
        Value::integer(None),
        Value::own(Some("ticket")),
        Value::Foreign(&verdict),
        Value::foreign(proof.and_then(|proof| proof.answer.as_deref())),
        Value::own(Some(delivery.name())),
    ])
}
