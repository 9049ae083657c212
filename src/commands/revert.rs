//! `fleetpush revert`: a manifest that gives devices back what they had accepted before a run.

use std::collections::{BTreeMap, HashMap};

use anyhow::anyhow;

use super::{
    reading,
    repeat::repeat_reading,
    results::went_out,
    select::{filter, listed, remarks, value_remark},
};
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::revert::{LeftOut, before, cached_until, may_have_got, only, services},
    model::{RowFormat, RunState, Timestamp},
    settings::{Revert as Settings, did_you_mean},
    store::{Acceptance, PayloadId, Reader, ResultRow, RunRow, StoredPayload},
    ui::{
        format::{Column, RowWriter, Value, writer},
        manifest::ManifestWriter,
        number::counted,
        out_file::Destination,
        printer::{Printer, unless_closed},
        repeat::{Repeat, quoted},
    },
};

/// The columns of the list of devices that are left out.
const COLUMNS: [Column; 5] = [
    Column::shown("device_key"),
    Column::shown("product_key"),
    Column::shown("service"),
    Column::shown("reason"),
    Column::shown("words"),
];

/// Devices that are named of those that are left out.
const EXAMPLES: usize = 5;

/// Writes the manifest. Nothing is sent.
pub(super) async fn revert(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let filter = filter(settings.states.clone(), settings.filter.clone())?;
    let destination = Destination::open(settings.out.as_deref())?;
    let list = Destination::open(settings.left_out.as_deref())?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let run = reader.find_run(Some(&settings.run)).await?;
    must_have_ended(&run)?;
    must_call(&mut reader, &run, &settings.services).await?;
    let mut notes = remarks(&reader.unknown(&run, &filter).await?, &run.name)?;
    let values = reader.unknown_values(&run, &filter).await?;
    notes.extend(values.iter().map(|value| value_remark(value, &run.name)));

    gather(&mut reader, &run, filter, &settings.services).await?;
    let labels = match settings.format {
        RowFormat::Csv => reader.label_names(&run).await?,
        _ => Vec::new(),
    };
    let out = destination.output(printer)?;
    let mut writers = Writers {
        manifest: match settings.format {
            RowFormat::Csv => ManifestWriter::csv(labels, out)?,
            _ => ManifestWriter::jsonl(out),
        },
        list: list
            .is_file()
            .then(|| list.output(printer))
            .transpose()?
            .map(|out| writer(RowFormat::Csv, COLUMNS.to_vec(), out)),
    };
    let mut sum = Sum::default();
    let mut payloads = HashMap::new();
    let mut after = String::new();
    loop {
        let rows = reader.gathered(&run, &after).await?;
        let Some(final_row) = rows.last() else {
            break;
        };
        after.clone_from(&final_row.device_key);
        let page = page(&mut reader, &run, &rows, &settings.services, &mut payloads).await?;
        for one in page {
            sum.take(&one);
            if !went_out(writers.write(&one))? {
                return Ok(Exit::Complete);
            }
        }
    }
    let of_copy = reader.is_copied(run.id).await?;
    reader.close().await?;
    for note in notes {
        printer.say(&note);
    }
    sum.say(&run, printer);
    if sum.reverted == 0 {
        return Err(Failure::usage(anyhow!(
            "nothing of run '{}' can be taken back",
            run.name
        )));
    }
    unless_closed(writers.finish())?;
    list.keep()?;
    destination.keep()?;
    let mut again = repeat_reading(&settings.database);
    let sender = if of_copy {
        // It has a database of its own, in a file.
        again = Repeat { db: None, ..again };
        " from the machine that pushes"
    } else {
        ""
    };
    let command = |file: &str| again.command("run", file, &run.base_url, "");
    match &settings.out {
        Some(path) if path.as_os_str() != "-" => printer.say(&format!(
            "nothing has been sent; to send it{sender}: {}",
            command(&path.to_string_lossy())
        )),
        _ => printer.say(&format!(
            "nothing has been sent; to send it{sender}, write it to a file with --out revert.jsonl, and then: {}",
            command("revert.jsonl")
        )),
    }
    Ok(Exit::Complete)
}

