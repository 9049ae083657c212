-- Every view, once. The owner of a database makes those anew that are not as here, and a reader makes them for itself; no migration makes
-- one any more.
--
-- `runs`, `results`, `attempts`, `deliveries`, `devices`, `requests`, `sessions`, `pruned_runs` and `parts` are a public interface:
-- columns join them at their end.
-- The others are the program's own. A statement begins at the beginning of a line and ends with the first line that ends with a semicolon.

CREATE VIEW runs AS
SELECT
    c.run, c.name, c.manifest, c.identity, c.base_url, c.state, c.created_at, c.started_at, c.finished_at, c.tasks,
    c.accepted, c.failed, c.in_doubt,
    c.tasks - c.accepted - c.failed - c.in_doubt - c.skipped AS pending,
    c.snoozing, c.in_flight, c.skipped, c.paused_by, c.paused_at, c.cancelled_by, c.tags
FROM (
    SELECT
        r.id AS run, r.name, r.manifest, r.identity, r.base_url,
        CASE WHEN r.state = 'stopped' AND r.paused_at IS NOT NULL THEN 'paused' ELSE r.state END AS state,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.created_at / 1000.0, 'unixepoch') AS created_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at / 1000.0, 'unixepoch') AS started_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_at / 1000.0, 'unixepoch') AS finished_at,
        r.tasks,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 1) AS accepted,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 2) AS failed,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 3) AS in_doubt,
        (SELECT count(*) FROM due WHERE run_id = r.id AND due_at IS NOT NULL AND class IN (2, 3)) AS snoozing,
        (SELECT coalesce(sum(devices), 0) FROM request WHERE run_id = r.id AND finished_at IS NULL) AS in_flight,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 4) AS skipped,
        r.paused_by,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.paused_at / 1000.0, 'unixepoch') AS paused_at,
        r.cancelled_by, r.tags
    FROM run AS r
    WHERE r.state <> 'staging'
) AS c;

-- A task with its end, which stands in a row of its own or in a range that one reply accepted; without a state it is pending. It is found
-- by its id, and so are both.
CREATE VIEW task_end AS
SELECT
    t.id, t.payload_id, t.line, t.device_key, t.labels, t.held,
    coalesce(o.state, g.first_task IS NOT NULL OR NULL) AS state,
    coalesce(o.class, g.first_task IS NOT NULL OR NULL) AS class,
    CASE WHEN o.task_id IS NOT NULL THEN o.code ELSE g.code END AS code,
    CASE WHEN o.task_id IS NOT NULL THEN o.message ELSE g.message END AS message,
    CASE WHEN o.task_id IS NOT NULL THEN o.ticket
        ELSE CAST(substr(g.tickets, (t.id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) AS TEXT) END AS ticket,
    coalesce(o.request_id, g.request_id) AS request_id,
    coalesce(o.attempts, g.first_task IS NOT NULL OR NULL) AS attempts,
    coalesce(o.finished_at, g.finished_at) AS finished_at, g.first_task AS span
FROM task AS t
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT first_task FROM accepted_span WHERE first_task <= t.id ORDER BY first_task DESC LIMIT 1)
    AND g.end_task > t.id;

-- What is known of a send after its reply.
CREATE VIEW known_delivery AS
SELECT
    task_id, attempt,
    CASE delivery
        WHEN 1 THEN 'queued' WHEN 2 THEN 'sent' WHEN 3 THEN 'send_failed' WHEN 4 THEN 'expired' WHEN 5 THEN 'answered'
        WHEN 6 THEN 'answer_failed' END AS delivery,
    CASE evidence
        WHEN 1 THEN 'history' WHEN 2 THEN 'reqack' WHEN 3 THEN 'input' WHEN 4 THEN 'output' WHEN 5 THEN 'device' END AS evidence,
    at, recorded_at
FROM delivery;

