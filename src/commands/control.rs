//! Control requests (pause, cancel) as the owner of a database handles them: those left while there was no owner, and those that arrive
//! during a push.

use std::time::Duration;

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
    store::{ControlRequest, ControlRequests, FoundRequests, RequestError, Run, Store, StoreError},
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
    if !store.may_be_controlled().await? {
        return Ok(());
    }
    let mut requests = store.control_requests()?;
    let FoundRequests {
        mut found,
        unreadable,
    } = match requests.all().await {
        Ok(all) => all,
        Err(RequestError::Server(error)) => return Err(error.into()),
        Err(RequestError::File(error)) => {
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
    found.sort_by_key(|request| std::cmp::Reverse(request.control.action));
    for request in found {
        settle_one(store, &mut requests, request, printer).await?;
    }
    Ok(())
}

async fn settle_one(
    store: &mut Store,
    requests: &mut ControlRequests,
    request: ControlRequest,
    printer: &Printer,
) -> Result<(), StoreError> {
    let action = request.control.action;
    let shown = requests.shown(&request);
    let run = store.run_by_id(request.run.id).await?;
    let deleted = match (decide(&request, run.as_ref()), run) {
        (ControlDecision::Obey, Some(run)) => {
            match store.hold_run(&run).await {
                // Whoever pushes it obeys.
                Err(StoreError::RunHeld { .. }) => return Ok(()),
                held => held?,
            }
            match requests.begin(&request).await {
                // Somebody has taken it back.
                Ok(false) => return Ok(()),
                Err(RequestError::Server(error)) => return Err(error.into()),
                // What cannot be noted is obeyed all the same, and its id is recorded.
                Ok(true) | Err(RequestError::File(_)) => {}
            }
            let (id, name) = (run.id, run.about.name.clone());
            obey(store, run, &request.control, printer).await?;
            store
                .note_asker(id, &name, &request.control, clock::wall_now())
                .await?;
            store.release_run(id).await?;
            requests.end(action, id).await
        }
        (ControlDecision::Foreign, _) => {
            printer.warn(&format!(
                "{shown} asks to {} a run that this database does not have, and is deleted",
                action.name()
            ));
            requests.delete(&request).await
        }
        (ControlDecision::Void, run) => {
            // The push has obeyed it.
            if let Some(run) =
                run.filter(|run| run.last_control.as_ref() == Some(&request.control.id))
            {
                store
                    .note_asker(run.id, &run.about.name, &request.control, clock::wall_now())
                    .await?;
            }
            requests.delete(&request).await
        }
        (ControlDecision::Obey, None) => requests.delete(&request).await,
    };
    // It is in the database by now, with its id: a request that stays is not obeyed again.
    if let Err(error) = deleted {
        printer.warn(&format!(
            "{shown} has been carried out and cannot be deleted: {error}; delete it"
        ));
    }
    Ok(())
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

/// Looks for requests for a run as long as it is pushed.
pub(super) struct Watch {
    control: watch::Receiver<Option<Control>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to look.
    pub(super) fn begin(store: &Store, run: &Run, printer: &Printer) -> Result<Self, StoreError> {
        let requests = store.control_requests()?;
        let (sender, control) = watch::channel(None);
        // Whatever it was before, it is being pushed.
        let run = Run {
            state: RunState::Running,
            ..run.clone()
        };
        let task = tokio::spawn(look(requests, run, sender, printer.clone()));
        Ok(Self { control, task })
    }

    /// What is asked of the run.
    pub(super) fn control(&self) -> watch::Receiver<Option<Control>> {
        self.control.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(
    mut requests: ControlRequests,
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
        let Some(control) = next(&mut requests, &run, before.as_ref()).await else {
            continue;
        };
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

/// The request that counts now, when it is another one than before, once it is noted that it is obeyed. What cannot be read is read later.
async fn next(
    requests: &mut ControlRequests,
    run: &Run,
    before: Option<&Control>,
) -> Option<Control> {
    let is_new = |request: &ControlRequest| {
        decide(request, Some(run)) == ControlDecision::Obey
            && before.is_none_or(|before| stronger(&request.control, before))
    };
    let found = requests.of_run(run.id).await.ok()?;
    let found = found.into_iter().filter(is_new);
    let request = found.max_by_key(|request| request.control.action)?;
    let begun = requests.begin(&request).await.ok()?;
    begun.then_some(request.control)
}
