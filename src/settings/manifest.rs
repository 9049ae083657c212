//! Which manifest, and what holds for all its rows. None of it can stand in a variable or in the config file: what a push sends is to
//! be seen in its command and its manifest.

use std::{
    collections::HashSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{
    Database, Destination, Error, PaceSettings, Push, Rollout, push::Recovery, query::asking,
    source::Sources,
};
use crate::{
    cli::{BeforeArgs, ManifestArgs, PaceArgs, PushArgs, RunArgs, TargetArgs, keys},
    model::{RepeatAfter, SummaryFormat, Tsl},
};

/// `fleetpush run`
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub input: ManifestInput,
    /// The run's name, when it is not to be made from the manifest's; always given for a manifest from the standard input.
    pub name: Option<String>,
    /// Whether to push once more what is already complete.
    pub again: bool,
    /// How long after its end a push is made anew.
    pub repeat_after: RepeatAfter,
    /// What becomes of unfinished runs of other versions of the manifest.
    pub other_versions: OtherVersions,
    /// Whether rows are skipped whose devices have accepted the same last.
    pub skip_unchanged: bool,
    /// Whether a large push goes without a question.
    pub yes: bool,
    /// Into how many parts the run is divided for several workers, if it is.
    pub parts: Option<u32>,
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
    pub input: ManifestInput,
    /// What the plan reckons with.
    pub pace: PaceSettings,
    /// How the push would begin.
    pub rollout: Rollout,
    /// The form of the report.
    pub format: SummaryFormat,
    /// The push that is meant, when it is known where to and under which name.
    pub asked: Option<AskedPush>,
}

/// A push as far as it decides what `run` does with a results database.
#[derive(Debug, Clone)]
pub(crate) struct AskedPush {
    /// Where to.
    pub destination: Destination,
    /// The run's name, when it is not to be made from the manifest's.
    pub name: Option<String>,
    /// Whether to push once more what is already complete.
    pub again: bool,
    /// Whether to continue what was aborted.
    pub override_abort: bool,
    /// How long after its end a push is made anew.
    pub repeat_after: RepeatAfter,
    /// What becomes of unfinished runs of other versions of the manifest.
    pub other_versions: OtherVersions,
    /// Whether rows are skipped whose devices have accepted the same last.
    pub skip_unchanged: bool,
    /// The results database.
    pub database: Database,
}

/// The platform that is asked for thing models, and where they are kept.
#[derive(Debug, Clone)]
pub(crate) struct FetchFrom {
    /// How it is reached.
    pub push: Push,
    /// The database file beside which they are kept; with one on a server they are not.
    pub database: Option<PathBuf>,
}

/// A manifest, and how to take it.
#[derive(Debug, Clone)]
pub(crate) struct ManifestInput {
    /// The file; `-` is the standard input.
    pub path: PathBuf,
    /// How many rows it must have.
    pub expect_rows: Option<RangeInclusive<u64>>,
    /// Whether bad rows are recorded as failed instead of stopping the run.
    pub skip_invalid: bool,
    /// The thing models that payloads have to fit.
    pub tsl: Vec<Tsl>,
    /// Whether rows are held against the platform's device list, and how.
    pub inventory: Option<Comparison>,
    /// The platform that is asked for models and devices, if one is.
    pub fetch: Option<Box<FetchFrom>>,
    /// What holds for rows that do not say.
    pub defaults: ManifestDefaults,
}

/// How rows are held against the platform's device list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Whether rows that it speaks against are recorded as failed instead of stopping the run.
    pub skip_unknown: bool,
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
            parts,
            before,
            push,
            owner,
        } = args;
        let BeforeArgs {
            // Then it is a check.
            dry_run: _,
            skip_unchanged,
            yes,
        } = before;
        let mut input = ManifestInput::resolve(manifest)?;
        if input.path == Path::new("-") && name.is_none() {
            return Err(Error::StdinWithoutName);
        }
        let push = Push::resolve(push, quiet, sources)?;
        let database = Database {
            tags: sources.tags(&tag)?,
            ..Database::of_push(db, &push, "run", owner, sources)?
        };
        if parts.is_some() {
            database.must_be_on_server_for("--parts")?;
        }
        if input.asks_platform() {
            input.fetch = Some(Box::new(FetchFrom {
                push: push.clone(),
                database: database.file().ok().map(Path::to_owned),
            }));
        }
        Ok(Self {
            input,
            name,
            again,
            repeat_after: sources.get(&keys::REPEAT_AFTER, repeat_after)?,
            other_versions: OtherVersions::of(supersede, alongside),
            skip_unchanged,
            yes,
            parts,
            push,
            database,
        })
    }
}

impl OtherVersions {
    fn of(supersede: bool, alongside: bool) -> Self {
        match (supersede, alongside) {
            (true, _) => Self::Supersede,
            (false, true) => Self::Alongside,
            (false, false) => Self::Refuse,
        }
    }
}

impl Check {
    /// From the arguments of `run`, of which those that only matter while something is sent are left aside.
    pub(super) fn resolve(
        args: RunArgs,
        db: Option<PathBuf>,
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
            parts: _,
            before,
            push,
            owner: _,
        } = args;
        let BeforeArgs {
            skip_unchanged,
            dry_run: _,
            yes: _,
        } = before;
        let PushArgs {
            target,
            pace,
            rollout,
            recovery,
            schedule: _,
            messages: _,
            verifying,
            allow_stale: _,
            format,
            progress: _,
            metrics_file: _,
            report: _,
        } = push;
        let mut input = ManifestInput::resolve(manifest)?;
        let simulated = target.simulate.simulate;
        if input.asks_platform() {
            let fetch = FetchFrom::resolve(target.clone(), pace, db.clone(), sources)?;
            input.fetch = Some(Box::new(fetch));
        }
        let has_name = name.is_some() || input.path != Path::new("-");
        let asked = match Destination::resolve(target, sources)? {
            Some(destination) if has_name => Some(AskedPush {
                destination,
                name,
                again,
                override_abort: Recovery::resolve(recovery, sources)?.override_abort,
                repeat_after: sources.get(&keys::REPEAT_AFTER, repeat_after)?,
                other_versions: OtherVersions::of(supersede, alongside),
                skip_unchanged,
                database: Database {
                    tags: sources.tags(&tag)?,
                    ..Database::anywhere(db, simulated, sources)?
                },
            }),
            _ => None,
        };
        Ok(Self {
            input,
            pace: PaceSettings::resolve(pace, sources)?,
            rollout: Rollout::resolve(rollout, &verifying, sources)?,
            format: format.unwrap_or(SummaryFormat::Text),
            asked,
        })
    }
}

impl FetchFrom {
    /// For a command that sends nothing.
    pub(super) fn resolve(
        target: TargetArgs,
        pace: PaceArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let simulated = target.simulate.simulate;
        let push = asking(target, pace, None);
        Ok(Self {
            push: Push::resolve(push, true, sources)?,
            database: Database::anywhere(db, simulated, sources)?
                .file()
                .ok()
                .map(Path::to_owned),
        })
    }
}

impl ManifestInput {
    /// Whether something about it is asked of the platform.
    fn asks_platform(&self) -> bool {
        self.tsl.contains(&Tsl::Fetch) || self.inventory.is_some()
    }

    fn resolve(args: ManifestArgs) -> Result<Self, Error> {
        let ManifestArgs {
            manifest,
            expect_rows,
            skip_invalid,
            tsl,
            inventory,
            skip_unknown,
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
            tsl,
            inventory: inventory.then_some(Comparison { skip_unknown }),
            fetch: None,
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
