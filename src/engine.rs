//! Pushes one run: claims tasks, sends them, records what came back.
//!
//! One writer, [`push()`], owns the journal: it hands out claims and records what the senders report, in one transaction after the other.
//! What it decides, it decides by pure parts: `recorder` says what a reply means for the tasks, `feeder` how much to claim, `journal::outage` whether
//! the platform is there, `rollout` which phase a careful start is in. Senders know neither SQL nor a rule. The engine prints nothing; it tells what happens by [`Event`]s.
//!
//! [`listen()`] is no part of a push: it takes the messages of a queue in, for as long as it is let.
//!
//! [`HistoryAsker`] asks the platform what it has sent, which is the other way to end a doubt ([`ask_about_doubts`]), and what became of
//! accepted commands ([`ask_about_commands`]). `by_message` settles both by what the platform's messages have said already.

mod by_message;
mod event;
mod feeder;
mod history_asker;
mod listen;
mod pace;
mod push;
mod questions;
mod recorder;
mod recovery;
mod resolve;
mod rollout;
mod sender;
#[cfg(test)]
mod tests;
mod traffic;
mod verify;
mod writer;

pub(crate) use by_message::{
    Acquaintance, FINAL, acquaintance, doubt_by_messages, proofs_by_device, proofs_by_ticket,
    settle_for_reader, settle_run,
};
pub(crate) use event::{Event, Measures, Pause, Pushed, RolloutPhase, RolloutStep, Stop};
pub(crate) use history_asker::{HistoryAsker, HistoryOptions};
pub(crate) use listen::{ListenEnd, ListenEvent, ListenOptions, ListenTotals, listen};
pub(crate) use push::{Context, Options, push};
pub(crate) use questions::{QuestionOptions, Questions};
pub(crate) use recovery::recover;
pub(crate) use resolve::{Resolved, adopt, ask_about_doubts, next_doubts};
pub(crate) use rollout::RolloutOptions;
pub(crate) use traffic::{Durations, Traffic};
pub(crate) use verify::{Asked, ask_about_commands};
