//! What happened to one device, in the order of time: for a person, and as JSON.

use std::{collections::HashSet, fmt::Write as _};

use serde_json::{Value, json, value::RawValue};

use super::{
    number::{counted, grouped},
    text::clean,
};
use crate::{
    model::{Direction, HistoryEntry, Ticket, Timestamp, Trace},
    policy::codes,
    store::{LastThrottle, PastAcceptance, ResultRow, RunRow, Send},
};

/// All that is known of one device.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub device_key: String,
    /// What it accepted last in runs that have been pruned.
    pub past: Vec<PastAcceptance>,
    /// When it was throttled last.
    pub throttles: Vec<LastThrottle>,
    /// Its runs, the oldest first.
    pub runs: Vec<RunPart>,
    /// What the platform tells, for each product.
    pub history: Vec<HistoryPart>,
    /// The command that sends to it again.
    pub next: Option<String>,
}

/// What a run did with the device.
#[derive(Debug)]
pub(crate) struct RunPart {
    pub run: RunRow,
    /// The device's tasks, in the order of the manifest.
    pub tasks: Vec<TaskPart>,
}

/// A task of the device.
#[derive(Debug)]
pub(crate) struct TaskPart {
    /// What became of it.
    pub row: ResultRow,
    pub sends: Vec<Send>,
    /// Why it is where it is.
    pub why: String,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

/// What the platform tells of the device in one product.
#[derive(Debug)]
pub(crate) struct HistoryPart {
    pub product_key: String,
    /// The entries, or why the platform tells none.
    pub told: Result<Trace, String>,
}

impl Timeline {
    /// The products of the device.
    pub(crate) fn products(&self) -> Vec<&str> {
        let mut products: Vec<&str> = Vec::new();
        let of_tasks = self
            .tasks()
            .filter_map(|task| task.row.product_key.as_deref());
        let of_past = self.past.iter().map(|past| past.product_key.as_str());
        for product in of_tasks.chain(of_past) {
            if !products.contains(&product) {
                products.push(product);
            }
        }
        products
    }

    fn tasks(&self) -> impl Iterator<Item = &TaskPart> {
        self.runs.iter().flat_map(|part| &part.tasks)
    }

    /// When the device was sent something first, as far as it is known.
    pub(crate) fn first_send(&self) -> Option<Timestamp> {
        self.tasks()
            .flat_map(|task| &task.sends)
            .map(|send| send.sent_at)
            .min()
    }

    /// For a person: lines that are harmless on a terminal.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let products = self.products();
        writeln!(
            out,
            "device {}{}",
            clean(&self.device_key),
            match &products[..] {
                [] => String::new(),
                [one] => format!(" of product {}", clean(one)),
                many => format!(" of the products {}", clean(&many.join(", "))),
            }
        )?;
        for past in &self.past {
            writeln!(
                out,
                "\nrun {}, pruned\n  {}  {} line {}: accepted{}",
                clean(&past.run),
                Timestamp(past.accepted_at).human(),
                clean(&past.service),
                past.line,
                ticket_words(past.ticket.as_deref())
            )?;
        }
        for part in &self.runs {
            let run = &part.run;
            writeln!(
                out,
                "\nrun {} (number {}), {}, to {}, staged {} from {}",
                clean(&run.name),
                run.id.0,
                run.state.name(),
                clean(&run.base_url),
                run.created_at.human(),
                clean(&run.manifest),
            )?;
            for task in &part.tasks {
                write_task(out, task)?;
            }
        }
        if !self.throttles.is_empty() {
            writeln!(out)?;
        }
        for throttle in &self.throttles {
            writeln!(
                out,
                "throttled last {} ({}, product {}), paused until {}",
                throttle.throttled_at.human(),
                throttle.class.name(),
                clean(&throttle.product_key),
                throttle.until.human()
            )?;
        }
        for history in &self.history {
            self.write_history(out, history)?;
        }
        if let Some(next) = &self.next {
            writeln!(out, "\nto send to it again: {next}")?;
        }
        Ok(())
    }

