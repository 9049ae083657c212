//! `fleetpush report`: a run as one HTML page.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use super::{reading, repeat::repeat, status};
use crate::{
    clock,
    exit::{Exit, Failure},
    model::{Counts, Dimension, TaskFilter, TaskState, TaskStatus},
    settings::{Database, Report as Settings},
    store::{BreakdownError, Group, GroupCounts, Reader, ResultRow, RunRow},
    ui::{
        number::bytes,
        out_file::Destination,
        page::{Breakdown, Changes, Content, Device, page},
        printer::{Output, OutputError, Printer, unless_closed},
        report::EndingLine,
    },
};

/// Devices that a page lists; more of them are found with `results`.
const MOST_DEVICES: u64 = 1_000;
/// Devices that are named for each way to fail.
const EXAMPLES: u64 = 3;

/// Groups that a breakdown shows: those with most failures.
const MOST_GROUPS: usize = 12;
/// Labels that the run is broken down by.
const MOST_LABELS: usize = 4;

/// Writes the page.
pub(super) async fn report(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let destination = Destination::open(Some(&settings.out))?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let run = reader.find_run(settings.run.as_deref()).await?;
    let html = make(&mut reader, run, &settings.database).await?;
    reader.close().await?;
    write(destination, &html, &settings.out, printer)?;
    Ok(Exit::Complete)
}

/// The file of a run, of the pattern that `--report` is.
fn file_of(pattern: &Path, run: &str) -> PathBuf {
    let name = run.replace('/', "_");
    pattern.to_string_lossy().replace("{run}", &name).into()
}

/// Fails when the page of a run cannot be written, before anything is sent.
pub(super) fn must_be_writable(pattern: &Path, run: &str) -> Result<(), Failure> {
    Destination::open(Some(&file_of(pattern, run)))?;
    Ok(())
}

/// Writes the page of a run at the end of a push.
pub(super) async fn after_push(
    reader: &mut Reader,
    run: &str,
    pattern: &Path,
    database: &Database,
    printer: &Printer,
) -> Result<(), Failure> {
    let path = file_of(pattern, run);
    let destination = Destination::open(Some(&path))?;
    let run = reader.find_run(Some(run)).await?;
    let html = make(reader, run, database).await?;
    write(destination, &html, &path, printer)
}

fn write(
    destination: Destination,
    html: &str,
    path: &Path,
    printer: &Printer,
) -> Result<(), Failure> {
    let is_file = destination.is_file();
    unless_closed(write_out(destination.output(printer)?, html))?;
    destination.keep()?;
    if is_file {
        let size = bytes(html.len() as u64);
        printer.say(&format!("report: {} ({size})", path.display()));
    }
    Ok(())
}

fn write_out(mut out: Output, html: &str) -> Result<(), OutputError> {
    out.write_all(html.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Reads what the page tells of a run, and makes it.
async fn make(reader: &mut Reader, run: RunRow, database: &Database) -> Result<String, Failure> {
    let course = reader.course(&run).await?;
    let latency = reader.latency(&run).await?;
    let breakdowns = breakdowns(reader, &run).await?;
    let changes = changes(reader, &run).await?;
    let times_sent = reader.times_sent(&run).await?;
    let trouble = TaskFilter::ended(&[TaskState::Failed, TaskState::InDoubt]);
    let devices = rows(reader, &run, trouble, MOST_DEVICES).await?;
    let report = status::report_of(reader, run.clone(), repeat(database)).await?;
    let mut examples = Vec::new();
    for line in report.endings.iter().filter(|line| line.is_trouble()) {
        let alike = rows(reader, &run, ended_so(line), EXAMPLES).await?;
        examples.push(alike.into_iter().map(|row| row.device_key).collect());
    }
    Ok(page(&Content {
        report: &report,
        course: course.as_ref(),
        breakdowns,
        changes,
        latency,
        times_sent: &times_sent,
        examples: &examples,
        devices: devices.into_iter().filter_map(device).collect(),
        made_at: clock::wall_now(),
    })?)
}

/// The run by product and by its labels, as far as that tells anything.
async fn breakdowns(reader: &mut Reader, run: &RunRow) -> Result<Vec<Breakdown>, Failure> {
    let labels = reader.label_names(run).await?;
    let labels = labels.into_iter().take(MOST_LABELS).map(Dimension::Label);
    let mut breakdowns = Vec::new();
    for by in std::iter::once(Dimension::Product).chain(labels) {
        let groups = match reader.breakdown_by(run, &by).await {
            Ok(groups) => groups,
            // A serial number tells all devices apart, and so nothing about them.
            Err(BreakdownError::TooManyGroups { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if groups.len() > MOST_GROUPS && groups.len() as u64 > run.counts.tasks / 2 {
            continue;
        }
        breakdowns.push(Breakdown {
            by,
            more: groups.len().saturating_sub(MOST_GROUPS),
            groups: groups.into_iter().take(MOST_GROUPS).map(named).collect(),
        });
    }
    Ok(breakdowns)
}

fn named(group: Group) -> (String, Counts) {
    let GroupCounts {
        accepted,
        failed,
        in_doubt,
        skipped,
        pending,
    } = group.counts;
    let counts = Counts {
        tasks: group.counts.tasks(),
        accepted,
        failed,
        in_doubt,
        skipped,
        pending,
        ..Counts::default()
    };
    (group.value.unwrap_or_else(|| "none".into()), counts)
}

/// What changed since the run before of the same manifest.
async fn changes(reader: &mut Reader, run: &RunRow) -> Result<Option<Changes>, Failure> {
    let runs = reader.runs().await?;
    let before = runs
        .into_iter()
        .rfind(|other| other.manifest == run.manifest && other.id.0 < run.id.0);
    let Some(before) = before else {
        return Ok(None);
    };
    let counts = reader.compare(&before, run).await?.counts().await?;
    Ok(Some(Changes {
        since: before.name,
        counts,
    }))
}

fn ended_so(line: &EndingLine) -> TaskFilter {
    TaskFilter {
        classes: line.class.into_iter().collect(),
        codes: line.code.into_iter().map(|code| code..=code).collect(),
        ..TaskFilter::ended(&[line.state])
    }
}

async fn rows(
    reader: &mut Reader,
    run: &RunRow,
    filter: TaskFilter,
    most: u64,
) -> Result<Vec<ResultRow>, Failure> {
    let mut pages = reader.results(run, filter, Some(most)).await?;
    let mut rows = Vec::new();
    loop {
        let page = pages.next_page().await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

fn device(row: ResultRow) -> Option<Device> {
    let TaskStatus::Ended(state) = row.status else {
        return None;
    };
    Some(Device {
        key: row.device_key,
        product: row.product_key.unwrap_or_default(),
        state,
        code: row.code,
        message: row.message.unwrap_or_default(),
        sends: row.attempts,
        ended_at: row.finished_at,
        labels: labels(row.labels.as_deref()),
    })
}

/// The labels of a row, in the manifest's order.
fn labels(json: Option<&str>) -> Vec<(String, String)> {
    let object: serde_json::Map<String, serde_json::Value> = json
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    object
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect()
}
