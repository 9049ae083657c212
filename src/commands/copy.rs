//! `fleetpush db copy`: the runs of an SQLite database in one on a server, each of them whole or not at all.

use anyhow::anyhow;

use super::interrupt::Interrupt;
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::copying::{Step, There, kept, may_copy, step},
    model::Timestamp,
    settings::Copy as Settings,
    store::{CopySource, CopyTarget, Holdings, Part, Presence, ServerStore, SourceRun, presence},
    ui::{
        number::{counted, grouped},
        printer::Printer,
    },
};

/// Copies the runs, unless a signal comes first.
pub(super) async fn copy(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    tokio::select! {
        exit = copy_all(&settings, printer) => exit,
        () = interrupt.stopped() => {
            printer.say("stopped; every run that was copied is complete; run the same command again to copy the rest");
            Ok(Exit::Stopped)
        }
    }
}

async fn copy_all(settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    let before = presence(&settings.from);
    let mut source = CopySource::open(&settings.from).await?;
    let from = source.holdings().await?;
    let read_at = clock::wall_now();
    let worked_on = match (before, presence(&settings.from)) {
        (Presence::Nobody, Presence::Nobody) => None,
        _ => source.worked_on().await?,
    };
    let mut server =
        ServerStore::connect(&settings.to.address, settings.to.password.as_ref()).await?;
    server.must_be_current().await?;
    let mut course = Course {
        source,
        from,
        replace: settings.replace,
        read_at,
        worked_on,
        came_to: CameTo::default(),
    };
    let copied = course.copy(&mut server, printer).await;
    // What went wrong says more than that the connection is closed.
    let closed = server.close().await;
    copied?;
    closed?;
    let Course {
        source, came_to, ..
    } = course;
    source.close().await?;
    came_to.say(printer);
    if came_to.refused > 0 {
        let (runs, them) = match came_to.refused {
            1 => ("1 run was".to_owned(), "it"),
            several => (format!("{several} runs were"), "them"),
        };
        return Err(Failure::database(anyhow!(
            "{runs} changed in {} after the copy, and not overwritten; --replace copies {them} again",
            settings.to.address
        )));
    }
    Ok(Exit::Complete)
}

/// A copy under way.
struct Course {
    source: CopySource,
    from: Holdings,
    replace: bool,
    /// When the source was as it is read.
    read_at: Timestamp,
    /// The run that was being pushed then.
    worked_on: Option<i64>,
    came_to: CameTo,
}

/// How many runs came to what.
#[derive(Debug, Default)]
struct CameTo {
    copied: u64,
    anew: u64,
    equal: u64,
    refused: u64,
}

impl Course {
    async fn copy(&mut self, server: &mut ServerStore, printer: &Printer) -> Result<(), Failure> {
        // Whoever may not copy hears it before anything is written.
        let mut target = server.begin_copy().await?;
        self.must_fit(&mut target).await?;
        target.leave().await?;
        // First, since it has the sessions, by which an older copy of the source is known should this be broken off.
        self.copy_beside(server).await?;
        for run in self.source.runs().await? {
            self.copy_run(server, &run, printer).await?;
        }
        if self.came_to.copied + self.came_to.anew > 0 {
            server.analyze().await?;
        }
        Ok(())
    }

    /// Gives what the target has; fails when it is the history of another database.
    async fn must_fit(&mut self, target: &mut CopyTarget<'_>) -> Result<Holdings, Failure> {
        let to = target.holdings().await?;
        let same_number = match &to.last_session {
            Some(session) => self.source.session(session.id).await?,
            None => None,
        };
        may_copy(&self.from, &to, same_number.as_ref()).map_err(Failure::usage)?;
        Ok(to)
    }

    async fn copy_run(
        &mut self,
        server: &mut ServerStore,
        run: &SourceRun,
        printer: &Printer,
    ) -> Result<(), Failure> {
        let mut target = server.begin_copy().await?;
        let to = self.must_fit(&mut target).await?;
        let part = run.part();
        let number = run.mark.id;
        let is_there = to.runs.iter().any(|there| there.id == number);
        let mut differing = Vec::new();
        let step = if is_there {
            let (read, there) = (
                self.source.content(&part).await?,
                target.content(&part).await?,
            );
            differing = read.differing(&there);
            let there = There {
                now: there.digest(),
                copied: target.copied(number).await?,
            };
            step(read.digest(), Some(there), self.replace)
        } else {
            Step::Copy
        };
        let name = format!("run {number} {} ({})", run.mark.name, run.state.name());
        match step {
            Step::Leave => {
                target.leave().await?;
                self.came_to.equal += 1;
            }
            Step::Refuse => {
                target.leave().await?;
                self.came_to.refused += 1;
                printer.warn(&format!(
                    "{name}: its rows in TO are not those that were copied ({}), and were not overwritten",
                    differing.join(", ")
                ));
            }
            Step::Copy | Step::CopyAnew => {
                let content = target.write(&mut self.source, &part).await?;
                target.keep(number, content.digest(), self.read_at).await?;
                target.commit().await?;
                let how = if step == Step::Copy {
                    self.came_to.copied += 1;
                    "copied"
                } else {
                    self.came_to.anew += 1;
                    "copied again"
                };
                printer.say(&format!(
                    "{name}: {how}, {} in {}",
                    counted(run.tasks.unsigned_abs(), "task"),
                    counted(content.rows(), "row")
                ));
            }
        }
        if self.worked_on == Some(number) {
            printer.warn(&format!(
                "{name} is being pushed: TO has it as it was at {}; copy it again when the push has ended",
                self.read_at
            ));
        }
        Ok(())
    }

    /// Sessions, devices and pruned runs, which are replaced as a whole when one of them is another.
    async fn copy_beside(&mut self, server: &mut ServerStore) -> Result<(), Failure> {
        let mut target = server.begin_copy().await?;
        let to = self.must_fit(&mut target).await?;
        let part = Part::Beside {
            kept: kept(&self.from, &to),
        };
        if self.source.content(&part).await? == target.content(&part).await? {
            target.leave().await?;
        } else {
            target.write(&mut self.source, &part).await?;
            target.commit().await?;
        }
        Ok(())
    }
}

impl CameTo {
    fn say(&self, printer: &Printer) {
        printer.say(&format!(
            "{} copied, {} copied again, {} already equal; every row was compared",
            grouped(self.copied),
            grouped(self.anew),
            grouped(self.equal)
        ));
    }
}
