//! The real binary, end to end: real processes, real SQLite files, and the simulated platform over real sockets. One file a topic.
//!
//! All topics are one test binary, so that the library is linked once; `cargo test --test e2e crash` runs one of them.

mod crash;
mod database;
mod disk;
mod faults;
mod hostile;
mod order;
mod outage;
mod pace;
mod queries;
mod run;
mod secrets;
mod signals;
mod splitting;
mod standstill;
mod support;
