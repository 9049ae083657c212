//! The JSON object of a run, for the summary of a push and for `status`. The published schema, `docs/summary.schema.json`, is made from the
//! types in this file. Their comments are its descriptions.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{RunActivity, RunReport};
use crate::{
    model::{CanaryVerdict, Class, Counts, Timestamp},
    ui::{next::suggestions, printer::OutputError, text::clean_json},
};

/// The version of the JSON object. It changes when a key changes its meaning or goes away, not when one is added.
const SCHEMA: u32 = 1;

/// The one line that `fleetpush run`, `resume` and `retry` print on stdout with `--format json`, and, without the keys `tolerance` and
/// `session`, that `status --format jsonl` prints. It is printed when a run is known: complete, stopped, aborted, refused, or with nothing
/// to send. When the command fails before or beside its push (exit code 2 while the manifest is staged, 3 outside the window or after
/// `--until`, 6, 7, and signals before anything is staged), and when the run has been pruned, stdout stays empty: the exit code and stderr
/// tell why. Keys may be added without a new version; `schema` changes when a key changes its meaning or goes away.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "Summary of a push"))]
pub(crate) struct RunObject {
    /// The version of this form.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    schema: u32,
    run: Run,
    /// Tasks by state; `accepted + failed + in_doubt + skipped + pending = tasks`. `pending` includes `snoozing` and `in_flight`.
    counts: Counts,
    /// The canary of the run; null when it has none.
    canary: Option<Canary>,
    /// The parts of the run; absent unless it has been divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Parts"))]
    parts: Option<Parts>,
    /// How tasks have ended, the largest groups of a state first.
    endings: Vec<Ending>,
    /// Accepted tasks by what became of their commands, as far as evidence says: `unknown`, `queued`, `sent`, `send_failed`, `expired`,
    /// `answered`, `answer_failed`. They add up to the accepted ones; a word without tasks is left out.
    #[cfg_attr(test, schemars(schema_with = "tests::tasks_by_delivery"))]
    delivery: Map<String, Value>,
    /// Sends without a readable reply that were sent again, or will be: these devices may have got the command twice.
    resends_in_doubt: u64,
    /// Other sends that did not settle their task, by class: throttled or temporarily refused. Those tasks were sent again, or will be.
    #[cfg_attr(test, schemars(schema_with = "tests::sends_by_class"))]
    sends_again: Map<String, Value>,
    /// When the first waiting task becomes due.
    next_due: Option<Time>,
    /// When the last waiting task becomes due.
    latest_due: Option<Time>,
    /// Commands that may be typed next, the most useful first.
    next: Vec<String>,
    #[serde(flatten)]
    activity: Option<ActivityObject>,
    /// The tasks broken down, for each dimension of `--by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Vec<Breakdown>"))]
    pub(crate) by: Option<Vec<Breakdown>>,
    #[serde(flatten)]
    pub(in crate::ui) push: Option<PushObject>,
}

/// What only the summary of a push has.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::ui) struct PushObject {
    /// How the run stands to `--tolerate`; null without it, and when the run is not complete.
    pub(in crate::ui) tolerance: Option<ToleranceObject>,
    /// What this invocation did; null when there was nothing to send.
    pub(in crate::ui) session: Option<SessionObject>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Run {
    /// `run` in the views of the database.
    #[cfg_attr(test, schemars(range(min = 1)))]
    number: i64,
    name: String,
    /// The manifest as it was named.
    manifest: String,
    /// The platform's base URL, or the word `simulator`.
    target: String,
    /// The absolute path of the results database.
    database: String,
    #[cfg_attr(test, schemars(schema_with = "tests::run_states"))]
    state: &'static str,
    created_at: Time,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    /// The user who paused the run; null when it is not paused.
    paused_by: Option<String>,
    paused_at: Option<Time>,
    /// The user who cancelled the run.
    cancelled_by: Option<String>,
}

