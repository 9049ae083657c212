//! `fleetpush runs`: every run of the database.

use std::collections::BTreeSet;

use super::reading;
use crate::{
    exit::{Exit, Failure},
    model::{RowFormat, Tags},
    settings::Runs as Settings,
    store::{PrunedRow, RunRow},
    ui::{
        format::{Column, Value, writer},
        printer::{OutputError, Printer, unless_closed},
    },
};

/// The columns of the view `runs`.
const COLUMNS: &[Column] = &[
    Column::shown("run"),
    Column::shown("name"),
    Column::hidden("manifest"),
    Column::hidden("identity"),
    Column::hidden("base_url"),
    Column::shown("state"),
    Column::shown("created_at"),
    Column::hidden("started_at"),
    Column::shown("finished_at"),
    Column::shown("tasks"),
    Column::shown("accepted"),
    Column::shown("failed"),
    Column::shown("in_doubt"),
    Column::shown("pending"),
    Column::hidden("snoozing"),
    Column::hidden("in_flight"),
    Column::shown("skipped"),
    Column::hidden("paused_by"),
    Column::hidden("paused_at"),
    Column::hidden("cancelled_by"),
    Column::hidden("tags"),
];

/// The columns of the view `pruned_runs`.
const PRUNED_COLUMNS: &[Column] = &[
    Column::shown("run"),
    Column::shown("name"),
    Column::hidden("manifest"),
    Column::hidden("identity"),
    Column::hidden("base_url"),
    Column::shown("state"),
    Column::hidden("created_at"),
    Column::hidden("started_at"),
    Column::shown("finished_at"),
    Column::shown("tasks"),
    Column::shown("accepted"),
    Column::shown("failed"),
    Column::shown("in_doubt"),
    Column::shown("skipped"),
    Column::shown("pruned_at"),
];

/// Lists the runs, the oldest first; with a limit the latest ones.
pub(super) async fn runs(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let mut reader = reading::open(&settings.database, printer).await?;
    if settings.pruned {
        let runs = reader.pruned_runs().await?;
        reader.close().await?;
        let latest = latest(&runs, settings.limit);
        unless_closed(print_pruned(latest, settings.format, printer))?;
        return Ok(Exit::Complete);
    }
    let mut runs = reader.runs().await?;
    reader.close().await?;
    let known: BTreeSet<String> = runs
        .iter()
        .map(|run| Tags::of_run(&run.tags))
        .filter(|tags| !tags.is_empty())
        .map(|tags| tags.to_string())
        .collect();
    runs.retain(|run| settings.tags.are_in(&run.tags));
    if runs.is_empty() && !settings.tags.is_empty() {
        let known = Vec::from_iter(known).join(", ");
        printer.say(&format!(
            "no run has the tags {}; {}",
            settings.tags,
            if known.is_empty() {
                "none has tags".to_owned()
            } else {
                format!("the tags of runs are {known}")
            }
        ));
    }
    runs.retain(|run| settings.states.is_empty() || settings.states.contains(&run.state));
    let latest = latest(&runs, settings.limit);
    unless_closed(print(latest, settings.format, printer))?;
    Ok(Exit::Complete)
}

/// The last of the rows, at most so many.
pub(super) fn latest<R>(rows: &[R], limit: Option<u64>) -> &[R] {
    let most = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    &rows[rows.len().saturating_sub(most)..]
}

fn print_pruned(
    runs: &[PrunedRow],
    format: RowFormat,
    printer: &Printer,
) -> Result<(), OutputError> {
    let mut writer = writer(format, PRUNED_COLUMNS, printer.stdout());
    for run in runs {
        writer.row(&[
            Value::Integer(run.run),
            Value::Foreign(&run.name),
            Value::foreign(run.manifest.as_deref()),
            Value::Foreign(&run.identity),
            Value::Foreign(&run.base_url),
            Value::Foreign(&run.state),
            Value::foreign(run.created_at.as_deref()),
            Value::foreign(run.started_at.as_deref()),
            Value::Foreign(&run.finished_at),
            Value::Integer(run.tasks),
            Value::integer(run.accepted),
            Value::integer(run.failed),
            Value::integer(run.in_doubt),
            Value::integer(run.skipped),
            Value::foreign(run.pruned_at.as_deref()),
        ])?;
    }
    writer.finish()
}

