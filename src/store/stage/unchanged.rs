//! What devices were sent before the run that is being staged, and the tasks of it that are skipped for that.

use std::{collections::HashMap, sync::Arc};

use serde_json::json;

use super::{
    Stager,
    order::{Order, follow_anew},
};
use crate::{
    model::{RunId, TaskId, Timestamp},
    store::db::DbConnection,
    store::{Reader, StoreError, bulk::Bulk},
};

/// Devices that are looked at together, about.
const PAGE: i64 = 5000;
/// Payloads whose services are remembered.
const SERVICES: usize = 20_000;

/// A task of the run that is being staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedTask {
    pub(crate) task: TaskId,
    pub(crate) device_key: String,
    /// The device's product.
    pub(crate) product_key: String,
    /// The digest of its payload, options included.
    pub(crate) digest: Vec<u8>,
    /// The services that it calls; `None` stands for data whose services cannot be read.
    pub(crate) services: Arc<[Option<String>]>,
}

/// What a device was sent before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Earlier {
    pub(crate) device_key: String,
    pub(crate) product_key: String,
    /// The service; `None` stands for data whose services cannot be read.
    pub(crate) service: Option<String>,
    /// The run and the line of its manifest.
    pub(crate) place: (i64, i64),
    /// The digest of the payload that the device accepted, or had accepted when it was skipped as unchanged. Nothing when it may have got
    /// something, or may still get it.
    pub(crate) accepted: Option<Vec<u8>>,
    /// When; of what it may still get, the end of time.
    pub(crate) at: Timestamp,
}

/// A run to the same target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PastRun {
    /// Its number.
    pub(crate) id: RunId,
    /// When it ended, after all that was sent of it; none when it has not.
    pub(crate) ended_at: Option<Timestamp>,
}

/// The latest of runs by either clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// The highest number.
    pub(crate) run: RunId,
    /// The latest end.
    pub(crate) at: Timestamp,
}

/// What is known of the runs to a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PastRuns {
    /// Those that are there: first the unfinished ones, then the latest end first.
    pub(crate) runs: Vec<PastRun>,
    /// Whether any has been pruned.
    pub(crate) any_pruned: bool,
    /// The latest of those that were pruned and had tasks that had not succeeded, of which nothing is known any more.
    pub(crate) forgotten: Option<Forgotten>,
}

/// Where it is read what devices were sent before.
#[derive(Debug)]
pub(crate) struct Past<'r> {
    /// Another database than the one that is staged into.
    pub(crate) elsewhere: Option<&'r mut Reader>,
    /// The target.
    pub(crate) base_url: &'r str,
}

const EARLIER: &str = "
SELECT * FROM (
SELECT k.value, t.line, p.id, p.product_key, p.digest,
    CASE
        WHEN o.state = 1 OR o.class = 13 OR g.first_task IS NOT NULL THEN coalesce(o.finished_at, g.finished_at)
    END AS accepted_at,
    CASE
        WHEN g.first_task IS NOT NULL THEN NULL
        WHEN o.task_id IS NULL THEN 9223372036854775807
        WHEN o.state = 3 THEN o.finished_at
        ELSE (SELECT max(coalesce(q.finished_at, q.claimed_at)) FROM attempt AS a JOIN request AS q ON q.id = a.request_id
              WHERE a.task_id = t.id AND a.class = 6)
    END AS doubt_at
FROM json_each(?2) AS k
CROSS JOIN device_task AS d ON d.run_id = ?1 AND d.device_key = k.value
CROSS JOIN task AS t ON t.id = d.task_id
CROSS JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?1
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= t.id) AND g.end_task > t.id
) AS earlier WHERE accepted_at IS NOT NULL OR doubt_at IS NOT NULL";

const EARLIER_PRUNED: &str = "
SELECT k.value, b.product_key, nullif(b.service, ''), b.run_id, b.line, h.digest, b.accepted_at
FROM json_each(?2) AS k
CROSS JOIN device_past AS b ON b.device_key = k.value
CROSS JOIN pruned_run AS g ON g.id = b.run_id AND g.base_url = ?1
LEFT JOIN past_payload AS h ON h.id = b.payload_id";

type EarlierRow = (String, i64, i64, String, Vec<u8>, Option<i64>, Option<i64>);

type PrunedRow = (
    String,
    String,
    Option<String>,
    i64,
    i64,
    Option<Vec<u8>>,
    i64,
);

/// The services of payloads, as far as they have been looked up.
#[derive(Debug, Default)]
struct Services(HashMap<(RunId, i64), Arc<[Option<String>]>>);

