//! Pushes one run: claims tasks, sends them, records what came back.

mod event;

pub use event::{Event, Pause, Stop};
