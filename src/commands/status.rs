//! `fleetpush status`: where one run stands.

use std::io::Write as _;

use super::{
    reading,
    repeat::{absolute, repeat},
};
use crate::{
    clock,
    exit::{Exit, Failure},
    model::{RowFormat, RunState, TaskState, Timestamp},
    policy::codes,
    settings::Status as Settings,
    store::{FindError, ReadError, Reader, RunRow},
    ui::{
        format::{Column, Value, writer},
        number::{duration, pace_words},
        printer::{OutputError, Printer, unless_closed},
        repeat::Repeat,
        report::{EndingLine, RunReport},
        text::clean_json,
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
    status_at(settings, printer, clock::wall_now()).await
}

async fn status_at(settings: Settings, printer: &Printer, now: Timestamp) -> Result<Exit, Failure> {
    let mut reader = reading::open(&settings.database, printer).await?;
    let run = reader.find_run(settings.run.as_deref()).await?;
    let pace = pace(&mut reader, &run, now).await?;
    let report = report_of(&mut reader, run, repeat(&settings.database)).await?;
    reader.close().await?;
    unless_closed(print(&report, pace.as_ref(), settings.format, printer))?;
    Ok(Exit::Complete)
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

async fn report_of(
    reader: &mut Reader,
    run: RunRow,
    repeat: Repeat,
) -> Result<RunReport, ReadError> {
    let endings = reader.breakdown(run.id).await?;
    let due = reader.due_times(run.id).await?;
    let resends_in_doubt = reader.resends_in_doubt(&run).await?;
    let sends_again = reader.sends_again(&run).await?;
    let canary = reader.canary(run.id).await?;
    Ok(RunReport {
        number: run.id,
        name: run.name,
        manifest: run.manifest,
        target: run.base_url,
        database: absolute(reader.path()),
        state: run.state,
        paused: run.paused,
        cancelled_by: run.cancelled_by,
        created_at: run.created_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        counts: run.counts,
        canary,
        endings: endings
            .into_iter()
            .map(|ending| EndingLine {
                state: ending.state,
                class: ending.class,
                code: ending.code,
                text: ending.code.and_then(codes::lookup).map(|info| info.text),
                tasks: ending.tasks,
            })
            .collect(),
        resends_in_doubt,
        sends_again,
        next_due: due.next,
        latest_due: due.latest,
        repeat,
    })
}

/// A line about a run's pace: over the last minute while it is being pushed, over all of it when it has ended.
async fn pace(
    reader: &mut Reader,
    run: &RunRow,
    now: Timestamp,
) -> Result<Option<String>, ReadError> {
    let Some(started) = run.started_at else {
        return Ok(None);
    };
    if let Some(finished) = run.finished_at {
        let took = started.until(finished);
        let sent = run.counts.accepted + run.counts.failed + run.counts.in_doubt;
        let devices = sent as f64 / took.as_secs_f64().max(0.001);
        return Ok(Some(pace_words(took, devices, None)));
    }
    if run.state != RunState::Running {
        return Ok(None);
    }
    let pace = reader.recent_throughput(run.id, now).await?;
    Ok(Some(format!(
        "{} in the last {}",
        pace_words(started.until(now), pace.devices, Some(pace.requests)),
        duration(pace.over)
    )))
}

fn print(
    report: &RunReport,
    pace: Option<&String>,
    format: RowFormat,
    printer: &Printer,
) -> Result<(), OutputError> {
    let mut out = printer.stdout();
    match format {
        RowFormat::Table => write!(
            out,
            "{}",
            report.text(
                &pace
                    .map(|pace| ("pace", pace.clone()))
                    .into_iter()
                    .collect::<Vec<_>>()
            )
        )?,
        RowFormat::Jsonl | RowFormat::Json => {
            writeln!(out, "{}", clean_json(&report.json().to_string()))?;
        }
        RowFormat::Csv => return print_rows(report, printer),
    }
    out.flush()?;
    Ok(())
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
            format,
            database: Database {
                path: db,
                simulated: true,
                usual: true,
                consent: crate::model::Consent::default(),
                introduction: None,
            },
        };
        status_at(query, &printer, sample::at(30_000))
            .await
            .unwrap();
        captured
            .stdout()
            .replace(&folder.path().display().to_string(), "FOLDER")
    }

    #[tokio::test]
    async fn a_run_under_way_is_told() {
        insta::assert_snapshot!(printed("north-1a2b3c4d", RowFormat::Table).await, @r"
        run north-1a2b3c4d (number 1): running
          manifest  north.csv to https://iot-api.acceleronix.io
          database  FOLDER/fleetpush.db
          started   2026-11-22 19:00:01 UTC
          pace      29 s, 0.31 devices/s, 0.07 requests/s in the last 29 s

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
          # continue, if no push of it is under way
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
