//! A run in parts, so that several workers push it: ranges of its first sends, with what follows from them. Only a server has them.
//!
//! A worker's connection is bound to its part: views of its own stand before the tables `due`, `request` and `bundle`, and show the rows of
//! the part alone, so that the statements of a push are the same for a part and for a run. What concerns the run as a whole, such as the
//! tally and the state, all workers write to the same rows, and read with each claim.

use sqlx::{AssertSqlSafe, Connection as _};

use super::{
    Owner, ReadError, Reader, Run, Sharing, Store, StoreError,
    accepted_range::in_no_accepted_range,
    db::DbConnection,
    home::{Home, ServerHome},
    owner::BEGIN,
    postgres::Purpose,
    tally::read_tally,
};
use crate::model::{BundleId, PartNumber, RunId, RunState, Tally, TaskId, TaskState, Timestamp};

/// A part that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct OpenPart {
    /// The number of its run.
    pub run: i64,
    /// The name of that.
    pub name: String,
    /// Its own number.
    pub part: i64,
    /// The process that pushes it, if one does.
    pub worker: Option<String>,
    /// Whether somebody pauses or cancels the run.
    pub is_asked: bool,
}

/// What concerns a run as a whole, while it is pushed in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) state: RunState,
    pub(crate) tally: Vec<(Tally, u64)>,
    /// Of the tally, what ended in outages.
    pub(crate) excused: Vec<(Tally, u64)>,
    /// Who sends to its platform with its account.
    pub(crate) sharing: Sharing,
}

/// A part as its push begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartRow {
    pub(super) next_task: TaskId,
    /// The numbers of its bundles begin here.
    pub(super) first_bundle: BundleId,
    /// How many of its tasks ended as accepted, as failed, in doubt and as skipped.
    pub(super) ended: [u64; 4],
}

impl PartRow {
    /// What has ended of its tasks. Of what class that was is known of the run as a whole.
    pub(super) fn tally(&self) -> Vec<(Tally, u64)> {
        let of = |state| Tally {
            state,
            class: None,
            code: None,
        };
        TaskState::ALL.map(of).into_iter().zip(self.ended).collect()
    }
}

/// How many bundles a part may have: their numbers begin with that of the part.
const BUNDLES: i64 = 1 << 40;

/// Where parts begin: each with a chunk, and about equally many first sends in each.
const BEGINNINGS: &str = "WITH firsts AS ( \
         SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, \
             (row_number() OVER (PARTITION BY payload_id ORDER BY id) - 1) % ?3 AS in_chunk, count(*) OVER () AS n \
         FROM task WHERE id >= ?1 AND id < ?2 AND held = 0 \
     ) SELECT min(id) FROM firsts WHERE in_chunk = 0 GROUP BY place * ?4 / n ORDER BY 1";

/// How many tasks a range of first sends has, with those that wait for them.
const TASKS: &str = concat!(
    "WITH RECURSIVE own (id) AS ( \
         SELECT id FROM task WHERE id >= ?1 AND id < ?2 AND held = 0 \
         UNION ALL SELECT f.task_id FROM own JOIN follower AS f ON f.previous_id = own.id \
     ) SELECT count(*) FROM own WHERE NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = own.id) AND ",
    in_no_accepted_range!("own.id")
);

/// Puts what was sent already, and what waits, into part 0.
const PART_0: &str = "INSERT INTO part (run_id, number, first_task, next_task, end_task, tasks, accepted, failed, in_doubt, skipped, finished_at) \
     SELECT n.run, 0, ?2, ?2, ?2, n.tasks, n.accepted, n.failed, n.in_doubt, n.skipped, \
         CASE WHEN n.tasks = n.accepted + n.failed + n.in_doubt + n.skipped THEN CAST(?3 AS bigint) END \
     FROM (SELECT r.run, r.tasks - (SELECT CAST(coalesce(sum(p.tasks), 0) AS bigint) FROM part AS p WHERE p.run_id = r.run) AS tasks, \
         r.accepted, r.failed, r.in_doubt, r.skipped FROM runs AS r WHERE r.run = ?1) AS n";

