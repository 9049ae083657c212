-- The views of a results database on PostgreSQL: the same names, columns, order of columns and rows as in src/store/views.sql. They are
-- replaced as a whole by `db migrate`, so that views of other people's that build on them stay; a column joins a view at its end.
--
-- `runs`, `results`, `attempts`, `deliveries`, `devices`, `requests`, `sessions`, `pruned_runs` and `parts` are a public interface.

-- A time as the views show it.
CREATE OR REPLACE FUNCTION fleetpush.utc(milliseconds bigint) RETURNS text LANGUAGE sql STABLE STRICT
RETURN to_char(timestamp 'epoch' + milliseconds * interval '1 millisecond', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- The ticket of a task in a span.
CREATE OR REPLACE FUNCTION fleetpush.ticket_of(tickets bytea, ticket_bytes bigint, place bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT
RETURN convert_from(substr(tickets, (place * ticket_bytes + 1)::int, ticket_bytes::int), 'UTF8') COLLATE "C";

CREATE OR REPLACE VIEW runs AS
SELECT
    c.run, c.name, c.manifest, c.identity, c.base_url, c.state, c.created_at, c.started_at, c.finished_at, c.tasks,
    c.accepted, c.failed, c.in_doubt,
    c.tasks - c.accepted - c.failed - c.in_doubt - c.skipped AS pending,
    c.snoozing, c.in_flight, c.skipped, c.paused_by, c.paused_at, c.cancelled_by, c.tags
FROM (
    SELECT
        r.id AS run, r.name, r.manifest, r.identity, r.base_url,
        CASE WHEN r.state = 'stopped' AND r.paused_at IS NOT NULL THEN 'paused' ELSE r.state END AS state,
        fleetpush.utc(r.created_at) AS created_at,
        fleetpush.utc(r.started_at) AS started_at,
        fleetpush.utc(r.finished_at) AS finished_at,
        r.tasks,
        (SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE run_id = r.id AND state = 1) AS accepted,
        (SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE run_id = r.id AND state = 2) AS failed,
        (SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE run_id = r.id AND state = 3) AS in_doubt,
        (SELECT count(*) FROM due WHERE run_id = r.id AND due_at IS NOT NULL AND class IN (2, 3)) AS snoozing,
        (SELECT coalesce(sum(devices), 0)::bigint FROM request WHERE run_id = r.id AND finished_at IS NULL) AS in_flight,
        (SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE run_id = r.id AND state = 4) AS skipped,
        r.paused_by,
        fleetpush.utc(r.paused_at) AS paused_at,
        r.cancelled_by, r.tags
    FROM run AS r
    WHERE r.state <> 'staging'
) AS c;

-- A task with its end, which stands in a row of its own or in a range that one reply accepted; without a state it is pending. It is found
-- by its id, and so are both.
CREATE OR REPLACE VIEW task_end AS
SELECT
    t.id, t.payload_id, t.line, t.device_key, t.labels, t.held,
    coalesce(o.state, CASE WHEN g.first_task IS NOT NULL THEN 1 END) AS state,
    coalesce(o.class, CASE WHEN g.first_task IS NOT NULL THEN 1 END) AS class,
    CASE WHEN o.task_id IS NOT NULL THEN o.code ELSE g.code END AS code,
    CASE WHEN o.task_id IS NOT NULL THEN o.message ELSE g.message END AS message,
    CASE WHEN o.task_id IS NOT NULL THEN o.ticket
        ELSE fleetpush.ticket_of(g.tickets, g.ticket_bytes, t.id - g.first_task) END AS ticket,
    coalesce(o.request_id, g.request_id) AS request_id,
    coalesce(o.attempts, CASE WHEN g.first_task IS NOT NULL THEN 1 END) AS attempts,
    coalesce(o.finished_at, g.finished_at) AS finished_at, g.first_task AS span
FROM task AS t
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN LATERAL (SELECT * FROM accepted_span WHERE first_task <= t.id ORDER BY first_task DESC LIMIT 1) AS g ON g.end_task > t.id;

-- What is known of a send after its reply.
CREATE OR REPLACE VIEW known_delivery AS
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
CREATE OR REPLACE VIEW raw_results AS
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
    t.ticket,
    coalesce(t.attempts, d.sends, (SELECT max(attempt) FROM attempt WHERE task_id = t.id), 0) AS attempts,
    coalesce(t.request_id, d.request_id, a.request_id) AS request_id,
    d.due_at, t.finished_at, p.data, t.labels, p.qos, p.is_cache, p.cache_time, p.is_cover, p.extend_para,
    CASE WHEN t.state = 1 THEN coalesce(y.delivery, 'unknown') END AS delivery,
    CASE WHEN t.state = 1 THEN y.at END AS delivery_at
FROM run AS r
JOIN task_end AS t ON t.id >= r.first_task AND t.id < r.end_task
LEFT JOIN payload AS p ON p.run_id = r.id AND p.id = t.payload_id
LEFT JOIN due AS d ON d.task_id = t.id
LEFT JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends
LEFT JOIN known_delivery AS y ON y.task_id = t.id AND y.attempt = t.attempts
WHERE r.state <> 'staging';

CREATE OR REPLACE VIEW results AS
SELECT
    t.run, t.name, t.line, t.product_key, t.device_key,
    CASE WHEN t.state IS NOT NULL THEN s.name WHEN t.in_flight THEN 'in_flight' ELSE 'pending' END AS state,
    k.name AS class, t.code, t.message, t.ticket, t.attempts, t.request_id,
    fleetpush.utc(t.due_at) AS due_at,
    fleetpush.utc(t.finished_at) AS finished_at,
    t.data, t.labels, t.qos, t.is_cache, t.cache_time, t.is_cover, t.extend_para, t.delivery,
    fleetpush.utc(t.delivery_at) AS delivery_at
FROM raw_results AS t
LEFT JOIN task_state AS s ON s.id = t.state
LEFT JOIN class AS k ON k.id = t.class;

CREATE OR REPLACE VIEW attempts AS
SELECT
    r.id AS run, r.name, t.line, p.product_key, t.device_key, e.request_id, e.attempt, k.name AS outcome, e.code, e.message,
    e.ticket,
    fleetpush.utc(coalesce(q.sent_at, q.claimed_at)) AS sent_at,
    q.latency_ms
FROM (
    SELECT task_id, attempt, request_id, class, code, message, ticket FROM attempt
    UNION ALL
    SELECT task_id, attempts, request_id, class, code, message, ticket FROM outcome WHERE request_id IS NOT NULL
    UNION ALL
    SELECT n.id, 1, g.request_id, 1, g.code, g.message, fleetpush.ticket_of(g.tickets, g.ticket_bytes, n.id - g.first_task)
    FROM accepted_span AS g JOIN task AS n ON n.id >= g.first_task AND n.id < g.end_task
) AS e
JOIN task AS t ON t.id = e.task_id
JOIN request AS q ON q.id = e.request_id
JOIN run AS r ON r.id = q.run_id
JOIN payload AS p ON p.run_id = r.id AND p.id = t.payload_id
JOIN class AS k ON k.id = e.class;

-- What evidence there is about commands.
CREATE OR REPLACE VIEW deliveries AS
SELECT
    r.id AS run, r.name, t.line, p.product_key, t.device_key,
    CASE WHEN t.attempts = y.attempt AND t.state = 1 THEN t.ticket
        ELSE (SELECT a.ticket FROM attempt AS a WHERE a.task_id = y.task_id AND a.attempt = y.attempt) END AS ticket,
    y.delivery, y.evidence,
    fleetpush.utc(y.at) AS at,
    fleetpush.utc(y.recorded_at) AS recorded_at,
    (SELECT n.answer FROM delivery_answer AS n WHERE n.task_id = y.task_id AND n.attempt = y.attempt) AS answer
FROM run AS r
JOIN known_delivery AS y ON y.task_id >= r.first_task AND y.task_id < r.end_task
JOIN task_end AS t ON t.id = y.task_id
JOIN payload AS p ON p.run_id = r.id AND p.id = t.payload_id
WHERE r.state <> 'staging';

CREATE OR REPLACE VIEW requests AS
SELECT
    r.id AS run, r.name, q.id AS request_id, p.product_key, q.devices,
    fleetpush.utc(coalesce(q.sent_at, q.claimed_at)) AS sent_at,
    fleetpush.utc(q.finished_at) AS finished_at,
    q.http_status, q.code, q.message, q.error, q.latency_ms
FROM request AS q
JOIN run AS r ON r.id = q.run_id
JOIN payload AS p ON p.run_id = r.id AND p.id = q.payload_id
WHERE q.released = 0;

-- The services that a payload calls: `[{"fuwu":[…]}]` calls fuwu. Data of another shape has one row without a service.
CREATE OR REPLACE VIEW payload_service AS
SELECT payload_id, product_key, service, run_id FROM called_service;

-- Everything that a device accepted in a run that is still there.
CREATE OR REPLACE VIEW acceptance AS
SELECT
    s.product_key, d.device_key, s.service, r.id AS run, r.name, r.base_url, t.line, t.ticket, t.finished_at AS accepted_at, t.payload_id,
    t.request_id, t.id AS task, t.span
FROM run AS r
JOIN device_task AS d ON d.run_id = r.id
JOIN task_end AS t ON t.id = d.task_id
JOIN payload_service AS s ON s.run_id = r.id AND s.payload_id = t.payload_id
WHERE r.state <> 'staging' AND t.state = 1;

-- What was accepted last has the highest request: requests are numbered as they are recorded, and a clock may have been wrong. Where the request
-- is not known of what was pruned, it is later than what earlier runs have.
CREATE OR REPLACE VIEW devices AS
SELECT
    c.product_key, c.device_key, c.service, c.run, (SELECT r.name FROM run AS r WHERE r.id = c.run) AS name, c.line,
    c.ticket,
    fleetpush.utc(c.accepted_at) AS accepted_at,
    fleetpush.utc(h.throttled_at) AS last_throttle_at
FROM (
    SELECT DISTINCT ON (device_key, product_key, service)
        product_key, device_key, service, run, line, ticket, accepted_at, request_id
    FROM acceptance
    ORDER BY device_key, product_key, service, request_id DESC
) AS c
LEFT JOIN device_throttle AS h ON h.device_key = c.device_key AND h.product_key = c.product_key
WHERE NOT EXISTS (
    SELECT 1 FROM device_past AS b
    WHERE b.device_key = c.device_key AND b.product_key = c.product_key AND b.service = coalesce(c.service, '')
    AND CASE WHEN b.request_id IS NOT NULL THEN b.request_id > c.request_id ELSE NOT EXISTS (
        SELECT 1 FROM acceptance AS a
        WHERE a.device_key = b.device_key AND a.product_key = b.product_key AND a.service IS NOT DISTINCT FROM nullif(b.service, '')
        AND a.run >= b.run_id
    ) END
)
UNION ALL
SELECT
    b.product_key, b.device_key, nullif(b.service, ''), b.run_id, g.name, b.line, b.ticket,
    fleetpush.utc(b.accepted_at),
    fleetpush.utc(h.throttled_at)
FROM device_past AS b
JOIN pruned_run AS g ON g.id = b.run_id
LEFT JOIN device_throttle AS h ON h.device_key = b.device_key AND h.product_key = b.product_key
WHERE NOT EXISTS (
    SELECT 1 FROM acceptance AS c
    WHERE c.device_key = b.device_key AND c.product_key = b.product_key AND c.service IS NOT DISTINCT FROM nullif(b.service, '')
    AND CASE WHEN b.request_id IS NOT NULL THEN c.request_id >= b.request_id ELSE c.run >= b.run_id END
)
UNION ALL
SELECT
    h.product_key, h.device_key, NULL, NULL, NULL, NULL, NULL, NULL,
    fleetpush.utc(h.throttled_at)
FROM device_throttle AS h
WHERE NOT EXISTS (SELECT 1 FROM acceptance AS c WHERE c.device_key = h.device_key AND c.product_key = h.product_key)
AND NOT EXISTS (
    SELECT 1 FROM device_past AS b JOIN pruned_run AS g ON g.id = b.run_id
    WHERE b.device_key = h.device_key AND b.product_key = h.product_key
);

-- What sessions have come to by now for which that is not kept yet. Of a task that was sent several times by a session, all sends stand in
-- `attempt` but the last one, and that one as well when the task waits to be sent again. What the platform has not taken at all (class 5,
-- outage) is no send.
CREATE OR REPLACE VIEW session_so_far AS
WITH unfinished AS MATERIALIZED (
    SELECT
        s.id, s.run_id, s.part, s.first_request, s.pushed_at, s.accepted_before, s.failed_before, s.in_doubt_before,
        -- One without an end was alive when it last sent or heard something.
        coalesce(s.ended_at, greatest(
            coalesce(s.pushed_at, s.began_at),
            coalesce((
                SELECT max(greatest(q.claimed_at, coalesce(q.sent_at, 0), coalesce(q.finished_at, 0)))
                FROM request AS q WHERE q.run_id = s.run_id AND q.id >= s.first_request AND (s.part IS NULL OR q.part = s.part)
            ), 0),
            coalesce((SELECT max(greatest(p.began_at, coalesce(p.ended_at, 0))) FROM pause AS p WHERE p.session_id = s.id), 0)
        )) AS until
    FROM session AS s
    WHERE s.seen_at IS NULL
)
SELECT
    e.id, e.until,
    e.members - e.turned_away - e.again + e.waiting AS sent, e.members - e.turned_away AS sends, e.requests,
    greatest(0, e.accepted) AS accepted, greatest(0, e.failed) AS failed, greatest(0, e.in_doubt) AS in_doubt,
    greatest(0, e.pushed_ms - e.paused_ms - e.canary_ms) AS sending_ms, e.paused_ms, e.canary_ms
FROM (
    SELECT
        d.id, d.until,
        (SELECT coalesce(sum(q.devices), 0)::bigint FROM request AS q WHERE q.run_id = d.run_id AND q.id >= d.first_request AND q.released = 0
            AND (d.part IS NULL OR q.part = d.part)) AS members,
        (SELECT count(*) FROM request AS q WHERE q.run_id = d.run_id AND q.id >= d.first_request AND q.released = 0
            AND (d.part IS NULL OR q.part = d.part)) AS requests,
        (
            SELECT count(*) FROM attempt AS a
            WHERE a.task_id >= d.first_task AND a.task_id < d.end_task AND a.request_id >= d.first_request AND a.class = 5
            AND (d.part IS NULL OR EXISTS (SELECT 1 FROM request AS q WHERE q.id = a.request_id AND q.part = d.part))
        ) AS turned_away,
        (
            SELECT count(*) FROM attempt AS a
            WHERE a.task_id >= d.first_task AND a.task_id < d.end_task AND a.request_id >= d.first_request AND a.class <> 5
            AND (d.part IS NULL OR EXISTS (SELECT 1 FROM request AS q WHERE q.id = a.request_id AND q.part = d.part))
        ) AS again,
        (
            SELECT count(*) FROM due AS w WHERE w.run_id = d.run_id AND (d.part IS NULL OR w.part = d.part) AND w.due_at IS NOT NULL AND EXISTS (
                SELECT 1 FROM attempt AS a WHERE a.task_id = w.task_id AND a.request_id >= d.first_request AND a.class <> 5
            )
        ) AS waiting,
        CASE WHEN d.part IS NULL THEN (SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE run_id = d.run_id AND state = 1)
            ELSE (SELECT p.accepted FROM part AS p WHERE p.run_id = d.run_id AND p.number = d.part) END - d.accepted_before AS accepted,
        CASE WHEN d.part IS NULL THEN (SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE run_id = d.run_id AND state = 2)
            ELSE (SELECT p.failed FROM part AS p WHERE p.run_id = d.run_id AND p.number = d.part) END - d.failed_before AS failed,
        CASE WHEN d.part IS NULL THEN (SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE run_id = d.run_id AND state = 3)
            ELSE (SELECT p.in_doubt FROM part AS p WHERE p.run_id = d.run_id AND p.number = d.part) END - d.in_doubt_before AS in_doubt,
        coalesce(d.until - d.pushed_at, 0) AS pushed_ms,
        (
            SELECT coalesce(sum(greatest(0, coalesce(p.ended_at, d.until) - p.began_at)), 0)::bigint FROM pause AS p WHERE p.session_id = d.id
        ) AS paused_ms,
        -- Pauses in the canary are pauses. Here greatest() leaves out what is NULL, and a session without a canary has none.
        CASE WHEN d.canary_begin IS NULL THEN 0 ELSE greatest(0, d.canary_end - d.canary_begin) - (
            SELECT coalesce(sum(
                greatest(0, least(coalesce(p.ended_at, d.until), d.canary_end) - greatest(p.began_at, d.canary_begin))
            ), 0)::bigint
            FROM pause AS p WHERE p.session_id = d.id
        ) END AS canary_ms
    FROM (
        SELECT
            u.*, r.first_task, r.end_task,
            CASE WHEN c.chosen_at IS NOT NULL AND u.pushed_at IS NOT NULL THEN greatest(c.chosen_at, u.pushed_at) END AS canary_begin,
            least(u.until, coalesce(c.passed_at, u.until)) AS canary_end
        FROM unfinished AS u
        LEFT JOIN run AS r ON r.id = u.run_id
        LEFT JOIN canary AS c ON c.run_id = u.run_id
    ) AS d
) AS e;

-- The marks of the processes that have leases, as sessions have them, and what copies tell of the owner of their file.
CREATE OR REPLACE VIEW live_owner AS
SELECT epoch AS mark FROM lease WHERE ends_at > clock_timestamp() UNION SELECT mark FROM owner;

CREATE OR REPLACE VIEW sessions AS
SELECT
    s.id AS session, s.run_id AS run, s.run_name AS name, s.command, s.arguments, s.note, s."user", s.host, s.pid, s.version,
    fleetpush.utc(s.began_at) AS began_at,
    fleetpush.utc(s.ended_at) AS ended_at,
    CASE WHEN s.ended_at IS NULL AND s.owner NOT IN (SELECT mark FROM live_owner) THEN 'killed' ELSE s.stop END AS stop,
    s.reason, s.exit_code,
    coalesce(s.sent, n.sent) AS sent, coalesce(s.accepted, n.accepted) AS accepted, coalesce(s.failed, n.failed) AS failed,
    coalesce(s.in_doubt, n.in_doubt) AS in_doubt,
    coalesce(s.requests, n.requests) AS requests, coalesce(s.sends, n.sends) AS sends,
    s.staging_ms, coalesce(s.canary_ms, n.canary_ms) AS canary_ms, coalesce(s.sending_ms, n.sending_ms) AS sending_ms,
    coalesce(s.paused_ms, n.paused_ms) AS paused_ms
FROM session AS s
LEFT JOIN session_so_far AS n ON n.id = s.id;

CREATE OR REPLACE VIEW pruned_runs AS
SELECT
    id AS run, name, manifest, identity, base_url, state,
    fleetpush.utc(created_at) AS created_at,
    fleetpush.utc(started_at) AS started_at,
    fleetpush.utc(finished_at) AS finished_at,
    end_task - first_task AS tasks, accepted, failed, in_doubt, skipped,
    fleetpush.utc(pruned_at) AS pruned_at
FROM pruned_run;

-- Who has which run, or which part of a run.
CREATE OR REPLACE VIEW lease_of_run AS
SELECT
    CASE WHEN name LIKE 'run %' THEN split_part(name, ' ', 2)::bigint END AS run_id,
    CASE WHEN name LIKE 'run % part %' THEN split_part(name, ' ', 4)::bigint END AS part,
    epoch, ends_at, holder
FROM lease WHERE name LIKE 'run %';

-- A run is one part, unless it has been divided.
CREATE OR REPLACE VIEW parts AS
SELECT
    c.run, c.name, c.part, c.state, c.tasks, c.accepted, c.failed, c.in_doubt, c.skipped,
    c.tasks - c.accepted - c.failed - c.in_doubt - c.skipped AS pending,
    c.worker, c.finished_at
FROM (
    SELECT
        r.run, r.name, coalesce(p.number, 0) AS part,
        CASE
            WHEN p.number IS NULL THEN r.state
            WHEN p.finished_at IS NOT NULL THEN 'complete'
            WHEN p.is_gathered = 1 THEN 'gathered'
            WHEN l.holder IS NOT NULL THEN 'running'
            WHEN r.state IN ('running', 'stopped') THEN 'waiting'
            ELSE r.state
        END AS state,
        coalesce(p.tasks, r.tasks) AS tasks, coalesce(p.accepted, r.accepted) AS accepted, coalesce(p.failed, r.failed) AS failed,
        coalesce(p.in_doubt, r.in_doubt) AS in_doubt, coalesce(p.skipped, r.skipped) AS skipped,
        l.holder AS worker,
        CASE WHEN p.number IS NULL THEN r.finished_at ELSE fleetpush.utc(p.finished_at) END AS finished_at
    FROM runs AS r
    LEFT JOIN part AS p ON p.run_id = r.run
    LEFT JOIN lease_of_run AS l ON l.run_id = r.run AND l.part IS NOT DISTINCT FROM p.number AND l.ends_at > clock_timestamp()
) AS c;
