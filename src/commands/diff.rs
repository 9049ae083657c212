//! `fleetpush diff`: what has changed from one run to the next, and what fails every time.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;

use super::{
    reading,
    results::{DeviceOf, as_manifest, device_of, went_out},
    select::{filter, listed, remarks, unknown_label, value_remark},
};
use crate::{
    exit::{Exit, Failure},
    journal::origin,
    model::{Change, Class, Devices, RowFormat, TaskFilter, TaskState},
    policy::codes,
    settings::{Diff as Settings, did_you_mean},
    store::{Cell, Changed, Comparison, Grouping, Reader, ResultRow, RunRow},
    ui::{
        format::{Column, RowWriter, Value, writer},
        number::{counted, grouped},
        out_file::Destination,
        printer::{Output, OutputError, Printer},
    },
};

/// A label's name in `--by`.
const LABEL: &str = "label.";

/// What `--by` takes besides labels.
const GROUPINGS: [(&str, Grouping); 5] = [
    ("code", Grouping::Code),
    ("class", Grouping::Class),
    ("state", Grouping::State),
    ("product", Grouping::Product),
    ("payload", Grouping::Payload),
];

/// The columns of a listing of devices.
const DEVICES: [Column; 14] = [
    Column::shown("change"),
    Column::shown("product_key"),
    Column::shown("device_key"),
    Column::hidden("line"),
    Column::shown("state"),
    Column::hidden("class"),
    Column::shown("code"),
    Column::shown("message"),
    Column::hidden("finished_at"),
    Column::shown("state_before"),
    Column::hidden("class_before"),
    Column::shown("code_before"),
    Column::hidden("message_before"),
    Column::hidden("labels"),
];

/// Shows what has changed.
pub(super) async fn diff(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let filter = filter(settings.states.clone(), settings.filter.clone())?;
    let by = groupings(&settings.by)?;
    let destination = Destination::open(settings.out.as_deref())?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let runs = compared(&mut reader, &settings).await?;
    let [.., earlier, later] = &runs[..] else {
        return Err(Failure::usage(anyhow!("two runs are needed")));
    };
    must_have_labels(&mut reader, later, &by, &filter).await?;
    let mut notes = Vec::new();
    if !filter.codes.is_empty() || filter.devices.is_some() || !filter.products.is_empty() {
        let unknown = reader
            .unknown(
                later,
                &TaskFilter {
                    labels: BTreeMap::default(),
                    ..filter.clone()
                },
            )
            .await?;
        notes = remarks(&unknown, &later.name)?;
    }
    let mut comparison = if settings.last.is_some() {
        let all = reader.failing_in_all(&runs).await?;
        all.ok_or_else(|| Failure::usage(anyhow!("two runs are needed")))?
    } else {
        reader.compare(earlier, later).await?
    };
    comparison.narrow(&filter, &settings.only).await?;
    let counts = comparison.counts().await?;
    let out = destination.output(printer)?;
    let shows_devices = settings.list || (settings.last.is_some() && settings.by.is_empty());
    let rows = if settings.as_manifest {
        let devices = all_devices(&mut comparison).await?;
        manifest(&mut reader, (earlier, later), devices, &settings, out).await?
    } else if shows_devices {
        devices(&mut comparison, settings.format, settings.limit, out).await?
    } else {
        groups(&mut comparison, &by, settings.format, out).await?
    };
    if counts.is_empty() {
        let values = reader.unknown_values(later, &filter).await?;
        notes.extend(values.iter().map(|value| value_remark(value, &later.name)));
    }
    for note in notes {
        printer.say(&note);
    }
    printer.say(&words(&runs, &counts, settings.last.is_some()));
    reader.close().await?;
    if settings.as_manifest && rows == 0 {
        return Err(Failure::usage(anyhow!(
            "no device is left for a manifest; fleetpush diff --list shows all devices"
        )));
    }
    destination.keep()?;
    Ok(Exit::Complete)
}

