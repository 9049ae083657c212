//! The store on real SQLite files: opening, what the schema refuses, and how its statements find their rows.

mod open;
mod plans;
mod schema;
