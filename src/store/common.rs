//! Devices that several runs have in common which are pushed at once: none of them gets two commands at the same time, and the younger run
//! is what counts.
//!
//! Only a server has that. Whoever makes a run its own to push it notes the devices that it has in common with runs of others
//! ([`Store::register`]), and then locks the table `claim_gate`. Each claim begins with a row of it, which it has together with other claims. So what was claimed before is there to be seen, and what is claimed afterwards sees what was noted:
//!
//! - the elder run does not claim such a device as long as the younger one has a task for it,
//! - and the younger one not before what the elder one has claimed has come back.

use std::{collections::HashMap, time::Duration};

use serde_json::json;
use sqlx::Connection as _;

use super::{
    Run, Store, StoreError, accepted_range::in_no_accepted_range, db::DbConnection, home::Home,
    owner::BEGIN, stale::overtaken,
};
use crate::model::{Lead, RunId, TaskId, Timestamp};

/// When a task is due that is left to a younger run: in no push, and until the end of this one.
pub(crate) const LEFT: Timestamp = Timestamp(253_402_300_799_000);

/// What a claim has to know of other runs to its platform.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Gate {
    /// Whether any have devices in common.
    pub(crate) is_common: bool,
    /// The pace of the push that finds what the platform takes, for those who share its account.
    pub(crate) lead: Option<Lead>,
}

/// A task that is not to be claimed now, since another run has its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommonTask {
    /// The name of the other run.
    pub(crate) run: String,
    pub(crate) why: Common,
}

/// Why it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Common {
    /// The other run is younger, and has accepted or will send something for the same service.
    Stale,
    /// The other run is younger, and will send something for another service.
    Later,
    /// What the other run has sent has not come back.
    InFlight,
}

/// A run that has nothing to send any more gives way to none.
const FORGET: &str = "DELETE FROM common_device AS c WHERE NOT EXISTS (SELECT 1 FROM run AS r WHERE r.id = c.elder AND r.state IN ('running', 'stopped'))";
/// What younger runs had accepted before is looked at when the whole run goes on, and whoever insists sends all the same.
const FORGET_YOUNGER: &str = "DELETE FROM common_device WHERE elder = ?";

/// Whether a run is being pushed.
macro_rules! is_pushed {
    ($run:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM lease_of_run AS l WHERE l.run_id = ",
            $run,
            " AND l.ends_at > clock_timestamp())"
        )
    };
}

macro_rules! is_pending {
    ($task:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = ",
            $task,
            ") AND ",
            in_no_accepted_range!($task)
        )
    };
}

/// The devices that a run has in common with what waits in each run to the same platform that somebody pushes, or has left with requests in
/// flight. Of its own tasks any may be opened again.
const REGISTER: &str = concat!(
    "INSERT INTO common_device (device_key, elder, younger) \
     SELECT DISTINCT b.device_key, least(?1, r.id), greatest(?1, r.id) FROM run AS r \
     JOIN device_task AS b ON b.run_id = r.id JOIN device_task AS a ON a.run_id = ?1 AND a.device_key = b.device_key \
     WHERE r.id <> ?1 AND r.base_url = ?2 AND r.state IN ('running', 'stopped') \
     AND (",
    is_pushed!("r.id"),
    " OR EXISTS (SELECT 1 FROM fleetpush.request AS q WHERE q.run_id = r.id AND q.finished_at IS NULL)) \
     AND ",
    is_pending!("b.task_id"),
    " ON CONFLICT DO NOTHING"
);
/// How long claims of others are waited for at a time, and how often.
const PATIENCE: &str = "SET LOCAL lock_timeout = '500ms'";
const LOOKS: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Whoever has this lock knows all claims that were made without knowing of this run. It is not one of a row: claims would pass by those who wait.
const LOCK_GATE: &str = "LOCK TABLE fleetpush.claim_gate IN EXCLUSIVE MODE";
/// A process that is frozen in the middle of a claim keeps its locks. When its lease has ended, it could not commit any more.
const END_THE_DEAD: &str = "SELECT pg_terminate_backend(a.pid) FROM lease AS l JOIN pg_stat_activity AS a ON a.pid = l.backend AND a.backend_start = l.began_at \
     WHERE l.ends_at <= clock_timestamp() AND a.pid <> pg_backend_pid()";
