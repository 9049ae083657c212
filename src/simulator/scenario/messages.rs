//! The messages that the platform publishes about commands, and what is wrong with them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::VariantArray;

/// Messages about commands. What they say follows from what becomes of a command ([`super::History`]). The default publishes none, and
/// when a broker is named, each of them at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Messages {
    /// The broker, `amqp://USER:PASSWORD@HOST:PORT/VHOST`, where that user may declare exchanges and queues; no messages if absent.
    pub amqp: Option<String>,
    /// The queue that gets them, by its whole name.
    pub queue: String,
    /// What the list of queues says of it.
    pub queue_status: QueueStatus,
    /// How many messages are said to wait in it.
    pub waiting: u64,
    /// How many bytes they are said to have.
    pub waiting_bytes: u64,

    /// How long a message takes at least, in milliseconds.
    pub lag_ms: u64,
    /// The most that chance adds to that, in milliseconds: it changes the order of messages.
    pub lag_jitter_ms: u64,
    /// The share of messages that never come.
    pub missing: f64,
    /// The share of messages that come twice.
    pub repeated: f64,
    /// What devices answer, by the names of the outputs; chance decides which.
    pub answers: Vec<Map<String, Value>>,
    /// The share of commands after which the device is said to be online (again).
    pub online: f64,
}

/// Whether a queue takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum QueueStatus {
    /// Not yet: no subscription has been started for it.
    NotEnabled = 0,
    /// It does.
    #[default]
    Enabled = 1,
    /// No longer.
    Disabled = 2,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            amqp: None,
            queue: "a.1.fleet".to_owned(),
            queue_status: QueueStatus::default(),
            waiting: 0,
            waiting_bytes: 0,
            lag_ms: 0,
            lag_jitter_ms: 0,
            missing: 0.0,
            repeated: 0.0,
            answers: vec![Map::from_iter([("result".to_owned(), "0".into())])],
            online: 0.0,
        }
    }
}
