//! `fleetpush results`: what became of each device.

mod fields;

use std::collections::BTreeSet;

use anyhow::anyhow;

use self::fields::Fields;
use super::{
    reading,
    select::{filter, remarks, unknown_label, value_remark},
};
use crate::{
    exit::{Exit, Failure},
    model::{RowFormat, TaskFilter},
    settings::{Results as Settings, SortColumn},
    store::{
        Direction, Looked, MOST_KEYS, OrderedPages, ReadError, Reader, ResultPages, ResultRow,
        RunRow, Unknown,
    },
    ui::{
        format::{RowWriter, Value, writer},
        manifest::ManifestWriter,
        number::counted,
        out_file::Destination,
        printer::{Output, OutputError, Printer},
    },
};

/// Rows that are written before the next page has its turn: a fraction of a millisecond.
const AT_ONCE: usize = 50;

/// What is listed, and in which order.
struct Listing {
    fields: Fields,
    sort: Fields,
    directions: Vec<Direction>,
}

/// Lists a run's results. Rows go out page by page, so a listing of millions needs no more memory than one of ten.
pub(super) async fn results(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    // Before anything is opened: a list that cannot be read, or a file that cannot be written, is a mistake of the command line.
    let mut filter = filter(settings.states.clone(), settings.filter.clone())?;
    let listing = Listing::of(&settings)?;
    let destination = Destination::open(settings.out.as_deref())?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let run = reader.find_run(settings.run.as_deref()).await?;
    reading::settle(
        &mut reader,
        &settings.database.place,
        Looked::Run(&run),
        printer,
    )
    .await?;
    // Devices that the run does not have are told after the rows, which need not wait until all of a long list have been looked for.
    let devices = filter.devices.take();
    let mut others = remarks(&reader.unknown(&run, &filter).await?, &run.name)?;
    filter.devices = devices;
    listing.must_have_labels(&mut reader, &run).await?;
    let asked = filter.clone();
    let out = destination.output(printer)?;
    let listed = if settings.as_manifest {
        as_manifest(
            &mut reader,
            &run,
            filter,
            None,
            settings.format,
            settings.limit,
            out,
        )
        .await?
    } else {
        listing
            .write(&mut reader, &run, filter, &settings, out)
            .await?
    };
    let unknown = if let Some(devices) = listed.absent {
        Unknown {
            devices,
            ..Unknown::default()
        }
    } else {
        let named = TaskFilter {
            devices: asked.devices.clone(),
            ..TaskFilter::default()
        };
        reader.unknown(&run, &named).await?
    };
    let mut remarks = remarks(&unknown, &run.name)?;
    remarks.append(&mut others);
    if listed.rows == 0 && !listed.was_cut_off {
        let values = reader.unknown_values(&run, &asked).await?;
        remarks.extend(values.iter().map(|value| value_remark(value, &run.name)));
    }
    reader.close().await?;
    for remark in remarks {
        printer.say(&remark);
    }
    if listed.without_payload > 0 {
        printer.say(&format!(
            "{} left out: bad rows of the manifest, which have nothing to send",
            counted(listed.without_payload, "task")
        ));
    }
    if listed.rows == 0 && !listed.was_cut_off {
        let words = format!("no task of run '{}' matches the filter", run.name);
        if settings.as_manifest {
            return Err(Failure::usage(anyhow!(words)));
        }
        printer.say(&words);
    }
    destination.keep()?;
    Ok(Exit::Complete)
}

/// What was written.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) rows: u64,
    /// Tasks that a manifest cannot have.
    without_payload: u64,
    /// Nobody reads on.
    pub(super) was_cut_off: bool,
    /// Device keys that the run does not have, where they came up on the way.
    absent: Option<Vec<String>>,
}

/// Rows, a page at a time.
enum Pages<'r> {
    AsFound(Box<ResultPages<'r>>),
    Sorted(OrderedPages<'r>),
}

impl Pages<'_> {
    async fn next_page(&mut self) -> Result<Vec<ResultRow>, ReadError> {
        match self {
            Self::AsFound(pages) => pages.next_page().await,
            Self::Sorted(pages) => pages.next_page().await,
        }
    }
}

impl Listing {
    fn of(settings: &Settings) -> Result<Self, Failure> {
        let fields = if settings.columns.is_empty() {
            Fields::all()
        } else {
            Fields::named(settings.columns.iter().map(String::as_str), "columns")?
        };
        if settings.sort.len() > MOST_KEYS {
            return Err(Failure::usage(anyhow!(
                "--sort: sort by {MOST_KEYS} columns at most"
            )));
        }
        Ok(Self {
            fields,
            sort: Fields::named(settings.sort.iter().map(|by| by.column.as_str()), "sort")?,
            directions: settings.sort.iter().map(direction).collect(),
        })
    }

