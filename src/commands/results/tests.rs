//! Listings of a sample, in each form.

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
        columns: Vec::new(),
        sort: Vec::new(),
        out: None,
        database: Database {
            place: crate::settings::Place::File(db.into()),
            simulated: false,
            usual: true,
            consent: crate::model::Consent::default(),
            introduction: None,
            tags: crate::model::Tags::default(),
        }
        .into(),
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
    run,name,line,product_key,device_key,state,class,code,message,ticket,attempts,request_id,due_at,finished_at,data,labels,qos,is_cache,cache_time,is_cover,extend_para,delivery,delivery_at
    1,north-1a2b3c4d,12,PK0001,DK03,failed,offline,61002,Device offline,,1,1,,2026-11-22T19:00:01.300Z,"[{""fuwu"":[{""raw1"":""AA""}]}]",,,,,,,,
    1,north-1a2b3c4d,13,PK0001,DK02,failed,rejected,70091,The value is not a member of the enumeration,,1,1,,2026-11-22T19:00:01.300Z,"[{""fuwu"":[{""raw1"":""AA""}]}]",,,,,,,,
    1,north-1a2b3c4d,2,PK0001,DK02,failed,blocked,,line 13 of the same device failed,,0,,,2026-11-22T19:00:01.300Z,"[{""fuwu"":[{""raw1"":""AA""}]}]",,,,,,,,
    1,north-1a2b3c4d,3,,,failed,invalid,,column device_key: is empty,,0,,,2026-11-22T19:00:00.123Z,,,,,,,,,
    "#);
    let device = Settings {
        filter: FilterArgs {
            device: vec!["DK01".into()],
            ..FilterArgs::default()
        },
        limit: Some(1),
        ..query(&db, RowFormat::Jsonl)
    };
    insta::assert_snapshot!(printed(device).await, @r#"{"run":1,"name":"north-1a2b3c4d","line":14,"product_key":"PK0001","device_key":"DK01","state":"accepted","class":"accepted","code":200,"message":null,"ticket":"1335004867605954560","attempts":1,"request_id":1,"due_at":null,"finished_at":"2026-11-22T19:00:01.300Z","data":"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]","labels":{"site":"=Oslo"},"qos":null,"is_cache":null,"cache_time":null,"is_cover":null,"extend_para":null,"delivery":"unknown","delivery_at":null}"#);
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