    fn write_history(&self, out: &mut String, part: &HistoryPart) -> std::fmt::Result {
        let product = clean(&part.product_key);
        let trace = match &part.told {
            Ok(trace) => trace,
            Err(reason) => {
                return writeln!(
                    out,
                    "\nhistory of the platform, product {product}: none: {}",
                    clean(reason)
                );
            }
        };
        writeln!(
            out,
            "\nhistory of the platform, product {product}: {}{}",
            entries_words(trace),
            if trace.cut { ", and more" } else { "" }
        )?;
        for entry in commands_and_answers(trace) {
            writeln!(
                out,
                "  {}  {}{}{}{}",
                entry
                    .sent_at
                    .map_or_else(|| "at an unknown time".to_owned(), Timestamp::human),
                status_words(entry),
                ticket_words(entry.ticket.as_ref().map(Ticket::as_str)),
                match self.run_of(entry) {
                    Some(run) => format!(", of run {}", clean(run)),
                    None => ", of none of these runs".to_owned(),
                },
                match entry.told() {
                    Some(told) => format!(": {}", clean(&told.to_string())),
                    None => String::new(),
                }
            )?;
        }
        Ok(())
    }

    /// The run whose command has the entry's ticket.
    fn run_of(&self, entry: &HistoryEntry) -> Option<&str> {
        let ticket = entry.ticket.as_ref()?.as_str();
        let run = self.runs.iter().find(|part| {
            part.tasks.iter().any(|task| {
                task.sends
                    .iter()
                    .any(|send| send.ticket.as_deref() == Some(ticket))
            })
        });
        run.map(|part| part.run.name.as_str())
    }

