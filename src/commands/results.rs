//! `fleetpush results`: what became of each device.

use anyhow::anyhow;

use super::{
    reading,
    select::{filter, remarks, value_remark},
};
use crate::{
    exit::{Exit, Failure},
    model::{Class, RowFormat, TaskFilter},
    settings::Results as Settings,
    store::{Reader, ResultRow, RunRow},
    ui::{
        format::{Column, RowWriter, Value, writer},
        manifest::ManifestWriter,
        number::counted,
        printer::{OutputError, Printer},
    },
};

/// The columns of the view `results`.
const COLUMNS: &[Column] = &[
    Column::hidden("run"),
    Column::hidden("name"),
    Column::shown("line"),
    Column::shown("product_key"),
    Column::shown("device_key"),
    Column::shown("state"),
    Column::shown("class"),
    Column::shown("code"),
    Column::shown("message"),
    Column::shown("ticket"),
    Column::shown("attempts"),
    Column::hidden("request_id"),
    Column::shown("due_at"),
    Column::hidden("finished_at"),
    Column::hidden("data"),
    Column::hidden("labels"),
    Column::hidden("qos"),
    Column::hidden("is_cache"),
    Column::hidden("cache_time"),
    Column::hidden("is_cover"),
    Column::hidden("extend_para"),
];

/// Lists a run's results. Rows go out page by page, so a listing of millions needs no more memory than one of ten.
pub(super) async fn results(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    // Before anything is opened: a list that cannot be read is a mistake of the command line.
    let filter = filter(settings.states.clone(), settings.filter.clone())?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let run = reader.find_run(settings.run.as_deref()).await?;
    let mut remarks = remarks(&reader.unknown(&run, &filter).await?, &run.name)?;
    let asked = filter.clone();
    let listed = if settings.as_manifest {
        as_manifest(&mut reader, &run, filter, &settings, printer).await?
    } else {
        listing(&mut reader, &run, filter, &settings, printer).await?
    };
    if listed.rows == 0 && !listed.was_cut_off {
        let values = reader.unknown_values(&run, &asked).await?;
        remarks.extend(values.iter().map(|value| value_remark(value, &run.name)));
    }
    reader.close().await?;
    for remark in remarks {
        printer.say(&remark);
    }
    if listed.without_payload > 0 {
        printer.say(&format!(
            "{} left out: bad rows of the manifest, which have nothing to send",
            counted(listed.without_payload, "task")
        ));
    }
    if listed.rows == 0 && !listed.was_cut_off {
        let words = format!("no task of run '{}' passes the filter", run.name);
        if settings.as_manifest {
            return Err(Failure::usage(anyhow!(words)));
        }
        printer.say(&words);
    }
    Ok(Exit::Complete)
}

/// What was written.
#[derive(Default)]
struct Listed {
    rows: u64,
    /// Tasks that a manifest cannot have.
    without_payload: u64,
    /// Nobody reads on.
    was_cut_off: bool,
}

async fn listing(
    reader: &mut Reader,
    run: &RunRow,
    filter: TaskFilter,
    settings: &Settings,
    printer: &Printer,
) -> Result<Listed, Failure> {
    let mut writer = writer(settings.format, COLUMNS, printer.stdout());
    let mut pages = reader.results(run, filter, settings.limit).await?;
    let mut listed = Listed::default();
    loop {
        let page = pages.next_page().await?;
        listed.rows += page.len() as u64;
        let written = if page.is_empty() {
            writer.finish()
        } else {
            page.iter()
                .try_for_each(|row| print(run, row, writer.as_mut()))
        };
        if !went_out(written)? {
            listed.was_cut_off = true;
        }
        if page.is_empty() || listed.was_cut_off {
            return Ok(listed);
        }
    }
}

