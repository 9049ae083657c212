//! Decides commands by the messages in the inbox: accepted ones by their tickets, and tasks in doubt by an `INPUT` of the same command.

use std::{collections::HashSet, time::Duration};

use super::Resolved;
use crate::{
    journal::{delivery, messages},
    model::{Delivery, EvidenceSource, InDoubtTask, Proof, TaskId, Timestamp},
    store::{
        AcceptedCommand, InboxError, InboxReader, Looked, Reader, Run, RunRow, SendTicket, Store,
        StoreError, TaskProof,
    },
};

/// Messages by which it is judged whether a queue has any of our tickets: the latest.
const LOOKED_AT: u32 = 1000;

/// What no message changes any more.
pub(crate) const FINAL: [Delivery; 1] = [Delivery::Answered];

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
const READ: usize = 5_000;
/// As long as later messages are about no more devices than that, each is looked up; beyond it a look at the whole run is quicker.
const LATER_DEVICES: usize = 20_000;

/// Puts what the inbox says of these tasks beside what is recorded, for this reader alone.
pub(crate) async fn settle_for_reader(
    reader: &mut Reader,
    inbox: &mut InboxReader,
    looked: Looked<'_>,
    now: Timestamp,
) -> Result<Result<(), InboxError>, StoreError> {
    let (run, named) = match looked {
        Looked::Tasks(tasks) => (None, tasks.to_owned()),
        Looked::Run(run) => match with_later_messages(reader, inbox, run).await? {
            Ok(None) => (Some(run), Vec::new()),
            Ok(Some(tasks)) => (None, tasks),
            Err(error) => return Ok(Err(error)),
        },
    };
    if run.is_none() && named.is_empty() {
        return Ok(Ok(()));
    }
    reader.settle_apart(looked).await?;
    for tasks in named.chunks(READ) {
        let sends = reader.tickets_among(tasks, &FINAL).await?;
        if let Err(error) = settle_page(reader, inbox, &sends, now).await? {
            return Ok(Err(error));
        }
    }
    let Some(run) = run else {
        return Ok(Ok(()));
    };
    let mut after = TaskId(0);
    loop {
        let most = READ as u32;
        let sends = reader.accepted_tickets(run, after, &FINAL, most).await?;
        let Some(last) = sends.last() else {
            return Ok(Ok(()));
        };
        after = last.task;
        if let Err(error) = settle_page(reader, inbox, &sends, now).await? {
            return Ok(Err(error));
        }
    }
}

async fn settle_page(
    reader: &mut Reader,
    inbox: &mut InboxReader,
    sends: &[SendTicket],
    now: Timestamp,
) -> Result<Result<(), InboxError>, StoreError> {
    let proofs = match proofs_by_ticket(inbox, sends).await {
        Ok(proofs) => proofs,
        Err(error) => return Ok(Err(error)),
    };
    reader
        .settle_deliveries(proofs, now, delivery::fold_unjudged)
        .await?;
    Ok(Ok(()))
}

/// The tasks of a run whose devices have messages that have not been settled yet; none where the whole run has to be looked at.
async fn with_later_messages(
    reader: &mut Reader,
    inbox: &mut InboxReader,
    run: &RunRow,
) -> Result<Result<Option<Vec<TaskId>>, InboxError>, StoreError> {
    let place = match inbox.place().await {
        Ok(Some(place)) => place,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    let Some(settled) = reader.settled_inbox(run.id, &place.inbox).await? else {
        return Ok(Ok(None));
    };
    let devices = match inbox.devices_after(settled, LATER_DEVICES).await {
        Ok(Some(devices)) => devices,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(Some(reader.tasks_of_devices(run, &devices).await?)))
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
        let most = READ as u32;
        let sends = store.accepted_tickets(run, after, &FINAL, most).await?;
        let Some(last) = sends.last() else {
            return Ok(Ok(()));
        };
        after = last.task;
        match proofs_by_ticket(inbox, &sends).await {
            Ok(proofs) => {
                let fold = delivery::fold_unjudged;
                store.settle_deliveries(run, proofs, now, fold).await?;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// What messages say of commands by device and time, where no ticket of the queue is ours. The owner of a file hears of sends of other runs
/// too; on a server those may be another process's.
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
    if store.is_on_server() {
        proofs.retain(|one| run.has(one.task));
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