/// UTC, as in the views of the database: 2026-11-22T19:02:29.123Z.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("format" = "date-time")))]
struct Time(String);

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Parts {
    /// How many there are, with what was sent before the run was divided.
    count: u64,
    complete: u64,
    /// The processes that push one of them.
    workers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Canary {
    devices: u64,
    ended: u64,
    /// Whether it was good, so that the other devices may go.
    passed: bool,
    /// How it was judged: `passed`; `failed`, with nothing left to hold back; `overridden`: it was not good, and the other devices go
    /// because of `--override-abort`. Null as long as it has not been judged.
    #[cfg_attr(test, schemars(schema_with = "tests::verdicts"))]
    verdict: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Ending {
    #[cfg_attr(test, schemars(schema_with = "tests::end_states"))]
    state: &'static str,
    /// The class of the outcome, as in the view `results`; null for what was skipped.
    class: Option<&'static str>,
    /// The platform's code that decided.
    code: Option<i64>,
    /// What the code means, when it is known.
    text: Option<&'static str>,
    tasks: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ActivityObject {
    /// Only from `status`, as all keys up to `by`: whether a process works on the run; null when that cannot be found out.
    alive: Option<bool>,
    /// The process that works on the run.
    process: Option<ProcessObject>,
    /// The push sends nothing, because the platform does not answer.
    outage: Option<OutageObject>,
    /// About how long the push will take.
    seconds_left: Option<f64>,
    /// What all sessions of the run have spent their time on.
    spent_ms: SpentObject,
    /// Sessions that have sent something.
    sessions: u64,
    /// How long requests took that were answered; null when there are none.
    latency_ms: Option<LatencyObject>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ProcessObject {
    #[cfg_attr(test, schemars(range(min = 1)))]
    pid: i64,
    /// Its machine; null when it is this one.
    host: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OutageObject {
    since: Time,
    reason: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SpentObject {
    staging: u64,
    canary: u64,
    sending: u64,
    paused: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LatencyObject {
    requests: u64,
    p50: u64,
    p95: u64,
    p99: u64,
    worst: u64,
}

/// The tasks of a run by the values of one dimension.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Breakdown {
    pub(crate) by: String,
    pub(crate) groups: Vec<GroupObject>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GroupObject {
    /// Null for tasks that have none.
    pub(crate) value: Option<String>,
    /// What the value stands for.
    pub(crate) text: Option<String>,
    pub(crate) tasks: u64,
    pub(crate) accepted: u64,
    pub(crate) failed: u64,
    pub(crate) in_doubt: u64,
    pub(crate) skipped: u64,
    pub(crate) pending: u64,
    pub(crate) shares: Shares,
}

/// Parts of a group's tasks, from 0 to 1.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Shares {
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub(crate) accepted: f64,
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub(crate) failed: f64,
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub(crate) in_doubt: f64,
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub(crate) pending: f64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::ui) struct ToleranceObject {
    /// Whether all that went wrong is tolerated.
    pub(in crate::ui) kept: bool,
    pub(in crate::ui) limits: Vec<LimitObject>,
    /// What went wrong and has no limit.
    pub(in crate::ui) unlimited: Vec<ClassObject>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::ui) struct LimitObject {
    /// The limit as it would be typed.
    pub(in crate::ui) limit: String,
    pub(in crate::ui) tasks: u64,
    pub(in crate::ui) of: u64,
    pub(in crate::ui) kept: bool,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::ui) struct ClassObject {
    pub(in crate::ui) class: &'static str,
    pub(in crate::ui) tasks: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::ui) struct SessionObject {
    /// Why it ended, as a word: `complete`, `signal`, `paused`, `cancelled`, `deadline`, `canary`, `unproved`, `outage`, `overtaken`, `aborted`, `refused`. More
    /// words may come.
    pub(in crate::ui) stop: &'static str,
    /// What was said or counted, for a person.
    pub(in crate::ui) reason: Option<String>,
    /// The part of a careful start that it ended in: `canary`, `ramp` or `rest`.
    pub(in crate::ui) phase: &'static str,
    /// How long it took, staging left out.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub(in crate::ui) seconds: f64,
    /// Tasks that ended in it.
    pub(in crate::ui) ended: u64,
    /// Tasks that it sent, each counted once.
    pub(in crate::ui) sent: Option<u64>,
    /// Tasks that became accepted in it.
    pub(in crate::ui) accepted: Option<u64>,
    /// Tasks that failed in it.
    pub(in crate::ui) failed: Option<u64>,
    /// Tasks that ended in doubt in it.
    pub(in crate::ui) in_doubt: Option<u64>,
    /// Requests that were answered or lost in it.
    pub(in crate::ui) requests: u64,
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub(in crate::ui) devices_per_second: f64,
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub(in crate::ui) requests_per_second: f64,
    /// What the platform has been found to take; null when it has refused nothing.
    pub(in crate::ui) found_requests_per_second: Option<f64>,
}

impl RunObject {
    /// The object in one line.
    pub(crate) fn line(&self) -> Result<String, OutputError> {
        let line = serde_json::to_string(self).map_err(std::io::Error::from)?;
        Ok(clean_json(&line).into_owned())
    }
}

impl RunReport {
    /// The report as programs get it; times as the views give them.
    pub(crate) fn object(&self) -> RunObject {
        let time = |time: Timestamp| Time(time.to_string());
        let endings = self.endings.iter().map(|ending| Ending {
            state: ending.state.name(),
            class: ending.class.map(Class::name),
            code: ending.code,
            text: ending.text,
            tasks: ending.tasks,
        });
        let deliveries = self
            .deliveries
            .iter()
            .map(|(delivery, tasks)| (delivery.name().to_owned(), json!(tasks)));
        let sends_again = self
            .sends_again
            .iter()
            .map(|(class, sends)| (class.name().to_owned(), json!(sends)));
        RunObject {
            schema: SCHEMA,
            run: Run {
                number: self.number.0,
                name: self.name.clone(),
                manifest: self.manifest.clone(),
                target: self.target.clone(),
                database: self.database.to_string_lossy().into_owned(),
                state: self.state.name(),
                created_at: time(self.created_at),
                started_at: self.started_at.map(time),
                finished_at: self.finished_at.map(time),
                paused_by: self.paused.as_ref().map(|paused| paused.by.clone()),
                paused_at: self.paused.as_ref().map(|paused| time(paused.at)),
                cancelled_by: self.cancelled_by.clone(),
            },
            counts: self.counts,
            canary: self.canary.map(|canary| Canary {
                devices: canary.devices,
                ended: canary.ended,
                passed: canary.verdict == Some(CanaryVerdict::Passed),
                verdict: canary.verdict.map(CanaryVerdict::name),
            }),
            parts: self.parts.as_ref().map(|parts| Parts {
                count: parts.all,
                complete: parts.complete,
                workers: parts.workers.clone(),
            }),
            endings: endings.collect(),
            delivery: deliveries.collect(),
            resends_in_doubt: self.resends_in_doubt,
            sends_again: sends_again.collect(),
            next_due: self.next_due.map(time),
            latest_due: self.latest_due.map(time),
            next: suggestions(self)
                .into_iter()
                .map(|next| next.command)
                .collect(),
            activity: self.activity.as_ref().map(ActivityObject::from),
            by: None,
            push: None,
        }
    }
}

impl From<&RunActivity> for ActivityObject {
    fn from(activity: &RunActivity) -> Self {
        let milliseconds = |took: Duration| took.as_millis() as u64;
        let spent = activity.spent;
        Self {
            alive: activity.alive,
            process: activity.process.as_ref().map(|process| ProcessObject {
                pid: process.pid,
                host: process.host.clone(),
            }),
            outage: activity
                .paused
                .as_ref()
                .map(|(since, reason)| OutageObject {
                    since: Time(since.to_string()),
                    reason: reason.clone(),
                }),
            seconds_left: activity.left.map(|left| left.about.as_secs_f64()),
            spent_ms: SpentObject {
                staging: milliseconds(spent.staging),
                canary: milliseconds(spent.canary),
                sending: milliseconds(spent.sending),
                paused: milliseconds(spent.paused),
            },
            sessions: activity.sessions,
            latency_ms: activity.latency.map(|latency| LatencyObject {
                requests: latency.requests,
                p50: milliseconds(latency.p50),
                p95: milliseconds(latency.p95),
                p99: milliseconds(latency.p99),
                worst: milliseconds(latency.worst),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