async fn as_manifest(
    reader: &mut Reader,
    run: &RunRow,
    filter: TaskFilter,
    settings: &Settings,
    printer: &Printer,
) -> Result<Listed, Failure> {
    let out = printer.stdout();
    let mut listed = Listed::default();
    let writer = match settings.format {
        RowFormat::Csv => ManifestWriter::csv(reader.label_names(run).await?, out),
        RowFormat::Jsonl | RowFormat::Table => Ok(ManifestWriter::jsonl(out)),
    };
    let mut writer = match writer {
        Ok(writer) => writer,
        Err(OutputError::Closed) => {
            return Ok(Listed {
                was_cut_off: true,
                ..listed
            });
        }
        Err(error) => return Err(error.into()),
    };
    let pages = reader.results(run, filter, settings.limit).await?;
    let mut pages = pages.in_manifest_order().await?;
    loop {
        let page = pages.next_page().await?;
        let mut written = Ok(());
        for row in &page {
            match writer.row(row) {
                Ok(true) => listed.rows += 1,
                Ok(false) => listed.without_payload += 1,
                Err(error) => {
                    written = Err(error);
                    break;
                }
            }
        }
        if page.is_empty() {
            written = writer.finish();
        }
        if !went_out(written)? {
            listed.was_cut_off = true;
        }
        if page.is_empty() || listed.was_cut_off {
            return Ok(listed);
        }
    }
}

