-- What is known of devices across runs: what they accepted last, when they were throttled last; and what is left of runs that were pruned.

-- The last throttled reply (61006 or 61007) of each device. Written with the reply, so that no other push walks into the same quota: when one
-- begins, tasks of devices that are still to be left alone leave the first sends (`task.held` becomes 1) for a row in `due`, with the class
-- of the throttle though they have not been sent.
CREATE TABLE device_throttle (
    device_key   TEXT NOT NULL,
    product_key  TEXT NOT NULL,
    class        INTEGER NOT NULL CHECK (class IN (2, 3)),
    throttled_at INTEGER NOT NULL,
    until        INTEGER NOT NULL,                          -- the device is left alone until then
    PRIMARY KEY (device_key, product_key)
) STRICT, WITHOUT ROWID;

-- What an earlier version has recorded of throttles. Their pauses are over.
INSERT INTO device_throttle (device_key, product_key, class, throttled_at, until)
SELECT t.device_key, p.product_key, e.class, q.finished_at, q.finished_at
FROM (
    SELECT task_id, request_id, class FROM attempt WHERE class IN (2, 3)
    UNION ALL
    SELECT task_id, request_id, class FROM outcome WHERE state = 2 AND class IN (2, 3)
) AS e
JOIN task AS t ON t.id = e.task_id
JOIN payload AS p ON p.id = t.payload_id
JOIN request AS q ON q.id = e.request_id
WHERE q.finished_at IS NOT NULL
ON CONFLICT DO UPDATE SET class = excluded.class, throttled_at = excluded.throttled_at, until = excluded.until
WHERE excluded.throttled_at > device_throttle.throttled_at;

-- Runs that are no more. Their numbers, tasks and requests are never given again, so that nothing that was noted of them elsewhere can come
-- to mean something else; and a push that has ended stays ended when its run is gone.
CREATE TABLE pruned_run (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL,
    base_url     TEXT NOT NULL,
    identity     TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('cancelled', 'complete')),
    unsuccessful INTEGER NOT NULL CHECK (unsuccessful >= 0),        -- tasks that had failed or were in doubt
    finished_at  INTEGER NOT NULL,
    first_task   INTEGER NOT NULL,
    end_task     INTEGER NOT NULL,
    last_request INTEGER NOT NULL,                                  -- the latest request of any run when it was pruned
    deleted      INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1))   -- 0: rows of it are left, which the next owner deletes
) STRICT;
CREATE INDEX pruned_run_identity ON pruned_run (identity);
CREATE INDEX pruned_run_left ON pruned_run (id) WHERE deleted = 0;

-- What devices accepted last in runs that were pruned. It grows with the fleet, and not with time.
CREATE TABLE device_past (
    device_key  TEXT NOT NULL,
    product_key TEXT NOT NULL,
    service     TEXT NOT NULL,                              -- empty: none could be read
    run_id      INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    ticket      ANY,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (device_key, product_key, service)
) STRICT, WITHOUT ROWID;

-- The services that a payload calls: `[{"fuwu":[…]}]` calls fuwu. Data of another shape has one row without a service.
CREATE VIEW payload_service AS
SELECT p.id AS payload_id, p.product_key, s.key AS service
FROM payload AS p
LEFT JOIN json_each(CASE WHEN json_valid(p.data) AND json_type(p.data) = 'array' THEN p.data END) AS c
    ON c.type = 'object' AND c.value <> '{}'
LEFT JOIN json_each(c.value) AS s;

-- Everything that a device accepted in a run that is still there. With a device key, a search in `device_task` for each run: the order of the
-- joins is that of the text.
CREATE VIEW acceptance AS
SELECT s.product_key, d.device_key, s.service, r.id AS run, r.name, r.base_url, t.line, o.ticket, o.finished_at AS accepted_at
FROM run AS r
CROSS JOIN device_task AS d ON d.run_id = r.id
CROSS JOIN outcome AS o ON o.task_id = d.task_id AND o.state = 1
CROSS JOIN task AS t ON t.id = d.task_id
CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id
WHERE r.state <> 'staging';

-- A device key reaches each of the three parts, since none of them groups what is itself a union.
CREATE VIEW devices AS
SELECT
    c.product_key, c.device_key, c.service, c.run, c.name, c.line, CAST(c.ticket AS TEXT) AS ticket,
    strftime('%Y-%m-%dT%H:%M:%fZ', c.accepted_at / 1000.0, 'unixepoch') AS accepted_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', h.throttled_at / 1000.0, 'unixepoch') AS last_throttle_at
FROM (
    -- Beside max(), SQLite takes the other columns from the row that has it.
    SELECT product_key, device_key, service, run, name, line, ticket, max(accepted_at) AS accepted_at
    FROM acceptance
    GROUP BY product_key, device_key, service
) AS c
LEFT JOIN device_throttle AS h ON h.device_key = c.device_key AND h.product_key = c.product_key
WHERE NOT EXISTS (
    SELECT 1 FROM device_past AS b
    WHERE b.device_key = c.device_key AND b.product_key = c.product_key AND b.service = coalesce(c.service, '')
    AND b.accepted_at > c.accepted_at
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
    AND c.accepted_at >= b.accepted_at
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
