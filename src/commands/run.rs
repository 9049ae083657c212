//! `fleetpush run`: stage, then resume. The same push again continues, or says that it is complete.

use anyhow::anyhow;

use super::{
    interrupt::Interrupt,
    push::{nothing_to_do, push},
    stage, stale, target,
};
use crate::{
    exit::{Exit, Failure},
    manifest,
    model::RunState,
    settings::Run as Settings,
    store::{NewRun, PrunedRun, Run, Store},
    ui::printer::Printer,
};

/// Pushes a manifest.
pub(super) async fn run(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let target = target::name(&settings.push.target)?;
    let Some(manifest) = stage::open(&settings.input, interrupt).await? else {
        return Ok(Exit::Stopped);
    };
    let defaults = stage::defaults(&settings.input.defaults).canonical();
    let identity = manifest::identity(&manifest.sha256(), &defaults, &target);
    let name = match &settings.name {
        Some(name) => name.clone(),
        None => stage::default_name(&manifest, &settings.input.path, &identity)?,
    };
    let mut about = NewRun {
        name,
        manifest: manifest.name().to_owned(),
        manifest_sha256: manifest.sha256(),
        defaults,
        base_url: target,
        identity,
    };
    let mut store = Store::open(&settings.database.path).await?;
    let results = format!("results go to {}", store.path().display());
    match earlier(&mut store, &about, &settings).await? {
        Earlier::Continue(run) => {
            if !stale::guard(
                &mut store,
                &run,
                None,
                settings.push.allow_stale,
                interrupt,
                printer,
            )
            .await?
            {
                return Ok(Exit::Stopped);
            }
            printer.say(&results);
            printer.say(&format!("run '{}' continues", run.about.name));
            return push(
                store,
                run,
                &settings.push,
                &settings.database,
                interrupt,
                printer,
            )
            .await;
        }
        Earlier::Ended(run) => {
            return nothing_to_do(store, run, &settings.push, &settings.database, printer).await;
        }
        Earlier::Pruned(run) => {
            store.close().await?;
            return Ok(pruned(&run, printer));
        }
        Earlier::None => {}
        Earlier::Again => about.name = store.free_name(&about.name).await?,
    }
    let staged = stage::stage(
        &mut store,
        manifest,
        &about,
        settings.push.pace.chunk_size,
        &settings.input,
        interrupt,
    )
    .await?;
    let Some(staged) = staged else {
        printer.say("stopped before anything was staged; nothing has been sent");
        return Ok(Exit::Stopped);
    };
    printer.say(&results);
    printer.say(&format!(
        "run '{}': {} tasks, {} of them duplicates, {} invalid",
        staged.run.about.name, staged.run.tasks, staged.duplicates, staged.invalid
    ));
    push(
        store,
        staged.run,
        &settings.push,
        &settings.database,
        interrupt,
        printer,
    )
    .await
}

/// What the database knows of this push.
enum Earlier {
    /// Nothing.
    None,
    /// It is unfinished.
    Continue(Run),
    /// It has ended, or is aborted, and nothing is to be sent.
    Ended(Run),
    /// It had ended, and its run has been deleted since.
    Pruned(PrunedRun),
    /// It has ended, and is to be pushed anew.
    Again,
}

async fn earlier(
    store: &mut Store,
    about: &NewRun,
    settings: &Settings,
) -> Result<Earlier, Failure> {
    let of_this_name = store.run_by_name(&about.name).await?;
    if let Some(other) = of_this_name.filter(|run| run.about.identity != about.identity) {
        return Err(other_identity(&other, about));
    }
    let Some(run) = store.run_by_identity(&about.identity).await? else {
        return Ok(match store.pruned_by_identity(&about.identity).await? {
            Some(_) if settings.again => Earlier::Again,
            Some(run) => Earlier::Pruned(run),
            None => Earlier::None,
        });
    };
    Ok(match run.state {
        RunState::Running | RunState::Stopped => Earlier::Continue(run),
        RunState::Aborted if settings.push.recovery.override_abort => Earlier::Continue(run),
        RunState::Complete | RunState::Cancelled if settings.again => Earlier::Again,
        RunState::Aborted | RunState::Complete | RunState::Cancelled => Earlier::Ended(run),
    })
}

/// Tells that a push has ended of which nothing else is known any more.
fn pruned(run: &PrunedRun, printer: &Printer) -> Exit {
    printer.say(&format!(
        "run '{}' is {} since {} and has been pruned; nothing is sent, unless --again pushes it anew",
        run.name,
        run.state.name(),
        run.finished_at,
    ));
    if run.state == RunState::Complete && run.unsuccessful == 0 {
        Exit::Complete
    } else {
        Exit::Failures
    }
}

/// A name stands for one push: what differs from the one that has it.
fn other_identity(run: &Run, about: &NewRun) -> Failure {
    let mut differences = Vec::new();
    let mut differ = |what: &str, then: &str, now: &str| {
        if then != now {
            differences.push(format!("{what} was {then} and is {now}"));
        }
    };
    differ(
        "the manifest's SHA-256",
        &run.about.manifest_sha256,
        &about.manifest_sha256,
    );
    differ(
        "what the flags say of payloads",
        &run.about.defaults,
        &about.defaults,
    );
    differ("the target", &run.about.base_url, &about.base_url);
    Failure::usage(anyhow!(
        "run '{}' is another push: {}; choose another name with --name",
        run.about.name,
        differences.join("; ")
    ))
}
