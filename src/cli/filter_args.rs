//! The flags that choose tasks of a run: the same for every command that does.

use std::{ops::RangeInclusive, path::PathBuf};

use clap::Args;

use super::{one_of, values};
use crate::model::{Class, DeliveryWord, Moment};

pub(super) const FILTERS: &str = "Filters";

/// Which tasks. Values of one flag are alternatives, and flags are conditions that all have to be met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct FilterArgs {
    /// Only tasks of these classes, as in offline,quota
    ///
    /// Separate them by commas, or repeat the flag: accepted, frequency, quota, transient, outage, in_doubt, offline, auth, refused,
    /// rejected, blocked, invalid, unchanged.
    #[arg(hide_possible_values = true, long, value_name = "CLASS", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&Class::ALL, Class::name))]
    pub class: Vec<Class>,
    /// Only tasks with these codes of the platform, as in 61002 or 70090-70094
    ///
    /// Separate them by commas, or repeat the flag.
    #[arg(long, value_name = "CODES", value_delimiter = ',', help_heading = FILTERS, value_parser = values::codes)]
    pub code: Vec<RangeInclusive<i64>>,
    /// Only tasks of this device, or of all devices with this prefix: '8601*'
    ///
    /// Repeat the flag for more devices.
    #[arg(long, value_name = "KEY", help_heading = FILTERS, value_parser = values::not_empty)]
    pub device: Vec<String>,
    /// Only tasks of devices in this file, one key per line; - is stdin
    ///
    /// The file can also be a manifest or the output of `results`; fleetpush then reads the column device_key.
    #[arg(long, value_name = "FILE", help_heading = FILTERS)]
    pub devices_from: Option<PathBuf>,
    /// Only tasks of these products; separate by commas or repeat
    #[arg(hide_short_help = true, long, value_name = "PRODUCT_KEY", value_delimiter = ',', help_heading = FILTERS, value_parser = values::not_empty)]
    pub product: Vec<String>,
    /// Only tasks with this label, as in site=Oslo
    ///
    /// Repeat the flag for other values of the label, which are alternatives, or for other labels, which must also match.
    #[arg(long, value_name = "NAME=VALUE", help_heading = FILTERS, value_parser = values::label)]
    pub label: Vec<(String, String)>,
    /// Only accepted tasks with this delivery, as in send_failed,unconfirmed
    ///
    /// Separate them by commas, or repeat the flag: unknown, queued, sent, send_failed, expired, answered, answer_failed; unconfirmed stands
    /// for unknown, queued and expired. `verify` records the delivery.
    #[arg(hide_short_help = true, hide_possible_values = true, long, value_name = "DELIVERY", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(DeliveryWord::ALL, DeliveryWord::name))]
    pub delivery: Vec<DeliveryWord>,
    /// Only tasks that were sent this many times: 3, 3-5, or 3- for at least 3
    #[arg(hide_short_help = true, long, value_name = "N", help_heading = FILTERS, value_parser = values::attempts)]
    pub attempts: Option<RangeInclusive<u64>>,
    /// Only tasks that ended at this time or later: 2026-11-23, 2026-11-23T05:00 (with or without a zone), or 6h for six hours ago
    #[arg(hide_short_help = true, long, value_name = "TIME", help_heading = FILTERS)]
    pub ended_after: Option<Moment>,
    /// Only tasks that ended before this time
    #[arg(hide_short_help = true, long, value_name = "TIME", help_heading = FILTERS)]
    pub ended_before: Option<Moment>,
}

impl FilterArgs {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