/// A part that has not ended, of a run that goes on.
const OPEN_PART: &str = "SELECT p.next_task, p.first_task, p.end_task, p.tasks FROM part AS p JOIN run AS r ON r.id = p.run_id \
     WHERE p.run_id = ? AND p.number = ? AND p.finished_at IS NULL AND p.is_gathered = 0 \
     AND (r.state = 'running' OR r.state = 'stopped' AND r.paused_at IS NULL)";

/// All of them that are pushed to a platform, or that one run has, with whoever has them.
const OPEN_PARTS: &str = "SELECT r.id AS run, r.name, p.number AS part, l.holder AS worker, EXISTS (SELECT 1 FROM control AS c WHERE c.run_id = r.id) AS is_asked \
     FROM part AS p JOIN run AS r ON r.id = p.run_id AND (r.state = 'running' OR r.state = 'stopped' AND r.paused_at IS NULL) \
     LEFT JOIN lease_of_run AS l ON l.run_id = p.run_id AND (l.part = p.number OR l.part IS NULL) AND l.ends_at > clock_timestamp() \
     WHERE p.finished_at IS NULL AND p.is_gathered = 0 AND r.base_url = ?1 AND (CAST(?2 AS bigint) IS NULL OR r.id = ?2) \
     ORDER BY p.run_id, p.number";

/// Has a run be one again: what its parts have not claimed waits as what they have, and counts as part 0.
const GATHER: [&str; 4] = [
    "INSERT INTO due (task_id, run_id, payload_id, due_at) SELECT t.id, p.run_id, t.payload_id, 0 FROM part AS p \
     JOIN task AS t ON t.id >= p.next_task AND t.id < p.end_task AND t.held = 0 WHERE p.run_id = ? AND p.is_gathered = 0",
    "UPDATE task SET held = 1 FROM part AS p WHERE task.id >= p.next_task AND task.id < p.end_task AND task.held = 0 \
     AND p.run_id = ? AND p.is_gathered = 0",
    "UPDATE due SET part = 0 WHERE run_id = ? AND part > 0",
    "UPDATE run SET next_task = end_task WHERE id = ?",
];

impl Run {
    /// A part of it, which has so many tasks.
    fn part_of(self, number: PartNumber, firsts: (i64, i64), tasks: i64) -> Self {
        Self {
            first_task: TaskId(firsts.0),
            end_task: TaskId(firsts.1),
            tasks: tasks.unsigned_abs(),
            part: Some(number),
            ..self
        }
    }
}

impl Reader {
    /// The parts of a run: the state of each, and the process that pushes it.
    pub(crate) async fn parts_of(
        &mut self,
        run: RunId,
    ) -> Result<Vec<(String, Option<String>)>, ReadError> {
        sqlx::query_as("SELECT state, worker FROM parts WHERE run = ? ORDER BY part")
            .bind(run.0)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))
    }

    /// The parts that have not ended of the runs that go on to this platform, or of one of them.
    pub(crate) async fn open_parts(
        &mut self,
        base_url: &str,
        run: Option<RunId>,
    ) -> Result<Vec<OpenPart>, ReadError> {
        sqlx::query_as(OPEN_PARTS)
            .bind(base_url)
            .bind(run.map(|run| run.0))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))
    }
}

impl Store {
    /// The part of a run that this store is bound to.
    pub(super) fn part(&self) -> Option<PartNumber> {
        match &self.home {
            Home::File(_) => None,
            Home::Server(server) => server.part,
        }
    }

    /// Whether a run stands in parts.
    pub(crate) async fn is_in_parts(&mut self, run: RunId) -> Result<bool, StoreError> {
        if !self.is_on_server() {
            return Ok(false);
        }
        let select = "SELECT EXISTS (SELECT 1 FROM part WHERE run_id = ? AND is_gathered = 0)";
        Ok(sqlx::query_scalar(select)
            .bind(run.0)
            .fetch_one(&mut self.connection)
            .await?)
    }

