//! A run in parts: divided by whoever starts it, and pushed by any number of workers.
//!
//! A worker takes one part after the other. Nobody directs them: who may push what is decided by leases, and whether the run goes on by its
//! rows, which each worker reads with each claim.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{
    exit_code::exit_of,
    hours::{closed, hours},
    interrupt::Interrupt,
    open,
    push::{Ended, With, around, nothing_to_do, push, send, summarize},
    reading::reader_of,
    receiving::Receiving,
    target,
};
use crate::{
    clock,
    engine::Stop,
    exit::{Exit, Failure},
    model::{Deadline, Hours, PartNumber, RunId, RunState},
    settings::Worker,
    store::{OpenPart, Run, Store, StoreError},
    ui::{
        number::{counted, grouped},
        printer::Printer,
    },
};

/// How often a worker looks for a part while others have all of them …
const LOOK: Duration = Duration::from_secs(1);
/// … and when there is none.
const IDLE: Duration = Duration::from_secs(5);

/// Pushes a run that is this process's own. With a number of parts it is divided when what goes first has gone; one that stands in parts already
/// is pushed as these.
pub(super) async fn push_run(
    mut store: Store,
    run: Run,
    parts: Option<u32>,
    deadline: Option<Deadline>,
    with: With<'_>,
) -> Result<Exit, Failure> {
    // Who overrides an abort pushes the rest as one: what has failed until now is forgiven to this process, and not to other workers.
    let is_in_parts = run.state != RunState::Aborted && store.is_in_parts(run.id).await?;
    if parts.is_none() && !is_in_parts {
        return push(store, run, deadline, with).await;
    }
    let parts = parts.filter(|_| !is_in_parts);
    around(
        store,
        run,
        deadline,
        with,
        async |store, run, deadline, with| divide_and_work(store, run, parts, deadline, with).await,
    )
    .await
}

async fn divide_and_work(
    mut store: Store,
    run: Run,
    parts: Option<u32>,
    deadline: Option<Deadline>,
    with: With<'_>,
) -> Result<Exit, Failure> {
    let (id, name) = (run.id, run.about.name.clone());
    if parts.is_some() {
        let sending = match send(store, run, deadline.clone(), with, parts).await? {
            Ended::Sent(sending) => sending,
            Ended::Elsewhere(store, run) => return nothing_to_do(*store, *run, with).await,
        };
        if sending.session.stop != Stop::Divide {
            let exit = sending.exit;
            summarize(&name, Some(sending.session), with).await?;
            return Ok(exit);
        }
    } else {
        store.set_running(id, clock::wall_now()).await?;
        store.close().await?;
    }
    let mut work = Work::new(with, Some(id), deadline, false)?;
    let stopped = work.go().await?;
    let mut store = open(with.database, with.printer).await?;
    let Some(run) = store.run_by_id(id).await? else {
        return Ok(Exit::Stopped);
    };
    if let Some(exit) = stopped {
        store.close().await?;
        summarize(&name, None, with).await?;
        return Ok(exit);
    }
    nothing_to_do(store, run, with).await
}

/// `fleetpush worker`
pub(super) async fn worker(
    settings: Worker,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let with = With::new(&settings.push, &settings.database, interrupt, printer);
    let only = match &settings.run {
        Some(name) => {
            let mut reader = reader_of(&settings.database.place).await?;
            let row = reader.find_run(Some(name)).await?;
            reader.close().await?;
            Some(row.id)
        }
        None => None,
    };
    let deadline = match hours(&settings.push.schedule)? {
        Hours::Open(deadline) => deadline,
        Hours::Closed(why) => {
            let store = open(&settings.database, printer).await?;
            return closed(store, &why, printer).await;
        }
    };
    let mut work = Work::new(with, only, deadline, settings.stay)?;
    let receiving = Receiving::begin(&settings.push, &settings.database, interrupt, printer).await;
    let ended = Box::pin(work.go()).await;
    receiving.end().await;
    let stopped = ended?;
    if work.pushed.is_empty() && stopped.is_none() {
        printer.say("no part of a run is left to push; fleetpush run --parts makes parts");
    }
    let mut exit = stopped.unwrap_or(Exit::Complete);
    // One that stays has told of each part, and may have pushed many runs.
    let told = if settings.stay {
        BTreeMap::new()
    } else {
        work.pushed
    };
    for (id, name) in told {
        let mut store = open(&settings.database, printer).await?;
        let run = store.run_by_id(id).await?;
        let of_run = match run {
            Some(run) => exit_of(&mut store, run, &settings.push).await?,
            None => Exit::Complete,
        };
        store.close().await?;
        summarize(&name, None, with).await?;
        if of_run as u8 > exit as u8 {
            exit = of_run;
        }
    }
    Ok(exit)
}

/// What a worker does.
struct Work<'a> {
    with: With<'a>,
    /// The platform.
    target: String,
    /// The run whose parts it takes; none: any.
    only: Option<RunId>,
    deadline: Option<Deadline>,
    /// Whether it waits when no part is left.
    stays: bool,
    /// The runs of which it has pushed parts, with their names.
    pushed: BTreeMap<RunId, String>,
    /// What has been said of why it waits.
    told: Option<String>,
}

/// What there is to do.
enum Next {
    /// A part that is this worker's now.
    Part(Box<Store>, Box<Run>),
    /// Others have what is left.
    Wait,
    /// No part is left.
    Nothing,
}

