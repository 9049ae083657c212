//! Devices as the rows of a manifest, which a service makes complete.

use std::io::Write as _;

use serde_json::{Map, json};

use super::{
    printer::{Output, OutputError, csv_failure},
    text::clean_json,
};
use crate::model::ListedDevice;

/// The columns. Whatever a label is called, with its prefix it is one.
const COLUMNS: [&str; 6] = [
    "device_key",
    "product_key",
    "label.device_name",
    "label.sn",
    "label.online",
    "label.last_online",
];

/// Writes devices as the rows of a manifest.
pub(crate) enum InventoryWriter {
    /// As CSV.
    Csv(Box<csv::Writer<Output>>),
    /// As JSON lines.
    Jsonl(Output),
}

impl InventoryWriter {
    /// In CSV; the header is written at once.
    pub(crate) fn csv(out: Output) -> Result<Self, OutputError> {
        let mut csv = Box::new(csv::Writer::from_writer(out));
        csv.write_record(COLUMNS).map_err(csv_failure)?;
        Ok(Self::Csv(csv))
    }

    /// In JSON lines.
    pub(crate) fn jsonl(out: Output) -> Self {
        Self::Jsonl(out)
    }

    /// Writes a device. What the platform does not say is left out.
    pub(crate) fn row(&mut self, device: &ListedDevice) -> Result<(), OutputError> {
        let online = device.state.online.map(|online| online.to_string());
        let last_online = device.last_online.map(|at| at.to_string());
        let labels = [&device.name, &device.sn, &online, &last_online];
        match self {
            Self::Csv(csv) => {
                let labels = labels.map(|label| label.as_deref().unwrap_or_default());
                let keys = [&*device.device_key, &*device.product_key];
                csv.write_record(keys.into_iter().chain(labels))
                    .map_err(csv_failure)?;
            }
            Self::Jsonl(out) => {
                let names = COLUMNS
                    .iter()
                    .filter_map(|name| name.strip_prefix("label."));
                let labels: Map<_, _> = names
                    .zip(labels)
                    .filter_map(|(name, label)| Some((name.to_owned(), json!(label.as_ref()?))))
                    .collect();
                let row = json!({
                    "device_key": device.device_key,
                    "product_key": device.product_key,
                    "labels": labels,
                });
                writeln!(out, "{}", clean_json(&row.to_string()))?;
            }
        }
        Ok(())
    }

    /// Writes what is still held back.
    pub(crate) fn finish(&mut self) -> Result<(), OutputError> {
        match self {
            Self::Csv(csv) => csv.flush()?,
            Self::Jsonl(out) => out.flush()?,
        }
        Ok(())
    }
}
