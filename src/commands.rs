//! The commands: each has a file that opens what it needs, does the work, and reports the result. [`execute`] has an arm for each of them.
//! The other files are parts that commands share, such as `push`, `stage` and `session`.

mod archive;
mod ask;
mod bad_rows;
mod canary;
mod canary_check;
mod canary_devices;
mod cancel;
mod candidates;
mod check;
mod codes;
mod compare;
mod config;
mod confirm;
mod control;
mod copied;
mod copy;
mod db;
mod diff;
mod doctor;
mod end;
mod exit_code;
mod explain;
mod failure;
mod fleet;
mod hold;
mod hours;
mod interrupt;
mod inventory;
mod limits;
mod listen;
mod listeners;
mod manual;
mod named;
mod named_history;
mod odd;
mod parts;
mod pause;
mod phases;
mod prune;
mod push;
mod reading;
mod receiving;
mod repeat;
mod report;
mod results;
mod resume;
mod retry;
mod revert;
mod run;
mod runs;
mod select;
mod session;
mod sessions;
mod simulator;
mod sql;
mod stage;
mod stale;
mod status;
mod take_over;
mod target;
mod template;
mod temporary;
mod thing_models;
mod verified;
mod verify;
mod when_online;

use std::{io::ErrorKind, path::PathBuf};

pub(crate) use self::candidates::candidates;
use self::interrupt::Interrupt;
use crate::{
    clock,
    exit::{Exit, Failure},
    settings::{self, Command, Database, Place},
    store::{ControlRequests, Owner, ReadError, ServerStore, Store, StoreError},
    ui::{
        monitor::{ListenMonitor, Monitor},
        printer::Printer,
    },
};

/// Does what was asked, and gives the exit code.
#[expect(clippy::too_many_lines, reason = "one arm for each command")]
pub(crate) async fn execute(command: Command, printer: &Printer) -> Result<Exit, Failure> {
    interrupt::survive_file_limits()?;
    match command {
        Command::Run(settings) => {
            let metrics = settings.push.metrics_file.clone();
            monitored(metrics, printer, async |interrupt, printer| {
                Box::pin(run::run(*settings, interrupt, printer)).await
            })
            .await
        }
        Command::Resume(settings) => {
            let metrics = settings.push.metrics_file.clone();
            monitored(metrics, printer, async |interrupt, printer| {
                Box::pin(resume::resume(*settings, interrupt, printer)).await
            })
            .await
        }
        Command::Retry(settings) => {
            // A question is no push, and its answer no success.
            let metrics = settings.push.metrics_file.clone();
            let metrics = metrics.filter(|_| !settings.dry_run);
            monitored(
                metrics,
                printer,
                async |interrupt, printer| match settings.offline_for {
                    Some(age) => {
                        Box::pin(when_online::when_online(*settings, age, interrupt, printer)).await
                    }
                    None => Box::pin(retry::retry(*settings, interrupt, printer)).await,
                },
            )
            .await
        }
        Command::Worker(settings) => {
            let metrics = settings.push.metrics_file.clone();
            monitored(metrics, printer, async |interrupt, printer| {
                Box::pin(parts::worker(*settings, interrupt, printer)).await
            })
            .await
        }
        Command::Verify(settings) => {
            stoppable(printer, async |interrupt| {
                Box::pin(verify::verify(*settings, interrupt, printer)).await
            })
            .await
        }
        Command::Check(settings) => {
            stoppable(printer, async |interrupt| {
                Box::pin(check::check(*settings, interrupt, printer)).await
            })
            .await
        }
        Command::Simulator(arguments) => {
            stoppable(printer, async |interrupt| {
                simulator::simulator(&arguments, interrupt, printer).await
            })
            .await
        }
        // These have nothing to bring in order: a signal ends them as it ends any process.
        Command::Pause(settings) => pause::pause(settings, printer).await,
        Command::Cancel(settings) => cancel::cancel(settings, printer).await,
        Command::Template(settings) => {
            stoppable(printer, async |interrupt| {
                template::template(&settings, interrupt, printer).await
            })
            .await
        }
        Command::Inventory(settings) => {
            stoppable(printer, async |interrupt| {
                inventory::inventory(*settings, interrupt, printer).await
            })
            .await
        }
        Command::Listen(settings) => {
            let monitor = ListenMonitor::open(
                &settings.queue,
                settings.metrics_file.as_deref(),
                clock::wall_now(),
            )?;
            listening(*settings, monitor, printer).await
        }
        Command::Prune(settings) => prune::prune(settings, printer).await,
        Command::Runs(settings) => runs::runs(settings, printer).await,
        Command::Sessions(settings) => sessions::sessions(settings, printer).await,
        Command::Status(settings) => status::status(settings, printer).await,
        Command::Results(settings) => {
            let out = settings.out.clone();
            with_file(out, printer, async || {
                results::results(*settings, printer).await
            })
            .await
        }
        Command::Explain(settings) => {
            stoppable(printer, async |interrupt| {
                explain::explain(*settings, interrupt, printer).await
            })
            .await
        }
        Command::Diff(settings) => {
            let out = settings.out.clone();
            with_file(out, printer, async || diff::diff(*settings, printer).await).await
        }
        Command::Report(settings) => report::report(*settings, printer).await,
        Command::Revert(settings) => {
            let out = settings.out.clone().or(settings.left_out.clone());
            with_file(out, printer, async || {
                revert::revert(*settings, printer).await
            })
            .await
        }
        Command::Sql(settings) => {
            let out = settings.out.clone();
            with_file(out, printer, async || sql::sql(settings, printer).await).await
        }
        Command::Migrate(settings) => {
            stoppable(printer, async |interrupt| {
                db::migrate(settings, interrupt, printer).await
            })
            .await
        }
        Command::Copy(settings) => {
            stoppable(printer, async |interrupt| {
                Box::pin(copy::copy(settings, interrupt, printer)).await
            })
            .await
        }
        Command::Codes(settings) => codes::codes(&settings, printer),
        Command::Doctor(settings) => doctor::doctor(*settings, printer).await,
        Command::Show(settings) => config::show(&settings, printer),
        Command::Completions(args) => manual::completions(args, printer),
        Command::Man(args) => manual::man(&args, printer),
    }
}