fn print(runs: &[RunRow], format: RowFormat, printer: &Printer) -> Result<(), OutputError> {
    let mut writer = writer(format, COLUMNS, printer.stdout());
    for run in runs {
        let count = |number: u64| Value::Integer(number as i64);
        writer.row(&[
            Value::Integer(run.id.0),
            Value::Foreign(&run.name),
            Value::Foreign(&run.manifest),
            Value::Foreign(&run.identity),
            Value::Foreign(&run.base_url),
            Value::State(run.state.name()),
            Value::own(Some(run.created_at)),
            Value::own(run.started_at),
            Value::own(run.finished_at),
            count(run.counts.tasks),
            count(run.counts.accepted),
            count(run.counts.failed),
            count(run.counts.in_doubt),
            count(run.counts.pending),
            count(run.counts.snoozing),
            count(run.counts.in_flight),
            count(run.counts.skipped),
            Value::foreign(run.paused.as_ref().map(|paused| paused.by.as_str())),
            Value::own(run.paused.as_ref().map(|paused| paused.at)),
            Value::foreign(run.cancelled_by.as_deref()),
            Value::Json(&run.tags),
        ])?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::Database, store::sample};

    fn query(path: &std::path::Path, format: RowFormat) -> Settings {
        Settings {
            states: Vec::new(),
            pruned: false,
            tags: crate::model::Tags::default(),
            limit: None,
            format,
            database: Database {
                place: crate::settings::Place::File(path.into()),
                simulated: false,
                usual: true,
                consent: crate::model::Consent::default(),
                introduction: None,
                tags: crate::model::Tags::default(),
            }
            .into(),
        }
    }

    #[tokio::test]
    async fn every_format_lists_every_run() {
        let folder = tempfile::tempdir().unwrap();
        let db = sample::every_state(folder.path()).await;
        let mut texts = Vec::new();
        for format in RowFormat::ALL {
            let (printer, captured) = Printer::captured(None);
            runs(query(&db, *format), &printer).await.unwrap();
            texts.push(captured.stdout());
        }
        insta::assert_snapshot!(texts.join("\n"), @r#"
        RUN  NAME            STATE     CREATED_AT                FINISHED_AT               TASKS  ACCEPTED  FAILED  IN_DOUBT  PENDING  SKIPPED
        1    north-1a2b3c4d  running   2026-11-22T19:00:00.123Z  -                         13     1         4       1         6        1
        2    1               complete  2026-11-22T19:00:50.123Z  2026-11-22T19:00:56.123Z  4      4         0       0         0        0

        run,name,manifest,identity,base_url,state,created_at,started_at,finished_at,tasks,accepted,failed,in_doubt,pending,snoozing,in_flight,skipped,paused_by,paused_at,cancelled_by,tags
        1,north-1a2b3c4d,north.csv,1a2b3c4d,https://iot-api.acceleronix.io,running,2026-11-22T19:00:00.123Z,2026-11-22T19:00:01.123Z,,13,1,4,1,6,1,2,1,,,,{}
        2,1,south.csv.gz,99aabbcc,simulator,complete,2026-11-22T19:00:50.123Z,2026-11-22T19:00:51.123Z,2026-11-22T19:00:56.123Z,4,4,0,0,0,0,0,0,,,,{}

        {"run":1,"name":"north-1a2b3c4d","manifest":"north.csv","identity":"1a2b3c4d","base_url":"https://iot-api.acceleronix.io","state":"running","created_at":"2026-11-22T19:00:00.123Z","started_at":"2026-11-22T19:00:01.123Z","finished_at":null,"tasks":13,"accepted":1,"failed":4,"in_doubt":1,"pending":6,"snoozing":1,"in_flight":2,"skipped":1,"paused_by":null,"paused_at":null,"cancelled_by":null,"tags":{}}
        {"run":2,"name":"1","manifest":"south.csv.gz","identity":"99aabbcc","base_url":"simulator","state":"complete","created_at":"2026-11-22T19:00:50.123Z","started_at":"2026-11-22T19:00:51.123Z","finished_at":"2026-11-22T19:00:56.123Z","tasks":4,"accepted":4,"failed":0,"in_doubt":0,"pending":0,"snoozing":0,"in_flight":0,"skipped":0,"paused_by":null,"paused_at":null,"cancelled_by":null,"tags":{}}

        [
        {"run":1,"name":"north-1a2b3c4d","manifest":"north.csv","identity":"1a2b3c4d","base_url":"https://iot-api.acceleronix.io","state":"running","created_at":"2026-11-22T19:00:00.123Z","started_at":"2026-11-22T19:00:01.123Z","finished_at":null,"tasks":13,"accepted":1,"failed":4,"in_doubt":1,"pending":6,"snoozing":1,"in_flight":2,"skipped":1,"paused_by":null,"paused_at":null,"cancelled_by":null,"tags":{}},
        {"run":2,"name":"1","manifest":"south.csv.gz","identity":"99aabbcc","base_url":"simulator","state":"complete","created_at":"2026-11-22T19:00:50.123Z","started_at":"2026-11-22T19:00:51.123Z","finished_at":"2026-11-22T19:00:56.123Z","tasks":4,"accepted":4,"failed":0,"in_doubt":0,"pending":0,"snoozing":0,"in_flight":0,"skipped":0,"paused_by":null,"paused_at":null,"cancelled_by":null,"tags":{}}
        ]
        "#);
    }

    #[tokio::test]
    async fn a_reader_who_has_gone_is_no_failure_and_a_missing_database_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let db = sample::every_state(folder.path()).await;
        runs(query(&db, RowFormat::Csv), &Printer::closed())
            .await
            .unwrap();
        let missing = query(&folder.path().join("none.db"), RowFormat::Csv);
        let failure = runs(missing, &Printer::closed()).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
    }
}
