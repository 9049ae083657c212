//! `fleetpush explain`: what happened to one device in all runs, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::Arc,
};

use anyhow::anyhow;

use super::{
    interrupt::Interrupt,
    limits,
    named_history::NamedHistory,
    reading,
    repeat::repeat_reading,
    select::{filter, unknown_label},
    target, thing_models,
};
use crate::{
    clock::{self, Clock},
    engine::{HistoryAsker, HistoryOptions, Stop},
    exit::{Exit, Failure},
    journal::reason::{advice, why},
    model::{
        Class, Devices, RunState, SummaryFormat, TaskFilter, TaskId, TaskState, TaskStatus,
        TimeRange,
    },
    settings::{Explain as Settings, Place, Push, did_you_mean},
    store::{Looked, Reader, ResultRow, RunRow, Send},
    thing_model::Models,
    ui::{
        printer::{OutputError, Printer, unless_closed},
        repeat::{Repeat, quoted},
        text::clean_json,
        timeline::{HistoryPart, RunPart, TaskPart, Timeline},
    },
};

/// The most devices that are explained at a time: more are a list.
const MOST: usize = 20;

/// Tells what happened to a device.
pub(super) async fn explain(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let filter = filter(settings.states, settings.filter)?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let runs = reader.runs().await?;
    let keys = device_keys(&mut reader, &runs, &filter).await?;
    if keys.len() > MOST {
        return Err(Failure::usage(anyhow!(
            "more than {MOST} devices match, for example {}: name one, or list them with fleetpush results",
            keys[..3].join(", ")
        )));
    }
    // What has found the device says nothing of its tasks in other runs.
    let of_tasks = TaskFilter {
        labels: match filter.devices {
            Some(_) => filter.labels.clone(),
            None => BTreeMap::default(),
        },
        ..filter
    };
    let repeat = repeat_reading(&settings.database);
    let mut timelines: Vec<Timeline> = Vec::new();
    for key in keys {
        timelines.push(
            timeline(
                &mut reader,
                (&settings.database.place, &runs),
                key,
                &of_tasks,
                &repeat,
                printer,
            )
            .await?,
        );
    }
    let (mut timelines, without): (Vec<Timeline>, Vec<Timeline>) =
        timelines.into_iter().partition(tells_anything);
    for one in &without {
        let unknown = unknown(&mut reader, &runs, &one.device_key).await?;
        if timelines.is_empty() {
            return Err(unknown);
        }
        printer.say(&unknown.message());
    }
    reader.close().await?;
    if let Some(push) = &settings.live {
        let models = thing_models::at_hand(&settings.tsl, settings.database.file())?;
        ask(push, models, &mut timelines, interrupt, printer).await?;
    }
    unless_closed(print(&timelines, settings.format, printer))?;
    Ok(Exit::Complete)
}

fn tells_anything(timeline: &Timeline) -> bool {
    !(timeline.runs.is_empty() && timeline.past.is_empty() && timeline.throttles.is_empty())
}

/// The devices that are meant, one more than may be at most.
async fn device_keys(
    reader: &mut Reader,
    runs: &[RunRow],
    filter: &TaskFilter,
) -> Result<Vec<String>, Failure> {
    let Some(devices) = &filter.devices else {
        for run in runs.iter().rev() {
            let keys = reader.devices_by_row(run, filter, MOST + 1).await?;
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
        if let Some(run) = runs.last() {
            // A name that is mistyped is the usual reason.
            let missing = reader
                .missing_labels(run, filter.labels.keys().map(String::as_str))
                .await?;
            if let Some(label) = missing.first() {
                let known = reader.label_names(run).await?;
                return Err(unknown_label(label, &known, &run.name));
            }
        }
        let labels: Vec<String> = filter
            .labels
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}={value}")))
            .collect();
        return Err(Failure::usage(anyhow!(
            "no run has a device with {}",
            labels.join(" or ")
        )));
    };
    let mut keys: BTreeSet<String> = devices.keys.clone();
    for run in runs.iter().rev() {
        for prefix in &devices.prefixes {
            let wanted = TaskFilter {
                devices: Some(Devices {
                    prefixes: BTreeSet::from([prefix.clone()]),
                    ..Devices::default()
                }),
                ..TaskFilter::default()
            };
            let mut pages = reader.results(run, wanted, None).await?;
            while keys.len() <= MOST {
                let page = pages.next_page().await?;
                if page.is_empty() {
                    break;
                }
                keys.extend(page.into_iter().map(|row| row.device_key));
            }
        }
    }
    if keys.is_empty() {
        let prefixes: Vec<String> = devices.prefixes.iter().cloned().collect();
        return Err(Failure::usage(anyhow!(
            "no run has a device whose key begins with {}",
            prefixes.join(" or ")
        )));
    }
    Ok(keys.into_iter().collect())
}

