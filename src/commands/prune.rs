//! `fleetpush prune`: deletes old runs and frees their space.

use tracing::warn;

use super::{archive::Archive, copied::must_have_pushes, open, session};
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::pruning::{PruneRule, prunable},
    model::Timestamp,
    settings::Prune as Settings,
    store::{Prunable, Store, StoreError},
    ui::{
        number::{bytes, counted},
        printer::Printer,
    },
};

/// Deletes the runs that the settings choose.
pub(super) async fn prune(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    must_have_pushes(&settings.database, "prune").await?;
    let mut store = open(&settings.database, printer).await?;
    let Timestamp(now) = clock::wall_now();
    let rule = PruneRule {
        ended_before: settings
            .older_than
            .map(|age| Timestamp(now - age.duration().as_millis() as i64)),
        keep: settings.keep,
    };
    let runs = prunable(store.ended_runs().await?, rule);
    let archive = settings
        .archive
        .filter(|_| !settings.dry_run)
        .map(|folder| Archive::open(&folder, &runs))
        .transpose()?;
    let mut ahead = store.all_runs().await?;
    ahead.retain(|run| run.finished_at.is_some_and(|ended| ended.0 > now));
    if settings.older_than.is_some() && !ahead.is_empty() {
        printer.warn(&format!(
            "{} recorded as ended in the future, for example '{}': the clock was ahead then, or is behind now; --older-than ignores them, and --keep uses their order",
            counted(ahead.len() as u64, "run"),
            ahead[0].about.name
        ));
    }
    let tasks = counted(runs.iter().map(|run| run.tasks).sum(), "task");
    let all = counted(runs.len() as u64, "run");
    if settings.dry_run {
        for run in &runs {
            printer.say(&format!("{} would be deleted", about(run)));
        }
        printer.say(&format!("{all} with {tasks} would be deleted"));
        store.close().await?;
        return Ok(Exit::Complete);
    }
    if runs.is_empty() {
        printer.say("there is no run to delete");
        store.close().await?;
        return Ok(Exit::Complete);
    }
    let before = store.size()?;
    store.begin_session(None).await?;
    let deleted = delete(&mut store, &runs, archive.as_ref(), printer).await;
    session::noted(&mut store, deleted).await?;
    if let Err(error) = store.give_back().await {
        // The runs are gone all the same, and what comes next fills their place.
        warn!(%error, "the disk space could not be freed; later runs use it");
    }
    let after = store.size()?;
    session::end_done(&mut store, format!("{all} with {tasks} deleted")).await;
    store.close().await?;
    let freed = before.zip(after).map(|(before, after)| {
        format!(
            "; {} freed, the database has {} now",
            bytes(before.saturating_sub(after)),
            bytes(after)
        )
    });
    printer.say(&format!(
        "{all} with {tasks} deleted{}",
        freed.unwrap_or_default()
    ));
    Ok(Exit::Complete)
}

async fn delete(
    store: &mut Store,
    runs: &[Prunable],
    archive: Option<&Archive>,
    printer: &Printer,
) -> Result<(), Failure> {
    for run in runs {
        if let Some(held) = store.run_by_id(run.id).await? {
            match store.hold_run(&held).await {
                Err(StoreError::RunHeld { holder, .. }) => {
                    printer.say(&format!(
                        "run '{}' is being pushed again by another process ({holder}), and stays",
                        held.about.name
                    ));
                    continue;
                }
                held => held?,
            }
        }
        let mut kept = String::new();
        if let Some(archive) = archive {
            archive.write(store, run, printer).await?;
            kept = format!(
                "; its results and attempts are kept in {}",
                archive.folder().display()
            );
        }
        store.prune(run.id, clock::wall_now()).await?;
        store.release_run(run.id).await?;
        printer.say(&format!("{} is deleted{kept}", about(run)));
    }
    Ok(())
}

fn about(run: &Prunable) -> String {
    format!(
        "run '{}' ({}, ended {})",
        run.name,
        counted(run.tasks, "task"),
        run.finished_at
    )
}
