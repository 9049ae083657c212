//! `fleetpush check`: validate everything and show the plan; nothing is sent.

mod phases;

use std::{io::Write as _, time::Duration};

use anyhow::Context;

use self::phases::{CanaryPhase, Phases};
use super::{interrupt::Interrupt, stage};
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::{Choice, Journal},
    model::{AfterFailure, Consent},
    settings::{Check as Settings, Rollout},
    store::{NewRun, Run, Store, StoreError},
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
    let mut store = Store::open_with(
        &folder.path().join("check.db"),
        // Nobody else knows of it.
        Consent {
            network_filesystem: true,
            ..Consent::default()
        },
    )
    .await?;
    let about = NewRun {
        name: "check".to_owned(),
        manifest: manifest.name().to_owned(),
        manifest_path: None,
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
    let choice = choose_canary(&mut store, &staged.run, &settings.rollout).await?;
    let canary = match choice {
        Choice::Chosen(open) => Some(CanaryPhase {
            devices: open.devices,
            requests: store.canary_requests(&staged.run, chunk_size).await?,
            pause: open.pause,
        }),
        Choice::None | Choice::Open(_) | Choice::WholeFleet { .. } | Choice::TooLate => None,
    };
    let requests = match canary {
        Some(_) => store.plan(&staged.run, chunk_size).await?.requests,
        None => plan.requests,
    };
    store.close().await?;
    let sent = staged.run.tasks - staged.duplicates - staged.invalid;
    let phases = Phases {
        canary,
        canary_is_all: matches!(choice, Choice::WholeFleet { .. }),
        ramp: settings.rollout.ramp.steps(),
        rate: settings.pace.rate.per_second(),
        tasks: sent - canary.map_or(0, |canary| canary.devices),
        requests,
    };
    let time = time(
        &phases,
        (sent, settings.pace.device_rate.per_second()),
        sent.saturating_sub(plan.devices),
    );
    let mut lines = vec![
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
            number::grouped(phases.all_requests())
        ),
    ];
    for (index, phase) in phases.lines().into_iter().enumerate() {
        let label = if index == 0 { "phases" } else { "" };
        lines.push(format!("  {label:<9} {phase}"));
    }
    lines.push(format!("  time      {time}"));
    let mut out = printer.stdout();
    let written = lines
        .iter()
        .try_for_each(|line| writeln!(out, "{}", clean(line)))
        .and_then(|()| out.flush());
    Exit::Complete.after_output(written)
}

/// Chooses the devices that would go first. Another push of the same manifest chooses others, and so perhaps other payloads.
async fn choose_canary(
    store: &mut Store,
    run: &Run,
    rollout: &Rollout,
) -> Result<Choice, StoreError> {
    let mut journal = Journal::open(store, run.clone(), AfterFailure::Block).await?;
    journal
        .choose_canary(
            rollout.canary,
            rollout.canary_pause,
            rand::random(),
            clock::wall_now(),
        )
        .await
}

/// The least time that a push takes, of whose tasks so many are sent at most so many a second. `following` tasks wait for an earlier one
/// of their device.
fn time(phases: &Phases, sends: (u64, Option<f64>), following: u64) -> String {
    let by_requests = phases.least_time().map(|time| {
        let limit = match phases.rate {
            Some(rate) => format!("at {rate} requests a second"),
            None => "for the ramp".to_owned(),
        };
        (time, limit)
    });
    let by_devices = sends.1.map(|rate| {
        let time = Duration::from_secs_f64(sends.0 as f64 / rate);
        (time, format!("at {rate} devices a second"))
    });
    let slower = by_requests
        .into_iter()
        .chain(by_devices)
        .max_by_key(|(time, _)| *time);
    let least = match slower {
        Some((sending, limit)) => {
            let words = if sending < Duration::from_secs(1) {
                "less than 1 s".to_owned()
            } else {
                format!("at least {}", number::duration(sending))
            };
            format!("{words} {limit}")
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
        let time = |(requests, rate), sends, following| {
            let phases = Phases {
                canary: None,
                canary_is_all: false,
                ramp: None,
                rate,
                tasks: requests,
                requests,
            };
            time(&phases, sends, following)
        };
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