/// The tasks of a run that pass, by their lines.
async fn rows_of(
    reader: &mut Reader,
    run: &RunRow,
    filter: &TaskFilter,
) -> Result<Vec<ResultRow>, Failure> {
    let mut rows: Vec<ResultRow> = Vec::new();
    let mut pages = reader.results(run, filter.clone(), None).await?;
    loop {
        let page = pages.next_page().await?;
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    rows.sort_by_key(|row| row.line);
    Ok(rows)
}

async fn timeline(
    reader: &mut Reader,
    (place, runs): (&Place, &[RunRow]),
    device_key: String,
    filter: &TaskFilter,
    repeat: &Repeat,
    printer: &Printer,
) -> Result<Timeline, Failure> {
    let now = clock::wall_now();
    let filter = TaskFilter {
        devices: Some(Devices {
            keys: BTreeSet::from([device_key.clone()]),
            ..Devices::default()
        }),
        ..filter.clone()
    };
    let mut parts = Vec::new();
    for run in runs {
        let rows = rows_of(reader, run, &filter).await?;
        if rows.is_empty() {
            continue;
        }
        let tasks: Vec<TaskId> = rows.iter().map(|row| TaskId(row.id)).collect();
        let looked = Looked::Tasks(&tasks);
        let rows = if reading::settle(reader, place, looked, printer).await? {
            rows_of(reader, run, &filter).await?
        } else {
            rows
        };
        let mut sends = reader.sends(&rows).await?;
        let tasks = rows
            .into_iter()
            .map(|row| {
                let (own, others): (Vec<Send>, Vec<Send>) = std::mem::take(&mut sends)
                    .into_iter()
                    .partition(|send| send.task == row.id);
                sends = others;
                TaskPart {
                    why: why(&row, run.state, now),
                    advice: advice(&row),
                    sends: own,
                    row,
                }
            })
            .collect();
        parts.push(RunPart {
            run: run.clone(),
            tasks,
        });
    }
    let next = match parts.last() {
        // It is pushed where it was copied from.
        Some(part) if reader.is_copied(part.run.id).await? => None,
        Some(part) => next(part, &device_key, repeat),
        None => None,
    };
    Ok(Timeline {
        past: reader.past_acceptances(&device_key).await?,
        throttles: reader.last_throttles(&device_key).await?,
        next,
        runs: parts,
        history: Vec::new(),
        device_key,
    })
}

/// The command that sends to the device again what its latest run had for it; nothing for rows that are wrong, which are to be corrected.
fn next(part: &RunPart, device_key: &str, repeat: &Repeat) -> Option<String> {
    let run = &part.run;
    let device = format!(" --device {}", quoted(device_key));
    let is_invalid = |task: &TaskPart| task.row.class == Some(Class::Invalid);
    let has = |state: TaskState| {
        part.tasks
            .iter()
            .any(|task| task.row.status == TaskStatus::Ended(state) && !is_invalid(task))
    };
    if part.tasks.iter().all(is_invalid) {
        return None;
    }
    let command =
        |command: &str, flags: &str| repeat.command(command, &run.name, &run.base_url, flags);
    let waits = part
        .tasks
        .iter()
        .any(|task| !matches!(task.row.status, TaskStatus::Ended(_)));
    if waits && run.state == RunState::Aborted {
        return Some(command("resume", " --override-abort"));
    }
    if waits {
        return Some(command("resume", ""));
    }
    Some(match (has(TaskState::Failed), has(TaskState::InDoubt)) {
        (true, false) => command("retry", &device),
        (false, true) => command("retry", &format!("{device} --state in_doubt")),
        (true, true) => command("retry", &format!("{device} --state failed,in_doubt")),
        (false, false) => {
            let list = command(
                "results",
                &format!("{device} --as-manifest --out again.jsonl"),
            );
            let run = repeat.command("run", "again.jsonl", &run.base_url, "");
            format!("{list} && {run}")
        }
    })
}

/// A device that nothing is known of, with a key that resembles it.
async fn unknown(
    reader: &mut Reader,
    runs: &[RunRow],
    device_key: &str,
) -> Result<Failure, Failure> {
    for run in runs.iter().rev() {
        let wanted = TaskFilter {
            devices: Some(Devices {
                keys: BTreeSet::from([device_key.to_owned()]),
                ..Devices::default()
            }),
            ..TaskFilter::default()
        };
        let mut pages = reader.results(run, wanted, Some(1)).await?;
        if !pages.next_page().await?.is_empty() {
            return Ok(Failure::usage(anyhow!(
                "no task of the device {device_key} matches the filter; its latest is in run '{}'",
                run.name
            )));
        }
    }
    let mut near = Vec::new();
    let begin: String = device_key
        .chars()
        .take(device_key.chars().count().saturating_sub(2))
        .collect();
    if let Some(run) = runs.last() {
        let wanted = TaskFilter {
            devices: Some(Devices {
                prefixes: BTreeSet::from([begin]),
                ..Devices::default()
            }),
            ..TaskFilter::default()
        };
        let page = reader
            .results(run, wanted, Some(500))
            .await?
            .next_page()
            .await?;
        near.extend(page.into_iter().map(|row| row.device_key));
    }
    Ok(Failure::usage(anyhow!(
        "no run has the device {device_key}{}",
        did_you_mean(device_key, near.iter().map(String::as_str))
    )))
}

/// Asks the platform for the histories of the devices.
async fn ask(
    push: &Push,
    models: Models,
    timelines: &mut [Timeline],
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<(), Failure> {
    let push = limits::fit(push, printer)?;
    let clock = Clock::start();
    let connection = target::connect(&push, &crate::budget::Budget::default(), clock).await?;
    let history_client = Arc::new(NamedHistory::new(Arc::new(connection.platform), models));
    let options = HistoryOptions {
        concurrency: push.pace.concurrency as usize,
        rate: push.pace.rate.per_second(),
        tolerance: std::time::Duration::ZERO,
        max_outage: push.recovery.max_outage,
    };
    let asker = HistoryAsker::new(history_client, options, interrupt.stop());
    let now = clock::wall_now();
    for timeline in timelines {
        let window = TimeRange {
            from: timeline.first_send().unwrap_or(now),
            to: now,
        };
        let products: Vec<String> = timeline
            .products()
            .iter()
            .map(ToString::to_string)
            .collect();
        for product_key in products {
            let device = (product_key.as_str(), timeline.device_key.as_str());
            let told = match asker.trace(device, [window]).await {
                Ok(told) => told,
                Err(Stop::Refused { reason }) => return Err(Failure::refused(anyhow!(reason))),
                Err(Stop::Outage { reason }) => Err(reason),
                Err(_) => Err("stopped".to_owned()),
            };
            timeline.history.push(HistoryPart { product_key, told });
        }
    }
    if let Some(simulator) = connection.simulator {
        simulator.stop().await;
    }
    Ok(())
}

fn print(
    timelines: &[Timeline],
    format: SummaryFormat,
    printer: &Printer,
) -> Result<(), OutputError> {
    let mut out = printer.stdout();
    for (number, timeline) in timelines.iter().enumerate() {
        match format {
            SummaryFormat::Json => {
                writeln!(out, "{}", clean_json(&timeline.json().to_string()))?;
            }
            SummaryFormat::Text => {
                if number > 0 {
                    writeln!(out)?;
                }
                write!(out, "{}", timeline.text())?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