    /// Fails for a label that no task of the run has.
    async fn must_have_labels(&self, reader: &mut Reader, run: &RunRow) -> Result<(), Failure> {
        let labels = self.fields.labels().chain(self.sort.labels());
        let missing = reader.missing_labels(run, labels).await?;
        let Some(label) = missing.first() else {
            return Ok(());
        };
        let known = reader.label_names(run).await?;
        Err(unknown_label(label, &known, &run.name))
    }

    async fn write(
        &self,
        reader: &mut Reader,
        run: &RunRow,
        filter: TaskFilter,
        settings: &Settings,
        out: Output,
    ) -> Result<Listed, Failure> {
        let mut writer = writer(settings.format, self.fields.columns(), out);
        let mut pages = if self.directions.is_empty() {
            let pages = reader.results(run, filter, settings.limit).await?;
            Pages::AsFound(Box::new(pages.noting_absent()))
        } else {
            let pages = reader.results(run, filter, None).await?;
            let keys = |row: &ResultRow| {
                self.sort
                    .with_values(run, row, |values| values.iter().map(key).collect())
            };
            Pages::Sorted(pages.sorted(&self.directions, settings.limit, keys).await?)
        };
        let mut listed = Listed::default();
        let mut page = pages.next_page().await?;
        while !page.is_empty() && !listed.was_cut_off {
            listed.rows += page.len() as u64;
            // The database reads on while rows are written.
            let (next, written) =
                tokio::join!(pages.next_page(), self.write_page(run, &page, &mut *writer));
            listed.was_cut_off = !went_out(written)?;
            page = next?;
        }
        if !listed.was_cut_off {
            listed.was_cut_off = !went_out(writer.finish())?;
        }
        listed.absent = match pages {
            Pages::AsFound(pages) => Some(pages.into_absent().await?),
            Pages::Sorted(_) => None,
        };
        Ok(listed)
    }

    /// Writes rows, and gives way now and then.
    async fn write_page(
        &self,
        run: &RunRow,
        page: &[ResultRow],
        writer: &mut dyn RowWriter,
    ) -> Result<(), OutputError> {
        for some in page.chunks(AT_ONCE) {
            some.iter().try_for_each(|row| {
                self.fields
                    .with_values(run, row, |values| writer.row(values))
            })?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

fn direction(by: &SortColumn) -> Direction {
    if by.descending {
        Direction::Descending
    } else {
        Direction::Ascending
    }
}

/// What a cell is sorted by.
fn key(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::None => serde_json::Value::Null,
        Value::Integer(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Own(text) => text.as_ref().into(),
        Value::State(text) | Value::Foreign(text) | Value::Json(text) => (*text).into(),
    }
}

/// Writes the tasks that pass the filter as a manifest, in the order of theirs.
pub(super) async fn as_manifest(
    reader: &mut Reader,
    run: &RunRow,
    filter: TaskFilter,
    only: Option<&BTreeSet<DeviceOf>>,
    format: RowFormat,
    limit: Option<u64>,
    out: Output,
) -> Result<Listed, Failure> {
    let mut listed = Listed::default();
    let writer = match format {
        RowFormat::Csv => ManifestWriter::csv(reader.label_names(run).await?, out),
        RowFormat::Jsonl | RowFormat::Table | RowFormat::Json => Ok(ManifestWriter::jsonl(out)),
    };
    let mut writer = match writer {
        Ok(writer) => writer,
        Err(OutputError::Closed) => {
            return Ok(Listed {
                was_cut_off: true,
                ..listed
            });
        }
        Err(error) => return Err(error.into()),
    };
    // What is found is not all meant.
    let most_found = limit.filter(|_| only.is_none());
    let most = limit.unwrap_or(u64::MAX);
    let pages = reader.results(run, filter, most_found).await?;
    let mut pages = pages.in_manifest_order().await?;
    loop {
        let mut page = pages.next_page().await?;
        if listed.rows >= most {
            page.clear();
        }
        let mut written = Ok(());
        let meant = |row: &&ResultRow| only.is_none_or(|only| is_among(row, only));
        for row in page.iter().filter(meant) {
            if listed.rows >= most {
                break;
            }
            match writer.row(row) {
                Ok(true) => listed.rows += 1,
                Ok(false) => listed.without_payload += 1,
                Err(error) => {
                    written = Err(error);
                    break;
                }
            }
        }
        if page.is_empty() {
            written = writer.finish();
        }
        if !went_out(written)? {
            listed.was_cut_off = true;
        }
        if page.is_empty() || listed.was_cut_off {
            return Ok(listed);
        }
    }
}

/// Whether the row's device is one of these. One whose product is not known, as of a bad row, may be of any.
fn is_among(row: &ResultRow, devices: &BTreeSet<DeviceOf>) -> bool {
    devices.contains(&device_of(row)) || devices.contains(&(row.device_key.clone(), None))
}

/// A device: its key, and its product where that is known.
pub(super) type DeviceOf = (String, Option<String>);

pub(super) fn device_of(row: &ResultRow) -> DeviceOf {
    (row.device_key.clone(), row.product_key.clone())
}

/// Whether somebody still reads.
pub(super) fn went_out(written: Result<(), OutputError>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(OutputError::Closed) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
