//! `fleetpush run`: stages, then resumes. The same push again continues, or reports that it is complete.

mod decision;
mod owned;
mod prospect;
mod review;
mod versions;

use std::path::Path;

use anyhow::anyhow;

pub(super) use self::prospect::{Does, Prospect, prospect};
use self::{
    decision::{Decision, Earlier, RunFlags, decide},
    review::Review,
};
use super::{
    canary_devices,
    hold::{Held, hold},
    hours::{closed, hours},
    interrupt::Interrupt,
    open,
    parts::push_run,
    push::{With, must_be_able_to_report, nothing_to_do},
    session, stage, stale, target,
};
use crate::{
    clock,
    exit::{Exit, Failure},
    manifest::{self, Manifest},
    model::{Hours, RunState, Timestamp},
    settings::{ManifestInput, OtherVersions, Run as Settings},
    store::{NewRun, Past, PrunedRun, Run, Staged, Store},
    ui::{
        number::{counted, grouped},
        printer::Printer,
    },
};

/// Pushes a manifest.
pub(super) async fn run(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let with = With::new(&settings.push, &settings.database, interrupt, printer);
    let hours = hours(&settings.push.schedule)?;
    let target = target::name(&settings.push.target)?;
    let Some(manifest) = stage::open(&settings.input, interrupt).await? else {
        return Ok(Exit::Stopped);
    };
    let about = about(&manifest, settings.name.as_deref(), &settings.input, target)?;
    must_be_able_to_report(&settings.push, &about.name)?;
    canary_devices::must_be_readable(&settings.push)?;
    let mut store = own(&settings, &about, printer).await?;
    let earlier = store.run_by_identity(&about.identity).await?;
    if let Some(run) = &earlier {
        stage::expected(run.tasks, &settings.input, manifest.name())?;
    }
    let others = versions::unfinished(&mut store, &about).await?;
    let of_this_name = store.run_by_name(&about.name).await?;
    must_own_name(
        of_this_name.as_ref(),
        &about,
        earlier.as_ref(),
        settings.other_versions,
    )?;
    if earlier.is_none()
        && let Some(run) = store.pruned_by_identity(&about.identity).await?
    {
        stage::expected(run.tasks, &settings.input, manifest.name())?;
        warn_of_future(&run.name, Some(run.finished_at), printer);
        let earlier = Earlier {
            state: run.state,
            finished_at: Some(run.finished_at),
            run,
        };
        if let Decision::Nothing { run, anew_at } = decision(Some(earlier), &others, &settings) {
            say_when(&run.name, anew_at, &settings, printer);
            let exit = pruned(&run, printer);
            session::idle(&mut store, None, "nothing", None, exit).await;
            store.close().await?;
            return Ok(exit);
        }
    }
    if let Some(run) = &earlier {
        warn_of_future(&run.about.name, run.finished_at, printer);
    }
    let earlier = earlier.map(|run| Earlier {
        state: run.state,
        finished_at: run.finished_at,
        run,
    });
    let earlier = match decision(earlier, &others, &settings) {
        Decision::Undecided => return Err(versions::in_the_way(&store, &others, &about).await?),
        Decision::Nothing { run, anew_at } => {
            say_whose(&run, &about, printer);
            say_when(&run.about.name, anew_at, &settings, printer);
            return nothing_to_do(store, run, with).await;
        }
        Decision::Continue(run) => {
            say_whose(&run, &about, printer);
            Some(run)
        }
        Decision::Stage => None,
    };
    let deadline = match hours {
        Hours::Open(deadline) => deadline,
        Hours::Closed(why) => return closed(store, &why, printer).await,
    };
    let is_new = earlier.is_none();
    let run = match earlier {
        Some(run) => {
            target::must_be_of(&run, &settings.push)?;
            run
        }
        None => match stage_anew(&mut store, manifest, about, &settings, interrupt, printer).await?
        {
            Some(run) => run,
            None => return Ok(Exit::Stopped),
        },
    };
    let run = match hold(&mut store, run, &settings.database.place, printer).await? {
        Held::Goes(run) => run,
        Held::Over(run) => return nothing_to_do(store, run, with).await,
    };
    if !is_new && !goes_on(&mut store, &run, &settings, interrupt, printer).await? {
        return Ok(Exit::Stopped);
    }
    let prepared = prepare(&mut store, &run, others, &settings, printer).await;
    session::noted(&mut store, prepared).await?;
    push_run(store, run, settings.parts, deadline, with).await
}

