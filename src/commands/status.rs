//! `fleetpush status`: the state of one run.

mod activity;
mod groups;
mod watch;

use std::io::Write as _;

use super::{
    reading,
    repeat::{absolute, repeat_reading},
};
use crate::{
    clock,
    exit::{Exit, Failure},
    model::{Dimension, RowFormat, RunState, TaskState, Timestamp},
    policy::codes,
    settings::Status as Settings,
    store::{FindError, Group, Looked, Presence, ReadError, Reader, RunRow},
    ui::{
        format::{Column, Value, writer},
        printer::{OutputError, Printer, unless_closed},
        repeat::Repeat,
        report::{EndingLine, Parts, RunActivity, RunReport},
    },
};

const COLUMNS: &[Column] = &[
    Column::shown("run"),
    Column::shown("name"),
    Column::shown("state"),
    Column::shown("class"),
    Column::shown("code"),
    Column::shown("text"),
    Column::shown("tasks"),
];

/// Tells where a run stands.
pub(super) async fn status(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    if settings.watch {
        return watch::watch(settings, printer).await;
    }
    status_at(settings, printer, clock::wall_now()).await
}

async fn status_at(settings: Settings, printer: &Printer, now: Timestamp) -> Result<Exit, Failure> {
    let look = look(&settings, settings.run.as_deref(), printer, now).await?;
    unless_closed(print(&look, settings.format, printer))?;
    Ok(Exit::Complete)
}

/// What is seen of a run at one moment.
struct Look {
    report: RunReport,
    pace: Option<String>,
    /// What it is broken down by, and the groups.
    groups: Vec<(Dimension, Vec<Group>)>,
}

/// Looks at a run.
async fn look(
    settings: &Settings,
    run: Option<&str>,
    printer: &Printer,
    now: Timestamp,
) -> Result<Look, Failure> {
    let before = reading::presence_at(&settings.database).await;
    let mut reader = reading::open(&settings.database, printer).await?;
    reader.freeze().await?;
    let run = reader.find_run(run).await?;
    let sessions = reader.sessions_of(run.id).await?;
    let working = sessions.iter().find(|session| session.is_open);
    // It may have begun between the two looks. One that has ended since is shown as it was.
    let presence = match before {
        Presence::Nobody if working.is_some() => reading::presence_at(&settings.database).await,
        before => before,
    };
    let pause = match working {
        Some(session) => reader.open_pause(session.session).await?,
        None => None,
    };
    let latency = reader.latency(&run).await?;
    let throughput = match run.state {
        RunState::Running => Some(reader.recent_throughput(run.id, now).await?),
        _ => None,
    };
    reading::settle(
        &mut reader,
        &settings.database.place,
        Looked::Run(&run),
        printer,
    )
    .await?;
    let mut groups = Vec::new();
    for dimension in &settings.by {
        groups.push((
            dimension.clone(),
            reader.breakdown_by(&run, dimension).await?,
        ));
    }
    let mut report = report_of(&mut reader, run, repeat_reading(&settings.database)).await?;
    reader.close().await?;
    let activity = activity::of(
        &report,
        &activity::Seen {
            sessions: &sessions,
            presence: &presence,
            pause,
            latency,
            throughput,
            host: &activity::host(),
            now,
        },
    );
    let pace = activity::pace(&report, &activity, throughput, now);
    report.activity = Some(activity);
    Ok(Look {
        report,
        pace,
        groups,
    })
}

/// What is to be told of a run, read from its database: for `status`, and for the summary at the end of a push.
pub(super) async fn report(
    reader: &mut Reader,
    run: &str,
    repeat: Repeat,
) -> Result<RunReport, FindError> {
    let run = reader.find_run(Some(run)).await?;
    Ok(report_of(reader, run, repeat).await?)
}

