//! `fleetpush retry --when-online`: sends tasks again that failed offline, if their devices have come online since.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    copied::{must_be_no_copy, must_have_pushes},
    fleet::Fleet,
    interrupt::Interrupt,
    named::named,
    open_existing,
    reading::inbox_reader,
    retry::retry,
    session, target, temporary,
};
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::{
        online::{by_list, by_messages, newest_of_each_manifest},
        retry::plan,
        staleness::Leave,
    },
    model::{Age, Class, Devices, RunState, TaskFilter, TaskId, TaskState, TaskStatus, Timestamp},
    settings::Retry as Settings,
    store::{InboxError, OfflineFailure, Run, Store},
    ui::{number::counted, printer::Printer, repeat::quoted},
};

/// Tasks that are looked at at a time.
const PAGE: u32 = 5_000;

/// Up to so many devices of a product are asked about one by one; of more, the product's list is read.
const ASKED_ALONE: usize = 100;

/// Sends again what can be sent now, run by run. With nothing to do it says so.
pub(super) async fn when_online(
    settings: Settings,
    offline_for: Age,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    must_have_pushes(&settings.database, "retry").await?;
    let mut store = open_existing(&settings.database, printer).await?;
    let since = clock::wall_now().before(offline_for.duration());
    let runs = runs(&mut store, &settings, printer).await?;
    let mut ready: Vec<(Run, BTreeSet<String>)> = Vec::new();
    let mut failed = 0;
    for run in runs {
        let failures = failures(&mut store, &run, since).await?;
        if failures.is_empty() {
            continue;
        }
        failed += failures.len() as u64;
        // Lists may take minutes, and others need the database meanwhile.
        store.close().await?;
        let Some(devices) = come_online(&settings, failures, interrupt, printer).await? else {
            return Ok(Exit::Stopped);
        };
        store = open_existing(&settings.database, printer).await?;
        if !devices.is_empty() && is_sent(&mut store, &run, &settings, &devices).await? {
            ready.push((run, devices));
        }
    }
    if ready.is_empty() {
        printer.say(&if failed == 0 {
            "nothing to send: no task has failed because its device was offline".to_owned()
        } else {
            format!(
                "nothing to send: no device of {} that failed offline can be sent to now",
                counted(failed, "task")
            )
        });
        if !settings.dry_run {
            session::idle(&mut store, None, "nothing", None, Exit::Complete).await;
        }
        store.close().await?;
        return Ok(Exit::Complete);
    }
    store.close().await?;
    let mut exit = Exit::Complete;
    for (run, devices) in ready {
        printer.say(&format!(
            "run '{}': {} that failed offline can be sent to now",
            run.about.name,
            counted(devices.len() as u64, "device")
        ));
        let mut one = settings.clone();
        one.run = Some(run.about.name);
        one.states = vec![TaskState::Failed];
        one.filter.class = vec![Class::Offline];
        one.filter.device = devices.into_iter().collect();
        let ended = Box::pin(retry(one, interrupt, printer)).await?;
        if !matches!(ended, Exit::Complete | Exit::Failures) {
            return Ok(ended);
        }
        if ended == Exit::Failures {
            exit = ended;
        }
    }
    Ok(exit)
}

/// The runs that are meant: complete ones of this platform, of each manifest path the newest.
async fn runs(
    store: &mut Store,
    settings: &Settings,
    printer: &Printer,
) -> Result<Vec<Run>, Failure> {
    let all = store.scoped_runs().await?;
    let newest = newest_of_each_manifest(&all);
    let Some(name) = &settings.run else {
        let base_url = target::name(&settings.push.target)?;
        let meant = all
            .into_iter()
            .filter(|run| newest.contains(&run.id) && run.about.base_url == base_url);
        let (complete, others): (Vec<_>, Vec<_>) =
            meant.partition(|run| run.state == RunState::Complete);
        for run in others.iter().filter(|run| run.state.is_unfinished()) {
            printer.say(&format!(
                "run '{}' is {} and skipped: only complete runs are sent again when devices come online{}",
                run.about.name,
                run.state.name(),
                way_on(run)
            ));
        }
        let mut own = Vec::new();
        for run in complete {
            if store.is_copied(run.id).await? {
                printer.say(&format!(
                    "run '{}' was copied from a file and is skipped: send it again there",
                    run.about.name
                ));
            } else {
                own.push(run);
            }
        }
        return Ok(own);
    };
    let run = named(store, name).await?;
    must_be_no_copy(store, &run, "retry").await?;
    target::must_be_of(&run, &settings.push)?;
    if !newest.contains(&run.id) {
        printer.say(&format!(
            "run '{name}': a newer run of its manifest has taken its place"
        ));
        return Ok(Vec::new());
    }
    if run.state != RunState::Complete {
        printer.say(&format!(
            "run '{name}' is {}; only a complete run is sent again when devices come online{}",
            run.state.name(),
            way_on(&run)
        ));
        return Ok(Vec::new());
    }
    Ok(vec![run])
}

