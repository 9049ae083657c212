//! The journal of a push: its state and its rules, apart from the rows that a store keeps.
//!
//! [`Journal`] is one run that is being pushed. Types and functions on values make its decisions. They need neither a database nor a
//! network: they get rows and return changes. Only `push`, `state` and its `step`, `retry` and `unchanged` call the store.
//!
//! ```text
//! push → state → requests, tasks, settle → bundle, task_end, refusal, first_sends, … → request → store's rows
//! ```
//!
//! The engine passes the outcome of requests to the rules about the platform, and follows them: `outage`, `suspect`, `excuse`, `strays`. A
//! retry gets rows from the store and returns which of them to leave out: `retry`, `staleness`.

mod accepted_range;
pub(crate) mod answer;
mod bundle;
mod canary;
#[cfg(test)]
pub(crate) mod cancelled;
mod chunk;
mod chunk_limit;
pub(crate) mod control;
pub(crate) mod copying;
mod counts;
pub(crate) mod delivery;
pub(crate) mod excuse;
mod first_sends;
mod history_pages;
pub(crate) mod inventory;
pub(crate) mod listing;
pub(crate) mod message_gap;
pub(crate) mod messages;
pub(crate) mod online;
pub(crate) mod origin;
mod others;
pub(crate) mod outage;
mod prefetch;
pub(crate) mod pruning;
mod push;
pub(crate) mod reason;
mod refusal;
mod request;
mod requests;
pub(crate) mod retriable;
pub(crate) mod retry;
pub(crate) mod revert;
mod room;
mod settle;
pub(crate) mod staleness;
mod state;
mod step;
mod strays;
pub(crate) mod suspect;
mod task_end;
mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod throttled;
pub(crate) mod told;
pub(crate) mod unchanged;
pub(crate) mod verification;
mod waiting;

pub(crate) use canary::{CanaryAsked, Choice, OpenCanary};
pub(crate) use history_pages::{HistoryPages, NextPage};
pub(crate) use push::Journal;
pub(crate) use request::{
    Claim, ClaimLimits, Exchange, Finding, Next, Record, Refused, RequestEnd, Settlement,
};
pub(crate) use strays::Strays;
