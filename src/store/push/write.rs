//! How changes are written: each kind with one statement of many rows.

use crate::{
    model::{PartNumber, RunId, TaskState, Timestamp},
    store::{bulk::Bulk, changes::Changes, delivery, writes::Writes},
};

static FINISH: Bulk = Bulk::around(
    "WITH v (id, sent_at, finished_at, latency_ms, http_status, code, message, error, released) AS (",
    "(?,?,?,?,?,?,?,?,?)",
    ") UPDATE request SET sent_at = v.sent_at, finished_at = v.finished_at, latency_ms = v.latency_ms, \
           http_status = v.http_status, code = v.code, message = v.message, error = v.error, released = v.released \
           FROM v WHERE request.id = v.id",
);
static ACCEPTED_PAYLOAD: Bulk = Bulk::around(
    "WITH v (run_id, id) AS (",
    "(?,?)",
    ") UPDATE payload SET accepted = 1 FROM v WHERE payload.id = v.id AND payload.run_id = v.run_id AND payload.accepted = 0",
);
static BUNDLE: Bulk = Bulk::insert(
    "INSERT INTO bundle (id, run_id, parent_request_id, devices, refusals, suspect, of_size)",
    "(?,?,?,?,?,?,?)",
    "",
);
static ANSWERED_BUNDLE: Bulk = Bulk::around(
    "WITH v (run_id, id, passed) AS (",
    "(?,?,?)",
    ") UPDATE bundle SET passed = v.passed FROM v WHERE bundle.id = v.id AND bundle.run_id = v.run_id",
);
static BUNDLE_STATUS: Bulk = Bulk::around(
    "WITH v (run_id, id, refusals, suspect) AS (",
    "(?,?,?,?)",
    ") UPDATE bundle SET refusals = v.refusals, suspect = v.suspect FROM v WHERE bundle.id = v.id AND bundle.run_id = v.run_id",
);
static REFUSAL: Bulk = Bulk::insert(
    "INSERT INTO refusal (run_id, payload_id, product_key, code, request_id, requests, devices, ended)",
    "(?,?,?,?,?,?,?,?)",
    "ON CONFLICT (run_id, product_key, coalesce(payload_id, 0)) DO UPDATE SET code = excluded.code, request_id = excluded.request_id, \
           requests = excluded.requests, devices = excluded.devices, ended = excluded.ended",
);
static ATTEMPT: Bulk = Bulk::insert(
    "INSERT INTO attempt (task_id, attempt, request_id, class, code, message, ticket)",
    "(?,?,?,?,?,?,?)",
    "",
);
static THROTTLE: Bulk = Bulk::insert(
    "INSERT INTO device_throttle (device_key, product_key, class, throttled_at, until)",
    "(?,?,?,?,?)",
    "ON CONFLICT (device_key, product_key) DO UPDATE SET class = excluded.class, throttled_at = excluded.throttled_at, until = excluded.until",
);
static DUE: Bulk = Bulk::insert(
    "INSERT INTO due (task_id, run_id, payload_id, bundle_id, due_at, class, sends, attempts, throttles, snoozed_ms, offline_retries)",
    "(?,?,?,?,?,?,?,?,?,?,?)",
    "ON CONFLICT (task_id) DO UPDATE SET bundle_id = excluded.bundle_id, request_id = NULL, due_at = excluded.due_at, \
           class = excluded.class, sends = excluded.sends, attempts = excluded.attempts, throttles = excluded.throttles, \
           snoozed_ms = excluded.snoozed_ms, offline_retries = excluded.offline_retries",
);
static HELD: Bulk = Bulk::around("UPDATE task SET held = 1 WHERE id IN (", "(?)", ")");
static ACCEPTED_RANGE: Bulk = Bulk::insert(
    "INSERT INTO accepted_span (first_task, end_task, request_id, code, message, ticket_bytes, tickets, finished_at)",
    "(?,?,?,?,?,?,?,?)",
    "",
);
static OUTCOME: Bulk = Bulk::insert(
    "INSERT INTO outcome (task_id, state, class, code, message, ticket, request_id, attempts, finished_at)",
    "(?,?,?,?,?,?,?,?,?)",
    "",
);
static NOW_LAST: Bulk = Bulk::around(
    "DELETE FROM attempt WHERE (task_id, attempt) IN (",
    "(?,?)",
    ")",
);
static NO_LONGER_DUE: Bulk = Bulk::around("DELETE FROM due WHERE task_id IN (", "(?)", ")");
static REQUEST: Bulk = Bulk::insert(
    "INSERT INTO request (id, run_id, payload_id, bundle_id, first_task, end_task, devices, claimed_at)",
    "(?,?,?,?,?,?,?,?)",
    "",
);
static IN_FLIGHT: Bulk = Bulk::around(
    "WITH v (task_id, request_id) AS (",
    "(?,?)",
    ") UPDATE due SET request_id = v.request_id, due_at = NULL FROM v WHERE due.task_id = v.task_id",
);
static TALLY: Bulk = Bulk::insert(
    "INSERT INTO tally (run_id, state, class, code, n)",
    "(?,?,?,?,?)",
    "ON CONFLICT (run_id, state, class, code) DO UPDATE SET n = tally.n + excluded.n",
);

