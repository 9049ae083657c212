//! `fleetpush check`: validate everything, show what would be sent and the plan; nothing is sent.

mod report;

use std::io::Write as _;

use self::report::Report;
use super::{
    canary_devices,
    interrupt::Interrupt,
    odd,
    phases::{CanaryPhase, Phases},
    reading::reader_of,
    run::{self, Does},
    stage, target, temporary,
};
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::{CanaryAsked, Choice, Journal},
    manifest::Manifest,
    model::{AfterFailure, SummaryFormat},
    settings::{AskedPush, Check as Settings, Place, Rollout},
    store::{NewRun, Past, Plan, ReadError, Reader, Run, Staged, Store},
    ui::{
        printer::Printer,
        text::{clean, clean_json},
    },
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
    let asked = asked(&settings, &manifest)?;
    let folder = temporary::folder()?;
    let mut store = temporary::store(folder.path()).await?;
    let about = NewRun {
        name: "check".to_owned(),
        manifest: manifest.name().to_owned(),
        manifest_path: None,
        manifest_sha256: manifest.sha256(),
        defaults: stage::defaults(&settings.input.defaults).canonical(),
        base_url: "simulator".to_owned(),
        identity: manifest.sha256(),
    };
    let mut reader = match &asked {
        Some((asked, _)) if asked.skip_unchanged => existing(&asked.database.place).await?,
        _ => None,
    };
    let past = match (&mut reader, &asked) {
        (Some(reader), Some((_, about))) => Some(Past {
            elsewhere: Some(reader),
            base_url: &about.base_url,
        }),
        _ => None,
    };
    let chunk_size = settings.pace.chunk_size;
    let staged = stage::stage(
        &mut store,
        manifest,
        &about,
        stage::Staging {
            chunk_size,
            unchanged: past,
        },
        &settings.input,
        interrupt,
        async |_, _| Ok(()),
    )
    .await?;
    let Some(staged) = staged else {
        return Ok(Exit::Stopped);
    };
    let stage::StagedManifest {
        staged,
        preview,
        findings,
    } = staged;
    let (plan, phases) = planned(&mut store, &staged, &settings, printer).await?;
    store.close().await?;
    if let Some(reader) = reader {
        reader.close().await?;
    }
    let sent = staged.run.tasks - staged.duplicates - staged.unchanged - staged.invalid;
    let pace = (sent, settings.pace.device_rate.per_second());
    let warnings = odd::warnings(&preview, plan.payloads, &phases, pace);
    for warning in &warnings {
        printer.warn(&warning.words(&about.manifest));
    }
    let prospect = match asked {
        None => None,
        Some((asked, about)) => Some((
            asked.database.place.to_string(),
            run::prospect(asked, &about, &settings.input).await?,
        )),
    };
    let exit = match &prospect {
        Some((_, prospect)) => match prospect.does {
            Does::Refuse(exit) => exit,
            Does::Stage | Does::Continue | Does::Nothing => Exit::Complete,
        },
        None => Exit::Complete,
    };
    let report = Report {
        about,
        staged,
        preview,
        plan,
        phases,
        chunk_size,
        pace,
        warnings,
        findings,
        prospect,
    };
    let mut out = printer.stdout();
    let written = match settings.format {
        SummaryFormat::Text => report
            .lines()
            .iter()
            .try_for_each(|line| writeln!(out, "{}", clean(line))),
        SummaryFormat::Json => writeln!(out, "{}", clean_json(&report.json().to_string())),
    };
    exit.after_output(written.and_then(|()| out.flush()))
}

/// What pushing it takes, and its phases.
async fn planned(
    store: &mut Store,
    staged: &Staged,
    settings: &Settings,
    printer: &Printer,
) -> Result<(Plan, Phases), Failure> {
    let chunk_size = settings.pace.chunk_size;
    let plan = store.plan(&staged.run, chunk_size).await?;
    let choice = choose_canary(store, &staged.run, &settings.rollout, printer).await?;
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
    let sent = staged.run.tasks - staged.duplicates - staged.unchanged - staged.invalid;
    let phases = Phases {
        canary,
        canary_is_all: matches!(choice, Choice::WholeFleet { .. }),
        ramp: settings.rollout.ramp.steps(),
        rate: settings.pace.rate.per_second(),
        tasks: sent - canary.map_or(0, |canary| canary.devices),
        requests,
    };
    Ok((plan, phases))
}

/// The push that is meant, if one is.
fn asked<'s>(
    settings: &'s Settings,
    manifest: &Manifest,
) -> Result<Option<(&'s AskedPush, NewRun)>, Failure> {
    let Some(asked) = &settings.asked else {
        return Ok(None);
    };
    let target = target::destination_name(&asked.destination)?;
    let about = run::about(manifest, asked.name.as_deref(), &settings.input, target)?;
    Ok(Some((asked, about)))
}

/// The results database, if there is one.
async fn existing(place: &Place) -> Result<Option<Reader>, Failure> {
    match reader_of(place).await {
        Ok(reader) => Ok(Some(reader)),
        Err(ReadError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Chooses the devices that would go first. Another push of the same manifest chooses others, and so perhaps other payloads.
async fn choose_canary(
    store: &mut Store,
    run: &Run,
    rollout: &Rollout,
    printer: &Printer,
) -> Result<Choice, Failure> {
    let mut journal = Journal::open(store, run.clone(), AfterFailure::Block).await?;
    let devices = match &rollout.canary_devices {
        Some(path) => Some(canary_devices::named(&mut journal, path, printer).await?),
        None => None,
    };
    let choice = journal
        .choose_canary(
            CanaryAsked {
                canary: rollout.canary,
                devices: devices.as_deref(),
                pause: rollout.canary_pause,
                proof: &rollout.proof,
            },
            rand::random(),
            clock::wall_now(),
        )
        .await?;
    Ok(choice)
}