/// A push that goes on could overtake what takes it back.
fn must_have_ended(run: &RunRow) -> Result<(), Failure> {
    if matches!(run.state, RunState::Complete | RunState::Cancelled) {
        return Ok(());
    }
    Err(Failure::usage(anyhow!(
        "run '{}' is {}, and its pending tasks would be sent after this manifest: end it first with fleetpush cancel {}",
        run.name,
        run.state.name(),
        quoted(&run.name)
    )))
}

/// Fails for a service that the run does not call.
async fn must_call(reader: &mut Reader, run: &RunRow, wanted: &[String]) -> Result<(), Failure> {
    let known = reader.services(run).await?;
    let Some(service) = wanted.iter().find(|wanted| !known.contains(wanted)) else {
        return Ok(());
    };
    let hint = did_you_mean(service, known.iter().map(String::as_str));
    Err(Failure::usage(anyhow!(
        "--service: run '{}' calls no service '{service}'{}; it calls {}",
        run.name,
        hint.trim_end_matches('?'),
        if known.is_empty() {
            "none that can be read".to_owned()
        } else {
            listed(known.iter())
        }
    )))
}

/// Gathers the run's tasks whose devices accepted one of the services, or may have got it.
async fn gather(
    reader: &mut Reader,
    run: &RunRow,
    filter: crate::model::TaskFilter,
    wanted: &[String],
) -> Result<(), Failure> {
    reader.begin_gathering().await?;
    let mut pages = reader.results(run, filter, None).await?;
    loop {
        let page = pages.next_page().await?;
        if page.is_empty() {
            return Ok(());
        }
        let doubts = pages.reader().once_in_doubt(&page).await?;
        let chosen: Vec<&ResultRow> = page
            .iter()
            .filter(|row| {
                may_have_got(row, doubts.contains_key(&row.id)) && calls_one_of(row, wanted)
            })
            .collect();
        pages.reader().gather(&chosen).await?;
    }
}

fn calls_one_of(row: &ResultRow, wanted: &[String]) -> bool {
    let Some(data) = &row.data else {
        return false;
    };
    services(data)
        .iter()
        .any(|service| wanted.contains(service))
}

/// What becomes of a service of a device.
struct One {
    /// The device's row of the run, with the payload that it gets back where there is one.
    row: ResultRow,
    service: String,
    left_out: Option<LeftOut>,
    cached_until: Option<Timestamp>,
}

/// Decides about the devices of a page.
async fn page(
    reader: &mut Reader,
    run: &RunRow,
    rows: &[ResultRow],
    wanted: &[String],
    payloads: &mut HashMap<PayloadId, StoredPayload>,
) -> Result<Vec<One>, Failure> {
    let mut devices: BTreeMap<(&str, &str), Vec<&ResultRow>> = BTreeMap::new();
    for row in rows {
        let product = row.product_key.as_deref().unwrap_or_default();
        devices
            .entry((&row.device_key, product))
            .or_default()
            .push(row);
    }
    let mut keys: Vec<&str> = devices.keys().map(|(device, _)| *device).collect();
    keys.dedup();
    let mut others: HashMap<(String, String, String), Vec<Acceptance>> = HashMap::new();
    for one in reader.accepted_elsewhere(run, &keys, wanted).await? {
        let key = (
            one.device_key.clone(),
            one.product_key.clone(),
            one.service.clone(),
        );
        others.entry(key).or_default().push(one);
    }
    let doubts = reader.once_in_doubt(rows).await?;
    let mut decided = Vec::new();
    for ((device, product), tasks) in devices {
        for service in wanted {
            let own: Vec<&ResultRow> = tasks
                .iter()
                .copied()
                .filter(|row| calls_one_of(row, std::slice::from_ref(service)))
                .collect();
            let Some(last) = own.last() else {
                continue;
            };
            let key = (device.to_owned(), product.to_owned(), service.clone());
            let known = others.get(&key).map_or(&[][..], Vec::as_slice);
            let mut one = One {
                row: (*last).clone(),
                service: service.clone(),
                left_out: None,
                cached_until: own.iter().filter_map(|row| cached_until(row)).max(),
            };
            let requests: Vec<i64> = own
                .iter()
                .filter_map(|row| row.request_id.or_else(|| doubts.get(&row.id).copied()))
                .collect();
            match before(run.id, &requests, known) {
                Ok(earlier) => {
                    one.left_out =
                        give_back(reader, earlier, &mut one.row, service, payloads).await?;
                }
                Err(reason) => one.left_out = Some(reason),
            }
            decided.push(one);
        }
    }
    Ok(decided)
}

