//! Which manifest, and what holds for all its rows. None of it can stand in a variable or in the config file: what a push sends is to
//! be seen in its command and its manifest.

use std::{
    collections::HashSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{Database, Error, PaceSettings, Push, Rollout, source::Sources};
use crate::{
    cli::{CheckArgs, ManifestArgs, RunArgs, keys},
    model::RepeatAfter,
};

/// `fleetpush run`
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The manifest.
    pub input: ManifestInput,
    /// The run's name, when it is not to be made from the manifest's; always given for a manifest from the standard input.
    pub name: Option<String>,
    /// Whether to push once more what is already complete.
    pub again: bool,
    /// How long after its end a push is made anew.
    pub repeat_after: RepeatAfter,
    /// What becomes of unfinished runs of other versions of the manifest.
    pub other_versions: OtherVersions,
    /// How to push.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

/// What becomes of unfinished runs of other versions of the same manifest when this one is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherVersions {
    /// Nothing: this one is not pushed.
    Refuse,
    /// They are cancelled.
    Supersede,
    /// Nothing: this one is pushed beside them.
    Alongside,
}

/// `fleetpush check`
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// The manifest.
    pub input: ManifestInput,
    /// What the plan reckons with.
    pub pace: PaceSettings,
    /// How the push would begin.
    pub rollout: Rollout,
}

/// A manifest, and how to take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestInput {
    /// The file; `-` is the standard input.
    pub path: PathBuf,
    /// How many rows it must have.
    pub expect_rows: Option<RangeInclusive<u64>>,
    /// Whether bad rows are recorded as failed instead of stopping the run.
    pub skip_invalid: bool,
    /// What holds for rows that do not say.
    pub defaults: ManifestDefaults,
}

/// What holds for rows that do not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ManifestDefaults {
    /// `productKey`.
    pub product_key: Option<String>,
    /// `data`, in one of its two spellings.
    pub data: Option<DefaultData>,
    /// `qos`.
    pub qos: Option<i32>,
    /// `cacheTime` in seconds, together with `isCache`.
    pub cache_seconds: Option<i64>,
    /// `isCover`.
    pub cover: bool,
}

/// The data of rows that give none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DefaultData {
    /// The wire string.
    Wire(String),
    /// A service and its parameters, in the order given and each once.
    Service {
        /// The service's code.
        code: String,
        /// Codes and values.
        params: Vec<(String, String)>,
    },
}

impl Run {
    pub(super) fn resolve(
        args: RunArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let RunArgs {
            manifest,
            name,
            tag,
            again,
            repeat_after,
            supersede,
            alongside,
            push,
            owner,
        } = args;
        let simulated = push.target.simulate.simulate;
        let input = ManifestInput::resolve(manifest)?;
        if input.path == Path::new("-") && name.is_none() {
            return Err(Error::StdinWithoutName);
        }
        Ok(Self {
            input,
            name,
            again,
            repeat_after: sources.get(&keys::REPEAT_AFTER, repeat_after)?,
            other_versions: match (supersede, alongside) {
                (true, _) => OtherVersions::Supersede,
                (false, true) => OtherVersions::Alongside,
                (false, false) => OtherVersions::Refuse,
            },
            push: Push::resolve(push, quiet, sources)?,
            database: Database {
                tags: sources.tags(&tag)?,
                ..Database::resolve(db, simulated, sources)?.owned("run", owner, sources)?
            },
        })
    }
}

impl Check {
    pub(super) fn resolve(args: CheckArgs, sources: &Sources<'_>) -> Result<Self, Error> {
        let CheckArgs {
            manifest,
            pace,
            rollout,
        } = args;
        Ok(Self {
            input: ManifestInput::resolve(manifest)?,
            pace: PaceSettings::resolve(pace, sources)?,
            rollout: Rollout::resolve(rollout, sources)?,
        })
    }
}

impl ManifestInput {
    fn resolve(args: ManifestArgs) -> Result<Self, Error> {
        let ManifestArgs {
            manifest,
            expect_rows,
            skip_invalid,
            product_key,
            data,
            service,
            param,
            qos,
            cache,
            cover,
        } = args;
        let mut codes = HashSet::new();
        if let Some((code, _)) = param.iter().find(|(code, _)| !codes.insert(code.as_str())) {
            return Err(Error::RepeatedParameter { code: code.clone() });
        }
        Ok(Self {
            path: manifest,
            expect_rows,
            skip_invalid,
            defaults: ManifestDefaults {
                product_key,
                data: service
                    .map(|code| DefaultData::Service {
                        code,
                        params: param,
                    })
                    .or(data.map(DefaultData::Wire)),
                qos,
                cache_seconds: cache,
                cover,
            },
        })
    }
}
