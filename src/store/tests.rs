//! The store on real SQLite files: opening, how claims are shared out, what the schema refuses, and how its statements find their rows.

mod claim;
mod devices;
mod open;
mod plans;
pub(super) mod pushed;
mod schema;