-- What `results` shows, as the columns have it: of a task that has not ended, what its last send came to.
CREATE VIEW raw_results AS
SELECT
    r.id AS run, r.name, t.id AS task, t.payload_id, t.line, p.product_key, t.device_key, t.state,
    t.state IS NULL AND (d.request_id IS NOT NULL OR (
        d.task_id IS NULL AND t.held = 0 AND EXISTS (
            SELECT 1 FROM request AS q
            WHERE q.finished_at IS NULL AND q.run_id = r.id AND q.first_task <= t.id AND q.end_task > t.id
        )
    )) AS in_flight,
    coalesce(t.class, d.class) AS class,
    CASE WHEN t.state IS NOT NULL THEN t.code ELSE a.code END AS code,
    CASE WHEN t.state IS NOT NULL THEN t.message ELSE a.message END AS message,
    CAST(t.ticket AS TEXT) AS ticket,
    coalesce(t.attempts, d.sends, (SELECT max(attempt) FROM attempt WHERE task_id = t.id), 0) AS attempts,
    coalesce(t.request_id, d.request_id, a.request_id) AS request_id,
    d.due_at, t.finished_at, p.data, t.labels, p.qos, p.is_cache, p.cache_time, p.is_cover, p.extend_para,
    CASE WHEN t.state = 1 THEN coalesce(y.delivery, 'unknown') END AS delivery,
    CASE WHEN t.state = 1 THEN y.at END AS delivery_at
FROM run AS r
JOIN task_end AS t ON t.id >= r.first_task AND t.id < r.end_task
LEFT JOIN payload AS p ON p.id = t.payload_id
LEFT JOIN due AS d ON d.task_id = t.id
LEFT JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends
LEFT JOIN known_delivery AS y ON y.task_id = t.id AND y.attempt = t.attempts
WHERE r.state <> 'staging';

CREATE VIEW results AS
SELECT
    t.run, t.name, t.line, t.product_key, t.device_key,
    CASE WHEN t.state IS NOT NULL THEN s.name WHEN t.in_flight THEN 'in_flight' ELSE 'pending' END AS state,
    k.name AS class, t.code, t.message, t.ticket, t.attempts, t.request_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.due_at / 1000.0, 'unixepoch') AS due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.finished_at / 1000.0, 'unixepoch') AS finished_at,
    t.data, t.labels, t.qos, t.is_cache, t.cache_time, t.is_cover, t.extend_para, t.delivery,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.delivery_at / 1000.0, 'unixepoch') AS delivery_at
FROM raw_results AS t
LEFT JOIN task_state AS s ON s.id = t.state
LEFT JOIN class AS k ON k.id = t.class;

CREATE VIEW attempts AS
SELECT
    r.id AS run, r.name, t.line, p.product_key, t.device_key, e.request_id, e.attempt, k.name AS outcome, e.code, e.message,
    CAST(e.ticket AS TEXT) AS ticket,
    strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(q.sent_at, q.claimed_at) / 1000.0, 'unixepoch') AS sent_at,
    q.latency_ms
