//! The report of a run as one HTML page that needs no network and no other file.
//!
//! The template escapes every value, except pictures and files of this module. The policy of the page allows only its own script and
//! styles, so that a device key could do nothing even if it were not escaped.

mod advice;
mod axis;
mod bars;
mod content;
mod course;
mod words;

use std::time::Duration;

use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

pub(crate) use self::content::{Breakdown, Changes, Content, Device, Shown};
use self::{
    advice::{Need, needs},
    words::{Badge, badge, headline, share, when},
};
use super::{
    number::{duration, grouped},
    repeat::quoted,
    report::{RunReport, label},
    text::{clean, cut},
};
use crate::model::{Change, Counts, Course, Delivery, Timestamp};

/// Units of the picture on a screen, and on a phone.
const WIDE: f64 = 960.0;
const NARROW: f64 = 420.0;

/// Characters of a message or of labels that are shown.
const LONGEST: usize = 160;

/// The page cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the report")]
pub struct PageError(#[from] askama::Error);

/// Makes the page.
pub(crate) fn page(content: &Content<'_>) -> Result<String, PageError> {
    Ok(Page::of(content).render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    style: Inline,
    script: Inline,
    version: &'static str,
    name: String,
    badge: Badge,
    when: String,
    headline: String,
    states: String,
    counts: Vec<Count>,
    needs: Vec<Need>,
    course: Option<Pictures>,
    comparison: Option<ComparisonList>,
    breakdowns: Vec<BreakdownTable>,
    measures: Vec<Measure>,
    devices: Vec<DeviceLine>,
    devices_note: String,
    devices_command: String,
    facts: Vec<(&'static str, String)>,
}

/// A file that stands in the page, and the hash by which its policy lets it in.
struct Inline {
    text: &'static str,
    hash: String,
}

struct Count {
    class: &'static str,
    name: &'static str,
    tasks: String,
    share: String,
}

struct Pictures {
    wide: String,
    narrow: String,
    note: String,
}

struct ComparisonList {
    with: String,
    counts: Vec<(&'static str, &'static str, String)>,
    command: String,
}

struct BreakdownTable {
    title: String,
    column: String,
    rows: Vec<BreakdownRow>,
    more: Option<(String, Option<String>)>,
}

struct BreakdownRow {
    name: String,
    numbers: [String; 5],
    states: String,
}

struct Measure {
    title: &'static str,
    rows: Vec<MeasureRow>,
}

struct MeasureRow {
    name: String,
    value: String,
    bar: String,
}

struct DeviceLine {
    key: String,
    product: String,
    state: &'static str,
    state_class: &'static str,
    code: String,
    message: String,
    sends: i64,
    ended: String,
    labels: String,
}

impl Inline {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: STANDARD.encode(Sha256::digest(text)),
        }
    }
}

impl Page {
    fn of(content: &Content<'_>) -> Self {
        let report = content.report;
        Self {
            style: Inline::new(include_str!("page/style.css")),
            script: Inline::new(include_str!("page/script.js")),
            version: env!("CARGO_PKG_VERSION"),
            name: report.name.clone(),
            badge: badge(report),
            when: when(report),
            headline: headline(report, &content.shown),
            states: bars::states(&report.counts),
            counts: counts(&report.counts),
            needs: needs(report, content.examples, &content.shown),
            course: content
                .course
                .map(|course| pictures(course, &content.shown)),
            comparison: content
                .changes
                .as_ref()
                .map(|changes| comparison(report, changes, &content.shown)),
            breakdowns: content
                .breakdowns
                .iter()
                .map(|breakdown| breakdown_table(report, breakdown, &content.shown))
                .collect(),
            measures: measures(content),
            devices: content.devices.iter().map(device_line).collect(),
            devices_note: devices_note(content),
            devices_command: report.repeat.command(
                "results",
                &report.name,
                &report.target,
                &devices_flags(&content.shown),
            ),
            facts: facts(content),
        }
    }
}

fn counts(counts: &Counts) -> Vec<Count> {
    [
        ("accepted", "accepted", counts.accepted, true),
        ("failed", "failed", counts.failed, true),
        ("in_doubt", "in doubt", counts.in_doubt, false),
        ("pending", "pending", counts.pending, false),
        ("skipped", "skipped", counts.skipped, false),
    ]
    .into_iter()
    .filter(|&(_, _, tasks, always)| always || tasks > 0)
    .map(|(class, name, tasks, _)| Count {
        class,
        name,
        tasks: grouped(tasks),
        share: share(tasks, counts.tasks),
    })
    .collect()
}

fn pictures(course: &Course, shown: &Shown) -> Pictures {
    Pictures {
        wide: course::draw(course, WIDE),
        narrow: course::draw(course, NARROW),
        note: format!(
            "{}Each step is {}. Times are in UTC.",
            of_whole_run(shown),
            if course.step < Duration::from_secs(1) {
                format!("{} ms", course.step.as_millis())
            } else {
                duration(course.step)
            }
        ),
    }
}

fn comparison(report: &RunReport, changes: &Changes, shown: &Shown) -> ComparisonList {
    let class = |change| match change {
        Change::NewlyFailing | Change::StillFailing => "failed",
        Change::Recovered => "accepted",
        Change::NotEnded | Change::New => "pending",
        Change::Gone => "skipped",
    };
    let counts = changes.counts.iter();
    ComparisonList {
        with: clean(&changes.since).into_owned(),
        counts: counts
            .map(|&(change, devices)| (change.words(), class(change), grouped(devices)))
            .collect(),
        command: report.repeat.command(
            "diff",
            &changes.since,
            &report.target,
            &format!(" {}{}", quoted(&report.name), shown.flags()),
        ),
    }
}

fn breakdown_table(report: &RunReport, breakdown: &Breakdown, extent: &Shown) -> BreakdownTable {
    let by = breakdown.by.to_string();
    let column = clean(by.strip_prefix("label.").unwrap_or(&by)).into_owned();
    let row = |(name, counts): &(String, Counts)| BreakdownRow {
        name: shown(name),
        numbers: [
            counts.tasks,
            counts.accepted,
            counts.failed,
            counts.in_doubt,
            counts.pending,
        ]
        .map(grouped),
        states: bars::states(counts),
    };
    BreakdownTable {
        title: format!("By {column}"),
        rows: breakdown.groups.iter().map(row).collect(),
        more: (breakdown.more > 0).then(|| {
            let flags = format!(" --by {}", quoted(&by));
            let more = grouped(breakdown.more as u64);
            // No command breaks down a part of a run.
            match extent {
                Shown::Part { .. } => (format!("{more} more."), None),
                Shown::Whole => {
                    let command =
                        report
                            .repeat
                            .command("status", &report.name, &report.target, &flags);
                    (format!("{more} more. All of them:"), Some(command))
                }
            }
        }),
        column,
    }
}

fn measures(content: &Content<'_>) -> Vec<Measure> {
    let mut measures = Vec::new();
    if let Some(latency) = content.latency {
        let parts = [
            ("half within (p50)", latency.p50),
            ("95 % within (p95)", latency.p95),
            ("99 % within (p99)", latency.p99),
            ("slowest", latency.worst),
        ];
        let millis = |latency: Duration| latency.as_millis() as u64;
        let row = |(name, part): (&str, Duration)| MeasureRow {
            name: name.into(),
            value: course::latency(part),
            bar: bars::value(millis(part), millis(latency.worst)),
        };
        measures.push(Measure {
            title: match content.shown {
                Shown::Whole => "Latency of a request",
                Shown::Part { .. } => "Latency of a request, whole run",
            },
            rows: parts.into_iter().map(row).collect(),
        });
    }
    measures.extend(deliveries(content));
    let most = content.times_sent.iter().map(|(_, tasks)| *tasks).max();
    if let Some(most) = most {
        let row = |(name, tasks): (String, u64)| MeasureRow {
            name,
            value: grouped(tasks),
            bar: bars::value(tasks, most),
        };
        measures.push(Measure {
            title: "Times sent",
            rows: times_sent(content.times_sent)
                .into_iter()
                .map(row)
                .collect(),
        });
    }
    measures
}

/// What became of accepted commands, once there is any evidence. It is counted for the whole run.
fn deliveries(content: &Content<'_>) -> Option<Measure> {
    let report = content.report;
    let most = report.deliveries.iter().map(|(_, n)| *n).max()?;
    let row = |(delivery, commands): &(Delivery, u64)| MeasureRow {
        name: delivery.name().replace('_', " "),
        value: grouped(*commands),
        bar: bars::value(*commands, most),
    };
    report.has_evidence().then(|| Measure {
        title: match content.shown {
            Shown::Whole => "Delivery of accepted commands",
            Shown::Part { .. } => "Delivery of accepted commands, whole run",
        },
        rows: report.deliveries.iter().map(row).collect(),
    })
}

/// The rare ones together.
fn times_sent(sends: &[(u64, u64)]) -> Vec<(String, u64)> {
    const ALONE: u64 = 4;
    let mut rows = Vec::new();
    let mut more = 0;
    for &(times, tasks) in sends {
        match times {
            1 => rows.push(("once".into(), tasks)),
            2 => rows.push(("twice".into(), tasks)),
            times if times <= ALONE => rows.push((format!("{times} times"), tasks)),
            _ => more += tasks,
        }
    }
    if more > 0 {
        rows.push((format!("more than {ALONE} times"), more));
    }
    rows
}

fn device_line(device: &Device) -> DeviceLine {
    let labels: Vec<String> = device
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    DeviceLine {
        key: clean(&device.key).into_owned(),
        product: clean(&device.product).into_owned(),
        state: label(device.state),
        state_class: device.state.name(),
        code: device.code.map_or(String::new(), |code| code.to_string()),
        message: shown(&device.message),
        sends: device.sends,
        ended: device.ended_at.map_or(String::new(), Timestamp::human),
        labels: shown(&labels.join(", ")),
    }
}

/// What is said of what requests tell: they carry other tasks as well.
fn of_whole_run(shown: &Shown) -> &'static str {
    match shown {
        Shown::Whole => "",
        Shown::Part { .. } => "This is the whole run. ",
    }
}

