//! The rows of a run as the views show them, read by the owner: they are written to files before the run is deleted.

use futures::TryStreamExt as _;

use super::{Cell, Store, StoreError, db::DbConnection, query::cells};
use crate::model::RunId;

/// What is kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archived {
    /// The rows of the view `results`.
    Results,
    /// The rows of the view `attempts`.
    Attempts,
}

/// The rows of the view `attempts`, found by the run's tasks: in a file the view would read those of all runs.
const ATTEMPTS: &str = "SELECT r.id AS run, r.name, t.line, p.product_key, t.device_key, e.request_id, e.attempt, k.name AS outcome, \
     e.code, e.message, CAST(e.ticket AS TEXT) AS ticket, \
     strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(q.sent_at, q.claimed_at) / 1000.0, 'unixepoch') AS sent_at, q.latency_ms \
     FROM run AS r CROSS JOIN ( \
         SELECT task_id, attempt, request_id, class, code, message, ticket FROM attempt WHERE task_id >= ?2 AND task_id < ?3 \
         UNION ALL \
         SELECT task_id, attempts, request_id, class, code, message, ticket FROM outcome \
         WHERE task_id >= ?2 AND task_id < ?3 AND request_id IS NOT NULL \
         UNION ALL \
         SELECT n.id, 1, g.request_id, 1, g.code, g.message, \
             substr(g.tickets, (n.id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) \
         FROM accepted_span AS g JOIN task AS n ON n.id >= g.first_task AND n.id < g.end_task \
         WHERE g.first_task >= ?2 AND g.first_task < ?3 \
     ) AS e \
     JOIN task AS t ON t.id = e.task_id JOIN request AS q ON q.id = e.request_id JOIN payload AS p ON p.id = t.payload_id \
     JOIN class AS k ON k.id = e.class WHERE r.id = ?1";

impl Archived {
    /// Everything that is kept.
    pub(crate) const ALL: [Self; 2] = [Self::Results, Self::Attempts];

    /// The name of the view.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Attempts => "attempts",
        }
    }

    /// The columns of the view.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Results => &[
                "run",
                "name",
                "line",
                "product_key",
                "device_key",
                "state",
                "class",
                "code",
                "message",
                "ticket",
                "attempts",
                "request_id",
                "due_at",
                "finished_at",
                "data",
                "labels",
                "qos",
                "is_cache",
                "cache_time",
                "is_cover",
                "extend_para",
                "delivery",
                "delivery_at",
            ],
            Self::Attempts => &[
                "run",
                "name",
                "line",
                "product_key",
                "device_key",
                "request_id",
                "attempt",
                "outcome",
                "code",
                "message",
                "ticket",
                "sent_at",
                "latency_ms",
            ],
        }
    }
}

impl Store {
    /// Gives each row of a view that belongs to a run.
    pub(crate) async fn archive<E: From<StoreError>>(
        &mut self,
        run: RunId,
        what: Archived,
        mut each: impl FnMut(&[Cell]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (first, end): (i64, i64) =
            sqlx::query_as("SELECT first_task, end_task FROM run WHERE id = ?")
                .bind(run.0)
                .fetch_one(&mut self.connection)
                .await
                .map_err(StoreError::from)?;
        let sql = match what {
            Archived::Results => {
                format!(
                    "SELECT {} FROM results WHERE run = ?1",
                    what.columns().join(", ")
                )
            }
            Archived::Attempts => match &self.connection {
                DbConnection::Sqlite(_) => ATTEMPTS.to_owned(),
                DbConnection::Postgres(..) => {
                    format!(
                        "SELECT {} FROM attempts WHERE run = ?1",
                        what.columns().join(", ")
                    )
                }
            },
        };
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(run.0)
            .bind(first)
            .bind(end)
            .fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
            each(&cells(&row).map_err(StoreError::from)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[tokio::test]
    async fn what_is_kept_is_what_the_views_show() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let mut store = Store::open(&path).await.unwrap();
        for run in [1, 2] {
            for what in Archived::ALL {
                let columns: Vec<String> =
                    sqlx::query_scalar("SELECT name FROM pragma_table_info(?) ORDER BY cid")
                        .bind(what.name())
                        .fetch_all(&mut store.connection)
                        .await
                        .unwrap();
                assert_eq!(columns, what.columns(), "also what has been added to it");
                let expected: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                    "SELECT json_array({}) FROM {} WHERE run = {run}",
                    columns.join(", "),
                    what.name()
                )))
                .fetch_all(&mut store.connection)
                .await
                .unwrap();
                let mut kept = Vec::new();
                store
                    .archive::<StoreError>(RunId(run), what, |cells| {
                        let values: Vec<serde_json::Value> = cells
                            .iter()
                            .map(|cell| match cell {
                                Cell::Null => serde_json::Value::Null,
                                Cell::Integer(number) => (*number).into(),
                                Cell::Text(text) => text.as_str().into(),
                                other => panic!("{other:?}"),
                            })
                            .collect();
                        kept.push(serde_json::Value::from(values).to_string());
                        Ok(())
                    })
                    .await
                    .unwrap();
                let sorted = |mut rows: Vec<String>| {
                    rows.sort();
                    rows
                };
                assert!(!kept.is_empty());
                assert_eq!(sorted(kept), sorted(expected), "{what:?} of run {run}");
            }
        }
    }
}