impl Services {
    /// Looks up those of these payloads.
    async fn look_up(
        &mut self,
        connection: &mut DbConnection,
        run: RunId,
        payloads: impl Iterator<Item = i64>,
    ) -> Result<(), sqlx::Error> {
        if self.0.len() > SERVICES {
            self.0.clear();
        }
        let mut unknown: Vec<i64> = payloads
            .filter(|id| !self.0.contains_key(&(run, *id)))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "SELECT s.payload_id, s.service FROM json_each(?1) AS j CROSS JOIN payload_service AS s ON s.payload_id = CAST(j.value AS bigint) AND s.run_id = ?2",
        )
        .bind(json!(unknown).to_string())
        .bind(run.0)
        .fetch_all(connection)
        .await?;
        for rows in rows.chunk_by(|one, next| one.0 == next.0) {
            let services = rows.iter().map(|(_, service)| service.clone()).collect();
            self.0.insert((run, rows[0].0), services);
        }
        Ok(())
    }

    fn of(&self, run: RunId, payload: i64) -> Arc<[Option<String>]> {
        // A payload without a row calls nothing that is known.
        self.0
            .get(&(run, payload))
            .map_or_else(|| Arc::from([None]), Arc::clone)
    }
}

async fn past_runs(
    connection: &mut DbConnection,
    base_url: &str,
    except: i64,
) -> Result<PastRuns, sqlx::Error> {
    let runs: Vec<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT id, finished_at FROM run WHERE base_url = ? AND id <> ? AND state <> 'staging' \
         ORDER BY finished_at IS NOT NULL, finished_at DESC",
    )
    .bind(base_url)
    .bind(except)
    .fetch_all(&mut *connection)
    .await?;
    let (any_pruned, forgotten_run, forgotten_at): (bool, Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT count(*) > 0, max(id) FILTER (WHERE unsuccessful > 0), max(finished_at) FILTER (WHERE unsuccessful > 0) \
         FROM pruned_run WHERE base_url = ?",
    )
    .bind(base_url)
    .fetch_one(connection)
    .await?;
    Ok(PastRuns {
        runs: runs
            .into_iter()
            .map(|(id, ended_at)| PastRun {
                id: RunId(id),
                ended_at: ended_at.map(Timestamp),
            })
            .collect(),
        any_pruned,
        forgotten: forgotten_run.zip(forgotten_at).map(|(run, at)| Forgotten {
            run: RunId(run),
            at: Timestamp(at),
        }),
    })
}

async fn earlier_in(
    connection: &mut DbConnection,
    services: &mut Services,
    run: RunId,
    devices: &str,
) -> Result<Vec<Earlier>, sqlx::Error> {
    let rows: Vec<EarlierRow> = sqlx::query_as(EARLIER)
        .bind(run.0)
        .bind(devices)
        .fetch_all(&mut *connection)
        .await?;
    services
        .look_up(connection, run, rows.iter().map(|row| row.2))
        .await?;
    let mut earlier = Vec::with_capacity(rows.len());
    for (device_key, line, payload, product_key, digest, accepted_at, doubt_at) in rows {
        for service in &*services.of(run, payload) {
            let known = [
                accepted_at.map(|at| (Some(digest.clone()), at)),
                doubt_at.map(|at| (None, at)),
            ];
            for (accepted, at) in known.into_iter().flatten() {
                earlier.push(Earlier {
                    device_key: device_key.clone(),
                    product_key: product_key.clone(),
                    service: service.clone(),
                    place: (run.0, line),
                    accepted,
                    at: Timestamp(at),
                });
            }
        }
    }
    Ok(earlier)
}

async fn earlier_pruned(
    connection: &mut DbConnection,
    base_url: &str,
    devices: &str,
) -> Result<Vec<Earlier>, sqlx::Error> {
    let rows: Vec<PrunedRow> = sqlx::query_as(EARLIER_PRUNED)
        .bind(base_url)
        .bind(devices)
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(
            |(device_key, product_key, service, run, line, accepted, at)| Earlier {
                device_key,
                product_key,
                service,
                place: (run, line),
                accepted,
                at: Timestamp(at),
            },
        )
        .collect())
}

/// Looks at the devices of a run that is being staged, in the order of their keys.
#[derive(Debug)]
pub(crate) struct Look<'s, 'r> {
    stager: &'s mut Stager<'r>,
    past: Past<'s>,
    staged_services: Services,
    past_services: Services,
    after: String,
    is_over: bool,
    skipped: u64,
}

impl<'r> Stager<'r> {
    /// Begins to look at its devices, once it is arranged.
    pub(crate) async fn look<'s>(&'s mut self, past: Past<'s>) -> Result<Look<'s, 'r>, StoreError> {
        sqlx::raw_sql("CREATE TEMP TABLE unchanged (task_id INTEGER PRIMARY KEY)")
            .execute(&mut self.store.connection)
            .await?;
        Ok(Look {
            stager: self,
            past,
            staged_services: Services::default(),
            past_services: Services::default(),
            after: String::new(),
            is_over: false,
            skipped: 0,
        })
    }

    /// Tasks that are skipped, because their devices have accepted the same last.
    pub(crate) fn unchanged(&self) -> u64 {
        self.unchanged
    }
}