const CLOSE_GATE: &str = "INSERT INTO claim_gate (base_url, is_common) \
     SELECT ?1, CASE WHEN EXISTS (SELECT 1 FROM common_device AS c JOIN run AS r ON r.id = c.younger WHERE r.base_url = ?1) THEN 1 ELSE 0 END \
     ON CONFLICT (base_url) DO UPDATE SET is_common = excluded.is_common";

/// Those who claim do not wait for each other here, but for whoever begins to push.
const GATE: &str = "SELECT g.is_common, p.told_at IS NOT NULL, p.rate, p.in_flight FROM run AS r JOIN claim_gate AS g ON g.base_url = r.base_url \
     LEFT JOIN lead AS p ON p.base_url = r.base_url AND p.account = coalesce(r.account, '') AND p.told_at > clock_timestamp() - interval '30 s' \
     WHERE r.id = ? FOR SHARE OF g";

// A part of a run has views of its own before `due` and `request`.
/// Of a list of tasks those that are not to be claimed now: stale, later, or because the device is in flight for the other run. What a process
/// has left in flight that has died counts for as long as a reply may come.
const COMMON: &str = concat!(
    "WITH owned AS MATERIALIZED (SELECT run_id, max(ends_at) AS ends_at FROM lease_of_run GROUP BY run_id), asked AS MATERIALIZED ( \
         SELECT t.id, t.payload_id, t.device_key, c.elder = ?1 AS is_elder, CASE WHEN c.elder = ?1 THEN c.younger ELSE c.elder END AS other \
         FROM json_each(?3) AS j JOIN task AS t ON t.id = CAST(j.value AS bigint) \
         JOIN common_device AS c ON c.device_key = t.device_key AND ?1 IN (c.elder, c.younger) \
     ), answered AS ( \
         SELECT a.id, a.other, \
         a.is_elder AND EXISTS (SELECT 1 FROM payload_service AS s WHERE s.payload_id = a.payload_id AND s.run_id = ?1 AND (",
    overtaken!("a.device_key"),
    " OR l.ends_at > clock_timestamp() AND EXISTS (SELECT 1 FROM device_task AS x JOIN task AS q ON q.id = x.task_id \
                 JOIN payload_service AS w ON w.payload_id = q.payload_id AND w.run_id = a.other \
                 WHERE x.run_id = a.other AND x.device_key = a.device_key AND w.product_key = s.product_key \
                 AND w.service IS NOT DISTINCT FROM s.service AND ",
    is_pending!("x.task_id"),
    "))) AS is_stale, \
         a.is_elder AND l.ends_at > clock_timestamp() AND EXISTS (SELECT 1 FROM device_task AS x WHERE x.run_id = a.other AND x.device_key = a.device_key AND ",
    is_pending!("x.task_id"),
    ") AS is_later, \
         l.ends_at + ?4 * interval '1 millisecond' > clock_timestamp() \
         AND EXISTS (SELECT 1 FROM device_task AS x WHERE x.run_id = a.other AND x.device_key = a.device_key \
             AND (EXISTS (SELECT 1 FROM fleetpush.due AS w WHERE w.task_id = x.task_id AND w.request_id IS NOT NULL) \
                 OR EXISTS (SELECT 1 FROM fleetpush.request AS q WHERE q.run_id = a.other AND q.finished_at IS NULL \
                     AND q.first_task <= x.task_id AND x.task_id < q.end_task))) AS is_in_flight \
         FROM asked AS a LEFT JOIN owned AS l ON l.run_id = a.other \
     ) SELECT n.id, coalesce(r.name, g.name, ''), coalesce(n.is_stale, false), coalesce(n.is_later, false) FROM answered AS n \
     LEFT JOIN run AS r ON r.id = n.other LEFT JOIN pruned_run AS g ON g.id = n.other \
     WHERE n.is_stale OR n.is_later OR n.is_in_flight \
     ORDER BY 3, 4, n.other"
);