/// Says that a run goes on, unless it is stale and nobody agrees to that.
async fn goes_on(
    store: &mut Store,
    run: &Run,
    settings: &Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<bool, Failure> {
    let allow = settings.push.allow_stale;
    if !stale::guard(store, run, allow, interrupt, printer).await? {
        return Ok(false);
    }
    say_where(store, printer);
    printer.say(&format!("run '{}' continues", run.about.name));
    Ok(true)
}

/// Does what is to be done before a run is pushed, and again to one that goes on: a crash may have come between its staging and this.
async fn prepare(
    store: &mut Store,
    run: &Run,
    others: Vec<Run>,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    if !settings.database.tags.is_empty() {
        store.set_tags(run.id, &settings.database.tags).await?;
    }
    if settings.other_versions == OtherVersions::Supersede {
        versions::supersede(store, others, printer).await?;
    }
    Ok(())
}

/// Opens the database, or says what the process that owns it does.
async fn own(settings: &Settings, about: &NewRun, printer: &Printer) -> Result<Store, Failure> {
    match open(&settings.database, printer).await {
        Ok(store) => Ok(store),
        Err(error) => Err(owned::explain(error, &settings.database.place, about).await),
    }
}

fn decision<R>(earlier: Option<Earlier<R>>, others: &[Run], settings: &Settings) -> Decision<R> {
    let flags = RunFlags {
        again: settings.again,
        override_abort: settings.push.recovery.override_abort,
        repeat_after: settings.repeat_after,
        other_versions: settings.other_versions,
    };
    decide(earlier, !others.is_empty(), flags, clock::wall_now())
}

/// Says that the push has a name already, when another one is asked for.
fn say_whose(run: &Run, about: &NewRun, printer: &Printer) {
    if !versions::is_named(&run.about.name, &about.name) {
        printer.say(&format!(
            "this push already is run '{}'; the name '{}' is not used (--again pushes it again under that name)",
            run.about.name, about.name
        ));
    }
}

/// Says that a run seems to have ended later than now, which decides nothing beyond the pause of `--repeat-after`.
fn warn_of_future(name: &str, finished_at: Option<Timestamp>, printer: &Printer) {
    if let Some(finished) = finished_at.filter(|finished| *finished > clock::wall_now()) {
        printer.warn(&format!(
            "run '{name}' is recorded as ended at {}, which is in the future: the clock was ahead then, or is behind now",
            finished.human()
        ));
    }
}

/// Says when a push that has ended is pushed anew, if ever.
fn say_when(name: &str, anew_at: Option<Timestamp>, settings: &Settings, printer: &Printer) {
    if let Some(at) = anew_at {
        printer.say(&format!(
            "run '{name}' has ended; it can be pushed again from {} on (--repeat-after {})",
            at.human(),
            settings.repeat_after
        ));
    }
}

/// Stages the push as a new run, under the first free name; `None` when a signal came meanwhile.
async fn stage_anew(
    store: &mut Store,
    manifest: Manifest,
    mut about: NewRun,
    settings: &Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Option<Run>, Failure> {
    about.name = store.free_name(&about.name).await?;
    let review = Review {
        settings,
        about: &about,
        interrupt,
        printer,
    };
    let staged = stage::stage(
        store,
        manifest,
        &about,
        stage::Staging {
            chunk_size: settings.push.pace.chunk_size,
            unchanged: settings.skip_unchanged.then(|| Past {
                elsewhere: None,
                base_url: &about.base_url,
            }),
        },
        &settings.input,
        interrupt,
        async |stager, preview| review.agree(stager, preview).await,
    )
    .await?;
    let Some(staged) = staged.map(|staged| staged.staged) else {
        printer.say("stopped before anything was staged; nothing has been sent");
        return Ok(None);
    };
    let Staged {
        run,
        duplicates,
        unchanged,
        invalid,
    } = staged;
    let unchanged = if settings.skip_unchanged {
        format!(", {} unchanged", grouped(unchanged))
    } else {
        String::new()
    };
    say_where(store, printer);
    printer.say(&format!(
        "run '{}': {}, {} of them duplicates{unchanged}, {} invalid",
        run.about.name,
        counted(run.tasks, "task"),
        grouped(duplicates),
        grouped(invalid)
    ));
    store.begin_session(Some(&run)).await?;
    let staging = clock::process_start().until(clock::wall_now());
    store.note_staging(staging).await?;
    Ok(Some(run))
}

fn say_where(store: &Store, printer: &Printer) {
    // A path that was mistyped makes a database without a memory, and so a push of everything.
    let new = if store.is_new() {
        " (new database)"
    } else {
        ""
    };
    printer.say(&format!(
        "results go to {}{new}",
        store.path().map_or_else(
            || store.shown(),
            |path| super::repeat::absolute(path).display().to_string()
        )
    ));
}

/// What this push is, by the name that is asked for.
pub(super) fn about(
    manifest: &Manifest,
    name: Option<&str>,
    input: &ManifestInput,
    target: String,
) -> Result<NewRun, Failure> {
    let defaults = stage::defaults(&input.defaults).canonical();
    let identity = manifest::identity(&manifest.sha256(), &defaults, &target);
    let name = match name {
        Some(name) => name.to_owned(),
        None => stage::default_name(manifest, &input.path, &identity)?,
    };
    Ok(NewRun {
        name,
        manifest: manifest.name().to_owned(),
        // The path of a pipe says nothing of what comes out of it.
        manifest_path: manifest.stem().map(|_| absolute(&input.path)),
        manifest_sha256: manifest.sha256(),
        defaults,
        base_url: target,
        identity,
    })
}

/// Tells that a push has ended of which nothing else is known any more.
fn pruned(run: &PrunedRun, printer: &Printer) -> Exit {
    printer.say(&format!(
        "run '{}' is {} since {} and has been pruned; nothing is sent; --again pushes it again",
        run.name,
        run.state.name(),
        run.finished_at.human(),
    ));
    if run.state == RunState::Complete && run.unsuccessful == 0 {
        Exit::Complete
    } else {
        Exit::Failures
    }
}

/// The path from the root. Links are not followed: `current.csv` is the same manifest whatever it leads to tonight.
fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned()
}

/// A name stands for one push. Only versions of one manifest share it, when they have been allowed to follow one another: as NAME,
/// NAME-2, …
fn must_own_name(
    of_this_name: Option<&Run>,
    about: &NewRun,
    earlier: Option<&Run>,
    other_versions: OtherVersions,
) -> Result<(), Failure> {
    let Some(other) = of_this_name.filter(|run| run.about.identity != about.identity) else {
        return Ok(());
    };
    let follows = match earlier {
        Some(run) => versions::is_named(&run.about.name, &about.name),
        // Whether an unfinished one may be followed is decided, and explained, where all unfinished versions are.
        None => other.state.is_unfinished() || other_versions != OtherVersions::Refuse,
    };
    if follows && versions::is_other_version(&other.about, about) {
        Ok(())
    } else {
        Err(other_identity(other, about))
    }
}

/// What differs from the push that has the name.
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