FROM (
    SELECT task_id, attempt, request_id, class, code, message, ticket FROM attempt
    UNION ALL
    SELECT task_id, attempts, request_id, class, code, message, ticket FROM outcome WHERE request_id IS NOT NULL
    UNION ALL
    SELECT n.id, 1, g.request_id, 1, g.code, g.message, substr(g.tickets, (n.id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes)
    FROM accepted_span AS g JOIN task AS n ON n.id >= g.first_task AND n.id < g.end_task
) AS e
JOIN task AS t ON t.id = e.task_id
JOIN request AS q ON q.id = e.request_id
JOIN run AS r ON r.id = q.run_id
JOIN payload AS p ON p.id = t.payload_id
JOIN class AS k ON k.id = e.class;

-- What evidence there is about commands. The order of the joins is that of the text.
CREATE VIEW deliveries AS
SELECT
    r.id AS run, r.name, t.line, p.product_key, t.device_key,
    CAST(CASE WHEN t.attempts = y.attempt AND t.state = 1 THEN t.ticket
        ELSE (SELECT a.ticket FROM attempt AS a WHERE a.task_id = y.task_id AND a.attempt = y.attempt) END AS TEXT) AS ticket,
    y.delivery, y.evidence,
    strftime('%Y-%m-%dT%H:%M:%fZ', y.at / 1000.0, 'unixepoch') AS at,
    strftime('%Y-%m-%dT%H:%M:%fZ', y.recorded_at / 1000.0, 'unixepoch') AS recorded_at,
    (SELECT n.answer FROM delivery_answer AS n WHERE n.task_id = y.task_id AND n.attempt = y.attempt) AS answer
FROM run AS r
CROSS JOIN known_delivery AS y ON y.task_id >= r.first_task AND y.task_id < r.end_task
CROSS JOIN task_end AS t ON t.id = y.task_id
JOIN payload AS p ON p.id = t.payload_id
WHERE r.state <> 'staging';

CREATE VIEW requests AS
SELECT
    r.id AS run, r.name, q.id AS request_id, p.product_key, q.devices,
    strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(q.sent_at, q.claimed_at) / 1000.0, 'unixepoch') AS sent_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', q.finished_at / 1000.0, 'unixepoch') AS finished_at,
    q.http_status, q.code, q.message, q.error, q.latency_ms
FROM request AS q
JOIN run AS r ON r.id = q.run_id
JOIN payload AS p ON p.id = q.payload_id
WHERE q.released = 0;

-- The services that a payload calls: `[{"fuwu":[…]}]` calls fuwu. Data of another shape has one row without a service.
CREATE VIEW payload_service AS
SELECT c.payload_id, c.product_key, c.service, (SELECT p.run_id FROM payload AS p WHERE p.id = c.payload_id) AS run_id FROM called_service AS c;

-- Everything that a device accepted in a run that is still there. With a device key, a search in `device_task` for each run: the order of the
-- joins is that of the text, and no union keeps the key from the index.
CREATE VIEW acceptance AS
SELECT
    s.product_key, d.device_key, s.service, r.id AS run, r.name, r.base_url, t.line, t.ticket, t.finished_at AS accepted_at, t.payload_id,
    t.request_id, t.id AS task, t.span
FROM run AS r
CROSS JOIN device_task AS d ON d.run_id = r.id
CROSS JOIN task_end AS t ON t.id = d.task_id
CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id
WHERE r.state <> 'staging' AND t.state = 1;