/// The runs that are compared, the earliest first.
async fn compared(reader: &mut Reader, settings: &Settings) -> Result<Vec<RunRow>, Failure> {
    let wanted = settings.last.unwrap_or(2) as usize;
    if let ([earlier, later], None) = (&settings.runs[..], settings.last) {
        let earlier = reader.find_run(Some(earlier)).await?;
        let later = reader.find_run(Some(later)).await?;
        if earlier.id == later.id {
            return Err(Failure::usage(anyhow!(
                "both names are of run '{}': name two runs, the earlier one first",
                later.name
            )));
        }
        return Ok(vec![earlier, later]);
    }
    if let [_, second, ..] = &settings.runs[..] {
        return Err(Failure::usage(anyhow!(
            "--last takes one run, the latest one to compare: omit '{second}'"
        )));
    }
    let latest = reader
        .find_run(settings.runs.first().map(String::as_str))
        .await?;
    let mut runs: Vec<RunRow> = reader
        .runs()
        .await?
        .into_iter()
        .filter(|run| origin::is_same(run, &latest) && run.id.0 <= latest.id.0)
        .collect();
    if runs.len() < wanted {
        let names = runs.iter().map(|run| run.name.as_str());
        return Err(Failure::usage(anyhow!(
            "{} of the manifest {} {}: {}; name two runs to compare, the earlier one first: fleetpush diff EARLIER LATER",
            counted(runs.len() as u64, "run"),
            latest.manifest,
            if settings.last.is_some() {
                format!("cannot be the last {wanted}")
            } else {
                "cannot be compared".to_owned()
            },
            listed(names.collect::<Vec<_>>().into_iter()),
        )));
    }
    Ok(runs.split_off(runs.len() - wanted))
}

/// What to count by; by code when nothing is asked for.
fn groupings(by: &[String]) -> Result<Vec<(String, Grouping)>, Failure> {
    if by.is_empty() {
        return Ok(vec![("code".to_owned(), Grouping::Code)]);
    }
    by.iter()
        .map(|name| {
            let known = GROUPINGS.iter().find(|(known, _)| known == name);
            let label = name.strip_prefix(LABEL).filter(|label| !label.is_empty());
            match (known, label) {
                (Some((_, grouping)), _) => Ok((name.clone(), grouping.clone())),
                (None, Some(label)) => Ok((name.clone(), Grouping::Label(label.to_owned()))),
                (None, None) => {
                    let names = || GROUPINGS.iter().map(|(known, _)| *known);
                    Err(Failure::usage(anyhow!(
                        "--by: nothing is called '{name}'{}; count by {}, or label.NAME, as in label.{name}",
                        did_you_mean(name, names()).trim_end_matches('?'),
                        names().collect::<Vec<_>>().join(", ")
                    )))
                }
            }
        })
        .collect()
}

/// Fails for a label that no task of the later run has.
async fn must_have_labels(
    reader: &mut Reader,
    run: &RunRow,
    by: &[(String, Grouping)],
    filter: &TaskFilter,
) -> Result<(), Failure> {
    let names = by
        .iter()
        .filter_map(|(_, grouping)| match grouping {
            Grouping::Label(name) => Some(name.as_str()),
            _ => None,
        })
        .chain(filter.labels.keys().map(String::as_str));
    let missing = reader.missing_labels(run, names).await?;
    let Some(label) = missing.first() else {
        return Ok(());
    };
    let known = reader.label_names(run).await?;
    Err(unknown_label(label, &known, &run.name))
}

/// One line about all of it.
fn words(runs: &[RunRow], counts: &[(Change, u64)], all: bool) -> String {
    let names: Vec<String> = runs.iter().map(|run| format!("'{}'", run.name)).collect();
    if all {
        let devices = counts.iter().map(|(_, devices)| devices).sum();
        return format!(
            "{} failed in each of the runs {}",
            counted(devices, "device"),
            names.join(", ")
        );
    }
    let told: Vec<String> = counts
        .iter()
        .map(|(change, devices)| format!("{} {}", grouped(*devices), change.words()))
        .collect();
    let told = if told.is_empty() {
        "no change, and nothing fails".to_owned()
    } else {
        told.join(", ")
    };
    format!("from {}: {told}", names.join(" to "))
}

