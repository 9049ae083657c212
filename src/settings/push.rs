//! How to push.

use std::{path::PathBuf, time::Duration};

use super::{
    Credentials, Error, Listening, Rollout, Verifying,
    source::{Found, Origin, Sources},
};
use crate::{
    cli::{PaceArgs, PushArgs, RecoveryArgs, ScheduleArgs, TargetArgs, keys},
    model::{
        AbortIf, AfterFailure, CanaryVerify, DeviceRate, InDoubt, Language, ProgressMode, Rate,
        Region, Schedule, SummaryFormat, Tolerate,
    },
};

/// Everything that `run`, `resume` and `retry` share.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    /// Where the push goes.
    pub target: Target,
    /// The language of the platform's messages.
    pub language: Language,
    /// How long the network may take.
    pub timeouts: Timeouts,
    /// How fast it goes.
    pub pace: PaceSettings,
    /// How it begins.
    pub rollout: Rollout,
    /// What follows when something fails.
    pub recovery: Recovery,
    /// When it may send.
    pub schedule: Schedule,
    /// The messages that are received meanwhile, if any.
    pub listening: Option<Listening>,
    /// What is found out after it, if anything.
    pub verifying: Option<Verifying>,
    /// How the canary's commands are asked about, if they are.
    pub verifying_canary: Verifying,
    /// Whether what is older than what a device has accepted since goes out without a question.
    pub allow_stale: bool,
    /// Whether a run goes on with another account than the one that it was begun with.
    pub accept_account: bool,
    /// The form of the summary.
    pub summary_format: SummaryFormat,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// Where metrics are written, if anywhere.
    pub metrics_file: Option<PathBuf>,
    /// Where a page about the run is written at the end, if anywhere; `{run}` stands for its name.
    pub report: Option<PathBuf>,
}

/// Where a push goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A simulator inside the process.
    Simulator,
    /// A platform.
    Platform {
        /// Its base URL, as it was given; the gateway checks it.
        base_url: String,
        /// Whether a plain `http://` URL of another host is taken.
        insecure_http: bool,
        /// Who pushes.
        credentials: Credentials,
    },
}

/// How long the network may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Until a connection is made.
    pub connect: Duration,
    /// From the beginning of a request to the end of its reply.
    pub request: Duration,
}

/// How fast a push goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PaceSettings {
    /// The most devices in one request, at least 1.
    pub chunk_size: u32,
    /// The most requests in flight, at least 1.
    pub concurrency: u32,
    /// The most requests a second.
    pub rate: Rate,
    /// The most devices a second.
    pub device_rate: DeviceRate,
}

/// What follows when something fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// The most attempts of one task, the first included, at least 1.
    pub max_attempts: u32,
    /// The longest that a throttled task is put off, all its snoozes together.
    pub max_snooze: Duration,
    /// The longest outage that is waited for.
    pub max_outage: Duration,
    /// Whether somebody has set that.
    pub max_outage_is_set: bool,
    /// How long a stop waits for requests in flight.
    pub drain_timeout: Duration,
    /// What follows a send in doubt.
    pub in_doubt: InDoubt,
    /// What follows for a device's later tasks when one has failed.
    pub after_failure: AfterFailure,
    /// When the run is aborted.
    pub abort_if: AbortIf,
    /// Whether a run that was aborted goes on.
    pub override_abort: bool,
    /// What a complete run may have come to and still count as a success.
    pub tolerate: Tolerate,
    /// How often an offline device is tried again.
    pub retry_offline: u32,
    /// How long to wait before an offline device is tried again.
    pub offline_delay: Duration,
}

impl Push {
    pub(super) fn resolve(
        args: PushArgs,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let PushArgs {
            target,
            pace,
            rollout,
            recovery,
            schedule,
            messages,
            verifying,
            allow_stale,
            format,
            progress,
            metrics_file,
            report,
        } = args;
        let ScheduleArgs { until, window } = schedule;
        let TargetArgs {
            region,
            base_url,
            simulate,
            insecure_http,
            language,
            connect_timeout,
            request_timeout,
            accept_account,
        } = target;
        let rollout = Rollout::resolve(rollout, &verifying, sources)?;
        let recovery = Recovery::resolve(recovery, sources)?;
        let proves = rollout.proof.verify.and_then(CanaryVerify::time).is_some();
        if proves && recovery.abort_if == AbortIf::NEVER {
            return Err(Error::ProofWithoutConditions);
        }
        let progress = sources.get_found(&keys::PROGRESS, progress)?;
        let metrics_file = sources
            .find(&keys::METRICS_FILE, metrics_file)?
            // What a variable or the config file names tells of a platform; a push to the simulator is no success there.
            .filter(|found| !simulate.simulate || found.origin == Origin::Flag)
            .map(Found::into_path);
        let target = if simulate.simulate {
            Target::Simulator
        } else {
            Target::Platform {
                base_url: base_url_of(region, base_url, sources)?,
                insecure_http: sources.get(&keys::INSECURE_HTTP, insecure_http.then_some(true))?,
                credentials: Credentials::resolve(sources)?,
            }
        };
        let listening = Listening::resolve(messages, &target, sources)?;
        let queue = listening.as_ref().map(|listening| listening.queue.clone());
        Ok(Self {
            target,
            listening,
            language: sources.get(&keys::LANGUAGE, language)?,
            timeouts: Timeouts {
                connect: sources.get(&keys::CONNECT_TIMEOUT, connect_timeout)?,
                request: sources.get(&keys::REQUEST_TIMEOUT, request_timeout)?,
            },
            pace: PaceSettings::resolve(pace, sources)?,
            rollout,
            recovery,
            schedule: Schedule {
                until: sources.get(&keys::UNTIL, until)?,
                window: sources.get(&keys::WINDOW, window)?,
            },
            verifying_canary: Verifying::of_canary(verifying.clone(), proves, queue.clone())?,
            verifying: Verifying::resolve(verifying, queue),
            allow_stale,
            accept_account,
            summary_format: format.unwrap_or(SummaryFormat::Text),
            progress: match progress {
                Found { value, origin } if !quiet || origin == Origin::Flag => value,
                _ => ProgressMode::None,
            },
            metrics_file,
            report: sources.find(&keys::REPORT, report)?.map(Found::into_path),
        })
    }
}

