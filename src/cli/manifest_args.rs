//! The flags of the commands that read a manifest.

use std::{ops::RangeInclusive, path::PathBuf};

use clap::Args;

use super::{keys, owner_args::OwnerArgs, push_args::PushArgs, values};
use crate::model::{Payload, RepeatAfter, Tags, Tsl};

/// `fleetpush run`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::RUN_EPILOGUE)]
pub struct RunArgs {
    /// The manifest and what holds for all its rows.
    #[command(flatten)]
    pub manifest: ManifestArgs,
    /// The run's name [default: the manifest's file name, a dash and 8 hex digits]
    #[arg(long, value_name = "NAME", value_parser = values::run_name)]
    pub name: Option<String>,
    /// Tag the run, as in team=network; repeat for more tags
    ///
    /// With tags, teams can share a results database. Put the tags into each team's profile of the config file. With that profile, commands
    /// without a run's name use the latest run that has these tags.
    ///
    /// [env: FLEETPUSH_TAG]
    #[arg(hide_short_help = true, long, value_name = "KEY=VALUE", value_parser = keys::TAG.parse)]
    pub tag: Vec<Tags>,
    /// Push a manifest again although its run has ended, as a new run NAME-2
    #[arg(long)]
    pub again: bool,
    /// Push again if the last push ended this long ago [default: never]
    ///
    /// Pushes the same manifest as a new run NAME-2. For a nightly push, give less than the time from the end of one push to the start of the
    /// next, for example 12h.
    ///
    /// [env: FLEETPUSH_REPEAT_AFTER]
    #[arg(long, value_name = "DURATION", help_heading = "Schedule", value_parser = keys::REPEAT_AFTER.key.parse)]
    pub repeat_after: Option<RepeatAfter>,
    /// Cancel unfinished runs of other versions of this manifest, and push this one
    #[arg(hide_short_help = true, long)]
    pub supersede: bool,
    /// Push this version of the manifest, and keep unfinished runs of other versions
    #[arg(hide_short_help = true, long, conflicts_with = "supersede")]
    pub alongside: bool,
    /// Divide the run into this many parts, 1 to 1024, for several workers; needs a PostgreSQL server
    ///
    /// Each part is a range of devices. With a canary, the canary goes first, and the others are divided when it has passed. This process then
    /// works like `worker`, on this run alone, and ends when the run has ended. Start `worker` on other machines to push parts at the same time.
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "PARTS", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub parts: Option<u32>,
    /// What comes before it.
    #[command(flatten)]
    pub before: BeforeArgs,
    /// How to push.
    #[command(flatten)]
    pub push: PushArgs,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}

/// What comes before a push.
#[derive(Debug, Args)]
pub struct BeforeArgs {
    /// Skip rows whose payload is the one that the device accepted last, according to the results database
    ///
    /// Use this for settings, not for actions such as a restart. A row is skipped if the last command that the device accepted for the
    /// service had the same payload, and no later command can have reached the device. All other rows are sent.
    #[arg(hide_short_help = true, long)]
    pub skip_unchanged: bool,
    /// Show what the push would send, as `check` does; send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation of a new run of more than 1,000 devices; without a terminal, fleetpush never asks
    #[arg(hide_short_help = true, long)]
    pub yes: bool,
}

/// `fleetpush check`: what `run` takes, so that a command can be checked by another word in its place.
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::CHECK_EPILOGUE)]
pub struct CheckArgs {
    /// What would be run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// A manifest, and what holds for all its rows.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, each named on the command line"
)]
pub struct ManifestArgs {
    /// CSV with a header or JSONL, plain, .gz or .zst; - is stdin
    pub manifest: PathBuf,
    /// Refuse the manifest unless it has this many rows: 1000, or 900-1100
    #[arg(hide_short_help = true, long, value_name = "N|MIN-MAX", value_parser = values::expected_rows)]
    pub expect_rows: Option<RangeInclusive<u64>>,
    /// Record bad rows as failed, class invalid, and push the others
    #[arg(long)]
    pub skip_invalid: bool,
    /// Check each payload against a thing model: a JSON file exported from the platform, or `fetch`; repeat for more products
    ///
    /// If the platform would refuse a payload, its row is a bad row, reported with the platform's code and the allowed values. A file
    /// applies to the product that it names, or to all products if it names none. PRODUCT=FILE sets the product. `fetch` fetches the models
    /// of the other products from the platform and stores them in the folder DATABASE.tsl. If the platform does not answer, fleetpush uses
    /// the stored model and prints its age. Parts of a model that fleetpush does not understand give a warning and are not checked.
    #[arg(hide_short_help = true, long, value_name = "[PRODUCT=]FILE|fetch")]
    pub tsl: Vec<Tsl>,
    /// Compare the rows with the platform's device list before anything is sent
    ///
    /// A row is an error if the device is unknown, belongs to another product, or has the data format raw. A row gives a warning if the device
    /// is offline or has never been activated. The list is read once, when the manifest is staged, at the rate of --rate.
    #[arg(hide_short_help = true, long)]
    pub inventory: bool,
    /// With --inventory: record rows with errors as failed, class invalid, and push the others
    #[arg(hide_short_help = true, long, requires = "inventory")]
    pub skip_unknown: bool,
    /// The product key for rows without one
    #[arg(long, value_name = "KEY", help_heading = PAYLOAD, value_parser = values::not_empty)]
    pub product_key: Option<String>,
    /// The data for rows without one: the wire string, for example '[{"fuwu":[{"raw1":"AA"}]}]'
    #[arg(hide_short_help = true, long, value_name = "JSON", help_heading = PAYLOAD, conflicts_with = "service", value_parser = values::not_empty)]
    pub data: Option<String>,
    /// The service for rows without one
    #[arg(long, value_name = "CODE", help_heading = PAYLOAD, value_parser = values::not_empty)]
    pub service: Option<String>,
    /// A parameter of that service, for rows that do not have it; repeat for more
    #[arg(long, value_name = "CODE=VALUE", help_heading = PAYLOAD, requires = "service", value_parser = values::parameter)]
    pub param: Vec<(String, String)>,
    /// The QoS level for rows without one, 0 to 2 [default: omitted, the platform uses 1]
    #[arg(hide_short_help = true, long, value_name = "LEVEL", help_heading = PAYLOAD, value_parser = |text: &str| values::whole(text, *Payload::QOS.start(), *Payload::QOS.end()))]
    pub qos: Option<i32>,
    /// How long the platform keeps a command for an offline device (isCache and cacheTime), at least 1 [default: omitted, the platform does
    /// not keep it]
    #[arg(hide_short_help = true, long, value_name = "SECONDS", help_heading = PAYLOAD, value_parser = |text: &str| values::whole(text, 1, i64::from(u32::MAX)))]
    pub cache: Option<i64>,
    /// Overwrite data sent before (isCover) [default: omitted, the platform does not overwrite]
    #[arg(hide_short_help = true, long, help_heading = PAYLOAD)]
    pub cover: bool,
}

const PAYLOAD: &str = "Payload, for rows without one";