-- What was accepted last has the highest request: requests are numbered as they are recorded, and a clock may have been wrong. Where the request
-- is not known of what was pruned, it is later than what earlier runs have.
--
-- A device key reaches each of the three parts, since none of them groups what is itself a union.
CREATE VIEW devices AS
SELECT
    c.product_key, c.device_key, c.service, c.run, (SELECT r.name FROM run AS r WHERE r.id = c.run) AS name, c.line,
    CAST(CASE
        WHEN c.span IS NULL THEN (SELECT o.ticket FROM outcome AS o WHERE o.task_id = c.task)
        ELSE (
            SELECT substr(g.tickets, (c.task - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes)
            FROM accepted_span AS g WHERE g.first_task = c.span
        )
    END AS TEXT) AS ticket,
    strftime('%Y-%m-%dT%H:%M:%fZ', c.accepted_at / 1000.0, 'unixepoch') AS accepted_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', h.throttled_at / 1000.0, 'unixepoch') AS last_throttle_at
FROM (
    -- Beside max(), SQLite takes the other columns from the row that has it. What is sorted is narrow, since it is as long as all that was
    -- ever accepted, and by the device first, which nearly always decides; text is looked up for the last acceptance alone.
    SELECT product_key, device_key, service, run, line, task, span, accepted_at, max(request_id) AS request_id
    FROM acceptance
    GROUP BY device_key, product_key, service
) AS c
LEFT JOIN device_throttle AS h ON h.device_key = c.device_key AND h.product_key = c.product_key
WHERE NOT EXISTS (
    SELECT 1 FROM device_past AS b
    WHERE b.device_key = c.device_key AND b.product_key = c.product_key AND b.service = coalesce(c.service, '')
    AND CASE WHEN b.request_id IS NOT NULL THEN b.request_id > c.request_id ELSE NOT EXISTS (
        SELECT 1 FROM acceptance AS a
        WHERE a.device_key = b.device_key AND a.product_key = b.product_key AND a.service IS nullif(b.service, '') AND a.run >= b.run_id
    ) END
)
UNION ALL
SELECT
    b.product_key, b.device_key, nullif(b.service, ''), b.run_id, g.name, b.line, CAST(b.ticket AS TEXT),
    strftime('%Y-%m-%dT%H:%M:%fZ', b.accepted_at / 1000.0, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', h.throttled_at / 1000.0, 'unixepoch')
FROM device_past AS b
JOIN pruned_run AS g ON g.id = b.run_id
LEFT JOIN device_throttle AS h ON h.device_key = b.device_key AND h.product_key = b.product_key
WHERE NOT EXISTS (
    SELECT 1 FROM acceptance AS c
    WHERE c.device_key = b.device_key AND c.product_key = b.product_key AND c.service IS nullif(b.service, '')
    AND CASE WHEN b.request_id IS NOT NULL THEN c.request_id >= b.request_id ELSE c.run >= b.run_id END
)
UNION ALL
SELECT
    h.product_key, h.device_key, NULL, NULL, NULL, NULL, NULL, NULL,
    strftime('%Y-%m-%dT%H:%M:%fZ', h.throttled_at / 1000.0, 'unixepoch')
FROM device_throttle AS h
WHERE NOT EXISTS (SELECT 1 FROM acceptance AS c WHERE c.device_key = h.device_key AND c.product_key = h.product_key)
AND NOT EXISTS (
    SELECT 1 FROM device_past AS b JOIN pruned_run AS g ON g.id = b.run_id
    WHERE b.device_key = h.device_key AND b.product_key = h.product_key
);

-- What sessions have come to by now for which that is not kept yet. Of a task that was sent several times by a session, all sends stand in
-- `attempt` but the last one, and that one as well when the task waits to be sent again. What the platform has not taken at all (class 5,
-- outage) is no send.
CREATE VIEW session_so_far AS
WITH unfinished AS MATERIALIZED (
    SELECT
        s.id, s.run_id, s.first_request, s.pushed_at, s.accepted_before, s.failed_before, s.in_doubt_before,
        -- One without an end was alive when it last sent or heard something.
        coalesce(s.ended_at, max(
            coalesce(s.pushed_at, s.began_at),
            coalesce((
                SELECT max(max(q.claimed_at, coalesce(q.sent_at, 0), coalesce(q.finished_at, 0)))
                FROM request AS q WHERE q.id >= s.first_request
            ), 0),
            coalesce((SELECT max(max(p.began_at, coalesce(p.ended_at, 0))) FROM pause AS p WHERE p.session_id = s.id), 0)
        )) AS until
    FROM session AS s
    WHERE s.seen_at IS NULL
)
SELECT
    e.id, e.until,
    e.members - e.turned_away - e.again + e.waiting AS sent, e.members - e.turned_away AS sends, e.requests,
    max(0, e.accepted) AS accepted, max(0, e.failed) AS failed, max(0, e.in_doubt) AS in_doubt,
    max(0, e.pushed_ms - e.paused_ms - e.canary_ms) AS sending_ms, e.paused_ms, e.canary_ms
FROM (
    SELECT
        d.id, d.until,
        (SELECT coalesce(sum(q.devices), 0) FROM request AS q WHERE q.id >= d.first_request AND q.released = 0) AS members,
        (SELECT count(*) FROM request AS q WHERE q.id >= d.first_request AND q.released = 0) AS requests,
        (
            SELECT count(*) FROM attempt AS a
            WHERE a.task_id >= d.first_task AND a.task_id < d.end_task AND a.request_id >= d.first_request AND a.class = 5
        ) AS turned_away,
        (
            SELECT count(*) FROM attempt AS a
            WHERE a.task_id >= d.first_task AND a.task_id < d.end_task AND a.request_id >= d.first_request AND a.class <> 5
        ) AS again,
        (
            SELECT count(*) FROM due AS w WHERE w.run_id = d.run_id AND w.due_at IS NOT NULL AND EXISTS (
                SELECT 1 FROM attempt AS a WHERE a.task_id = w.task_id AND a.request_id >= d.first_request AND a.class <> 5
            )
        ) AS waiting,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = d.run_id AND state = 1) - d.accepted_before AS accepted,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = d.run_id AND state = 2) - d.failed_before AS failed,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = d.run_id AND state = 3) - d.in_doubt_before AS in_doubt,
        coalesce(d.until - d.pushed_at, 0) AS pushed_ms,
        (
            SELECT coalesce(sum(max(0, coalesce(p.ended_at, d.until) - p.began_at)), 0) FROM pause AS p WHERE p.session_id = d.id
        ) AS paused_ms,
        -- Pauses in the canary are pauses.
        coalesce(max(0, d.canary_end - d.canary_begin) - (
            SELECT coalesce(sum(max(0, min(coalesce(p.ended_at, d.until), d.canary_end) - max(p.began_at, d.canary_begin))), 0)
            FROM pause AS p WHERE p.session_id = d.id
        ), 0) AS canary_ms
    FROM (
        SELECT
            u.*, r.first_task, r.end_task,
            max(c.chosen_at, u.pushed_at) AS canary_begin, min(u.until, coalesce(c.passed_at, u.until)) AS canary_end
        FROM unfinished AS u
        LEFT JOIN run AS r ON r.id = u.run_id
        LEFT JOIN canary AS c ON c.run_id = u.run_id
    ) AS d
) AS e;