/// Which platform is meant, without who pushes to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A simulator inside the process.
    Simulator,
    /// A platform.
    Platform {
        /// Its base URL, as it was given.
        base_url: String,
        /// Whether a plain `http://` URL of another host is taken.
        insecure_http: bool,
    },
}

impl Target {
    /// Which platform it is.
    pub(crate) fn destination(&self) -> Destination {
        match self {
            Self::Simulator => Destination::Simulator,
            Self::Platform {
                base_url,
                insecure_http,
                credentials: _,
            } => Destination::Platform {
                base_url: base_url.clone(),
                insecure_http: *insecure_http,
            },
        }
    }
}

impl Destination {
    /// The one that is named, if one is.
    pub(super) fn resolve(args: TargetArgs, sources: &Sources<'_>) -> Result<Option<Self>, Error> {
        let TargetArgs {
            region,
            base_url,
            simulate,
            insecure_http,
            language: _,
            connect_timeout: _,
            request_timeout: _,
            accept_account: _,
        } = args;
        if simulate.simulate {
            return Ok(Some(Self::Simulator));
        }
        let base_url = match base_url_of(region, base_url, sources) {
            Ok(base_url) => base_url,
            Err(Error::NoTarget) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self::Platform {
            base_url,
            insecure_http: sources.get(&keys::INSECURE_HTTP, insecure_http.then_some(true))?,
        }))
    }
}

/// The base URL that is named by the strongest source, as a region or as a URL.
fn base_url_of(
    region: Option<Region>,
    base_url: Option<String>,
    sources: &Sources<'_>,
) -> Result<String, Error> {
    let region = sources.find(&keys::REGION, region)?;
    let base_url = sources.find(&keys::BASE_URL, base_url)?;
    match (region, base_url) {
        (None, None) => Err(Error::NoTarget),
        (Some(region), None) => Ok(region.value.base_url().to_owned()),
        (None, Some(base_url)) => Ok(base_url.value),
        (Some(region), Some(base_url)) => {
            match region.origin.strength().cmp(&base_url.origin.strength()) {
                std::cmp::Ordering::Greater => Ok(region.value.base_url().to_owned()),
                std::cmp::Ordering::Less => Ok(base_url.value),
                std::cmp::Ordering::Equal => Err(Error::TwoTargets {
                    region: region.origin,
                    base_url: base_url.origin,
                }),
            }
        }
    }
}

impl PaceSettings {
    pub(super) fn resolve(args: PaceArgs, sources: &Sources<'_>) -> Result<Self, Error> {
        let PaceArgs {
            chunk_size,
            concurrency,
            rate,
            device_rate,
        } = args;
        Ok(Self {
            chunk_size: sources.get(&keys::CHUNK_SIZE, chunk_size)?,
            concurrency: sources.get(&keys::CONCURRENCY, concurrency)?,
            rate: sources.get(&keys::RATE, rate)?,
            device_rate: sources.get(&keys::DEVICE_RATE, device_rate)?,
        })
    }
}

impl Recovery {
    pub(super) fn resolve(args: RecoveryArgs, sources: &Sources<'_>) -> Result<Self, Error> {
        let RecoveryArgs {
            max_attempts,
            max_snooze,
            max_outage,
            drain_timeout,
            in_doubt,
            after_failure,
            abort_if,
            override_abort,
            tolerate,
            retry_offline,
            offline_delay,
        } = args;
        let max_outage = sources.get_found(&keys::MAX_OUTAGE, max_outage)?;
        Ok(Self {
            max_attempts: sources.get(&keys::MAX_ATTEMPTS, max_attempts)?,
            max_snooze: sources.get(&keys::MAX_SNOOZE, max_snooze)?,
            max_outage_is_set: max_outage.origin != Origin::Default,
            max_outage: max_outage.value,
            drain_timeout: sources.get(&keys::DRAIN_TIMEOUT, drain_timeout)?,
            in_doubt: sources.get(&keys::IN_DOUBT, in_doubt)?,
            after_failure: sources.get(&keys::AFTER_FAILURE, after_failure)?,
            abort_if: sources.get_repeated(&keys::ABORT_IF, &abort_if)?,
            override_abort,
            tolerate: sources.get_repeated(&keys::TOLERATE, &tolerate)?,
            retry_offline: sources.get(&keys::RETRY_OFFLINE, retry_offline)?,
            offline_delay: sources.get(&keys::OFFLINE_DELAY, offline_delay)?,
        })
    }
}