/// Only on a server somebody follows.
const LEAD: &str = "INSERT INTO lead (base_url, account, rate, in_flight, told_at) \
     SELECT base_url, coalesce(account, ''), CAST(?2 AS double precision), CAST(?3 AS bigint), clock_timestamp() FROM run WHERE id = ?1 \
     ON CONFLICT (base_url, account) DO UPDATE SET rate = excluded.rate, in_flight = excluded.in_flight, told_at = excluded.told_at";

/// Writes changes, kind by kind; rows in the order of their keys, which keeps the writing sequential.
pub(super) async fn write(
    writes: &mut Writes<'_>,
    (run, part): (RunId, Option<PartNumber>),
    mut changes: Changes,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    write_requests(writes, run, &mut changes).await?;
    write_waiting(writes, run, now, &mut changes).await?;
    write_ended(writes, now, &mut changes).await?;
    write_claims(writes, run, now, &mut changes).await?;
    if let Some(part) = part {
        write_part(writes, (run, part), &changes).await?;
    } else if let Some(next_task) = changes.next_task {
        writes
            .statement("UPDATE run SET next_task = ? WHERE id = ?", |values| {
                values.bind(next_task.0).bind(run.0)
            })
            .await?;
    }
    if let Some(lead) = changes.lead {
        writes
            .statement(LEAD, |values| {
                values
                    .bind(run.0)
                    .bind(lead.rate)
                    .bind(lead.in_flight.map(i64::from))
            })
            .await?;
    }
    write_tally(writes, run, &mut changes).await
}

/// Writes how far a part has come.
async fn write_part(
    writes: &mut Writes<'_>,
    (run, part): (RunId, PartNumber),
    changes: &Changes,
) -> Result<(), sqlx::Error> {
    if changes.next_task.is_none() && changes.tally.is_empty() {
        return Ok(());
    }
    let ended = |state| {
        let of_state = changes.tally.iter().filter(|(key, _)| key.state == state);
        of_state.map(|(_, n)| *n as i64).sum::<i64>()
    };
    writes
        .statement(
            "UPDATE part SET next_task = coalesce(?, next_task), accepted = accepted + ?, failed = failed + ?, in_doubt = in_doubt + ?, \
             skipped = skipped + ? WHERE run_id = ? AND number = ?",
            |values| {
                values
                    .bind(changes.next_task.map(|task| task.0))
                    .bind(ended(TaskState::Accepted))
                    .bind(ended(TaskState::Failed))
                    .bind(ended(TaskState::InDoubt))
                    .bind(ended(TaskState::Skipped))
                    .bind(run.0)
                    .bind(part.0)
            },
        )
        .await
}

