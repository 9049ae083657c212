//! `--canary-devices`: the devices of a file are sent to first.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use anyhow::anyhow;

use crate::{
    exit::Failure,
    journal::Journal,
    manifest::device_lines,
    model::{Devices, TaskFilter},
    settings::Push,
    ui::{number::counted, printer::Printer, text::clean},
};

/// How many unknown devices are named.
const NAMED: usize = 20;

/// Fails when a file that names the canary cannot be read: to be asked before anything is changed for the push.
pub(super) fn must_be_readable(settings: &Push) -> Result<(), Failure> {
    match &settings.rollout.canary_devices {
        Some(path) => device_lines(path).map(drop).map_err(Failure::usage),
        None => Ok(()),
    }
}

/// The devices that the file names. Where they are to be chosen now, each has to be in the manifest, and one has to be sent to: a canary of
/// fewer devices than somebody has named would prove less than they believe.
pub(super) async fn named(
    journal: &mut Journal<'_>,
    path: &Path,
    printer: &Printer,
) -> Result<Arc<BTreeSet<String>>, Failure> {
    let lines = device_lines(path).map_err(Failure::usage)?;
    let keys: BTreeSet<String> = lines.keys().cloned().collect();
    let pending = journal.counts().pending;
    if !journal.may_choose_canary().await? || pending == 0 {
        return Ok(Arc::new(keys));
    }
    let (store, run) = journal.store_and_run();
    let filter = TaskFilter {
        devices: Some(Devices {
            keys: keys.clone(),
            ..Devices::default()
        }),
        ..TaskFilter::default()
    };
    let unknown = store.unknown(&run, &filter).await?.devices;
    if !unknown.is_empty() {
        let mut unknown: Vec<_> = unknown
            .iter()
            .map(|key| (lines.get(key).copied().unwrap_or_default(), key))
            .collect();
        unknown.sort_unstable();
        let places: Vec<String> = unknown
            .iter()
            .take(NAMED)
            .map(|(line, key)| format!("{}:{line}: {}", path.display(), clean(key)))
            .collect();
        let more = match unknown.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("\nand {more} more"),
        };
        return Err(Failure::usage(anyhow!(
            "the manifest does not have {} of --canary-devices, and nothing was sent: correct the file, or the manifest\n{}{more}",
            counted(unknown.len() as u64, "device"),
            places.join("\n")
        )));
    }
    let sent = store.first_sends_of(&run, &keys).await?;
    if sent == 0 {
        return Err(Failure::usage(anyhow!(
            "the manifest has nothing to send to any device of --canary-devices {}, so there would be no canary, and nothing was sent: name other devices",
            path.display()
        )));
    }
    if let Some(idle @ 1..) = (keys.len() as u64).checked_sub(sent) {
        printer.say(&format!(
            "the manifest has nothing to send to {} of --canary-devices",
            counted(idle, "device")
        ));
    }
    Ok(Arc::new(keys))
}