async fn groups(
    comparison: &mut Comparison<'_>,
    by: &[(String, Grouping)],
    format: RowFormat,
    out: Output,
) -> Result<u64, Failure> {
    let groupings: Vec<Grouping> = by.iter().map(|(_, grouping)| grouping.clone()).collect();
    let groups = comparison.groups(&groupings).await?;
    let mut columns = vec![Column::shown("change")];
    for (name, grouping) in by {
        columns.push(Column::named(name.clone()));
        if *grouping == Grouping::Code {
            columns.push(Column::shown("text"));
        }
    }
    columns.push(Column::shown("devices"));
    let mut rows = writer(format, columns, out);
    let mut write = || -> Result<(), OutputError> {
        for (change, cells, devices) in &groups {
            let mut values = vec![Value::Own(change.name().into())];
            for (cell, grouping) in cells.iter().zip(&groupings) {
                values.push(match cell {
                    Cell::Integer(number) => Value::Integer(*number),
                    Cell::Text(text) => Value::Foreign(text),
                    _ => Value::None,
                });
                if *grouping == Grouping::Code {
                    values.push(code_text(cell));
                }
            }
            values.push(Value::Integer(*devices as i64));
            rows.row(&values)?;
        }
        rows.finish()
    };
    went_out(write())?;
    Ok(groups.len() as u64)
}

/// The platform's text of a code.
fn code_text(cell: &Cell) -> Value<'static> {
    let Cell::Integer(code) = cell else {
        return Value::None;
    };
    Value::own(codes::lookup(*code).map(|info| info.text))
}

async fn devices(
    comparison: &mut Comparison<'_>,
    format: RowFormat,
    limit: Option<u64>,
    out: Output,
) -> Result<u64, Failure> {
    let mut rows = writer(format, DEVICES.to_vec(), out);
    let mut left = limit.unwrap_or(u64::MAX);
    let mut count = 0;
    loop {
        let mut page = comparison.next_page().await?;
        page.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= page.len() as u64;
        count += page.len() as u64;
        let written = if page.is_empty() {
            rows.finish()
        } else {
            page.iter()
                .try_for_each(|changed| device(changed, rows.as_mut()))
        };
        if !went_out(written)? || page.is_empty() {
            return Ok(count);
        }
    }
}

fn device(changed: &Changed, rows: &mut dyn RowWriter) -> Result<(), OutputError> {
    let (later, earlier) = (changed.later.as_ref(), changed.earlier.as_ref());
    let Some(any) = later.or(earlier) else {
        return Ok(());
    };
    let state =
        |row: Option<&ResultRow>| row.map_or(Value::None, |row| Value::State(row.status.name()));
    let class =
        |row: Option<&ResultRow>| Value::own(row.and_then(|row| row.class).map(Class::name));
    rows.row(&[
        Value::Own(changed.change.name().into()),
        Value::foreign(any.product_key.as_deref()),
        Value::Foreign(&any.device_key),
        Value::Integer(any.line),
        state(later),
        class(later),
        Value::integer(later.and_then(|row| row.code)),
        Value::foreign(later.and_then(|row| row.message.as_deref())),
        Value::own(later.and_then(|row| row.finished_at)),
        state(earlier),
        class(earlier),
        Value::integer(earlier.and_then(|row| row.code)),
        Value::foreign(earlier.and_then(|row| row.message.as_deref())),
        any.labels.as_deref().map_or(Value::None, Value::Json),
    ])
}

/// Writes all tasks that the devices have in the later run; of those that fail, what fails. What is gone is in the earlier run alone.
async fn manifest(
    reader: &mut Reader,
    (earlier, later): (&RunRow, &RunRow),
    devices: BTreeSet<DeviceOf>,
    settings: &Settings,
    out: Output,
) -> Result<u64, Failure> {
    let of_failing = [Change::NewlyFailing, Change::StillFailing];
    let run = if settings.only == [Change::Gone] {
        earlier
    } else {
        later
    };
    let fails = settings.only.iter().all(|only| of_failing.contains(only));
    let filter = TaskFilter {
        devices: Some(Devices {
            keys: devices.iter().map(|(key, _)| key.clone()).collect(),
            ..Devices::default()
        }),
        ..TaskFilter::ended(if fails {
            &[TaskState::Failed, TaskState::InDoubt]
        } else {
            &[]
        })
    };
    let listed = as_manifest(
        reader,
        run,
        filter,
        Some(&devices),
        settings.format,
        settings.limit,
        out,
    )
    .await?;
    Ok(listed.rows + u64::from(listed.was_cut_off))
}

/// The devices that have changed.
async fn all_devices(comparison: &mut Comparison<'_>) -> Result<BTreeSet<DeviceOf>, Failure> {
    let mut devices = BTreeSet::new();
    loop {
        let page = comparison.next_page().await?;
        if page.is_empty() {
            return Ok(devices);
        }
        devices.extend(
            page.iter()
                .filter_map(|changed| changed.later.as_ref().or(changed.earlier.as_ref()))
                .map(device_of),
        );
    }
}
