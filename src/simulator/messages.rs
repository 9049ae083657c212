//! Messages about the commands that the platform has taken, published to a broker as the platform does: late, repeated, out of order, or
//! not at all, as the scenario has it.

mod body;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::body::{Commanded, Order};
use super::{
    chance::{Chance, Question, hash, mix},
    delivery_state::delivery_state,
    scenario::{DeliveryState, Scenario},
    served_model,
};

/// A kind of message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MessageKind {
    /// `MSERV` `INPUT`: the command was issued.
    Input,
    /// `REQACK` with `succ`: it was sent.
    ReqackSucc,
    /// `REQACK` with `fail`: it could not be sent.
    ReqackFail,
    /// `MSERV` `OUTPUT`: the device has answered.
    Output,
    /// `ONLINE`: the device is online.
    Online,
}

/// Commands that the platform has taken, to devices that have successive tickets.
pub(super) struct Taken<'a> {
    pub(super) product_key: &'a str,
    pub(super) data: &'a str,
    pub(super) at_ms: i64,
    pub(super) devices: &'a [&'a str],
    pub(super) first_ticket: u64,
}

/// The kinds of message that are published about a command, as the scenario has it.
pub(super) fn kinds(scenario: &Scenario, chance: Chance, ticket: &str) -> Vec<MessageKind> {
    let messages = &scenario.messages;
    let mut kinds = vec![MessageKind::Input];
    match delivery_state(&scenario.history, chance, ticket) {
        DeliveryState::Queued => {}
        DeliveryState::SendFailed => kinds.push(MessageKind::ReqackFail),
        DeliveryState::Sent => kinds.push(MessageKind::ReqackSucc),
        DeliveryState::Answered => kinds.extend([MessageKind::ReqackSucc, MessageKind::Output]),
    }
    if chance.within(messages.online, Question::MessageOnline, hash(ticket)) {
        kinds.push(MessageKind::Online);
    }
    kinds.retain(|kind| {
        let subject = subject(ticket, *kind);
        !chance.within(messages.missing, Question::MessageMissing, subject)
    });
    kinds
}

fn subject(ticket: &str, kind: MessageKind) -> u64 {
    hash(ticket) ^ mix(kind as u64)
}

/// Messages that are to be published.
#[derive(Default)]
pub(super) struct Post {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    /// By their time; those of one moment in the order in which they were planned.
    due: BTreeMap<(Instant, u64), Due>,
    planned: u64,
}

/// A message that waits for its time.
#[derive(Clone)]
pub(super) struct Due {
    place: (Instant, u64),
    pub(super) kind: MessageKind,
    /// Which of the services that the command calls.
    call: usize,
    command: Arc<Commanded>,
}

impl Due {
    /// What it says.
    pub(super) fn body(&self) -> String {
        self.command.message(self.kind, self.call).to_string()
    }
}

impl Post {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans the messages about commands, and gives their number; none when the scenario names no broker.
    pub(super) fn plan(&self, scenario: &Scenario, chance: Chance, taken: &Taken<'_>) -> u64 {
        let messages = &scenario.messages;
        if messages.amqp.is_none() || taken.devices.is_empty() {
            return 0;
        }
        let order = Arc::new(Order::of(&served_model::served(scenario), taken));
        let calls = order.calls.len().max(1);
        let now = Instant::now();
        let mut state = self.state();
        let before = state.planned;
        for (number, device_key) in (taken.first_ticket..).zip(taken.devices) {
            let ticket = scenario.tickets.text(number);
            let kinds = kinds(scenario, chance, &ticket);
            let answer = chance.choose(&all(&messages.answers), Question::MessageAnswer, number);
            let command = Arc::new(Commanded {
                order: Arc::clone(&order),
                device_key: (*device_key).to_owned(),
                packet_id: number & 0xffff,
                answer: answer
                    .map(|n| messages.answers[n].clone())
                    .unwrap_or_default(),
                ticket,
            });
            for kind in kinds {
                let subject = subject(&command.ticket, kind);
                let is_twice = chance.within(messages.repeated, Question::MessageRepeated, subject);
                let copies = if is_twice { 2 } else { 1 };
                let calls = match kind {
                    MessageKind::Input | MessageKind::Output => calls,
                    MessageKind::ReqackSucc | MessageKind::ReqackFail | MessageKind::Online => 1,
                };
                for (copy, call) in (0..copies).flat_map(|copy| (0..calls).map(move |n| (copy, n)))
                {
                    let share = chance.share(Question::MessageLate, mix(subject ^ copy));
                    let more = messages.lag_jitter_ms as f64 * share;
                    let late = Duration::from_millis(messages.lag_ms.saturating_add(more as u64));
                    // A lag beyond what a clock can tell is as good as for ever.
                    let Some(at) = now.checked_add(late) else {
                        continue;
                    };
                    state.planned += 1;
                    let place = (at, state.planned);
                    let due = Due {
                        place,
                        kind,
                        call,
                        command: Arc::clone(&command),
                    };
                    state.due.insert(place, due);
                }
            }
        }
        let planned = state.planned - before;
        drop(state);
        self.wake.notify_one();
        planned
    }

    /// The next message, when its time has come. One waits at a time.
    pub(super) async fn next(&self) -> Due {
        loop {
            let next = {
                let mut state = self.state();
                let at = state.due.keys().next().map(|(at, _)| *at);
                if at.is_some_and(|at| at <= Instant::now())
                    && let Some((_, due)) = state.due.pop_first()
                {
                    return due;
                }
                at
            };
            match next {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.wake.notified() => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    /// Takes back what the broker may not have.
    pub(super) fn give_back(&self, messages: impl IntoIterator<Item = Due>) {
        let mut state = self.state();
        let back = messages.into_iter().map(|due| (due.place, due));
        state.due.extend(back);
        drop(state);
        self.wake.notify_one();
    }
}

fn all<T>(list: &[T]) -> Vec<usize> {
    (0..list.len()).collect()
}