impl Store {
    /// Notes the devices that a run of this process, or a part of it, has in common with runs that others push, and has their claims heed that.
    /// Once for each run that is made this process's own, and before anything is decided by what others have sent.
    pub(crate) async fn register(&mut self, run: &Run) -> Result<(), StoreError> {
        let Home::Server(server) = &mut self.home else {
            return Ok(());
        };
        if server.registered.replace((run.id, run.part)) == Some((run.id, run.part)) {
            return Ok(());
        }
        for _ in 0..LOOKS {
            let mut transaction = self.connection.begin_with(BEGIN).await?;
            note(&mut transaction, run).await?;
            let locked = sqlx::query(LOCK_GATE).execute(&mut *transaction).await;
            match locked {
                Ok(_) => {}
                Err(error) if is_locked(&error) => {
                    transaction.rollback().await?;
                    // The claims of those who live go on meanwhile.
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                    sqlx::query(END_THE_DEAD)
                        .execute(&mut self.connection)
                        .await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            sqlx::query(CLOSE_GATE)
                .bind(&run.about.base_url)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            return Ok(());
        }
        Err(StoreError::Busy)
    }

    /// Has tasks that were left to younger runs be due again.
    pub(crate) async fn take_back(&mut self, run: RunId, now: Timestamp) -> Result<(), StoreError> {
        if !self.is_on_server() {
            return Ok(());
        }
        let take = sqlx::query("UPDATE due SET due_at = ?3 WHERE run_id = ?1 AND due_at = ?2")
            .bind(run.0)
            .bind(LEFT.0)
            .bind(now.0);
        self.execute(take).await?;
        Ok(())
    }
}

/// Notes what a run has in common with others.
async fn note(connection: &mut DbConnection, run: &Run) -> Result<(), sqlx::Error> {
    sqlx::query(PATIENCE).execute(&mut *connection).await?;
    sqlx::query(FORGET).execute(&mut *connection).await?;
    if run.part.is_none() {
        sqlx::query(FORGET_YOUNGER)
            .bind(run.id.0)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(REGISTER)
        .bind(run.id.0)
        .bind(&run.about.base_url)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether an error says that somebody else has a lock for longer than that is waited for.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03")
}

/// What a claim for this run has to know of others; from here on nobody begins to push another run to the platform until the transaction ends.
pub(super) async fn gate(connection: &mut DbConnection, run: RunId) -> Result<Gate, StoreError> {
    let row: Option<(i64, bool, Option<f64>, Option<i64>)> = sqlx::query_as(GATE)
        .bind(run.0)
        .fetch_optional(connection)
        .await?;
    let Some((is_common, is_led, rate, in_flight)) = row else {
        return Ok(Gate::default());
    };
    let lead = is_led.then(|| Lead {
        rate,
        in_flight: in_flight.and_then(|in_flight| u32::try_from(in_flight).ok()),
    });
    Ok(Gate {
        is_common: is_common != 0,
        lead,
    })
}

/// Those of these tasks that are not to be claimed now. A reply takes so long at most.
pub(super) async fn common_tasks(
    connection: &mut DbConnection,
    run: RunId,
    tasks: &[TaskId],
    reply_time: Duration,
) -> Result<HashMap<TaskId, CommonTask>, StoreError> {
    let base_url: String = sqlx::query_scalar("SELECT base_url FROM run WHERE id = ?")
        .bind(run.0)
        .fetch_one(&mut *connection)
        .await?;
    let rows: Vec<(i64, String, bool, bool)> = sqlx::query_as(COMMON)
        .bind(run.0)
        .bind(base_url)
        .bind(json!(tasks).to_string())
        .bind(reply_time.as_millis() as i64)
        .fetch_all(connection)
        .await?;
    // Of several runs, what counts most comes last.
    Ok(rows
        .into_iter()
        .map(|(task, run, is_stale, is_later)| {
            let why = match (is_stale, is_later) {
                (true, _) => Common::Stale,
                (false, true) => Common::Later,
                (false, false) => Common::InFlight,
            };
            (TaskId(task), CommonTask { run, why })
        })
        .collect())
}
