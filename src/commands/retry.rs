//! `fleetpush retry`: send failed tasks again, with a fresh budget of attempts.

use std::io::{self, IsTerminal, Write as _};

use anyhow::anyhow;

use super::{
    hours::{closed, hours},
    interrupt::Interrupt,
    push::{nothing_to_do, push},
    resume::named,
    target,
};
use crate::{
    clock, engine,
    exit::{Exit, Failure},
    model::{Hours, RunState},
    settings::{Retry as Settings, Selection},
    store::{RetryFilter, RetryPlan, Store},
    ui::{number::counted, printer::Printer},
};

/// More devices than this are only sent again when somebody agrees.
const ASK_ABOVE: u64 = 1000;

/// Sends ended tasks again.
pub(super) async fn retry(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut store = Store::open(&settings.database.path).await?;
    let run = named(&mut store, &settings.run).await?;
    target::must_be_of(&run, &settings.push.target)?;
    let Selection {
        states,
        classes,
        codes,
        devices,
    } = settings.selection;
    let filter = RetryFilter {
        states,
        classes,
        codes,
        devices,
    };
    let plan = store.plan_retry(&run, &filter).await?;
    let what = describe(plan);
    if settings.dry_run {
        printer.say(&format!(
            "run '{}': {what} would be sent again",
            run.about.name
        ));
        store.close().await?;
        return Ok(Exit::Complete);
    }
    if plan.chosen == 0 {
        printer.say(&format!(
            "run '{}': no task is chosen for a retry",
            run.about.name
        ));
        return nothing_to_do(store, run, &settings.push, &settings.database, printer).await;
    }
    if run.state == RunState::Aborted && !settings.push.recovery.override_abort {
        printer.say(&format!(
            "run '{}' is aborted; see why, then retry with --override-abort",
            run.about.name
        ));
        return nothing_to_do(store, run, &settings.push, &settings.database, printer).await;
    }
    let deadline = match hours(&settings.push.schedule)? {
        Hours::Open(deadline) => deadline,
        Hours::Closed(why) => return closed(store, &why, printer).await,
    };
    if plan.chosen + plan.blocked > ASK_ABOVE && !settings.yes {
        tokio::select! {
            agreed = agree(&what) => agreed?,
            () = interrupt.stopped() => return Ok(Exit::Stopped),
        }
    }
    // What a crash has left behind is recorded first, so that nothing of it is opened twice.
    let mut journal = store
        .journal(run.clone(), settings.push.recovery.after_failure)
        .await?;
    engine::recover(
        &mut journal,
        settings.push.recovery.in_doubt,
        clock::wall_now(),
    )
    .await?;
    store.retry(&run, &filter, clock::wall_now()).await?;
    printer.say(&format!("run '{}': {what} sent again", run.about.name));
    let run = named(&mut store, &run.about.name).await?;
    push(
        store,
        run,
        deadline,
        &settings.push,
        &settings.database,
        interrupt,
        printer,
    )
    .await
}

fn describe(plan: RetryPlan) -> String {
    let chosen = counted(plan.chosen, "task");
    match plan.blocked {
        0 => chosen,
        blocked => format!(
            "{chosen}, and {} that they blocked,",
            counted(blocked, "task")
        ),
    }
}

async fn agree(what: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(anyhow!(
            "{what} would be sent again; say so with --yes"
        )));
    }
    let question = format!("{what} will be sent again; go on? [y/N] ");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr();
        stderr.write_all(question.as_bytes())?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        io::Result::Ok(answer)
    })
    .await
    .map_err(Failure::usage)?
    .map_err(Failure::usage)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::usage(anyhow!(
            "not confirmed; nothing has been changed"
        )))
    }
}
