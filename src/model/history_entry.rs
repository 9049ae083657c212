//! What the platform's history says of a device.

use super::{Ticket, Timestamp};

/// Which way the data of an entry went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// From the device.
    Up,
    /// To the device.
    Down,
}

/// One entry of a device's history: what went to the device, or what came from it.
///
/// Every field may be missing, since the vendor documents the entries by an example alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct HistoryEntry {
    /// `ticket`, which a command and the answer to it share.
    pub(crate) ticket: Option<Ticket>,
    /// `direction`, else `msgType`.
    pub(crate) direction: Option<Direction>,
    /// `sendTime`, else `createTime` or `updateTime`, on the platform's clock.
    pub(crate) sent_at: Option<Timestamp>,
    /// `sendStatus`: 0 not sent, 1 sent, -1 failed.
    pub(crate) status: Option<i64>,
    /// `data`: the binary payload.
    pub(crate) payload: Option<Box<[u8]>>,
    /// `dmData`: the same as JSON by the numeric ids of the thing model, or by names as far as a model has them.
    pub(crate) dm_data: Option<serde_json::Value>,
    /// The values by the names of a thing model, in the wire form of a command: what can be compared. `None` without a model, or when
    /// the model does not explain all of them.
    pub(crate) named: Option<serde_json::Value>,
}

impl HistoryEntry {
    /// Whether it may be a command: it did not come from the device.
    pub(crate) fn may_be_command(&self) -> bool {
        self.direction != Some(Direction::Up)
    }

    /// Whether it only asks for properties: a list of ids without values, which no command of ours is.
    pub(crate) fn is_read(&self) -> bool {
        use serde_json::Value;
        let Some(Value::Array(items)) = &self.dm_data else {
            return false;
        };
        let is_id = |item: &Value| matches!(item, Value::String(_) | Value::Number(_));
        !items.is_empty() && items.iter().all(is_id)
    }

    /// What went, in the clearest form in which the entry tells it.
    pub(crate) fn told(&self) -> Option<&serde_json::Value> {
        self.named.as_ref().or(self.dm_data.as_ref())
    }
}

/// What the platform told of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trace {
    /// The entries, each once, in the order in which they came.
    pub(crate) entries: Vec<HistoryEntry>,
    /// Whether these are surely not all: there were more pages than are read, or the pages did not add up to what the platform counts.
    pub(crate) cut: bool,
}