impl Look<'_, '_> {
    /// The runs to the same target.
    pub(crate) async fn past_runs(&mut self) -> Result<PastRuns, StoreError> {
        let base_url = self.past.base_url;
        let (connection, except) = match &mut self.past.elsewhere {
            Some(reader) => (&mut reader.connection, 0),
            None => (&mut self.stager.store.connection, self.stager.run.0),
        };
        Ok(past_runs(connection, base_url, except).await?)
    }

    /// The tasks of the next devices that may be sent, device by device and in the order of the manifest; nothing when there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<StagedTask>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let run = self.stager.run;
        let connection = &mut self.stager.store.connection;
        let last: Option<String> = sqlx::query_scalar(
            "SELECT device_key FROM device_task WHERE run_id = ? AND device_key > ? ORDER BY device_key LIMIT 1 OFFSET ?",
        )
        .bind(run.0)
        .bind(&self.after)
        .bind(PAGE)
        .fetch_optional(&mut *connection)
        .await?;
        let rows: Vec<(i64, String, String, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT t.id, d.device_key, p.product_key, p.id, p.digest FROM device_task AS d \
             CROSS JOIN task AS t ON t.id = d.task_id CROSS JOIN payload AS p ON p.id = t.payload_id AND p.run_id = d.run_id \
             WHERE d.run_id = ?1 AND d.device_key > ?2 AND (?3 IS NULL OR d.device_key <= ?3) \
             AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id) \
             ORDER BY d.device_key, p.product_key, t.line, t.id",
        )
        .bind(run.0)
        .bind(&self.after)
        .bind(&last)
        .fetch_all(&mut *connection)
        .await?;
        match last {
            Some(last) => self.after = last,
            None => self.is_over = true,
        }
        let services = &mut self.staged_services;
        services
            .look_up(connection, run, rows.iter().map(|row| row.3))
            .await?;
        let task = |(task, device_key, product_key, payload, digest)| StagedTask {
            task: TaskId(task),
            device_key,
            product_key,
            digest,
            services: services.of(run, payload),
        };
        Ok(Some(rows.into_iter().map(task).collect()))
    }

    /// What these devices were sent in a run.
    pub(crate) async fn earlier_in(
        &mut self,
        run: RunId,
        devices: &[&str],
    ) -> Result<Vec<Earlier>, StoreError> {
        let devices = json!(devices).to_string();
        let connection = match &mut self.past.elsewhere {
            Some(reader) => &mut reader.connection,
            None => &mut self.stager.store.connection,
        };
        Ok(earlier_in(connection, &mut self.past_services, run, &devices).await?)
    }

    /// What these devices accepted last of runs that have been pruned.
    pub(crate) async fn earlier_pruned(
        &mut self,
        devices: &[&str],
    ) -> Result<Vec<Earlier>, StoreError> {
        let devices = json!(devices).to_string();
        let connection = match &mut self.past.elsewhere {
            Some(reader) => &mut reader.connection,
            None => &mut self.stager.store.connection,
        };
        Ok(earlier_pruned(connection, self.past.base_url, &devices).await?)
    }

    /// Skips these tasks.
    pub(crate) async fn skip(&mut self, tasks: &[TaskId]) -> Result<(), StoreError> {
        self.skipped += tasks.len() as u64;
        UNCHANGED
            .run(&mut self.stager.store.connection, tasks, |values, task| {
                values.bind(task.0)
            })
            .await?;
        Ok(())
    }

    /// Writes what is skipped.
    pub(crate) async fn finish(self, now: Timestamp) -> Result<(), StoreError> {
        let Self {
            stager, skipped, ..
        } = self;
        let tasks = stager.first_task..stager.next_task;
        let connection = &mut stager.store.connection;
        if skipped > 0 {
            sqlx::query(
                "INSERT INTO outcome (task_id, state, class, message, attempts, finished_at) \
                 SELECT task_id, 4, 13, 'the device accepted the same payload last', 0, ? FROM temp.unchanged ORDER BY task_id",
            )
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
            sqlx::query(
                "UPDATE task SET held = 1 FROM (SELECT task_id FROM temp.unchanged ORDER BY task_id) AS u WHERE task.id = u.task_id",
            )
            .execute(&mut *connection)
            .await?;
            if stager.order.is_some_and(|order| order.followers) {
                let followers = follow_anew(connection, stager.run, tasks).await?;
                let duplicates = stager.order.map_or(0, |order| order.duplicates);
                stager.order = Some(Order {
                    duplicates,
                    followers,
                });
            }
        }
        sqlx::query("DROP TABLE temp.unchanged")
            .execute(&mut stager.store.connection)
            .await?;
        stager.unchanged = skipped;
        Ok(())
    }
}

static UNCHANGED: Bulk = Bulk::insert("INSERT INTO temp.unchanged (task_id)", "(?)", "");
