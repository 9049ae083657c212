//! Whatever a run is broken down by, the groups are those of the view.

use sqlx::AssertSqlSafe;

use super::*;
use crate::store::sample;

/// The groups as SQL by hand has them.
async fn by_hand(reader: &mut Reader, run: i64, value: &str) -> Vec<Group> {
    let rows: Vec<(Option<String>, i64, i64, i64, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {value}, sum(state = 'accepted'), sum(state = 'failed'), sum(state = 'in_doubt'), sum(state = 'skipped'),
                sum(state IN ('pending', 'in_flight'))
         FROM results WHERE run = ? GROUP BY 1"
    )))
    .bind(run)
    .fetch_all(&mut reader.connection)
    .await
    .unwrap();
    let mut groups: Vec<Group> = rows
        .into_iter()
        .map(
            |(value, accepted, failed, in_doubt, skipped, pending)| Group {
                value,
                text: None,
                counts: GroupCounts {
                    accepted: accepted as u64,
                    failed: failed as u64,
                    in_doubt: in_doubt as u64,
                    skipped: skipped as u64,
                    pending: pending as u64,
                },
            },
        )
        .collect();
    sort(&mut groups);
    groups
}

#[tokio::test]
async fn every_breakdown_is_that_of_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    for name in ["north-1a2b3c4d", "1"] {
        let run = reader.find_run(Some(name)).await.unwrap();
        for (dimension, value) in [
            ("product", "product_key"),
            ("hour", "substr(finished_at, 1, 13)"),
            (
                "code",
                "CASE WHEN state IN ('pending', 'in_flight') THEN NULL ELSE coalesce(CAST(code AS TEXT), class) END",
            ),
            ("label.site", "labels ->> 'site'"),
        ] {
            let dimension: Dimension = dimension.parse().unwrap();
            let mut groups = match reader.breakdown_by(&run, &dimension).await {
                Ok(groups) => groups,
                Err(BreakdownError::UnknownLabel { .. }) if name == "1" => continue,
                Err(error) => panic!("{error}"),
            };
            sort(&mut groups);
            let expected = by_hand(&mut reader, run.id.0, value).await;
            assert_eq!(groups, expected, "{name} {dimension}");
            let tasks: u64 = groups.iter().map(|group| group.counts.tasks()).sum();
            assert_eq!(tasks, run.counts.tasks, "{name} {dimension}");
        }
        let payloads = reader
            .breakdown_by(&run, &Dimension::Payload)
            .await
            .unwrap();
        let tasks: u64 = payloads.iter().map(|group| group.counts.tasks()).sum();
        assert_eq!(tasks, run.counts.tasks);
        assert!(
            payloads[0]
                .text
                .as_deref()
                .is_some_and(|text| text.contains("PK"))
        );
    }
}

#[tokio::test]
async fn an_unknown_label_is_answered_with_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut reader = Reader::open(&path).await.unwrap();
    let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
    let error = reader
        .breakdown_by(&run, &Dimension::Label("sit".into()))
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"no task of run 'north-1a2b3c4d' has the label 'sit'; its labels are site");
}