/// Puts the payload of an acceptance into the row, or says why that cannot be.
async fn give_back(
    reader: &mut Reader,
    earlier: &Acceptance,
    row: &mut ResultRow,
    service: &str,
    payloads: &mut HashMap<PayloadId, StoredPayload>,
) -> Result<Option<LeftOut>, Failure> {
    /// Payloads that are kept: most devices had the same few.
    const KEPT: usize = 1000;
    let Some(id) = earlier.payload else {
        return Ok(Some(LeftOut::PayloadGone));
    };
    if !payloads.contains_key(&id) {
        let Some(payload) = reader.payload(id).await? else {
            return Ok(Some(LeftOut::PayloadGone));
        };
        if payloads.len() >= KEPT {
            payloads.clear();
        }
        payloads.insert(id, payload);
    }
    let Some(payload) = payloads.get(&id) else {
        return Ok(Some(LeftOut::PayloadGone));
    };
    let Some(data) = only(&payload.data, service) else {
        return Ok(Some(LeftOut::PayloadGone));
    };
    if row
        .data
        .as_deref()
        .and_then(|own| only(own, service))
        .as_ref()
        == Some(&data)
    {
        return Ok(Some(LeftOut::Same));
    }
    row.data = Some(data);
    row.qos = payload.qos;
    row.is_cache = payload.is_cache;
    row.cache_time = payload.cache_time;
    row.is_cover = payload.is_cover;
    row.extend_para.clone_from(&payload.extend_para);
    Ok(None)
}

struct Writers {
    manifest: ManifestWriter,
    list: Option<Box<dyn RowWriter + Send>>,
}

impl Writers {
    fn write(&mut self, one: &One) -> Result<(), crate::ui::printer::OutputError> {
        let Some(reason) = one.left_out else {
            return self.manifest.row(&one.row).map(|_| ());
        };
        let Some(list) = &mut self.list else {
            return Ok(());
        };
        list.row(&[
            Value::Foreign(&one.row.device_key),
            Value::foreign(one.row.product_key.as_deref()),
            Value::Foreign(&one.service),
            Value::Own(reason.name().into()),
            Value::Own(reason.words().into()),
        ])
    }

    fn finish(&mut self) -> Result<(), crate::ui::printer::OutputError> {
        if let Some(list) = &mut self.list {
            list.finish()?;
        }
        self.manifest.finish()
    }
}

/// What all of it comes to.
#[derive(Default)]
struct Sum {
    reverted: u64,
    left_out: BTreeMap<LeftOut, (u64, Vec<String>)>,
    cached: u64,
    cached_until: Option<Timestamp>,
}

impl Sum {
    fn take(&mut self, one: &One) {
        match one.left_out {
            None => {
                self.reverted += 1;
                if one
                    .cached_until
                    .is_some_and(|until| until > clock::wall_now())
                {
                    self.cached += 1;
                    self.cached_until = self.cached_until.max(one.cached_until);
                }
            }
            Some(reason) => {
                let (count, examples) = self.left_out.entry(reason).or_default();
                *count += 1;
                if examples.len() < EXAMPLES {
                    examples.push(one.row.device_key.clone());
                }
            }
        }
    }

    fn say(&self, run: &RunRow, printer: &Printer) {
        printer.say(&format!(
            "run '{}': {} to take it back",
            run.name,
            counted(self.reverted, "command")
        ));
        for (reason, (count, examples)) in &self.left_out {
            let more = if *count > examples.len() as u64 {
                ", …"
            } else {
                ""
            };
            printer.say(&format!(
                "{} left out, because the device {}: {}{more}",
                counted(*count, "command"),
                reason.words(),
                examples.join(", ")
            ));
        }
        if let Some(until) = self.cached_until {
            printer.warn(&format!(
                "the platform may still have {} of run '{}' in its cache, and deliver {} after the manifest's: wait until {}, or send with \
                 is_cover",
                counted(self.cached, "command"),
                run.name,
                if self.cached == 1 { "it" } else { "them" },
                until.human()
            ));
        }
    }
}