impl<'a> Work<'a> {
    fn new(
        with: With<'a>,
        only: Option<RunId>,
        deadline: Option<Deadline>,
        stays: bool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            target: target::name(&with.push.target)?,
            with,
            only,
            deadline,
            stays,
            pushed: BTreeMap::new(),
            told: None,
        })
    }

    /// Pushes part after part until none is left; gives the exit code when something stops that before.
    async fn go(&mut self) -> Result<Option<Exit>, Failure> {
        let mut answered = None;
        loop {
            if self.is_over() {
                return Ok(Some(Exit::Stopped));
            }
            match self.next().await {
                Ok(Next::Part(store, run)) => {
                    answered = Some(Instant::now());
                    if let Some(exit) = self.push(*store, *run).await? {
                        return Ok(Some(exit));
                    }
                }
                Ok(Next::Nothing) if !self.stays => return Ok(None),
                Ok(next) => {
                    answered = Some(Instant::now());
                    let is_idle = matches!(next, Next::Nothing);
                    if is_idle {
                        self.tell("waiting: no part of a run is left to push".into());
                    }
                    self.wait(if is_idle { IDLE } else { LOOK }).await;
                }
                // A server that has answered before may come back.
                Err(failure)
                    if failure.exit() == Exit::Database
                        && answered.is_some_and(|at| {
                            at.elapsed() < self.with.push.recovery.max_outage
                        }) =>
                {
                    self.tell(format!(
                        "waiting for the results database: {}",
                        failure.message()
                    ));
                    self.wait(LOOK).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether a signal or the end of its time has come.
    fn is_over(&self) -> bool {
        let is_late = self
            .deadline
            .as_ref()
            .is_some_and(|deadline| clock::wall_now() >= deadline.at);
        is_late || self.with.interrupt.is_stopped()
    }

    /// Waits so long, or until a signal comes. Whoever watches the process sees that it lives.
    async fn wait(&self, time: Duration) {
        let why = self.told.as_deref().unwrap_or("waiting for a part");
        self.with.printer.monitor().waits(why).await;
        self.with.interrupt.stopped_within(time).await;
    }

    /// Says why nothing is sent, once.
    fn tell(&mut self, why: String) {
        if self.told.as_ref() != Some(&why) {
            self.with.printer.say(&why);
            self.told = Some(why);
        }
    }

    /// Takes a part that nobody has.
    async fn next(&mut self) -> Result<Next, Failure> {
        let With {
            database,
            interrupt,
            printer,
            ..
        } = self.with;
        let mut reader = reader_of(&database.place).await?;
        let open_parts = reader.open_parts(&self.target, self.only).await?;
        reader.close().await?;
        if open_parts.is_empty() {
            return Ok(Next::Nothing);
        }
        let free: Vec<OpenPart> = open_parts
            .into_iter()
            .filter(|part| part.worker.is_none())
            .collect();
        if free.is_empty() {
            self.tell("waiting: other workers push the parts that are left".into());
            return Ok(Next::Wait);
        }
        let opened = tokio::select! {
            opened = open(database, printer) => opened,
            () = interrupt.stopped() => return Ok(Next::Wait),
        };
        // With that, what is asked of a run that nobody has any more is done.
        let mut store = match opened {
            Err(StoreError::Leased { .. }) => return Ok(Next::Wait),
            opened => opened?,
        };
        for part in free {
            if part.is_asked {
                self.tell(format!(
                    "waiting: somebody pauses or cancels run '{}'",
                    part.name
                ));
                continue;
            }
            let Some(run) = store.run_by_id(RunId(part.run)).await? else {
                continue;
            };
            if let Err(failure) = target::must_be_of(&run, self.with.push) {
                // A worker of many runs leaves those of other accounts to others.
                if self.only.is_some() {
                    return Err(failure);
                }
                self.tell(format!("waiting: {}", failure.message()));
                continue;
            }
            match store.hold_part(&run, PartNumber(part.part)).await {
                Ok(Some(run)) => return Ok(Next::Part(Box::new(store), Box::new(run))),
                Ok(None) | Err(StoreError::RunHeld { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        store.close().await?;
        Ok(Next::Wait)
    }

    /// Pushes a part; gives the exit code when that ends the work.
    async fn push(&mut self, store: Store, run: Run) -> Result<Option<Exit>, Failure> {
        let name = run.about.name.clone();
        let what = run.part.map_or_else(
            || format!("run '{name}'"),
            |part| format!("part {part} of run '{name}'"),
        );
        self.told = None;
        self.with
            .printer
            .say(&format!("{what}: {}", counted(run.tasks, "task")));
        self.pushed.insert(run.id, name);
        let sending = match send(store, run, self.deadline.clone(), self.with, None).await? {
            Ended::Sent(sending) => sending,
            Ended::Elsewhere(store, _) => {
                store.close().await?;
                return Ok(None);
            }
        };
        let session = &sending.session;
        let (ended, requests) = (grouped(session.ended), counted(session.requests, "request"));
        let how = match &session.stop {
            Stop::Complete => "has ended".to_owned(),
            stop => match stop.reason() {
                Some(reason) => format!("stops ({}: {reason})", stop.name()),
                None => format!("stops ({})", stop.name()),
            },
        };
        self.with
            .printer
            .say(&format!("{what} {how}: {ended} tasks in {requests}"));
        let (stop, exit) = (sending.session.stop.clone(), sending.exit);
        sending.leave().await;
        Ok(match stop {
            // What became of the run, or what is left of it, its rows tell.
            Stop::Complete | Stop::Elsewhere | Stop::Aborted { .. } => None,
            _ => Some(exit),
        })
    }
}
