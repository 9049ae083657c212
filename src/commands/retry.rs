//! `fleetpush retry`: send failed tasks again, with a fresh budget of attempts.

use std::time::Duration;

use anyhow::anyhow;

use super::{
    confirm::confirm,
    copied::{must_be_no_copy, must_be_no_copy_beside, must_have_pushes},
    hold::{Held, hold},
    hours::{closed, hours},
    interrupt::Interrupt,
    named::{named, named_or_latest},
    open_existing,
    push::{With, must_be_able_to_report, nothing_to_do, push},
    reading,
    select::{filter, remarks as remarks_on_filter, value_remark},
    session, stale, target,
};
use crate::{
    clock, engine,
    exit::{Exit, Failure},
    journal::{
        Journal,
        retry::{RetryPlan, foresee, plan, reopen},
        staleness::Leave,
    },
    model::{Hours, RunState, TaskFilter, TaskStatus},
    settings::{Push, Retry as Settings},
    store::{Looked, Run, Store, StoreError, UnknownValue},
    ui::{
        number::{counted, grouped},
        printer::Printer,
        text::clean,
    },
};

mod undelivered;

/// More devices than this are only sent again when somebody agrees.
const ASK_ABOVE: u64 = 1000;

/// Sends ended tasks again.
pub(super) async fn retry(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let statuses = settings
        .states
        .iter()
        .copied()
        .map(TaskStatus::Ended)
        .collect();
    let filter = filter(statuses, settings.filter.clone())?;
    undelivered::may_be_chosen(&filter)?;
    let leave = Leave {
        stale: settings.push.allow_stale,
        after_failure: settings.push.recovery.after_failure,
    };
    must_have_pushes(&settings.database, "retry").await?;
    if settings.dry_run {
        return foretell(&settings, &filter, leave, printer).await;
    }
    let with = With::new(&settings.push, &settings.database, interrupt, printer);
    let mut store = open_existing(&settings.database, printer).await?;
    let run = named_or_latest(&mut store, settings.run.as_deref()).await?;
    must_be_no_copy(&mut store, &run, "retry").await?;
    target::must_be_of(&run, &settings.push)?;
    let run = match hold(&mut store, run, &settings.database.place, printer).await? {
        Held::Goes(run) => run,
        Held::Over(run) => return nothing_to_do(store, run, with).await,
    };
    for remark in remarks_on_filter(&store.unknown(&run, &filter).await?, &run.about.name)? {
        printer.say(&remark);
    }
    if undelivered::are_chosen(&filter) {
        undelivered::record_messages(&mut store, &settings.database.place, &run, printer).await?;
    }
    let plan = plan(&mut store, &run, &filter, leave).await?;
    let what = describe(&plan);
    for remark in remarks(&plan, leave) {
        printer.say(&remark);
    }
    if chooses_nothing(&plan) && settings.chosen {
        let unknown = store.unknown_values(&run, &filter).await?;
        store.close().await?;
        return Err(nothing_chosen(&unknown, &run, &filter, printer));
    }
    if plan.chosen == 0 {
        printer.say(&format!(
            "run '{}': no task is chosen for a retry",
            run.about.name
        ));
        return nothing_to_do(store, run, with).await;
    }
    if let Some(why) = held_back(&run, settings.push.recovery.override_abort) {
        printer.say(&why);
        return nothing_to_do(store, run, with).await;
    }
    let deadline = match hours(&settings.push.schedule)? {
        Hours::Open(deadline) => deadline,
        Hours::Closed(why) => return closed(store, &why, printer).await,
    };
    if undelivered::are_chosen(&filter) {
        printer.warn(undelivered::MAY_COME_TWICE);
    }
    if plan.chosen + plan.blocked > ASK_ABOVE && !settings.yes {
        tokio::select! {
            agreed = agree(&what) => agreed?,
            () = interrupt.stopped() => return Ok(Exit::Stopped),
        }
    }
    if !stale::guard(
        &mut store,
        &run,
        settings.push.allow_stale,
        interrupt,
        printer,
    )
    .await?
    {
        return Ok(Exit::Stopped);
    }
    must_be_able_to_report(&settings.push, &run.about.name)?;
    store.begin_session(Some(&run)).await?;
    let reopened = recover_and_reopen(&mut store, &run, &settings.push, &filter, leave).await;
    session::noted(&mut store, reopened).await?;
    printer.say(&format!("run '{}': {what} sent again", run.about.name));
    let run = named(&mut store, &run.about.name).await?;
    push(store, run, deadline, with).await
}