/// Writes what requests came to as a whole.
async fn write_requests(
    writes: &mut Writes<'_>,
    run: RunId,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    writes
        .bulk(
            &FINISH,
            std::mem::take(&mut changes.finished),
            |values, request| {
                values
                    .bind(request.request.0)
                    .bind(request.sent_at.map(|time| time.0))
                    .bind(request.finished_at.0)
                    .bind(request.latency.map(|latency| latency.as_millis() as i64))
                    .bind(request.http_status.map(i64::from))
                    .bind(request.code)
                    .bind(request.message.map(String::from))
                    .bind(request.error.map(String::from))
                    .bind(request.released)
            },
        )
        .await?;
    writes
        .bulk(
            &ACCEPTED_PAYLOAD,
            std::mem::take(&mut changes.accepted_payloads),
            |values, id| values.bind(run.0).bind(id.0),
        )
        .await?;
    if let Some(sizes) = changes.sizes {
        writes
            .statement(
                "UPDATE run SET passed_size = ?, chunk_limit = ?, limit_hints = ? WHERE id = ?",
                |values| {
                    values
                        .bind(sizes.passed)
                        .bind(sizes.limit)
                        .bind(sizes.hints)
                        .bind(run.0)
                },
            )
            .await?;
    }
    writes
        .bulk(
            &BUNDLE,
            std::mem::take(&mut changes.bundles),
            |values, bundle| {
                values
                    .bind(bundle.bundle.0)
                    .bind(run.0)
                    .bind(bundle.parent.0)
                    .bind(bundle.devices as i64)
                    .bind(bundle.bundle_status.refusals)
                    .bind(bundle.bundle_status.suspect)
                    .bind(bundle.of_size)
            },
        )
        .await?;
    writes
        .bulk(
            &ANSWERED_BUNDLE,
            std::mem::take(&mut changes.answered_bundles),
            |values, (id, passed)| values.bind(run.0).bind(id.0).bind(passed),
        )
        .await?;
    writes
        .bulk(
            &BUNDLE_STATUS,
            std::mem::take(&mut changes.bundle_statuses),
            |values, (id, bundle_status)| {
                values
                    .bind(run.0)
                    .bind(id.0)
                    .bind(bundle_status.refusals)
                    .bind(bundle_status.suspect)
            },
        )
        .await?;
    writes
        .bulk(
            &REFUSAL,
            std::mem::take(&mut changes.refusals),
            |values, refusal| {
                values
                    .bind(run.0)
                    .bind(refusal.key.payload.map(|payload| payload.0))
                    .bind(String::from(refusal.key.product_key))
                    .bind(refusal.code)
                    .bind(refusal.request.0)
                    .bind(refusal.requests)
                    .bind(refusal.devices)
                    .bind(refusal.ended)
            },
        )
        .await?;
    Ok(())
}

/// Writes what waits to be sent again, and what it has been through.
async fn write_waiting(
    writes: &mut Writes<'_>,
    run: RunId,
    now: Timestamp,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    changes
        .attempts
        .sort_unstable_by_key(|attempt| attempt.task);
    writes
        .bulk(
            &ATTEMPT,
            std::mem::take(&mut changes.attempts),
            |values, attempt| {
                let values = values
                    .bind(attempt.task.0)
                    .bind(attempt.number)
                    .bind(attempt.request.0)
                    .bind(attempt.outcome.class as u8)
                    .bind(attempt.outcome.code)
                    .bind(attempt.outcome.message.map(String::from));
                values.bind_ticket(attempt.outcome.ticket.as_ref())
            },
        )
        .await?;
    changes
        .throttles
        .sort_unstable_by(|one, other| one.device_key.cmp(&other.device_key));
    writes
        .bulk(&THROTTLE, &changes.throttles, |values, throttle| {
            values
                .bind(&*throttle.device_key)
                .bind(&*throttle.payload.product_key)
                .bind(throttle.class as u8)
                .bind(now.0)
                .bind(throttle.until.0)
        })
        .await?;
    changes.due.sort_unstable_by_key(|due| due.task);
    writes
        .bulk(&DUE, std::mem::take(&mut changes.due), |values, due| {
            values
                .bind(due.task.0)
                .bind(run.0)
                .bind(due.payload.0)
                .bind(due.bundle.map(|bundle| bundle.0))
                .bind(due.not_before.0)
                .bind(due.class.map(|class| class as u8))
                .bind(due.history.sends)
                .bind(due.history.attempts)
                .bind(due.history.throttles)
                .bind(due.history.snoozed.as_millis() as i64)
                .bind(due.history.offline_retries)
        })
        .await?;
    writes
        .bulk(&HELD, std::mem::take(&mut changes.held), |values, task| {
            values.bind(task.0)
        })
        .await?;
    Ok(())
}