pub(super) async fn report_of(
    reader: &mut Reader,
    run: RunRow,
    repeat: Repeat,
) -> Result<RunReport, ReadError> {
    let endings = reader.breakdown(run.id).await?;
    let due = reader.due_times(run.id).await?;
    let resends_in_doubt = reader.resends_in_doubt(&run).await?;
    let sends_again = reader.sends_again(&run).await?;
    let deliveries = reader.deliveries(&run).await?;
    let canary = reader.canary(run.id).await?;
    let parts = reader.parts_of(run.id).await?;
    let parts = (parts.len() > 1).then(|| Parts {
        all: parts.len() as u64,
        complete: parts
            .iter()
            .filter(|(state, _)| state == "complete")
            .count() as u64,
        workers: parts.into_iter().filter_map(|(_, worker)| worker).collect(),
    });
    let repeat = Repeat {
        of_copy: reader.is_copied(run.id).await?,
        ..repeat
    };
    Ok(RunReport {
        number: run.id,
        name: run.name,
        manifest: run.manifest,
        target: run.base_url,
        database: reader.path().map_or_else(|| reader.name().into(), absolute),
        state: run.state,
        paused: run.paused,
        cancelled_by: run.cancelled_by,
        created_at: run.created_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        counts: run.counts,
        canary,
        parts,
        endings: endings
            .into_iter()
            .map(|(key, tasks)| EndingLine {
                state: key.state,
                class: key.class,
                code: key.code,
                text: key.code.and_then(codes::lookup).map(|info| info.text),
                tasks,
            })
            .collect(),
        deliveries,
        resends_in_doubt,
        sends_again,
        next_due: due.next,
        latest_due: due.latest,
        repeat,
        activity: None,
    })
}

fn print(look: &Look, format: RowFormat, printer: &Printer) -> Result<(), OutputError> {
    let mut out = printer.stdout();
    match format {
        RowFormat::Table => write!(out, "{}", text(look))?,
        RowFormat::Jsonl | RowFormat::Json => writeln!(out, "{}", line(look)?)?,
        RowFormat::Csv if look.groups.is_empty() => return print_rows(&look.report, printer),
        RowFormat::Csv => return groups::print_rows(&look.report, &look.groups, printer),
    }
    out.flush()?;
    Ok(())
}

/// For a person.
fn text(look: &Look) -> String {
    let report = &look.report;
    let activity = report.activity.as_ref();
    let rows = [
        ("pace", look.pace.clone()),
        ("time", activity.and_then(RunActivity::time_words)),
        ("latency", activity.and_then(RunActivity::latency_words)),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(label, words)| Some((label, words?)))
        .collect();
    let mut text = report.text(&rows);
    for (dimension, groups) in &look.groups {
        text.push_str(&groups::text(dimension, groups));
    }
    text
}

/// For a program: one object in one line.
fn line(look: &Look) -> Result<String, OutputError> {
    let mut object = look.report.object();
    object.by = (!look.groups.is_empty()).then(|| groups::objects(&look.groups));
    object.line()
}