    /// As one JSON object.
    pub(crate) fn json(&self) -> Value {
        json!({
            "device_key": self.device_key,
            "products": self.products(),
            "pruned": self.past.iter().map(|past| json!({
                "run": past.run,
                "product_key": past.product_key,
                "service": past.service,
                "line": past.line,
                "ticket": past.ticket,
                "accepted_at": Timestamp(past.accepted_at).to_string(),
            })).collect::<Vec<_>>(),
            "runs": self.runs.iter().map(|part| json!({
                "run": part.run.id.0,
                "name": part.run.name,
                "state": part.run.state.name(),
                "base_url": part.run.base_url,
                "manifest": part.run.manifest,
                "created_at": part.run.created_at.to_string(),
                "tasks": part.tasks.iter().map(TaskPart::json).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "throttles": self.throttles.iter().map(|throttle| json!({
                "product_key": throttle.product_key,
                "class": throttle.class.name(),
                "throttled_at": throttle.throttled_at.to_string(),
                "until": throttle.until.to_string(),
            })).collect::<Vec<_>>(),
            "history": self.history.iter().map(|part| self.history_json(part)).collect::<Vec<_>>(),
            "next": self.next,
        })
    }

    fn history_json(&self, part: &HistoryPart) -> Value {
        match &part.told {
            Err(reason) => json!({ "product_key": part.product_key, "error": reason }),
            Ok(trace) => json!({
                "product_key": part.product_key,
                "more": trace.cut,
                "reports": reports(trace),
                "entries": commands_and_answers(trace).map(|entry| json!({
                    "direction": match entry.direction {
                        Some(Direction::Up) => Some("up"),
                        Some(Direction::Down) => Some("down"),
                        None => None,
                    },
                    "ticket": entry.ticket.as_ref().map(Ticket::as_str),
                    "send_time": entry.sent_at.map(|time| time.to_string()),
                    "send_status": entry.status,
                    "run": self.run_of(entry),
                    "data": entry.told(),
                })).collect::<Vec<_>>(),
            }),
        }
    }
}

impl TaskPart {
    fn json(&self) -> Value {
        let row = &self.row;
        let raw = |text: Option<&str>| -> Value {
            text.and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default()
        };
        json!({
            "line": row.line,
            "product_key": row.product_key,
            "state": row.status.name(),
            "class": row.class.map(crate::model::Class::name),
            "code": row.code,
            "text": row.code.and_then(codes::lookup).map(|info| info.text),
            "message": row.message,
            "ticket": row.ticket,
            "due_at": row.due_at.map(|time| time.to_string()),
            "finished_at": row.finished_at.map(|time| time.to_string()),
            "data": row.data,
            "labels": raw(row.labels.as_deref()),
            "attempts": self.sends.iter().map(|send| json!({
                "attempt": send.attempt,
                "request_id": send.request_id,
                "devices": send.devices,
                "sent_at": send.sent_at.to_string(),
                "latency_ms": send.latency_ms,
                "http_status": send.http_status,
                "outcome": send.class.name(),
                "code": send.code,
                "text": send.code.and_then(codes::lookup).map(|info| info.text),
                "message": send.message,
                "ticket": send.ticket,
            })).collect::<Vec<_>>(),
            "why": self.why,
            "advice": self.advice,
            "delivery": row.delivery,
            "delivery_at": row.delivery_at.map(|time| time.to_string()),
        })
    }
}

fn write_task(out: &mut String, task: &TaskPart) -> std::fmt::Result {
    let row = &task.row;
    write!(out, "  line {}", row.line)?;
    if let Some(data) = &row.data {
        write!(out, "  {}", clean(data))?;
    }
    if let Some(labels) = row.labels.as_deref().map(labels_words)
        && !labels.is_empty()
    {
        write!(out, "  {}", clean(&labels))?;
    }
    writeln!(out)?;
    for send in &task.sends {
        write!(
            out,
            "    {}  request {}",
            send.sent_at.human(),
            send.request_id
        )?;
        if send.devices > 1 {
            write!(out, " of {} devices", grouped(send.devices.unsigned_abs()))?;
        }
        write!(out, ": {}", send.class.name())?;
        if let Some(code) = send.code {
            let text = codes::lookup(code).map(|info| info.text);
            write!(
                out,
                ", {code} {}",
                clean(text.or(send.message.as_deref()).unwrap_or_default())
            )?;
        } else if let Some(message) = &send.message {
            write!(out, ", {}", clean(message))?;
        }
        out.push_str(&ticket_words(send.ticket.as_deref()));
        if let Some(latency) = send.latency_ms {
            write!(out, ", {latency} ms")?;
        }
        writeln!(out)?;
    }
    if let Some(words) = delivery_words(row) {
        writeln!(out, "    {words}")?;
    }
    writeln!(out, "    {}", clean(&task.why))?;
    if let Some(advice) = task.advice {
        writeln!(out, "    advice: {advice}")?;
    }
    Ok(())
}

/// `delivery: sent, 2026-11-22 19:02:29 UTC`, once there is any evidence.
fn delivery_words(row: &ResultRow) -> Option<String> {
    let delivery = row.delivery.as_deref().filter(|word| *word != "unknown")?;
    let at = row.delivery_at.map(|at| format!(", {}", at.human()));
    Some(format!("delivery: {delivery}{}", at.unwrap_or_default()))
}

fn ticket_words(ticket: Option<&str>) -> String {
    ticket.map_or_else(String::new, |ticket| format!(", ticket {}", clean(ticket)))
}

/// `site=Oslo, rack=2`
fn labels_words(labels: &str) -> String {
    let parsed: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(labels).unwrap_or_default();
    let words: Vec<String> = parsed
        .iter()
        .map(|(name, value)| format!("{name}={}", value.get().trim_matches('"')))
        .collect();
    words.join(", ")
}

/// The commands of a history, and what the device answered to one of them.
fn commands_and_answers(trace: &Trace) -> impl Iterator<Item = &HistoryEntry> {
    let commands = trace.entries.iter().filter(|entry| entry.may_be_command());
    let tickets: HashSet<&Ticket> = commands.filter_map(|entry| entry.ticket.as_ref()).collect();
    trace.entries.iter().filter(move |entry| {
        entry.may_be_command()
            || entry
                .ticket
                .as_ref()
                .is_some_and(|ticket| tickets.contains(ticket))
    })
}

/// How many entries came from the device that answer no command of this history.
fn reports(trace: &Trace) -> u64 {
    (trace.entries.len() - commands_and_answers(trace).count()) as u64
}

/// `2 commands, 1 answer, 40 reports of the device that answer none of them`
fn entries_words(trace: &Trace) -> String {
    let shown = commands_and_answers(trace).count() as u64;
    let commands = trace.entries.iter().filter(|entry| entry.may_be_command());
    let commands = commands.count() as u64;
    let mut words = counted(commands, "command");
    if shown > commands {
        let _ = write!(words, ", {}", counted(shown - commands, "answer"));
    }
    if reports(trace) > 0 {
        let _ = write!(
            words,
            ", {} of the device that answer none of them",
            counted(reports(trace), "report")
        );
    }
    words
}

fn status_words(entry: &HistoryEntry) -> String {
    if entry.direction == Some(Direction::Up) {
        return "answered by the device".to_owned();
    }
    match entry.status {
        Some(0) => "not sent to the device yet".to_owned(),
        Some(1) => "sent to the device".to_owned(),
        Some(-1) => "could not be sent to the device".to_owned(),
        Some(other) => format!("sendStatus {other}"),
        None => "no status".to_owned(),
    }
}
