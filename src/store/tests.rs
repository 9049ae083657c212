//! The store on real SQLite files: opening, who is chosen for a canary, how claims are shared out, what the schema refuses, and how its statements find their rows.

mod again;
mod both;
mod canary;
mod claim;
mod common;
mod conditions;
mod conformance;
mod control;
mod devices;
mod evidence;
mod inbox;
mod lease;
mod open;
mod pace;
mod plans;
mod pruned;
pub(super) mod pushed;
mod schema;
mod server;
mod sets;
mod staging;
