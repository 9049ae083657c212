//! `fleetpush report`: a run as one HTML page.

mod part;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use self::part::{Part, flags};
use super::{
    reading,
    repeat::{repeat, repeat_reading},
    select::{filter, remarks, value_remark},
    status,
};
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::origin,
    model::{Counts, Dimension, TaskFilter, TaskState, TaskStatus},
    settings::{Database, Report as Settings},
    store::{BreakdownError, Group, GroupCounts, Looked, Reader, ResultRow, RunRow},
    ui::{
        number::bytes,
        out_file::Destination,
        page::{Breakdown, Changes, Content, Device, Shown, page},
        printer::{Output, OutputError, Printer, unless_closed},
        repeat::Repeat,
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
    let filter = filter(settings.states.clone(), settings.filter.clone())?;
    let destination = Destination::open(Some(&settings.out))?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let run = reader.find_run(settings.run.as_deref()).await?;
    reading::settle(
        &mut reader,
        &settings.database.place,
        Looked::Run(&run),
        printer,
    )
    .await?;
    let shown = if filter == TaskFilter::default() {
        Shown::Whole
    } else {
        let mut notes = remarks(&reader.unknown(&run, &filter).await?, &run.name)?;
        let values = reader.unknown_values(&run, &filter).await?;
        notes.extend(values.iter().map(|value| value_remark(value, &run.name)));
        for note in notes {
            printer.say(&note);
        }
        let (of_outcome, others) = flags(&filter, &settings.filter);
        Shown::Part {
            of: run.counts.tasks,
            of_outcome,
            others,
        }
    };
    let html = make(
        &mut reader,
        run,
        filter,
        shown,
        repeat_reading(&settings.database),
    )
    .await?;
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
    let html = make(
        reader,
        run,
        TaskFilter::default(),
        Shown::Whole,
        repeat(database),
    )
    .await?;
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

/// Reads what the page tells of a run, or of a part of it, and makes it.
async fn make(
    reader: &mut Reader,
    run: RunRow,
    filter: TaskFilter,
    shown: Shown,
    repeat: Repeat,
) -> Result<String, Failure> {
    let course = reader.course(&run).await?;
    let latency = reader.latency(&run).await?;
    let mut report = status::report_of(reader, run.clone(), repeat).await?;
    let (groups, times_sent) = match shown {
        Shown::Whole => (groups(reader, &run).await?, reader.times_sent(&run).await?),
        Shown::Part { .. } => {
            let by = dimensions(reader, &run).await?;
            let mut part = Part::read(reader, &run, filter.clone(), by).await?;
            report.counts = part.counts;
            report.endings = part.endings();
            (part.groups(), part.times_sent())
        }
    };
    let changes = changes(reader, &run, &filter).await?;
    let devices = match in_trouble(&filter) {
        Some(trouble) => rows(reader, &run, trouble, MOST_DEVICES).await?,
        None => Vec::new(),
    };
    let mut examples = Vec::new();
    for line in report.endings.iter().filter(|line| line.is_trouble()) {
        let alike = rows(reader, &run, ended_so(line, &filter), EXAMPLES).await?;
        examples.push(alike.into_iter().map(|row| row.device_key).collect());
    }
    Ok(page(&Content {
        breakdowns: breakdowns(groups, report.counts.tasks),
        report: &report,
        shown,
        course: course.as_ref(),
        changes,
        latency,
        times_sent: &times_sent,
        examples: &examples,
        devices: devices.into_iter().filter_map(device).collect(),
        made_at: clock::wall_now(),
    })?)
}

/// By what the tasks are broken down: their product, and the first labels.
async fn dimensions(reader: &mut Reader, run: &RunRow) -> Result<Vec<Dimension>, Failure> {
    let labels = reader.label_names(run).await?;
    let labels = labels.into_iter().take(MOST_LABELS).map(Dimension::Label);
    Ok(std::iter::once(Dimension::Product).chain(labels).collect())
}

/// The tasks by one thing, with the value of each group and its counts.
type Groups = (Dimension, Vec<(String, Counts)>);

async fn groups(reader: &mut Reader, run: &RunRow) -> Result<Vec<Groups>, Failure> {
    let mut all = Vec::new();
    let by = Dimension::Product;
    match reader.breakdown_by(run, &by).await {
        Ok(groups) => all.push((by, groups.into_iter().map(named).collect())),
        Err(BreakdownError::TooManyGroups { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    // A serial number tells all devices apart, and so nothing about them: such a label is left out.
    for (label, groups) in reader.breakdown_by_labels(run, MOST_LABELS).await? {
        let groups = groups.into_iter().map(named).collect();
        all.push((Dimension::Label(label), groups));
    }
    Ok(all)
}

/// The groups as far as they tell anything about the tasks.
fn breakdowns(all: Vec<Groups>, tasks: u64) -> Vec<Breakdown> {
    all.into_iter()
        .filter(|(_, groups)| {
            !groups.is_empty() && (groups.len() <= MOST_GROUPS || groups.len() as u64 <= tasks / 2)
        })
        .map(|(by, groups)| Breakdown {
            by,
            more: groups.len().saturating_sub(MOST_GROUPS),
            groups: groups.into_iter().take(MOST_GROUPS).collect(),
        })
        .collect()
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
async fn changes(
    reader: &mut Reader,
    run: &RunRow,
    filter: &TaskFilter,
) -> Result<Option<Changes>, Failure> {
    let runs = reader.runs().await?;
    let before = runs
        .into_iter()
        .rfind(|other| origin::is_same(other, run) && other.id.0 < run.id.0);
    let Some(before) = before else {
        return Ok(None);
    };
    let mut comparison = reader.compare(&before, run).await?;
    comparison.narrow(filter, &[]).await?;
    let counts = comparison.counts().await?;
    Ok(Some(Changes {
        since: before.name,
        counts,
    }))
}

/// Those of the tasks that ended so.
fn ended_so(line: &EndingLine, filter: &TaskFilter) -> TaskFilter {
    TaskFilter {
        statuses: vec![TaskStatus::Ended(line.state)],
        classes: line.class.into_iter().collect(),
        codes: line.code.into_iter().map(|code| code..=code).collect(),
        ..filter.clone()
    }
}

/// Those of the tasks that need a hand; a filter that wants none of them leaves none.
fn in_trouble(filter: &TaskFilter) -> Option<TaskFilter> {
    let mut statuses = [TaskState::Failed, TaskState::InDoubt]
        .map(TaskStatus::Ended)
        .to_vec();
    statuses.retain(|status| filter.wants(*status));
    (!statuses.is_empty()).then(|| TaskFilter {
        statuses,
        ..filter.clone()
    })
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