/// The command that completes a run that is not complete, for the end of a line.
fn way_on(run: &Run) -> String {
    let name = quoted(&run.about.name);
    match run.state {
        RunState::Running | RunState::Stopped | RunState::Paused => {
            format!("; fleetpush resume {name} continues it")
        }
        RunState::Aborted => {
            format!(
                "; see why (fleetpush status {name}), then fleetpush resume {name} --override-abort continues it"
            )
        }
        RunState::Complete | RunState::Cancelled => String::new(),
    }
}

/// What of a run has failed offline since a time.
async fn failures(
    store: &mut Store,
    run: &Run,
    since: Timestamp,
) -> Result<Vec<OfflineFailure>, Failure> {
    let mut all = Vec::new();
    let mut after = TaskId(0);
    loop {
        let page = store.offline_failures(run, since, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.task;
        all.extend(page);
    }
}

/// Whether a retry of these devices would send anything: what a newer command has replaced, or an earlier task blocks, is left out.
async fn is_sent(
    store: &mut Store,
    run: &Run,
    settings: &Settings,
    devices: &BTreeSet<String>,
) -> Result<bool, Failure> {
    let filter = TaskFilter {
        statuses: vec![TaskStatus::Ended(TaskState::Failed)],
        classes: vec![Class::Offline],
        devices: Some(Devices {
            keys: devices.clone(),
            ..Devices::default()
        }),
        ..TaskFilter::default()
    };
    let leave = Leave {
        stale: settings.push.allow_stale,
        after_failure: settings.push.recovery.after_failure,
    };
    Ok(plan(store, run, &filter, leave).await?.chosen > 0)
}

/// The devices of these tasks that have come online since: by messages, and of the others by the platform's device list. `None` when
/// somebody has asked for a stop.
async fn come_online(
    settings: &Settings,
    failures: Vec<OfflineFailure>,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Option<BTreeSet<String>>, Failure> {
    let mut inbox = match inbox_reader(&settings.database.place).await {
        Ok(inbox) => Some(inbox),
        Err(InboxError::Missing(_)) => None,
        Err(error) => {
            printer.warn(&format!("{error}; the device list is used instead"));
            None
        }
    };
    let mut online = BTreeSet::new();
    let mut unknown: BTreeMap<String, BTreeMap<String, Timestamp>> = BTreeMap::new();
    for failure in failures {
        if interrupt.is_stopped() {
            return Ok(None);
        }
        let presence = match &mut inbox {
            Some(inbox) => {
                inbox
                    .presence(&failure.product_key, &failure.device_key)
                    .await?
            }
            None => None,
        };
        if presence.is_some_and(|presence| by_messages(failure.failed_at, presence)) {
            online.insert(failure.device_key);
        } else {
            let devices = unknown.entry(failure.product_key).or_default();
            devices.insert(failure.device_key, failure.failed_at);
        }
    }
    if let Some(inbox) = inbox {
        inbox.close().await?;
    }
    if !unknown.is_empty() {
        match listed_online(settings, unknown, interrupt, printer).await {
            Ok(listed) => online.extend(listed),
            // A list that is out of reach keeps nothing from those that need no list.
            Err(failure) if !online.is_empty() && !interrupt.is_stopped() => {
                let failure = failure.message();
                printer.warn(&format!(
                    "{failure}; only devices that messages say are online are sent to"
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok((!interrupt.is_stopped()).then_some(online))
}

/// The devices that the platform lists as online.
async fn listed_online(
    settings: &Settings,
    unknown: BTreeMap<String, BTreeMap<String, Timestamp>>,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<BTreeSet<String>, Failure> {
    let fleet = Fleet::new(&settings.push, interrupt).await?;
    let folder = temporary::folder()?;
    let mut store = temporary::store(folder.path()).await?;
    let mut lists = store.device_lists().await?;
    let mut online = BTreeSet::new();
    for (product_key, devices) in unknown {
        if devices.len() <= ASKED_ALONE {
            for (device_key, failed_at) in devices {
                let device = fleet.device(&product_key, &device_key).await?;
                if device.is_some_and(|device| by_list(failed_at, &device)) {
                    online.insert(device_key);
                }
            }
            continue;
        }
        for remark in fleet
            .read(&mut lists, &product_key)
            .await?
            .remarks(&product_key)
        {
            printer.warn(&remark);
        }
        let mut after = String::new();
        loop {
            let page = lists.page(&product_key, &after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.device_key);
            let come = page.into_iter().filter(|device| {
                let failed_at = devices.get(&device.device_key);
                failed_at.is_some_and(|failed_at| by_list(*failed_at, device))
            });
            online.extend(come.map(|device| device.device_key));
        }
    }
    fleet.close().await;
    store.close().await?;
    Ok(online)
}
