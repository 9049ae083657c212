//! The rules of a push that need neither the database nor the network: state machines and functions on values, with their tests.
//!
//! The engine tells them what requests came to, and does what they say; the store keeps what a restart must know of them.

pub(crate) mod excuse;
pub(crate) mod outage;
mod strays;

pub(crate) use strays::Strays;
