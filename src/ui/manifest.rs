//! Results as a manifest: tasks with all that was sent and with their labels, so that a push of it sends the same again.

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    printer::{Output, OutputError, csv_failure},
    text::clean_json,
};
use crate::store::ResultRow;

/// Writes tasks as the rows of a manifest.
pub(crate) enum ManifestWriter {
    /// As CSV, with a column for each label.
    Csv {
        csv: Box<csv::Writer<Output>>,
        /// The labels that the run has.
        labels: Vec<String>,
    },
    /// As JSON lines.
    Jsonl(Output),
}

/// The columns before the labels.
const COLUMNS: [&str; 8] = [
    "device_key",
    "product_key",
    "data",
    "qos",
    "is_cache",
    "cache_time",
    "is_cover",
    "extend_para",
];

#[derive(Serialize)]
struct Row<'a> {
    device_key: &'a str,
    product_key: &'a str,
    data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_cache: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_cover: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extend_para: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a RawValue>,
}

impl ManifestWriter {
    /// A manifest in CSV, of a run that has these labels. Its header is written at once.
    pub(crate) fn csv(labels: Vec<String>, out: Output) -> Result<Self, OutputError> {
        let mut csv = Box::new(csv::Writer::from_writer(out));
        // Whatever a label is called, so it is one.
        let named: Vec<String> = labels.iter().map(|name| format!("label.{name}")).collect();
        csv.write_record(COLUMNS.into_iter().chain(named.iter().map(String::as_str)))
            .map_err(csv_failure)?;
        Ok(Self::Csv { csv, labels })
    }

    /// A manifest in JSON lines.
    pub(crate) fn jsonl(out: Output) -> Self {
        Self::Jsonl(out)
    }

    /// Writes a task; false when it has nothing that could be sent, as an invalid row.
    pub(crate) fn row(&mut self, row: &ResultRow) -> Result<bool, OutputError> {
        let (Some(product_key), Some(data)) = (&row.product_key, &row.data) else {
            return Ok(false);
        };
        match self {
            Self::Jsonl(out) => {
                let row = Row {
                    device_key: &row.device_key,
                    product_key,
                    data,
                    qos: row.qos,
                    is_cache: row.is_cache,
                    cache_time: row.cache_time,
                    is_cover: row.is_cover,
                    extend_para: raw(row.extend_para.as_deref())?,
                    labels: raw(row.labels.as_deref())?,
                };
                let line = serde_json::to_string(&row).map_err(std::io::Error::from)?;
                writeln!(out, "{}", clean_json(&line))?;
            }
            Self::Csv { csv, labels } => {
                let number = |number: Option<i64>| {
                    number.map(|number| number.to_string()).unwrap_or_default()
                };
                let truth =
                    |truth: Option<bool>| truth.map(|truth| truth.to_string()).unwrap_or_default();
                let cells = [
                    row.device_key.clone(),
                    product_key.clone(),
                    data.clone(),
                    number(row.qos),
                    truth(row.is_cache),
                    number(row.cache_time),
                    truth(row.is_cover),
                    row.extend_para.clone().unwrap_or_default(),
                ];
                let of_row = row.labels.as_deref().unwrap_or("{}");
                let of_row: Map<String, Value> =
                    serde_json::from_str(of_row).map_err(std::io::Error::from)?;
                let values = labels.iter().map(|name| match of_row.get(name) {
                    None => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                });
                csv.write_record(cells.into_iter().chain(values))
                    .map_err(csv_failure)?;
            }
        }
        Ok(true)
    }

    /// Writes what is still held back.
    pub(crate) fn finish(&mut self) -> Result<(), OutputError> {
        match self {
            Self::Csv { csv, .. } => csv.flush()?,
            Self::Jsonl(out) => out.flush()?,
        }
        Ok(())
    }
}

/// The text of a JSON value, as it is.
fn raw(text: Option<&str>) -> Result<Option<&RawValue>, OutputError> {
    let raw = text.map(serde_json::from_str).transpose();
    Ok(raw.map_err(std::io::Error::from)?)
}
