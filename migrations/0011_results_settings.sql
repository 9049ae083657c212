-- What was sent besides the data joins the view at its end: results can be made into a manifest again.

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
    p.data, t.labels, p.qos, p.is_cache, p.cache_time, p.is_cover, p.extend_para
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
