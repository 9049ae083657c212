//! The store on real SQLite files: opening, how claims are shared out, what the schema refuses, and how its statements find their rows.

mod claim;
mod open;
mod plans;
mod schema;
