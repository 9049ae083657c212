//! What the simulated platform is to be like: its devices, its limits and its faults.

mod broker;
mod check;
mod demo;
mod fault;
mod file;
mod history;
mod inventory;
mod messages;
mod tickets;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::VariantArray;

pub(super) use broker::BrokerUrl;
pub use check::ScenarioError;
pub use fault::{Fault, Quirk};
pub use history::{DeliveryState, History, HistoryForm, HistoryOrder};
pub use inventory::{Inventory, ListedDevice};
pub use messages::{Messages, QueueStatus};
pub use tickets::TicketForm;

use super::limiter::RequestLimit;

/// How the simulated platform behaves. The default is a healthy platform without latency or limits.
///
/// A share is a number from 0 to 1. Whatever is bound to a device follows from the seed and the device key alone; whatever is bound to a
/// request follows from the seed and the request's number, counted from 1 in the order of arrival.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each a field of the scenario file"
)]
pub struct Scenario {
    /// What all chance follows from.
    pub seed: u64,

    /// The pause between acting on a call and answering it, in milliseconds.
    pub latency_ms: u64,
    /// The most that chance adds to that pause, in milliseconds.
    pub latency_jitter_ms: u64,

    /// The share of devices that are offline (61002).
    pub offline: f64,
    /// The share of devices that are refused for good.
    pub rejected: f64,
    /// The codes that refused devices get; the device decides which.
    pub rejected_codes: Vec<i64>,
    /// The products whose devices can be offline or refused; those of every product if empty.
    pub failing_products: Vec<String>,
    /// The share of sends to a device that fail in passing.
    pub transient: f64,
    /// The codes of such failures; chance decides which.
    pub transient_codes: Vec<i64>,
    /// Devices whose first sends are refused as too frequent (61007).
    pub frequency_at_first: AtFirst,
    /// Devices whose first sends are refused because the quota is used up (61006).
    pub quota_at_first: AtFirst,
    /// How many messages a device takes before it answers 61007; no limit if absent.
    pub frequency_limit: Option<Limit>,
    /// How many messages a device takes before it answers 61006; no limit if absent.
    pub quota_limit: Option<Limit>,

    /// The share of devices that make the platform refuse every request that names them, as a whole.
    pub poison: f64,
    /// The top-level code of that refusal.
    pub poison_code: i64,
    /// Product keys that are refused whole (80005).
    pub refused_products: Vec<String>,
    /// Requests whose `data` contains this text are refused whole.
    pub refused_data: Option<String>,
    /// The top-level code of that refusal.
    pub refused_data_code: i64,
    /// The most devices that one request may carry; no limit if absent.
    pub device_limit: Option<usize>,
    /// What a request with more is refused with, an HTTP status from 300 to 599 or a top-level code.
    pub device_limit_code: i64,
    /// Device keys that something in front of the platform dislikes: every request that names one is refused with its number, an HTTP
    /// status from 300 to 599 or a top-level code.
    pub outcasts: BTreeMap<String, i64>,
    /// Every `sendServiceData` is refused with this top-level code.
    pub refuse_code: Option<i64>,
    /// Every `sendServiceData` is refused with this HTTP status; a 3xx points back at the same place.
    pub refuse_status: Option<u16>,

    /// How many `sendServiceData` a second are let through; others get HTTP 429. No limit if absent.
    pub rate_limit: Option<f64>,
    /// How many may come at once before that limit bites, in requests.
    pub rate_burst: f64,
    /// A limit on requests of any kind, as text such as `sliding-window:40,window=1s`; none if absent.
    pub limit: Option<RequestLimit>,
    /// The text of `Retry-After` in a 429 or 503, sensible or not; left out if absent, unless `limit` gives it.
    pub retry_after: Option<String>,

    /// The AccessKey that may log in; any if absent.
    pub access_key: Option<String>,
    /// The AccessSecret that logins must be signed with; not checked if absent.
    pub access_secret: Option<String>,
    /// A token that is good without a login, with its `QJWT ` prefix.
    pub ready_token: Option<String>,
    /// Whether the AccessKey has been disabled: no login, no refresh, and no token is good any more.
    pub access_key_disabled: bool,
    /// How many `sendServiceData` a token is good for; any number if absent.
    pub token_requests: Option<u64>,
    /// How long a token is good, in milliseconds; for good if absent.
    pub token_lifetime_ms: Option<u64>,
    /// How long after a login its token is not known yet where requests are checked (91001), in milliseconds.
    pub token_delay_ms: u64,
    /// What a login says of a token's time, in seconds, true or not.
    pub expires_in: u64,
    /// The age below which a refresh returns a token unchanged, in milliseconds.
    pub refresh_after_ms: u64,
    /// How a token is refused.
    pub auth_refusal: AuthRefusal,
    /// By how much the platform's clock is ahead of ours, in milliseconds.
    pub clock_skew_ms: i64,

    /// Whether the platform as a whole is away, and how.
    pub outage: Outage,
    /// How long the outage lasts from the moment at which this scenario is set, in milliseconds; until another is set if absent.
    pub outage_ms: Option<u64>,
    /// Whether logins and refreshes work all the same.
    pub outage_spares_logins: bool,

