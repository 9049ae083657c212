//! One file for each command: it opens what the command needs, asks, and prints.

pub mod codes;
pub mod results;
pub mod runs;
pub mod status;