/// Says what would be sent again. It is a question like any other: it only reads, also while a push is on.
async fn foretell(
    settings: &Settings,
    filter: &TaskFilter,
    leave: Leave,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut reader = reading::open(&settings.database.clone().into(), printer).await?;
    let row = reader.find_run(settings.run.as_deref()).await?;
    must_be_no_copy_beside(&mut reader, &row, "retry").await?;
    let run = reader.run_of(&row).await?;
    target::must_be_of(&run, &settings.push)?;
    for remark in remarks_on_filter(&reader.unknown(&row, filter).await?, &row.name)? {
        printer.say(&remark);
    }
    if undelivered::are_chosen(filter) {
        reading::settle(
            &mut reader,
            &settings.database.place,
            Looked::Run(&row),
            printer,
        )
        .await?;
    }
    let plan = foresee(&mut reader, &run, filter, leave).await?;
    if chooses_nothing(&plan) && settings.chosen {
        let unknown = reader.unknown_values(&row, filter).await?;
        reader.close().await?;
        return Err(nothing_chosen(&unknown, &run, filter, printer));
    }
    reader.close().await?;
    printer.say(&format!(
        "run '{}': {} would be sent again",
        row.name,
        describe(&plan)
    ));
    if undelivered::are_chosen(filter) {
        printer.warn(undelivered::MAY_COME_TWICE);
    }
    for remark in remarks(&plan, leave) {
        printer.say(&remark);
    }
    Ok(Exit::Complete)
}

/// Whether the filter chooses nothing. What was chosen and left out is said.
fn chooses_nothing(plan: &RetryPlan) -> bool {
    plan.chosen + plan.stale + plan.waiting == 0
}

/// The failure of a filter that chooses nothing, once it has been said which values of labels nobody has.
fn nothing_chosen(
    unknown: &[UnknownValue],
    run: &Run,
    filter: &TaskFilter,
    printer: &Printer,
) -> Failure {
    let name = &run.about.name;
    for value in unknown {
        printer.say(&value_remark(value, name));
    }
    if undelivered::are_chosen(filter) {
        return undelivered::none_chosen(name);
    }
    Failure::usage(anyhow!(
        "run '{name}': no task that has failed or is in doubt matches the filter; list its tasks with fleetpush results"
    ))
}

/// Opens again what the filter chooses. What a crash has left behind is recorded first, so that nothing of it is opened twice.
async fn recover_and_reopen(
    store: &mut Store,
    run: &Run,
    push: &Push,
    filter: &TaskFilter,
    leave: Leave,
) -> Result<(), StoreError> {
    let now = clock::wall_now();
    let after_failure = push.recovery.after_failure;
    let mut journal = Journal::open(store, run.clone(), after_failure).await?;
    engine::recover(&mut journal, push.recovery.in_doubt, Duration::ZERO, now).await?;
    drop(journal);
    reopen(store, run, filter, leave, now).await?;
    Ok(())
}

/// Why nothing of the run is sent before somebody has said so, if that is so.
fn held_back(run: &Run, override_abort: bool) -> Option<String> {
    let name = &run.about.name;
    if let Some(paused) = &run.paused {
        return Some(format!(
            "run '{name}' is paused {}; continue it with fleetpush resume, then retry",
            clean(&paused.words())
        ));
    }
    (run.state == RunState::Aborted && !override_abort)
        .then(|| format!("run '{name}' is aborted; see why, then retry with --override-abort"))
}

/// What is to be said of tasks that are left out, or sent although they are stale.
fn remarks(plan: &RetryPlan, leave: Leave) -> Vec<String> {
    let mut remarks = Vec::new();
    if plan.stale > 0 {
        let example = plan.example.as_deref().unwrap_or_default();
        remarks.push(if leave.stale {
            format!(
                "{} of them older than what the device has accepted since, for example of {example}",
                grouped(plan.stale)
            )
        } else {
            format!(
                "{} left out: older than what the device has accepted since, for example of {example}; --allow-stale sends them too",
                grouped(plan.stale)
            )
        });
    }
    if plan.waiting > 0 {
        remarks.push(format!(
            "{} left out: blocked by an earlier task of the device that failed or is in doubt and is not chosen; choose it too (--state, \
             --class), or send without it with --after-failure continue",
            grouped(plan.waiting)
        ));
    }
    remarks
}

fn describe(plan: &RetryPlan) -> String {
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
    match confirm(format!("{what} will be sent again; continue?")).await? {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::usage(anyhow!(
            "not confirmed; nothing has been changed"
        ))),
        None => Err(Failure::usage(anyhow!(
            "{what} would be sent again; confirm with --yes"
        ))),
    }
}
