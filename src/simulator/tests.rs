//! The simulator over real sockets, met by a client that sees every byte.

mod api;
mod client;
mod faults;
mod fleet;
mod history;
mod inventory;
mod queues;
