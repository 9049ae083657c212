//! The flags of `inventory`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{keys, one_of, output_args::OUTPUT, push_args::TargetArgs, values};
use crate::model::{Age, ManifestFormat, Rate};

const PACE: &str = "Pace";
const DEVICES: &str = "Which devices";

/// `fleetpush inventory`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::INVENTORY_EPILOGUE)]
pub struct InventoryArgs {
    /// The products whose devices to list
    #[arg(value_name = "PRODUCT", required = true, value_parser = values::not_empty)]
    pub products: Vec<String>,
    /// Only devices that are online
    #[arg(long, help_heading = DEVICES, conflicts_with = "offline")]
    pub online: bool,
    /// Only devices that are offline
    #[arg(long, help_heading = DEVICES)]
    pub offline: bool,
    /// Only devices that have been activated
    #[arg(long, help_heading = DEVICES)]
    pub active: bool,
    /// Only devices that are online, or were online within this time: 7d, 36h
    #[arg(long, value_name = "AGE", help_heading = DEVICES)]
    pub seen_within: Option<Age>,
    /// Format of the manifest
    #[arg(long, value_name = "FORMAT", default_value = "csv", help_heading = OUTPUT, value_parser = one_of(ManifestFormat::ALL, ManifestFormat::name))]
    pub format: ManifestFormat,
    /// Write to this file instead of stdout
    ///
    /// The file is created or replaced only when the list is complete. - is stdout.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
    /// The platform that is asked.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Maximum requests a second: a number such as 25 or 0.5, or unlimited [default: 25] [env: FLEETPUSH_RATE]
    #[arg(long, value_name = "RATE", help_heading = PACE, value_parser = keys::RATE.key.parse)]
    pub rate: Option<Rate>,
    /// Maximum time to wait during an outage of the platform, up to 168h; then the command stops with exit code 3 [default: 30m] [env:
    /// FLEETPUSH_MAX_OUTAGE]
    #[arg(hide_short_help = true, long, value_name = "DURATION", help_heading = PACE, value_parser = keys::MAX_OUTAGE.key.parse)]
    pub max_outage: Option<Duration>,
}