/// Whether somebody still reads.
fn went_out(written: Result<(), OutputError>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(OutputError::Closed) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn print(run: &RunRow, row: &ResultRow, writer: &mut dyn RowWriter) -> Result<(), OutputError> {
    writer.row(&[
        Value::Integer(run.id.0),
        Value::Foreign(&run.name),
        Value::Integer(row.line),
        Value::foreign(row.product_key.as_deref()),
        Value::Foreign(&row.device_key),
        Value::State(row.status.name()),
        Value::own(row.class.map(Class::name)),
        Value::integer(row.code),
        Value::foreign(row.message.as_deref()),
        Value::foreign(row.ticket.as_deref()),
        Value::Integer(row.attempts),
        Value::integer(row.request_id),
        Value::own(row.due_at),
        Value::own(row.finished_at),
        Value::foreign(row.data.as_deref()),
        row.labels.as_deref().map_or(Value::None, Value::Json),
        Value::integer(row.qos),
        Value::integer(row.is_cache.map(i64::from)),
        Value::integer(row.cache_time),
        Value::integer(row.is_cover.map(i64::from)),
        row.extend_para.as_deref().map_or(Value::None, Value::Json),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::FilterArgs,
        model::{RowFormat, TaskState, TaskStatus},
        settings::Database,
        store::sample,
    };

    fn query(db: &std::path::Path, format: RowFormat) -> Settings {
        Settings {
            run: Some("north-1a2b3c4d".into()),
            format,
            states: Vec::new(),
            filter: FilterArgs::default(),
            limit: None,
            as_manifest: false,
            database: Database {
                path: db.into(),
                simulated: false,
                usual: true,
                consent: crate::model::Consent::default(),
            },
        }
    }

    async fn printed(query: Settings) -> String {
        let (printer, captured) = Printer::captured(None);
        results(query, &printer).await.unwrap();
        captured.stdout()
    }

    #[tokio::test]
    async fn a_table_of_everything() {
        let folder = tempfile::tempdir().unwrap();
        let db = sample::every_state(folder.path()).await;
        insta::assert_snapshot!(printed(query(&db, RowFormat::Table)).await, @r"
        LINE  PRODUCT_KEY  DEVICE_KEY  STATE      CLASS      CODE   MESSAGE                                       TICKET               ATTEMPTS  DUE_AT
        14    PK0001       DK01        accepted   accepted   200    -                                             1335004867605954560  1         -
        13    PK0001       DK02        failed     rejected   70091  The value is not a member of the enumeration  -                    1         -
        12    PK0001       DK03        failed     offline    61002  Device offline                                -                    1         -
        11    PK0001       DK04        in_doubt   in_doubt   -      no reply within 10 s                          -                    2         -
        10    PK0001       DK01        skipped    -          -      same as line 14                               -                    0         -
        9     PK0001       DK06        pending    transient  50000  Service exception                             -                    1         2026-11-22T19:00:20.123Z
        8     PK0001       DK07        pending    frequency  61007  slow down more                                -                    2         2026-11-22T19:00:45.123Z
        7     PK0001       DK08        in_flight  in_doubt   -      connection reset                              -                    1         -
        6     PK0001       DK09        in_flight  -          -      -                                             -                    0         -
        5     PK0001       DK09        pending    -          -      -                                             -                    0         -
        4     PK0001       DK11        pending    -          -      -                                             -                    0         -
        3     -                        failed     invalid    -      column device_key: is empty                   -                    0         -
        2     PK0001       DK02        failed     blocked    -      line 13 of the same device failed             -                    0         -
        ");
    }

    #[tokio::test]
    async fn failures_and_one_device_as_data() {
        let folder = tempfile::tempdir().unwrap();
        let db = sample::every_state(folder.path()).await;
        let failed = Settings {
            states: vec![TaskStatus::Ended(TaskState::Failed)],
            ..query(&db, RowFormat::Csv)
        };
        insta::assert_snapshot!(printed(failed).await, @r#"
        run,name,line,product_key,device_key,state,class,code,message,ticket,attempts,request_id,due_at,finished_at,data,labels,qos,is_cache,cache_time,is_cover,extend_para
        1,north-1a2b3c4d,12,PK0001,DK03,failed,offline,61002,Device offline,,1,1,,2026-11-22T19:00:01.300Z,"[{""fuwu"":[{""raw1"":""AA""}]}]",,,,,,
        1,north-1a2b3c4d,13,PK0001,DK02,failed,rejected,70091,The value is not a member of the enumeration,,1,1,,2026-11-22T19:00:01.300Z,"[{""fuwu"":[{""raw1"":""AA""}]}]",,,,,,
        1,north-1a2b3c4d,2,PK0001,DK02,failed,blocked,,line 13 of the same device failed,,0,,,2026-11-22T19:00:01.300Z,"[{""fuwu"":[{""raw1"":""AA""}]}]",,,,,,
        1,north-1a2b3c4d,3,,,failed,invalid,,column device_key: is empty,,0,,,2026-11-22T19:00:00.123Z,,,,,,,
        "#);
        let device = Settings {
            filter: FilterArgs {
                device: vec!["DK01".into()],
                ..FilterArgs::default()
            },
            limit: Some(1),
            ..query(&db, RowFormat::Jsonl)
        };
        insta::assert_snapshot!(printed(device).await, @r#"{"run":1,"name":"north-1a2b3c4d","line":14,"product_key":"PK0001","device_key":"DK01","state":"accepted","class":"accepted","code":200,"message":null,"ticket":"1335004867605954560","attempts":1,"request_id":1,"due_at":null,"finished_at":"2026-11-22T19:00:01.300Z","data":"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]","labels":{"site":"=Oslo"},"qos":null,"is_cache":null,"cache_time":null,"is_cover":null,"extend_para":null}"#);
    }

    #[tokio::test]
    async fn the_latest_run_is_meant_when_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let db = sample::every_state(folder.path()).await;
        let text = printed(Settings {
            run: None,
            ..query(&db, RowFormat::Csv)
        })
        .await;
        assert_eq!(
            text.lines().filter(|line| line.starts_with("2,1,")).count(),
            4,
            "{text}"
        );
        let (printer, _) = Printer::captured(None);
        let unknown = Settings {
            run: Some("nobody".into()),
            ..query(&db, RowFormat::Csv)
        };
        let failure = results(unknown, &printer).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
    }

    #[tokio::test]
    async fn a_reader_who_has_gone_ends_the_listing() {
        let folder = tempfile::tempdir().unwrap();
        let db = sample::alternating(folder.path(), 2500).await;
        for format in RowFormat::ALL {
            results(
                Settings {
                    run: None,
                    ..query(&db, *format)
                },
                &Printer::closed(),
            )
            .await
            .unwrap();
        }
    }
}
