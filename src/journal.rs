//! The rules of a push that need neither the database nor the network: state machines and functions on values, with their tests.
//!
//! The engine tells them what requests came to, and does what they say; the store keeps what a restart must know of them. A retry asks
//! the store for rows and gives back what is to be left out.

pub(crate) mod chunk_limit;
pub(crate) mod excuse;
pub(crate) mod outage;
pub(crate) mod retry;
pub(crate) mod staleness;
mod strays;
pub(crate) mod suspect;

pub(crate) use strays::Strays;
