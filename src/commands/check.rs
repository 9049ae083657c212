//! `fleetpush check`: validate everything and show the plan; nothing is sent.

use std::{io::Write as _, time::Duration};

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
    let sent = staged.run.tasks - staged.duplicates - staged.invalid;
    let time = time(
        (plan.requests, settings.pace.rate.per_second()),
        (sent, settings.pace.device_rate.per_second()),
        sent.saturating_sub(plan.devices),
    );
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

/// The least time that so many requests, and so many sends to a device, take at these rates. `following` tasks wait for an earlier one of
/// their device.
fn time(requests: (u64, Option<f64>), sends: (u64, Option<f64>), following: u64) -> String {
    let seconds = |(n, rate): (u64, Option<f64>), what| Some((n as f64 / rate?, rate?, what));
    let slower = seconds(requests, "requests")
        .into_iter()
        .chain(seconds(sends, "devices"))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let least = match slower {
        Some((seconds, rate, what)) => {
            let sending = Duration::from_secs_f64(seconds);
            let words = if sending < Duration::from_secs(1) {
                "less than 1 s".to_owned()
            } else {
                format!("at least {}", number::duration(sending))
            };
            format!("{words} at {rate} {what} a second")
        }
        None => "as fast as the platform answers".to_owned(),
    };
    match following {
        0 => format!("{least}, throttling not counted"),
        n => format!(
            "{least}, throttling not counted, nor that {} for an earlier one of the same device",
            if n == 1 {
                "1 row waits".to_owned()
            } else {
                format!("{} rows wait", number::grouped(n))
            }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_says_what_it_leaves_out() {
        let told = [
            time((10, Some(25.0)), (1000, None), 0),
            time((250, Some(25.0)), (250, Some(100.0)), 1),
            time((90_000, Some(25.0)), (90_000, None), 2000),
            time((10, Some(25.0)), (1000, Some(100.0)), 0),
            time((90_000, None), (90_000, None), 0),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        less than 1 s at 25 requests a second, throttling not counted
        at least 10 s at 25 requests a second, throttling not counted, nor that 1 row waits for an earlier one of the same device
        at least 1 h 00 min at 25 requests a second, throttling not counted, nor that 2,000 rows wait for an earlier one of the same device
        at least 10 s at 100 devices a second, throttling not counted
        as fast as the platform answers, throttling not counted
        ");
    }
}
