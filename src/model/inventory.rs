//! What the platform lists: the products of an account, and the devices of a product.

use super::Timestamp;

/// A device as the platform lists it. What the platform does not say is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ListedDevice {
    pub(crate) product_key: String,
    pub(crate) device_key: String,
    pub(crate) name: Option<String>,
    /// Its serial number.
    pub(crate) sn: Option<String>,
    pub(crate) state: ListedState,
    /// When it was last seen online: when it came or when it left, whichever is later.
    pub(crate) last_online: Option<Timestamp>,
}

/// What the platform says of a device's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub(crate) struct ListedState {
    /// Whether it is online.
    pub(crate) online: Option<bool>,
    /// Whether it has been activated.
    pub(crate) activated: Option<bool>,
    /// Whether its data format is raw, so that it takes no commands of a thing model (70063).
    pub(crate) raw: Option<bool>,
}

/// A product as the platform lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ListedProduct {
    pub(crate) product_key: String,
    pub(crate) name: Option<String>,
    /// Whether it stands on another platform, which takes no commands by this API (80005).
    pub(crate) is_elsewhere: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListPage<T> {
    /// The entries that could be read.
    pub(crate) entries: Vec<T>,
    /// Entries without a key.
    pub(crate) unreadable: u64,
    /// How many entries the platform says that the whole list has.
    pub(crate) total: Option<u64>,
}