/// The breakdown, with what has not ended as rows of its own, so that the column `tasks` adds up to the run's tasks.
fn print_rows(report: &RunReport, printer: &Printer) -> Result<(), OutputError> {
    let counts = report.counts;
    let open = [
        ("pending", counts.pending.saturating_sub(counts.in_flight)),
        ("in_flight", counts.in_flight),
    ];
    let open = open
        .into_iter()
        .filter(|(_, tasks)| *tasks > 0)
        .map(|(state, tasks)| (state, None, tasks));
    let ended = report
        .endings
        .iter()
        .map(|ending| (TaskState::name(ending.state), Some(ending), ending.tasks));
    let mut writer = writer(RowFormat::Csv, COLUMNS, printer.stdout());
    for (state, ending, tasks) in ended.chain(open) {
        writer.row(&[
            Value::Integer(report.number.0),
            Value::Foreign(&report.name),
            Value::State(state),
            Value::own(
                ending
                    .and_then(|ending| ending.class)
                    .map(crate::model::Class::name),
            ),
            Value::integer(ending.and_then(|ending| ending.code)),
            Value::own(ending.and_then(|ending| ending.text)),
            Value::Integer(tasks as i64),
        ])?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::Database, store::sample};

    async fn printed(run: &str, format: RowFormat) -> String {
        let folder = tempfile::tempdir().unwrap();
        let db = sample::every_state(folder.path()).await;
        let (printer, captured) = Printer::captured(None);
        let query = Settings {
            run: Some(run.into()),
            by: Vec::new(),
            watch: false,
            format,
            database: Database {
                place: crate::settings::Place::File(db),
                simulated: true,
                usual: true,
                consent: crate::model::Consent::default(),
                introduction: None,
                tags: crate::model::Tags::default(),
            }
            .into(),
        };
        status_at(query, &printer, sample::at(30_000))
            .await
            .unwrap();
        captured
            .stdout()
            .replace(&folder.path().display().to_string(), "FOLDER")
    }

    #[tokio::test]
    async fn a_run_that_was_left_behind_is_told() {
        insta::assert_snapshot!(printed("north-1a2b3c4d", RowFormat::Table).await, @r"
        run north-1a2b3c4d (number 1): interrupted at 53 %: no process is working on it
          manifest  north.csv to https://iot-api.acceleronix.io
          database  FOLDER/fleetpush.db
          started   2026-11-22 19:00:01 UTC
          latency   p50 100 ms, p95 100 ms, p99 100 ms, worst 100 ms

          tasks     13
          accepted   1  accepted by the platform, not yet delivered to the device
          failed     4
                     1  offline 61002  Device offline
                     1  rejected 70091  The value is not a member of the enumeration
                     1  blocked  not sent: an earlier task of the device did not succeed
                     1  invalid  not sent: a bad row of the manifest
          in doubt   1
                     1  in_doubt
          skipped    1  duplicates or cancelled
          pending    6  1 snoozing, 2 in flight, next due 2026-11-22 19:00:20 UTC

        2 sends were throttled and 1 temporarily refused: sent again after a pause
        2 sends got no readable reply and may reach the device twice

        next:
          # continue
          fleetpush resume north-1a2b3c4d --simulate
          # see what failed or is in doubt, and why
          fleetpush results north-1a2b3c4d --state failed,in_doubt --simulate
        ");
    }

    #[tokio::test]
    async fn a_complete_run_is_told() {
        insta::assert_snapshot!(printed("2", RowFormat::Table).await, @r"
        run 1 (number 2): complete
          manifest  south.csv.gz to simulator
          database  FOLDER/fleetpush.db
          started   2026-11-22 19:00:51 UTC
          finished  2026-11-22 19:00:56 UTC
          pace      5.0 s, 0.80 devices/s
          latency   p50 100 ms, p95 100 ms, p99 100 ms, worst 100 ms

          tasks     4
          accepted  4  accepted by the platform, not yet delivered to the device
          failed    0
          in doubt  0
          skipped   0
          pending   0

        next:
          fleetpush results 1 --simulate  # see what happened to each device
        ");
    }

    #[tokio::test]
    async fn the_breakdown_adds_up() {
        let csv = printed("north-1a2b3c4d", RowFormat::Csv).await;
        insta::assert_snapshot!(csv, @r"
        run,name,state,class,code,text,tasks
        1,north-1a2b3c4d,accepted,accepted,200,OK,1
        1,north-1a2b3c4d,failed,offline,61002,Device offline,1
        1,north-1a2b3c4d,failed,rejected,70091,The value is not a member of the enumeration,1
        1,north-1a2b3c4d,failed,blocked,,,1
        1,north-1a2b3c4d,failed,invalid,,,1
        1,north-1a2b3c4d,in_doubt,in_doubt,,,1
        1,north-1a2b3c4d,skipped,,,,1
        1,north-1a2b3c4d,pending,,,,4
        1,north-1a2b3c4d,in_flight,,,,2
        ");
        let tasks: u64 = csv
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(tasks, 13);
    }

    #[tokio::test]
    async fn json_is_one_object() {
        let json = printed("north-1a2b3c4d", RowFormat::Jsonl).await;
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json.lines().count(), 1);
        assert_eq!(
            (&object["run"]["number"], &object["counts"]["pending"]),
            (&1.into(), &6.into())
        );
        assert_eq!(
            object["next"][0],
            "fleetpush resume north-1a2b3c4d --simulate"
        );
    }
}
