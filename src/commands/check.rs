//! `fleetpush check`: validate everything and show the plan; nothing is sent.

use std::io::Write as _;

use anyhow::Context;

use super::{interrupt::Interrupt, stage};
use crate::{
    exit::{Exit, Failure},
    settings::Check as Settings,
    store::{NewRun, Store},
    ui::{number, printer::Printer, text::clean},
};

/// Validates a manifest by staging it into a database that is thrown away, so that nothing a push would find goes unfound.
pub(super) async fn check(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let Some(manifest) = stage::open(&settings.input, interrupt).await? else {
        return Ok(Exit::Stopped);
    };
    let folder = tempfile::tempdir()
        .context("cannot make a temporary folder")
        .map_err(Failure::usage)?;
    let mut store = Store::open(&folder.path().join("check.db")).await?;
    let about = NewRun {
        name: "check".to_owned(),
        manifest: manifest.name().to_owned(),
        manifest_sha256: manifest.sha256(),
        defaults: stage::defaults(&settings.input.defaults).canonical(),
        base_url: "simulator".to_owned(),
        identity: manifest.sha256(),
    };
    let chunk_size = settings.pace.chunk_size;
    let file = manifest.name().to_owned();
    let staged = stage::stage(
        &mut store,
        manifest,
        &about,
        chunk_size,
        &settings.input,
        interrupt,
    )
    .await?;
    let Some(staged) = staged else {
        return Ok(Exit::Stopped);
    };
    let plan = store.plan(&staged.run, chunk_size).await?;
    store.close().await?;
    let time = match settings.pace.rate.per_second() {
        Some(rate) => format!(
            "at least {} at {rate} requests a second",
            number::duration(std::time::Duration::from_secs_f64(
                plan.requests as f64 / rate
            ))
        ),
        None => "as fast as the platform answers".to_owned(),
    };
    let lines = [
        format!("{file} can be pushed"),
        format!("  rows      {}", number::grouped(staged.run.tasks)),
        format!("  devices   {}", number::grouped(plan.devices)),
        format!("  products  {}", number::grouped(plan.products)),
        format!("  payloads  {}", number::grouped(plan.payloads)),
        format!(
            "  skipped   {} (same payload as the device's row before)",
            number::grouped(staged.duplicates)
        ),
        format!("  invalid   {}", number::grouped(staged.invalid)),
        format!(
            "  requests  {} of at most {chunk_size} devices",
            number::grouped(plan.requests)
        ),
        format!("  time      {time}"),
    ];
    let mut out = printer.stdout();
    let written = lines
        .iter()
        .try_for_each(|line| writeln!(out, "{}", clean(line)))
        .and_then(|()| out.flush());
    Exit::Complete.after_output(written)
}
