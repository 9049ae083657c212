//! The real binary, end to end: real processes, real SQLite files, and the simulated platform over real sockets. One file a topic.
//!
//! All topics are one test binary, so that the library is linked once; `cargo test --test e2e crash` runs one of them.

mod chaos;
mod configuration;
mod control;
mod crash;
mod database;
mod devices;
mod diff;
mod disk;
mod explain;
mod faults;
mod hostile;
mod input;
mod kubernetes;
mod lost;
mod manifest;
mod memory;
mod messages;
mod metrics;
mod order;
mod outage;
mod owner;
mod pace;
mod prune;
mod queries;
mod report;
mod revert;
mod rollout;
mod run;
mod samples;
mod schedule;
mod scheduler_day;
mod secrets;
mod select;
mod service;
mod sessions;
mod signals;
mod splitting;
mod sql;
mod standstill;
mod status;
mod summary;
mod support;
mod tags;
mod versions;
