//! Control requests (pause, cancel) as the owner of a database handles them: those left while there was no owner, and those that arrive
//! during a push.

use std::{io, path::Path, time::Duration};

use rand::RngExt as _;
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

use super::{end::end, session};
use crate::{
    clock,
    journal::control::{ControlDecision, decide, stronger},
    model::{Control, ControlAction, RunState},
    store::{ControlFile, ControlFiles, Run, Store, StoreError},
    ui::{number::counted, printer::Printer, text::clean},
};

/// How often an owner looks for requests while it pushes.
const EVERY: Duration = Duration::from_millis(500);

/// A request of whoever gives this command, made now.
pub(super) fn control(action: ControlAction) -> Control {
    let id: u64 = rand::rng().random();
    Control {
        action,
        by: session::user(),
        at: clock::wall_now(),
        id: format!("{id:016x}"),
        asker: None,
    }
}

/// Obeys what was asked of the database's runs while nobody owned it, and deletes what has been obeyed.
pub(super) async fn settle(store: &mut Store, printer: &Printer) -> Result<(), StoreError> {
    let Some(files) = files_beside(store)? else {
        return Ok(());
    };
    let (mut found, unreadable) = match files.all() {
        Ok(all) => all,
        Err(error) => {
            printer.warn(&format!(
                "the folder of {} cannot be searched for requests to pause or to cancel a run: {error}",
                store.shown()
            ));
            return Ok(());
        }
    };
    for (path, error) in unreadable {
        printer.warn(&format!(
            "{} is a request to pause or to cancel a run, and cannot be read ({error}); give the command again, and delete the file",
            path.display()
        ));
    }
    // The end of a run first: there is nothing to pause after it.
    found.sort_by_key(|file| std::cmp::Reverse(file.control.action));
    for file in found {
        let run = store.run_by_id(file.run.id).await?;
        let action = file.control.action;
        match (decide(&file, run.as_ref()), run) {
            (ControlDecision::Obey, Some(run)) => {
                if let Some(file) = files.begin(file) {
                    let (id, name) = (run.id, run.about.name.clone());
                    obey(store, run, &file.control, printer).await?;
                    store
                        .note_asker(id, &name, &file.control, clock::wall_now())
                        .await?;
                    delete(files.end(action, id), &file.path, printer);
                }
            }
            (ControlDecision::Foreign, _) => {
                printer.warn(&format!(
                    "{} asks to {} a run that this database does not have, and is deleted",
                    file.path.display(),
                    action.name()
                ));
                delete(std::fs::remove_file(&file.path), &file.path, printer);
            }
            (ControlDecision::Void, run) => {
                // The push has obeyed it.
                if let Some(run) =
                    run.filter(|run| run.last_control.as_ref() == Some(&file.control.id))
                {
                    store
                        .note_asker(run.id, &run.about.name, &file.control, clock::wall_now())
                        .await?;
                }
                delete(std::fs::remove_file(&file.path), &file.path, printer);
            }
            (ControlDecision::Obey, None) => {
                delete(std::fs::remove_file(&file.path), &file.path, printer);
            }
        }
    }
    Ok(())
}

/// The requests beside a database. One on a server has none: those who may ask there do it themselves when no push runs.
fn files_beside(store: &Store) -> Result<Option<ControlFiles>, StoreError> {
    store.path().map(ControlFiles::of).transpose()
}

/// Does to a run that is not being pushed what somebody has asked.
async fn obey(
    store: &mut Store,
    run: Run,
    control: &Control,
    printer: &Printer,
) -> Result<(), StoreError> {
    let name = run.about.name.clone();
    let words = clean(&control.words()).into_owned();
    match control.action {
        ControlAction::Pause => {
            store.pause(run.id, control).await?;
            printer.say(&format!("run '{name}' is paused {words}"));
        }
        ControlAction::Cancel => {
            let ended = end(store, run, control).await?;
            printer.say(&format!(
                "run '{name}' is cancelled {words}: {} will not be sent",
                counted(ended, "pending task")
            ));
        }
    }
    Ok(())
}

/// It is in the database by now, with its id: a file that stays is not obeyed again.
fn delete(deleted: io::Result<()>, path: &Path, printer: &Printer) {
    if let Err(error) = deleted
        && error.kind() != io::ErrorKind::NotFound
    {
        printer.warn(&format!(
            "{} has been carried out and cannot be deleted: {error}; delete it",
            path.display()
        ));
    }
}

/// Looks for requests for a run as long as it is pushed.
pub(super) struct Watch {
    control: watch::Receiver<Option<Control>>,
    /// None where nobody can ask.
    task: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look.
    pub(super) fn begin(store: &Store, run: &Run, printer: &Printer) -> Result<Self, StoreError> {
        let files = files_beside(store)?;
        let (sender, control) = watch::channel(None);
        // Whatever it was before, it is being pushed.
        let run = Run {
            state: RunState::Running,
            ..run.clone()
        };
        let task = files.map(|files| tokio::spawn(look(files, run, sender, printer.clone())));
        Ok(Self { control, task })
    }

    /// What is asked of the run.
    pub(super) fn control(&self) -> watch::Receiver<Option<Control>> {
        self.control.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn look(
    files: ControlFiles,
    run: Run,
    sender: watch::Sender<Option<Control>>,
    printer: Printer,
) {
    let mut ticks = interval(EVERY);
    // A process that was stopped looks once, and not for every tick that it has missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let before = sender.borrow().clone();
        let (files, run) = (files.clone(), run.clone());
        // A folder that does not answer must not hold the push.
        let next = spawn_blocking(move || next(&files, &run, before.as_ref())).await;
        let Ok(Some(control)) = next else { continue };
        let words = format!(
            "{} asked for {}: stopping after the requests in flight",
            control.action.name(),
            clean(&control.words())
        );
        let is_last = control.action == ControlAction::Cancel;
        let shown = printer.clone();
        // A terminal that is stopped would stop whatever else runs on this thread.
        drop(spawn_blocking(move || shown.say(&words)));
        sender.send_replace(Some(control));
        if is_last {
            return;
        }
    }
}

/// The request that counts now, when it is another one than before: its file says that it is obeyed.
fn next(files: &ControlFiles, run: &Run, before: Option<&Control>) -> Option<Control> {
    let is_new = |file: &ControlFile| {
        decide(file, Some(run)) == ControlDecision::Obey
            && before.is_none_or(|before| stronger(&file.control, before))
    };
    let found = files.of_run(run.id).into_iter().filter(is_new);
    let file = found.max_by_key(|file| file.control.action)?;
    Some(files.begin(file)?.control)
}
