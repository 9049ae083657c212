-- What a device accepted last, and what before that, can be sent to it again when the runs are gone.

-- The payloads of those acceptances, each once, whatever the runs that they were of.
CREATE TABLE past_payload (
    id          INTEGER PRIMARY KEY,
    digest      BLOB NOT NULL UNIQUE,                       -- as in `payload`
    product_key TEXT NOT NULL,
    data        TEXT NOT NULL,
    qos         INTEGER,
    is_cache    INTEGER CHECK (is_cache IN (0, 1)),
    cache_time  INTEGER,
    is_cover    INTEGER CHECK (is_cover IN (0, 1)),
    extend_para TEXT
) STRICT;

ALTER TABLE device_past ADD COLUMN payload_id INTEGER REFERENCES past_payload (id);    -- NULL: pruned before this column

-- The acceptance before that of `device_past`.
CREATE TABLE device_past_before (
    device_key  TEXT NOT NULL,
    product_key TEXT NOT NULL,
    service     TEXT NOT NULL,
    run_id      INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    ticket      ANY,
    accepted_at INTEGER NOT NULL,
    payload_id  INTEGER REFERENCES past_payload (id),
    PRIMARY KEY (device_key, product_key, service)
) STRICT, WITHOUT ROWID;

-- As before, with the payload.
DROP VIEW acceptance;
CREATE VIEW acceptance AS
SELECT
    s.product_key, d.device_key, s.service, r.id AS run, r.name, r.base_url, t.line,
    CASE WHEN o.task_id IS NOT NULL THEN o.ticket
        ELSE CAST(substr(g.tickets, (d.task_id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) AS TEXT) END AS ticket,
    coalesce(o.finished_at, g.finished_at) AS accepted_at, t.payload_id
FROM run AS r
CROSS JOIN device_task AS d ON d.run_id = r.id
LEFT JOIN outcome AS o ON o.task_id = d.task_id AND o.state = 1
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= d.task_id) AND g.end_task > d.task_id
CROSS JOIN task AS t ON t.id = d.task_id
CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id
WHERE r.state <> 'staging' AND coalesce(o.task_id, g.first_task) IS NOT NULL;
