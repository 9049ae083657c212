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
    /// Tag the run, as in team=network; repeat it for more tags
    ///
    /// Teams that share a results database tell their runs apart by tags. Put the tags into each team's profile of the config file:
    /// commands of that profile without a run's name then mean the latest run with these tags.
    ///
    /// [env: FLEETPUSH_TAG]
    #[arg(hide_short_help = true, long, value_name = "KEY=VALUE", value_parser = keys::TAG.parse)]
    pub tag: Vec<Tags>,
    /// Push again what is complete, as a new run NAME-2
    #[arg(long)]
    pub again: bool,
    /// Push again what has been complete for so long [default: never]
    ///
    /// Pushes the same manifest anew, as a run NAME-2, when the last push of it became complete or was cancelled longer ago than this.
    /// For a push every night, give less than the time from the end of one night's push to the start of the next: 12h.
    ///
    /// [env: FLEETPUSH_REPEAT_AFTER]
    #[arg(long, value_name = "DURATION", help_heading = "Schedule", value_parser = keys::REPEAT_AFTER.key.parse)]
    pub repeat_after: Option<RepeatAfter>,
    /// Cancel unfinished runs of other versions of this manifest, and push this one
    #[arg(hide_short_help = true, long)]
    pub supersede: bool,
    /// Push this version of the manifest beside unfinished runs of other versions
    #[arg(hide_short_help = true, long, conflicts_with = "supersede")]
    pub alongside: bool,
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
    /// Skip rows whose device has accepted the same last, as recorded in the results database
    ///
    /// For settings, and not for actions such as a restart. A row is skipped when the last command that the device accepted for the
    /// service had the same payload, and nothing since may have reached the device. Other rows are sent.
    #[arg(hide_short_help = true, long)]
    pub skip_unchanged: bool,
    /// Show what would be sent and done, as `check` does; send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; at a terminal, a new run for more than 1,000 devices shows its plan and asks
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
    /// Check each payload against a thing model: the platform's export of it, a JSON file, or `fetch`; repeat for more products
    ///
    /// A payload that the platform would refuse makes its row a bad one, with the platform's code and what is allowed. A file is for the
    /// product that it names itself, or else for all products; PRODUCT=FILE says for which. `fetch` asks the platform for the model of each
    /// product without a file and keeps it in the folder DATABASE.tsl; when the platform does not answer, the kept one is used, and its age
    /// is told. What is not understood of a model is told, and refuses nothing.
    #[arg(hide_short_help = true, long, value_name = "[PRODUCT=]FILE|fetch")]
    pub tsl: Vec<Tsl>,
    /// Compare the rows with the platform's device list before anything is sent
    ///
    /// A device that its product does not have, that belongs to another product, or whose data format is raw, is an error with its line.
    /// One that is offline, or has never been activated, is a warning. The list is read once, when the manifest is staged, at --rate.
    #[arg(hide_short_help = true, long)]
    pub inventory: bool,
    /// With --inventory: record rows that the device list speaks against as failed, class invalid, and push the others
    #[arg(hide_short_help = true, long, requires = "inventory")]
    pub skip_unknown: bool,
    /// The product key of rows that give none
    #[arg(long, value_name = "KEY", help_heading = PAYLOAD, value_parser = values::not_empty)]
    pub product_key: Option<String>,
    /// The data of rows that give none: the wire string, for example '[{"fuwu":[{"raw1":"AA"}]}]'
    #[arg(hide_short_help = true, long, value_name = "JSON", help_heading = PAYLOAD, conflicts_with = "service", value_parser = values::not_empty)]
    pub data: Option<String>,
    /// The service that rows without one call
    #[arg(long, value_name = "CODE", help_heading = PAYLOAD, value_parser = values::not_empty)]
    pub service: Option<String>,
    /// A parameter of that service, for rows without it; repeat for more
    #[arg(long, value_name = "CODE=VALUE", help_heading = PAYLOAD, requires = "service", value_parser = values::parameter)]
    pub param: Vec<(String, String)>,
    /// The QoS level of rows that give none, 0 to 2 [default: left out, the platform takes 1]
    #[arg(hide_short_help = true, long, value_name = "LEVEL", help_heading = PAYLOAD, value_parser = |text: &str| values::whole(text, *Payload::QOS.start(), *Payload::QOS.end()))]
    pub qos: Option<i32>,
    /// How long the platform keeps a command for a device that is offline (isCache and cacheTime), at least 1 [default: left out,
    /// the platform keeps none]
    #[arg(hide_short_help = true, long, value_name = "SECONDS", help_heading = PAYLOAD, value_parser = |text: &str| values::whole(text, 1, i64::from(u32::MAX)))]
    pub cache: Option<i64>,
    /// Let a command overwrite data sent before (isCover) [default: left out, the platform does not]
    #[arg(hide_short_help = true, long, help_heading = PAYLOAD)]
    pub cover: bool,
}

const PAYLOAD: &str = "Payload, for rows that do not say";