/// Writes what has ended.
async fn write_ended(
    writes: &mut Writes<'_>,
    now: Timestamp,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    writes
        .bulk(
            &ACCEPTED_RANGE,
            std::mem::take(&mut changes.accepted_ranges),
            |values, range| {
                values
                    .bind(range.first_task.0)
                    .bind(range.end_task.0)
                    .bind(range.request.0)
                    .bind(range.code)
                    .bind(range.message.map(String::from))
                    .bind(range.ticket_bytes as i64)
                    .bind(range.tickets)
                    .bind(now.0)
            },
        )
        .await?;
    writes
        .bulk(
            &OUTCOME,
            std::mem::take(&mut changes.ended),
            |values, task| {
                let values = values
                    .bind(task.task.0)
                    .bind(task.state as u8)
                    .bind(task.class.map(|class| class as u8))
                    .bind(task.code)
                    .bind(task.message.map(String::from));
                values
                    .bind_ticket(task.ticket.as_ref())
                    .bind(task.request.map(|request| request.0))
                    .bind(task.sends)
                    .bind(now.0)
            },
        )
        .await?;
    writes
        .bulk(
            &NOW_LAST,
            std::mem::take(&mut changes.now_last),
            |values, (task, attempt)| values.bind(task.0).bind(attempt),
        )
        .await?;
    delivery::keep(writes, &changes.proofs, now).await?;
    writes
        .bulk(
            &NO_LONGER_DUE,
            std::mem::take(&mut changes.no_longer_due),
            |values, task| values.bind(task.0),
        )
        .await?;
    Ok(())
}

/// Writes requests that are claimed.
async fn write_claims(
    writes: &mut Writes<'_>,
    run: RunId,
    now: Timestamp,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    writes
        .bulk(
            &REQUEST,
            std::mem::take(&mut changes.requests),
            |values, request| {
                values
                    .bind(request.request.0)
                    .bind(run.0)
                    .bind(request.payload.0)
                    .bind(request.bundle.map(|bundle| bundle.0))
                    .bind(request.range.map(|(first, _)| first.0))
                    .bind(request.range.map(|(_, last)| last.0 + 1))
                    .bind(request.devices as i64)
                    .bind(now.0)
            },
        )
        .await?;
    changes.in_flight.sort_unstable_by_key(|(task, _)| *task);
    writes
        .bulk(
            &IN_FLIGHT,
            std::mem::take(&mut changes.in_flight),
            |values, (task, request)| values.bind(task.0).bind(request.0),
        )
        .await?;
    Ok(())
}

/// Adds to the counts of ended tasks.
async fn write_tally(
    writes: &mut Writes<'_>,
    run: RunId,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    // Workers who write the same rows do so in the same order.
    changes.tally.sort_unstable_by_key(|(key, _)| *key);
    writes
        .bulk(
            &TALLY,
            std::mem::take(&mut changes.tally),
            |values, (key, n)| {
                values
                    .bind(run.0)
                    .bind(key.state as u8)
                    .bind(key.class.map_or(0, |class| class as u8))
                    .bind(key.code.unwrap_or_default())
                    .bind(n as i64)
            },
        )
        .await?;
    Ok(())
}