/// The flags that choose the devices that need a hand.
fn devices_flags(shown: &Shown) -> String {
    const TROUBLE: &str = " --state failed,in_doubt";
    match shown {
        Shown::Whole => TROUBLE.to_owned(),
        Shown::Part { of_outcome, .. } if of_outcome.contains(" --state ") => shown.flags(),
        Shown::Part { .. } => format!("{TROUBLE}{}", shown.flags()),
    }
}

fn shown(text: &str) -> String {
    cut(&clean(text), LONGEST)
}

fn devices_note(content: &Content<'_>) -> String {
    let all = content.report.counts.failed + content.report.counts.in_doubt;
    let shown = content.devices.len() as u64;
    if shown < all {
        format!(
            "These are the first {} of {}. All of them:",
            grouped(shown),
            grouped(all)
        )
    } else {
        "The same on the command line:".into()
    }
}

fn facts(content: &Content<'_>) -> Vec<(&'static str, String)> {
    let report = content.report;
    vec![
        ("Manifest", clean(&report.manifest).into_owned()),
        ("Target", clean(&report.target).into_owned()),
        (
            "Results database",
            clean(&report.database.to_string_lossy()).into_owned(),
        ),
        ("Run", report.number.to_string()),
        (
            "This page",
            format!(
                "{}, fleetpush {}",
                content.made_at.human(),
                env!("CARGO_PKG_VERSION")
            ),
        ),
    ]
}

/// To a tenth, which no eye tells apart in a picture.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
