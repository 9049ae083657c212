//! What the histories of devices show, and how.

use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// What becomes of commands after they were taken, and how a history tells it. The default is a platform that hands every command over
/// at once, and devices that do not answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// The share of commands that are not sent to the device yet: `sendStatus` 0.
    pub queued: f64,
    /// The share of commands that could not be sent to the device: `sendStatus` -1.
    pub send_failed: f64,
    /// The share of those that were sent which the device answers.
    pub answered: f64,
    /// How often each device has reported something after each of its commands, unasked.
    pub reports: u32,
    /// Where the values of an entry stand.
    pub form: HistoryForm,
    /// In which order the entries come.
    pub order: HistoryOrder,
    /// The share of entries that stand in the list twice.
    pub repeated: f64,
    /// How many reports every device makes with each question that anybody asks: they move what is asked for to later pages.
    pub growth: u32,
    /// The share of devices whose history the platform refuses to tell: "Unauthorized device".
    pub refused: f64,
}

/// Where the values of an entry stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum HistoryForm {
    /// In `dmData`, by the numeric ids of the thing model, and in `data`.
    #[default]
    DmData,
    /// The same, but named `thingModelData`.
    ThingModelData,
    /// In `data` alone, the binary payload.
    Bytes,
    /// Nowhere.
    Nothing,
}

/// In which order the entries come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum HistoryOrder {
    /// The newest first, as in the vendor's example.
    #[default]
    Newest,
    /// The oldest first, as event logs come.
    Oldest,
    /// Another order with each question, so that a page repeats entries of another one and lacks others.
    Unstable,
}

/// What became of a command after it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryState {
    /// It has not been sent to the device yet.
    Queued,
    /// It could not be sent to the device.
    SendFailed,
    /// It was sent to the device.
    Sent,
    /// The device has answered it.
    Answered,
}