    /// Shares of `sendServiceData` requests that meet a fault: one at most for each, so the shares add up to at most 1.
    pub faults: BTreeMap<Fault, f64>,
    /// The same for logins and refreshes.
    pub login_faults: BTreeMap<Fault, f64>,
    /// Shares of `sendServiceData` replies that are odd; a reply can be odd in several ways.
    #[serde(alias = "oddities")]
    pub quirks: BTreeMap<Quirk, f64>,
    /// Over how long a trickling reply is spread, in milliseconds.
    pub trickle_ms: u64,
    /// The size that an oversized reply is padded to, in bytes.
    pub oversized_bytes: u64,
    /// Whether replies are compressed for a client that accepts gzip.
    pub gzip: bool,

    /// The form of tickets.
    pub tickets: TicketForm,
    /// How long a delivery takes to appear in its device's history, in milliseconds.
    pub history_lag_ms: u64,
    /// The share of deliveries that never appear there.
    pub history_gap: f64,
    /// What becomes of commands, and how histories tell it.
    pub history: History,

    /// The messages about commands, and the queue that gets them.
    pub messages: Messages,

    /// What the device list shows, and what is wrong with it.
    pub inventory: Inventory,

    /// The platform's export of a thing model, whole or its `data`: served for every product, and what commands have to fit. Without one
    /// a model that fits the samples is served, and commands may be anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing_model: Option<serde_json::Value>,

    /// Whether every delivery is kept, or only their number.
    pub ledger: bool,
    /// Whether devices that are in two requests at once are looked for.
    pub watch_order: bool,
}

/// Devices that refuse their first sends.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AtFirst {
    /// The share of devices that do.
    pub share: f64,
    /// How many sends each of them refuses.
    pub sends: u32,
}

/// A limit of one device's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many messages a window takes.
    pub messages: u32,
    /// The length of a window, which begins with its first message, in milliseconds.
    pub window_ms: u64,
}

/// How a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthRefusal {
    /// HTTP 200 with 91001 for a token that is missing or unknown, 91004 for one that has expired.
    #[default]
    Code,
    /// HTTP 401.
    Status,
}

/// Whether the platform as a whole is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// It is there.
    #[default]
    None,
    /// It answers every call with HTTP 503.
    Unavailable,
    /// It answers every call with HTTP 502 and a page of HTML.
    BadGateway,
    /// It answers every call with HTTP 200 and a page of HTML.
    Page,
    /// It closes the connection of every call once it has read it.
    HangUp,
    /// It answers no call.
    Silent,
    /// It answers every call with code 50000.
    ServiceException,
    /// It answers every call with code 70000.
    HubUnavailable,
    /// Its port is closed, and so are all connections.
    Closed,
}

impl Outage {
    /// What every call meets; nothing when there is nobody to call.
    pub(in crate::simulator) fn fault(self) -> Option<Fault> {
        match self {
            Self::None | Self::Closed => None,
            Self::Unavailable => Some(Fault::Unavailable),
            Self::BadGateway => Some(Fault::BadGateway),
            Self::Page => Some(Fault::Page),
            Self::HangUp => Some(Fault::ResetBefore),
            Self::Silent => Some(Fault::Hang),
            Self::ServiceException => Some(Fault::ServiceException),
            Self::HubUnavailable => Some(Fault::HubUnavailable),
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 0,
            latency_ms: 0,
            latency_jitter_ms: 0,
            offline: 0.0,
            rejected: 0.0,
            rejected_codes: vec![61005],
            failing_products: Vec::new(),
            transient: 0.0,
            transient_codes: vec![70000, 50000, 70095],
            frequency_at_first: AtFirst::default(),
            quota_at_first: AtFirst::default(),
            frequency_limit: None,
            quota_limit: None,
            poison: 0.0,
            poison_code: 61005,
            refused_products: Vec::new(),
            refused_data: None,
            refused_data_code: 70091,
            device_limit: None,
            device_limit_code: 50005,
            outcasts: BTreeMap::new(),
            refuse_code: None,
            refuse_status: None,
            rate_limit: None,
            rate_burst: 5.0,
            limit: None,
            retry_after: None,
            access_key: None,
            access_secret: None,
            ready_token: None,
            access_key_disabled: false,
            token_requests: None,
            token_lifetime_ms: None,
            token_delay_ms: 0,
            expires_in: 86_400,
            refresh_after_ms: 30 * 60 * 1000,
            auth_refusal: AuthRefusal::default(),
            clock_skew_ms: 0,
            outage: Outage::default(),
            outage_ms: None,
            outage_spares_logins: false,
            faults: BTreeMap::new(),
            login_faults: BTreeMap::new(),
            quirks: BTreeMap::new(),
            trickle_ms: 10_000,
            oversized_bytes: 100 * 1024 * 1024,
            gzip: false,
            tickets: TicketForm::default(),
            history_lag_ms: 0,
            history_gap: 0.0,
            history: History::default(),
            messages: Messages::default(),
            inventory: Inventory::default(),
            thing_model: None,
            ledger: true,
            watch_order: true,
        }
    }
}

impl Scenario {
    /// The limit on requests, however it is given.
    pub(super) fn request_limit(&self) -> Option<RequestLimit> {
        let rate = self.rate_limit;
        self.limit
            .or_else(|| rate.map(|rate| RequestLimit::token_bucket(rate, self.rate_burst)))
    }
}

#[cfg(test)]
mod tests;
