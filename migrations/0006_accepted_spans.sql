-- Neighbouring first sends that one reply accepted alike, in one row: a fleet that accepts costs a row for a hundred devices, and not one
-- each. Most of a push is that, and its pace is that of the rows it writes.

CREATE TABLE accepted_span (
    first_task   INTEGER PRIMARY KEY REFERENCES task (id),  -- the tasks are the ids from first_task
    end_task     INTEGER NOT NULL,                          -- up to but not including end_task; none of them is held
    request_id   INTEGER NOT NULL REFERENCES request (id),
    code         INTEGER NOT NULL,
    message      TEXT,
    ticket_bytes INTEGER NOT NULL CHECK (ticket_bytes > 0), -- the length of one ticket
    tickets      BLOB NOT NULL,                             -- their UTF-8 text in the order of the tasks, nothing between them
    finished_at  INTEGER NOT NULL,
    CHECK (end_task > first_task),
    CHECK (length(tickets) = ticket_bytes * (end_task - first_task))
) STRICT;

DROP VIEW results;
CREATE VIEW results AS
SELECT
    r.id AS run, r.name, t.line, p.product_key, t.device_key,
    CASE
        WHEN o.task_id IS NOT NULL THEN s.name
        WHEN g.first_task IS NOT NULL THEN 'accepted'
        WHEN d.request_id IS NOT NULL THEN 'in_flight'
        WHEN d.task_id IS NULL AND t.held = 0 AND EXISTS (
            SELECT 1 FROM request AS q
            WHERE q.finished_at IS NULL AND q.run_id = r.id AND q.first_task <= t.id AND q.end_task > t.id
        ) THEN 'in_flight'
        ELSE 'pending'
    END AS state,
    k.name AS class,
    CASE WHEN o.task_id IS NOT NULL THEN o.code ELSE coalesce(g.code, a.code) END AS code,
    CASE WHEN o.task_id IS NOT NULL THEN o.message WHEN g.first_task IS NOT NULL THEN g.message ELSE a.message END AS message,
    CASE WHEN o.task_id IS NOT NULL THEN CAST(o.ticket AS TEXT)
        ELSE CAST(substr(g.tickets, (t.id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) AS TEXT) END AS ticket,
    coalesce(o.attempts, g.first_task IS NOT NULL OR NULL, d.sends, (SELECT max(attempt) FROM attempt WHERE task_id = t.id), 0) AS attempts,
    coalesce(o.request_id, g.request_id, d.request_id, a.request_id) AS request_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', d.due_at / 1000.0, 'unixepoch') AS due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(o.finished_at, g.finished_at) / 1000.0, 'unixepoch') AS finished_at,
    p.data, t.labels
FROM run AS r
JOIN task AS t ON t.id >= r.first_task AND t.id < r.end_task
LEFT JOIN payload AS p ON p.id = t.payload_id
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= t.id) AND g.end_task > t.id
LEFT JOIN due AS d ON d.task_id = t.id
LEFT JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends
LEFT JOIN task_state AS s ON s.id = o.state
LEFT JOIN class AS k ON k.id = coalesce(o.class, g.first_task IS NOT NULL OR NULL, d.class)
WHERE r.state <> 'staging';

DROP VIEW attempts;
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

-- As before, with what stands in spans. One of the two joins finds the task, so that no union keeps a device's key from the index.
DROP VIEW acceptance;
CREATE VIEW acceptance AS
SELECT
    s.product_key, d.device_key, s.service, r.id AS run, r.name, r.base_url, t.line,
    CASE WHEN o.task_id IS NOT NULL THEN o.ticket
        ELSE CAST(substr(g.tickets, (d.task_id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) AS TEXT) END AS ticket,
    coalesce(o.finished_at, g.finished_at) AS accepted_at
FROM run AS r
CROSS JOIN device_task AS d ON d.run_id = r.id
LEFT JOIN outcome AS o ON o.task_id = d.task_id AND o.state = 1
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= d.task_id) AND g.end_task > d.task_id
CROSS JOIN task AS t ON t.id = d.task_id
CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id
WHERE r.state <> 'staging' AND coalesce(o.task_id, g.first_task) IS NOT NULL;
