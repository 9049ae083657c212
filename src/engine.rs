//! Pushes one run: claims tasks, sends them, and records the replies.
//!
//! One writer, [`push()`], owns the journal. It hands out claims and records what the senders report, one transaction after another. Pure
//! parts make its decisions: `recorder` says what a reply means for the tasks, `feeder` how much to claim, `journal::outage` whether the
//! platform is there, and `rollout` which phase a careful start is in. Senders know neither SQL nor a rule. The engine prints nothing; it
//! reports what happens by [`Event`]s.
//!
//! [`listen()`] is not part of a push: it receives the messages of a queue until it is stopped.
//!
//! [`HistoryAsker`] reads the histories of devices. They decide tasks in doubt ([`ask_about_doubts`]) and show what became of accepted
//! commands ([`ask_about_commands`]). `by_message` decides both from messages that the platform has sent already.

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