    /// Divides what has not been sent of a run into so many parts, or fewer when it has fewer chunks; gives how many. What has been sent, and what
    /// waits to be sent again, is part 0 besides.
    pub(crate) async fn divide(
        &mut self,
        run: &Run,
        parts: u32,
        chunk_size: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        debug_assert!(self.holds(run.id));
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        sqlx::query("DELETE FROM part WHERE run_id = ?")
            .bind(run.id.0)
            .execute(&mut *transaction)
            .await?;
        let next: i64 = sqlx::query_scalar("SELECT next_task FROM run WHERE id = ?")
            .bind(run.id.0)
            .fetch_one(&mut *transaction)
            .await?;
        let mut edges: Vec<i64> = sqlx::query_scalar(BEGINNINGS)
            .bind(next)
            .bind(run.end_task.0)
            .bind(chunk_size)
            .bind(parts)
            .fetch_all(&mut *transaction)
            .await?;
        edges.push(run.end_task.0);
        let ranges = edges.windows(2);
        for (number, range) in (1_i64..).zip(ranges.clone()) {
            let tasks: i64 = sqlx::query_scalar(TASKS)
                .bind(range[0])
                .bind(range[1])
                .fetch_one(&mut *transaction)
                .await?;
            sqlx::query("INSERT INTO part (run_id, number, first_task, next_task, end_task, tasks) VALUES (?1, ?2, ?3, ?3, ?4, ?5)")
                .bind(run.id.0)
                .bind(number)
                .bind(range[0])
                .bind(range[1])
                .bind(tasks)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(PART_0)
            .bind(run.id.0)
            .bind(run.end_task.0)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ranges.len() as u64)
    }

    /// Makes a part of a run this process's own, and binds the store to it: from now on it is good for pushing this part alone. Gives the run as
    /// far as it is this part; `None` when the part has ended, or the run does not go on.
    ///
    /// An error means that another process has it, or that the database failed.
    pub(crate) async fn hold_part(
        &mut self,
        run: &Run,
        number: PartNumber,
    ) -> Result<Option<Run>, StoreError> {
        let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        else {
            return Ok(None);
        };
        let purpose = Purpose::Part(run.id, number);
        if let Err(holder) = server.lease.add(connection, purpose).await? {
            return Err(StoreError::RunHeld {
                run: run.about.name.clone(),
                holder: Owner(holder),
            });
        }
        let open: Option<(i64, i64, i64, i64)> = sqlx::query_as(OPEN_PART)
            .bind(run.id.0)
            .bind(number.0)
            .fetch_optional(&mut self.connection)
            .await?;
        let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        else {
            return Ok(None);
        };
        let ServerHome { lease, part, .. } = &mut **server;
        let Some((_, first, end, tasks)) = open else {
            lease.let_go(connection, purpose).await?;
            return Ok(None);
        };
        // A statement that is prepared already would go on to the tables themselves.
        let bind = format!(
            "CREATE TEMP VIEW due AS SELECT * FROM fleetpush.due WHERE run_id = {run} AND part = {number}; \
             ALTER VIEW pg_temp.due ALTER COLUMN part SET DEFAULT {number}; \
             CREATE TEMP VIEW request AS SELECT * FROM fleetpush.request WHERE run_id = {run} AND part = {number}; \
             ALTER VIEW pg_temp.request ALTER COLUMN part SET DEFAULT {number}; \
             CREATE TEMP VIEW bundle AS SELECT * FROM fleetpush.bundle WHERE run_id = {run} AND id >= {first} AND id < {end}; \
             DISCARD PLANS",
            run = run.id,
            first = number.0 * BUNDLES,
            end = (number.0 + 1) * BUNDLES,
        );
        sqlx::raw_sql(AssertSqlSafe(bind))
            .execute(&mut **connection)
            .await?;
        *part = Some(number);
        Ok(Some(run.clone().part_of(number, (first, end), tasks)))
    }