/// Does the work of a command that pushes, and tells machines of it: the metrics file, and the service manager.
async fn monitored(
    metrics_file: Option<PathBuf>,
    printer: &Printer,
    work: impl AsyncFnOnce(&Interrupt, &Printer) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let monitor = Monitor::open(metrics_file.as_deref(), clock::wall_now())?;
    let printer = &printer.watched_by(monitor.clone());
    let ended = stoppable(printer, async |interrupt| work(interrupt, printer).await).await;
    let exit = match &ended {
        Ok(exit) => *exit,
        Err(failure) => failure.exit(),
    };
    // The push that owns the database writes the same file, and goes on.
    if exit != Exit::Locked {
        monitor
            .ended(exit as u8, ended.is_ok(), clock::wall_now())
            .await;
    }
    ended
}

/// Listens, and tells machines of it as [`monitored`] does.
async fn listening(
    settings: settings::Listen,
    mut monitor: ListenMonitor,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let ended = stoppable(printer, async |interrupt| {
        listen::listen(&settings, interrupt, printer, &mut monitor).await
    })
    .await;
    let exit = match &ended {
        Ok(exit) => *exit,
        Err(failure) => failure.exit(),
    };
    // The listener that has the inbox writes the same file, and goes on.
    if exit != Exit::Locked {
        monitor.ended(exit as u8, clock::wall_now()).await;
    }
    ended
}

/// Does the work of a query. One that writes a file hears signals, so that nothing of the file is left behind.
async fn with_file(
    out: Option<PathBuf>,
    printer: &Printer,
    work: impl AsyncFnOnce() -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    if out.is_none() {
        return work().await;
    }
    stoppable(printer, async |interrupt| {
        tokio::select! {
            exit = work() => exit,
            () = interrupt.stopped() => Ok(Exit::Stopped),
        }
    })
    .await
}

/// Works until the work is done. After a second signal it has a moment to leave by itself, whatever it is waiting for. The database is as
/// after a crash when it does not, which the next start puts right.
async fn stoppable(
    printer: &Printer,
    work: impl AsyncFnOnce(&Interrupt) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(printer)?;
    tokio::select! {
        exit = work(&interrupt) => exit,
        () = interrupt.ended() => {
            // A terminal that nobody reads must not hold the process.
            let printer = printer.clone();
            let words = "stopped at once: requests in flight are in doubt, and the next start reports how many";
            drop(tokio::task::spawn_blocking(move || printer.say(words)));
            tokio::task::yield_now().await;
            Ok(Exit::Stopped)
        }
    }
}

/// Opens the database for a command about a run that is there: a path without a database is told, and none is made.
async fn open_existing(database: &Database, printer: &Printer) -> Result<Store, Failure> {
    must_exist(database)?;
    Ok(open(database, printer).await?)
}

/// Fails when there is no such file. Whether there is a database on a server is found out by connecting to it.
fn must_exist(database: &Database) -> Result<(), ReadError> {
    let Place::File(database) = &database.place else {
        return Ok(());
    };
    match std::fs::metadata(database) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(ReadError::Missing(database.to_owned()))
        }
        _ => Ok(()),
    }
}

/// What is asked of the runs of a database that another process owns.
async fn requests_of(place: &Place) -> Result<ControlRequests, StoreError> {
    match place {
        Place::File(path) => ControlRequests::beside(path.clone()),
        Place::Server(server) => {
            let server = ServerStore::connect(&server.address, server.password.as_ref()).await?;
            Ok(ControlRequests::on_server(server))
        }
    }
}

/// The same, but says who owns the database when somebody does.
async fn open_existing_or_owner(
    database: &Database,
    printer: &Printer,
) -> Result<Result<Store, Owner>, Failure> {
    must_exist(database)?;
    match open(database, printer).await {
        Ok(store) => Ok(Ok(store)),
        Err(StoreError::Owned { owner, .. } | StoreError::Leased { holder: owner, .. }) => {
            Ok(Err(owner))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the database as its owner, with what has been agreed to, and obeys what was asked of its runs while it had none.
async fn open(database: &Database, printer: &Printer) -> Result<Store, StoreError> {
    let store = match &database.place {
        Place::File(path) => Store::open_with(path, database.consent).await?,
        Place::Server(server) => hold::decide_on(server, printer).await?,
    };
    let mut store = store.scoped(&database.tags);
    if let Some(introduction) = &database.introduction {
        store.introduce(session::of_process(introduction));
    }
    if store.has_lost_log() {
        printer.warn(&format!(
            "{}: the write-ahead log of the last push is missing, and results that were only in it are lost (--accept-lost-log)",
            store.shown()
        ));
    }
    Box::pin(control::settle(&mut store, printer)).await?;
    Ok(store)
}
