use super::*;
use crate::{
    model::Devices,
    store::{
        sample,
        select::{
            PASSING,
            source::{DEVICES, DUE, IN_FLIGHT, TROUBLE},
        },
    },
};

fn as_the_view(row: &ResultRow) -> serde_json::Value {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    serde_json::json!([
        row.line,
        row.product_key,
        row.device_key,
        row.status.name(),
        row.class.map(Class::name),
        row.code,
        row.message,
        row.ticket,
        row.attempts,
        row.request_id,
        text(row.due_at),
        text(row.finished_at),
        row.data,
        row.labels,
        row.qos,
        row.is_cache.map(i64::from),
        row.cache_time,
        row.is_cover.map(i64::from),
        row.extend_para,
        row.delivery,
        text(row.delivery_at),
    ])
}

async fn view(reader: &mut Reader, run: RunId) -> Vec<serde_json::Value> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT json_array(line, product_key, device_key, state, class, code, message, ticket, attempts, request_id, due_at,
                           finished_at, data, labels, qos, is_cache, cache_time, is_cover, extend_para,
                           delivery, delivery_at)
         FROM results WHERE run = ? ORDER BY line",
    )
    .bind(run.0)
    .fetch_all(&mut reader.connection)
    .await
    .unwrap();
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

async fn listed(
    reader: &mut Reader,
    run: &RunRow,
    filter: TaskFilter,
    limit: Option<u64>,
) -> Vec<ResultRow> {
    let mut pages = reader.results(run, filter, limit).await.unwrap();
    let mut rows = Vec::new();
    loop {
        let page = pages.next_page().await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// Every filter that the sample can tell apart, against the view filtered by hand.
#[tokio::test]
async fn every_filter_gives_what_the_view_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let mut statuses: Vec<Vec<TaskStatus>> = TaskStatus::ALL.map(|status| vec![status]).into();
    statuses.push(Vec::new());
    statuses.push(vec![
        TaskStatus::Ended(TaskState::Failed),
        TaskStatus::Pending,
    ]);
    statuses.push(TaskStatus::ALL.into());
    let mut classes: Vec<Vec<Class>> = Class::ALL.map(|class| vec![class]).into();
    classes.push(Vec::new());
    classes.push(vec![Class::Accepted, Class::Offline, Class::Frequency]);
    let codes = [
        vec![],
        vec![0..=0],
        vec![61007..=61007],
        vec![70091..=70091],
        vec![70091..=70091, 61007..=61007],
        vec![61000..=61999],
    ];
    let devices: [&[&str]; 6] = [
        &["*"],
        &["DK01"],
        &["DK0*", "DK09"],
        &[""],
        &["DK09", "DK01", "DK09"],
        &["X*"],
    ];

    for run in reader.runs().await.unwrap() {
        let view = view(&mut reader, run.id).await;
        assert_eq!(view.len() as u64, run.counts.tasks);
        for statuses in &statuses {
            for classes in &classes {
                for codes in &codes {
                    for devices in devices {
                        let any = devices == ["*"] && !statuses.is_empty();
                        let devices = Devices::of_patterns(devices.iter().map(ToString::to_string));
                        let filter = TaskFilter {
                            statuses: statuses.clone(),
                            classes: classes.clone(),
                            codes: codes.clone(),
                            devices: (!any).then(|| devices.clone()),
                            ..TaskFilter::default()
                        };
                        let expected: Vec<_> = view
                            .iter()
                            .filter(|row| {
                                (statuses.is_empty()
                                    || statuses.iter().any(|status| row[3] == status.name()))
                                    && (classes.is_empty()
                                        || classes.iter().any(|class| row[4] == class.name()))
                                    && (codes.is_empty()
                                        || codes.iter().any(|codes| {
                                            row[5]
                                                .as_i64()
                                                .is_some_and(|code| codes.contains(&code))
                                        }))
                                    && devices.contains(row[2].as_str().unwrap())
                            })
                            .cloned()
                            .collect();
                        let mut rows: Vec<_> = listed(&mut reader, &run, filter.clone(), None)
                            .await
                            .iter()
                            .map(as_the_view)
                            .collect();
                        rows.sort_by_key(|row| row[0].as_i64());
                        assert_eq!(rows, expected, "{filter:?}");
                    }
                }
            }
        }
    }
}

/// What no index knows, against the view with a condition in SQL.
#[tokio::test]
async fn products_labels_sends_and_times_give_what_the_view_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
    let any = TaskFilter::default;
    let moment: jiff::Timestamp = "2026-11-22T19:00:01.300Z".parse().unwrap();
    let moment = Some(Timestamp(moment.as_millisecond()));
    let site = |values: &[&str]| {
        let values = values.iter().map(ToString::to_string).collect();
        [("site".to_owned(), values)].into()
    };
    let products = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
    let cases = [
        (
            TaskFilter {
                products: products(&["PK0001", "PK0009"]),
                ..any()
            },
            "product_key IN ('PK0001', 'PK0009')",
        ),
        (
            TaskFilter {
                products: products(&["PK0009"]),
                ..any()
            },
            "product_key = 'PK0009'",
        ),
        (
            TaskFilter {
                labels: site(&["=Oslo", "Bergen"]),
                ..any()
            },
            "labels ->> 'site' IN ('=Oslo', 'Bergen')",
        ),
        (
            TaskFilter {
                labels: site(&["Oslo"]),
                ..any()
            },
            "labels ->> 'site' = 'Oslo'",
        ),
        (
            TaskFilter {
                attempts: Some(2..=u64::MAX),
                ..any()
            },
            "attempts >= 2",
        ),
        (
            TaskFilter {
                attempts: Some(0..=0),
                ..any()
            },
            "attempts = 0",
        ),
        (
            TaskFilter {
                ended_after: moment,
                ..any()
            },
            "finished_at >= '2026-11-22T19:00:01.300Z'",
        ),
        (
            TaskFilter {
                ended_before: moment,
                ..TaskFilter::ended(&[TaskState::Failed])
            },
            "finished_at < '2026-11-22T19:00:01.300Z' AND state = 'failed'",
        ),
    ];
    let mut found = 0;
    for (filter, condition) in cases {
        let expected: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT line FROM results WHERE run = ? AND {condition} ORDER BY line"
        )))
        .bind(run.id.0)
        .fetch_all(&mut reader.connection)
        .await
        .unwrap();
        let rows = listed(&mut reader, &run, filter.clone(), None).await;
        let mut lines: Vec<i64> = rows.iter().map(|row| row.line).collect();
        lines.sort_unstable();
        assert_eq!(lines, expected, "{filter:?}");
        found += usize::from(!lines.is_empty());
    }
    assert_eq!(found, 6, "two of the conditions are met by nothing");
}