-- The mark of the process that has owned the database last, as its session has it.
CREATE VIEW live_owner AS SELECT mark FROM owner;

CREATE VIEW sessions AS
SELECT
    s.id AS session, s.run_id AS run, s.run_name AS name, s.command, s.arguments, s.note, s.user, s.host, s.pid, s.version,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.began_at / 1000.0, 'unixepoch') AS began_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.ended_at / 1000.0, 'unixepoch') AS ended_at,
    CASE WHEN s.ended_at IS NULL AND s.owner NOT IN (SELECT mark FROM live_owner) THEN 'killed' ELSE s.stop END AS stop,
    s.reason, s.exit_code,
    coalesce(s.sent, n.sent) AS sent, coalesce(s.accepted, n.accepted) AS accepted, coalesce(s.failed, n.failed) AS failed,
    coalesce(s.in_doubt, n.in_doubt) AS in_doubt,
    coalesce(s.requests, n.requests) AS requests, coalesce(s.sends, n.sends) AS sends,
    s.staging_ms, coalesce(s.canary_ms, n.canary_ms) AS canary_ms, coalesce(s.sending_ms, n.sending_ms) AS sending_ms,
    coalesce(s.paused_ms, n.paused_ms) AS paused_ms
FROM session AS s
LEFT JOIN session_so_far AS n ON n.id = s.id;

CREATE VIEW pruned_runs AS
SELECT
    id AS run, name, manifest, identity, base_url, state,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', finished_at / 1000.0, 'unixepoch') AS finished_at,
    end_task - first_task AS tasks, accepted, failed, in_doubt, skipped,
    strftime('%Y-%m-%dT%H:%M:%fZ', pruned_at / 1000.0, 'unixepoch') AS pruned_at
FROM pruned_run;

-- In a file a run is one part, and who pushes it no view tells.
CREATE VIEW parts AS
SELECT
    run, name, 0 AS part, state, tasks, accepted, failed, in_doubt, skipped, pending, NULL AS worker, finished_at
FROM runs;
