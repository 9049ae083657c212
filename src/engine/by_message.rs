//! Settles commands by the messages in the inbox: accepted ones by their tickets, and tasks in doubt by an `INPUT` that tells the same command.

use std::{collections::HashSet, time::Duration};

use super::Resolved;
use crate::{
    journal::{delivery, messages},
    model::{Delivery, EvidenceSource, InDoubtTask, Proof, TaskId, Timestamp},
    store::{
        AcceptedCommand, InboxError, InboxReader, Looked, Reader, Run, SendTicket, Store,
        StoreError, TaskProof,
    },
};

/// Messages by which it is judged whether a queue has any of our tickets: the latest.
const LOOKED_AT: u32 = 1000;

/// How the messages of an inbox stand to the commands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquaintance {
    /// There are none.
    NoMessages,
    /// Some have a ticket of ours.
    Known,
    /// They are about our devices, and no ticket is ours.
    Strange,
    /// None is about a device of ours.
    OtherDevices,
}

/// What the inbox says of sends, by their tickets.
pub(crate) async fn proofs_by_ticket(
    inbox: &mut InboxReader,
    sends: &[SendTicket],
) -> Result<Vec<TaskProof>, InboxError> {
    let tickets: Vec<&str> = sends.iter().map(|send| &*send.ticket).collect();
    let messages = inbox.of_tickets(&tickets).await?;
    Ok(messages::by_ticket(sends, &messages))
}

/// Commands that are settled at a time outside of a verification.
const READ: u32 = 5_000;

/// Puts what the inbox says of these tasks beside what is recorded, for this reader alone.
pub(crate) async fn settle_for_reader(
    reader: &mut Reader,
    inbox: &mut InboxReader,
    looked: Looked<'_>,
    now: Timestamp,
) -> Result<Result<(), InboxError>, StoreError> {
    // An answer is final.
    let settled = [Delivery::Answered];
    reader.settle_apart(looked).await?;
    let mut after = TaskId(0);
    loop {
        let (sends, is_last) = match looked {
            Looked::Run(run) => {
                let sends = reader.accepted_tickets(run, after, &settled, READ).await?;
                let is_last = sends.is_empty();
                (sends, is_last)
            }
            Looked::Tasks(tasks) => (reader.tickets_among(tasks, &settled).await?, true),
        };
        after = sends.last().map_or(after, |last| last.task);
        match proofs_by_ticket(inbox, &sends).await {
            Ok(proofs) => {
                reader
                    .settle_deliveries(proofs, now, delivery::fold_unjudged)
                    .await?;
            }
            Err(error) => return Ok(Err(error)),
        }
        if is_last {
            return Ok(Ok(()));
        }
    }
}

/// Records what the inbox says of the accepted commands of a run.
pub(crate) async fn settle_run(
    store: &mut Store,
    inbox: &mut InboxReader,
    run: &Run,
    now: Timestamp,
) -> Result<Result<(), InboxError>, StoreError> {
    let mut after = TaskId(0);
    loop {
        let settled = [Delivery::Answered];
        let commands = store.accepted_commands(run, after, &settled, READ).await?;
        let Some(last) = commands.last() else {
            return Ok(Ok(()));
        };
        after = last.task;
        match proofs_of_commands(inbox, &commands).await {
            Ok(proofs) => {
                store.settle_deliveries(proofs, now, delivery::fold).await?;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// What messages say of commands by device and time, where no ticket of the queue is ours.
pub(crate) async fn proofs_by_device(
    store: &mut Store,
    inbox: &mut InboxReader,
    run: &Run,
    commands: &[AcceptedCommand],
    tolerance: Duration,
) -> Result<Result<Vec<TaskProof>, InboxError>, StoreError> {
    let mut seen = HashSet::new();
    let mut proofs = Vec::new();
    for command in commands {
        let (product_key, device_key) = (&*command.product_key, &*command.device_key);
        if !seen.insert((product_key, device_key)) {
            continue;
        }
        let messages = match inbox.of_device(product_key, device_key).await {
            Ok(messages) if messages.is_empty() => continue,
            Ok(messages) => messages,
            Err(error) => return Ok(Err(error)),
        };
        let sends = store.sends_to_device(run, product_key, device_key).await?;
        proofs.extend(messages::by_device(&sends, &messages, tolerance));
    }
    Ok(Ok(proofs))
}

/// Whether any ticket of the latest messages is one of ours.
pub(crate) async fn acquaintance(
    store: &mut Store,
    run: &Run,
    inbox: &mut InboxReader,
) -> Result<Result<Acquaintance, InboxError>, StoreError> {
    let latest = match inbox.latest(LOOKED_AT).await {
        Ok(latest) => latest,
        Err(error) => return Ok(Err(error)),
    };
    if latest.is_empty() {
        return Ok(Ok(Acquaintance::NoMessages));
    }
    let mut found = Acquaintance::OtherDevices;
    for message in &latest {
        let tickets = store
            .tickets_of_device(run, &message.product_key, &message.device_key)
            .await?;
        if tickets.contains(&message.ticket) {
            return Ok(Ok(Acquaintance::Known));
        }
        if !tickets.is_empty() {
            found = Acquaintance::Strange;
        }
    }
    Ok(Ok(found))
}

/// Decides a doubt by what the inbox has of its device, if an `INPUT` tells the same command and no other command can have made it.
pub(crate) async fn doubt_by_messages(
    inbox: &mut InboxReader,
    doubt: &InDoubtTask,
    tolerance: Duration,
) -> Result<Option<Resolved>, InboxError> {
    let messages = inbox
        .of_device(&doubt.product_key, &doubt.device_key)
        .await?;
    let Some((evidence, ticket)) = messages::weighed(doubt, &messages, tolerance) else {
        return Ok(None);
    };
    let proof = inbox
        .of_ticket(&ticket)
        .await?
        .iter()
        .map(messages::proof_of)
        .fold(None::<Proof>, |known, new| Some(delivery::fold(known, new)));
    Ok(Some(Resolved {
        doubt: doubt.clone(),
        source: EvidenceSource::Input,
        found: Ok(evidence),
        proof,
    }))
}