#[tokio::test]
async fn keys_that_the_run_does_not_have_are_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
    let keys = ["DK01", "DK99", "nobody"].map(str::to_owned);
    let filter = TaskFilter {
        devices: Some(Devices::of_patterns(keys)),
        ..TaskFilter::default()
    };
    let unknown = reader.unknown(&run, &filter).await.unwrap();
    assert_eq!(unknown.devices, ["DK99", "nobody"]);
}

#[tokio::test]
async fn labels_codes_and_values_that_the_run_does_not_have_are_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
    let label = |name: &str, value: &str| {
        (
            name.to_owned(),
            std::collections::BTreeSet::from([value.to_owned()]),
        )
    };
    let filter = TaskFilter {
        // 50000 and 61007 are of tasks that wait.
        codes: vec![61002..=61002, 50000..=50001, 61007..=61007, 7..=9],
        labels: [label("site", "Olso"), label("sit", "Oslo")].into(),
        products: vec!["PK0001".into(), "PK9".into()],
        ..TaskFilter::default()
    };
    let unknown = reader.unknown(&run, &filter).await.unwrap();
    let expected = Unknown {
        devices: Vec::new(),
        labels: vec!["sit".into()],
        known_labels: vec!["site".into()],
        codes: vec![7..=9],
        known_codes: vec![200, 50000, 61002, 61007, 70091],
        products: vec!["PK9".into()],
        known_products: vec!["PK0001".into()],
    };
    assert_eq!(unknown, expected);
    let values = reader.unknown_values(&run, &filter).await.unwrap();
    let site = values.iter().find(|value| value.label == "site").unwrap();
    assert_eq!(
        (site.value.as_str(), &site.known[..]),
        ("Olso", &["=Oslo".to_owned()][..])
    );
}

#[tokio::test]
async fn the_limit_holds_across_sources() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
    for (limit, rows) in [(0, 0), (1, 1), (3, 3), (4, 4), (5, 4)] {
        let filter = TaskFilter {
            statuses: vec![TaskStatus::Ended(TaskState::Failed)],
            ..TaskFilter::default()
        };
        assert_eq!(
            listed(&mut reader, &run, filter, Some(limit)).await.len(),
            rows,
            "{limit}"
        );
    }
}

/// The run fills two pages and a half, failed and pending tasks alternating.
#[tokio::test]
async fn pages_lose_and_repeat_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::alternating(folder.path(), 2500).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let run = reader.find_run(None).await.unwrap();
    let failed = TaskFilter {
        statuses: vec![TaskStatus::Ended(TaskState::Failed)],
        ..TaskFilter::default()
    };
    let pending = TaskFilter {
        statuses: vec![TaskStatus::Pending],
        ..TaskFilter::default()
    };
    for (filter, first, step) in [
        (TaskFilter::default(), 1, 1),
        (failed, 2, 2),
        (pending, 1, 2),
    ] {
        let lines: Vec<i64> = listed(&mut reader, &run, filter, None)
            .await
            .iter()
            .map(|row| row.line)
            .collect();
        assert_eq!(lines, (first..=2500).step_by(step).collect::<Vec<_>>());
    }
    let mut pages = reader
        .results(&run, TaskFilter::default(), Some(1500))
        .await
        .unwrap();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(pages.next_page().await.unwrap().len());
    }
    assert_eq!(sizes, [1000, 500, 0]);
}

/// What makes the listing of failures as quick at ten million tasks as at ten: no step of it scans a table.
#[tokio::test]
async fn narrow_sources_search_and_never_scan() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    for sql in [TROUBLE, DEVICES, IN_FLIGHT, DUE, PASSING, ROWS] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(&mut reader.connection)
                .await
                .unwrap();
        for (.., step) in plan {
            assert!(
                !step.starts_with("SCAN") || step.contains("VIRTUAL TABLE"),
                "{step}\n{sql}"
            );
        }
    }
}