    /// Has a run be one again that stands in parts; nothing if it does not. Before anything of the run as a whole is read to be pushed or changed.
    pub(crate) async fn gather(&mut self, run: RunId) -> Result<(), StoreError> {
        if !self.is_in_parts(run).await? {
            return Ok(());
        }
        self.keep_past_totals().await?;
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        for statement in GATHER {
            sqlx::query(statement)
                .bind(run.0)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("UPDATE part SET is_gathered = 1 WHERE run_id = ?")
            .bind(run.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that a part is being pushed, unless the run has been stopped meanwhile.
    pub(super) async fn begin_part(
        &mut self,
        run: RunId,
        number: PartNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        sqlx::query(
            "UPDATE run SET state = 'running', started_at = coalesce(started_at, ?2), pushed_at = ?2 \
             WHERE id = ?1 AND (state = 'running' OR state = 'stopped' AND paused_at IS NULL)",
        )
        .bind(run.0)
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE part SET begun_at = coalesce(begun_at, ?3) WHERE run_id = ?1 AND number = ?2",
        )
        .bind(run.0)
        .bind(number.0)
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes how the push of a part ended: with its last part the run is complete, and when nobody pushes another one it is stopped.
    pub(super) async fn end_part(
        &mut self,
        run: RunId,
        number: PartNumber,
        state: RunState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        // One after the other: two that end at once would each see the other one at work.
        sqlx::query("SELECT 1 FROM run WHERE id = ? FOR UPDATE")
            .bind(run.0)
            .execute(&mut *transaction)
            .await?;
        let ended = if state == RunState::Complete {
            sqlx::query("UPDATE part SET finished_at = ?3 WHERE run_id = ?1 AND number = ?2")
                .bind(run.0)
                .bind(number.0)
                .bind(now.0)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "UPDATE run SET state = 'complete', finished_at = ?2, paused_at = NULL, paused_by = NULL WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM part WHERE run_id = ?1 AND finished_at IS NULL)",
            )
            .bind(run.0)
            .bind(now.0)
        } else if state == RunState::Aborted {
            sqlx::query("UPDATE run SET state = 'aborted' WHERE id = ?1 AND state IN ('running', 'stopped') AND paused_at IS NULL")
                .bind(run.0)
        } else {
            sqlx::query(
                "UPDATE run SET state = 'stopped' WHERE id = ?1 AND state = 'running' AND NOT EXISTS ( \
                     SELECT 1 FROM lease_of_run AS l WHERE l.run_id = ?1 AND l.ends_at > clock_timestamp() \
                     AND l.epoch <> (SELECT mark FROM temp.this_owner) \
                 )",
            )
            .bind(run.0)
        };
        ended.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// What a push of a part begins with.
pub(super) async fn read_part(
    connection: &mut DbConnection,
    run: RunId,
    number: PartNumber,
) -> Result<PartRow, sqlx::Error> {
    let (next_task, accepted, failed, in_doubt, skipped): (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT next_task, accepted, failed, in_doubt, skipped FROM part WHERE run_id = ? AND number = ?",
    )
    .bind(run.0)
    .bind(number.0)
    .fetch_one(connection)
    .await?;
    Ok(PartRow {
        next_task: TaskId(next_task),
        first_bundle: BundleId(number.0 * BUNDLES),
        ended: [accepted, failed, in_doubt, skipped].map(i64::unsigned_abs),
    })
}

/// How the run as a whole stands.
pub(super) async fn read_whole(
    connection: &mut DbConnection,
    run: RunId,
) -> Result<Whole, StoreError> {
    let (state, leases, first, mark): (String, i64, Option<i64>, i64) = sqlx::query_as(
        "SELECT CASE WHEN own.state = 'stopped' AND own.paused_at IS NOT NULL THEN 'paused' ELSE own.state END, \
             count(l.epoch), min(l.epoch), (SELECT mark FROM temp.this_owner) \
         FROM run AS own LEFT JOIN run AS r ON r.base_url = own.base_url AND r.account IS NOT DISTINCT FROM own.account \
         LEFT JOIN lease_of_run AS l ON l.run_id = r.id AND l.ends_at > clock_timestamp() \
         WHERE own.id = ? GROUP BY own.state, own.paused_at",
    )
    .bind(run.0)
    .fetch_one(&mut *connection)
    .await?;
    let tally = "SELECT state, class, code, n FROM tally WHERE run_id = ?";
    let excused = "SELECT state, class, code, n FROM excused WHERE run_id = ?";
    Ok(Whole {
        state: RunState::from_name(&state)
            .ok_or_else(|| StoreError::Damaged(format!("a run has the state '{state}'")))?,
        tally: read_tally(connection, run, tally).await?,
        excused: read_tally(connection, run, excused).await?,
        sharing: Sharing::of(leases, first, mark),
    })
}
