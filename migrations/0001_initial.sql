-- The first schema. Migrations are append-only: never edit one that has been released.
--
-- Tables may change with a migration; the four views at the end are a public interface and do not.
-- Times are milliseconds since the Unix epoch. States and classes are small integers (text would make the load 2.5 times slower);
-- their names stand in `task_state` and `class`.

CREATE TABLE task_state (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO task_state (id, name) VALUES (1, 'accepted'), (2, 'failed'), (3, 'in_doubt'), (4, 'skipped');

CREATE TABLE class (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO class (id, name) VALUES
    (1, 'accepted'), (2, 'frequency'), (3, 'quota'), (4, 'transient'), (5, 'outage'), (6, 'in_doubt'),
    (7, 'offline'), (8, 'auth'), (9, 'refused'), (10, 'rejected'), (11, 'blocked'), (12, 'invalid');

-- One manifest being pushed to one platform. A run in state 'staging' is not one yet: no view shows it, and the next owner of the
-- database deletes it.
CREATE TABLE run (
    id              INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    manifest        TEXT NOT NULL,
    manifest_sha256 TEXT NOT NULL,
    defaults        TEXT NOT NULL,                          -- the flags that change payloads, as canonical JSON
    base_url        TEXT NOT NULL,                          -- the target, or the word 'simulator'
    identity        TEXT NOT NULL,                          -- of the three above
    state           TEXT NOT NULL CHECK (state IN ('staging', 'running', 'stopped', 'aborted', 'cancelled', 'complete')),
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    finished_at     INTEGER,
    tasks           INTEGER NOT NULL DEFAULT 0,
    first_task      INTEGER NOT NULL DEFAULT 0,             -- the run's tasks are the ids from first_task
    end_task        INTEGER NOT NULL DEFAULT 0,             -- up to but not including end_task
    next_task       INTEGER NOT NULL DEFAULT 0,             -- first sends have been claimed up to here
    ordered         INTEGER NOT NULL DEFAULT 0 CHECK (ordered IN (0, 1)),   -- whether `follower` has rows for it
    chunk_limit     INTEGER CHECK (chunk_limit > 0),        -- the platform's device limit, when it has been met
    CHECK ((finished_at IS NOT NULL) = (state IN ('cancelled', 'complete'))),
    CHECK (first_task <= next_task AND next_task <= end_task)
) STRICT;
CREATE INDEX run_identity ON run (identity);

-- What requests carry besides their devices; stored once for a run.
CREATE TABLE payload (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL REFERENCES run (id),
    digest      BLOB NOT NULL,
    product_key TEXT NOT NULL,
    data        TEXT NOT NULL,
    qos         INTEGER,
    is_cache    INTEGER CHECK (is_cache IN (0, 1)),
    cache_time  INTEGER,
    is_cover    INTEGER CHECK (is_cover IN (0, 1)),
    extend_para TEXT,
    accepted    INTEGER NOT NULL DEFAULT 0 CHECK (accepted IN (0, 1)),      -- whether any device has ever accepted it
    UNIQUE (run_id, digest)
) STRICT;

-- One manifest row. Written when a run is staged and never changed: what became of it stands in `outcome`, what is to become of it in
-- `due`. Tasks of one payload stand side by side, so that a chunk is a range of ids and everything about it is read and written in order.
CREATE TABLE task (
    id         INTEGER PRIMARY KEY,
    payload_id INTEGER REFERENCES payload (id),             -- NULL: an invalid row
    line       INTEGER NOT NULL,
    device_key TEXT NOT NULL,
    labels     TEXT,                                        -- a JSON object
    held       INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),   -- 1: not part of the first sends (skipped, invalid, or waiting for an earlier task)
    CHECK (payload_id IS NOT NULL OR held = 1)
) STRICT;

-- The tasks of a device. Filled in key order after the load, which a secondary index could not be.
CREATE TABLE device_task (
    run_id     INTEGER NOT NULL,
    device_key TEXT NOT NULL,
    task_id    INTEGER NOT NULL,
    PRIMARY KEY (run_id, device_key, task_id)
) STRICT, WITHOUT ROWID;

-- A device's next task: becomes due when the one before it has ended.
CREATE TABLE follower (
    previous_id INTEGER PRIMARY KEY REFERENCES task (id),
    task_id     INTEGER NOT NULL UNIQUE REFERENCES task (id)
) STRICT;

-- One half of a request that the platform refused as a whole: its tasks travel together and are not merged with others.
CREATE TABLE bundle (
    id                INTEGER PRIMARY KEY,
    run_id            INTEGER NOT NULL REFERENCES run (id),
    parent_request_id INTEGER NOT NULL REFERENCES request (id),
    devices           INTEGER NOT NULL CHECK (devices > 0),
    passed            INTEGER CHECK (passed IN (0, 1))      -- 0: refused as a whole, 1: not; NULL: not answered yet
) STRICT;
CREATE INDEX bundle_parent ON bundle (parent_request_id);

-- One HTTP POST. Committed before it is sent. Its members are the tasks of a range that are not held (first sends), or the rows of
-- `due` that name it.
CREATE TABLE request (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL REFERENCES run (id),
    payload_id  INTEGER NOT NULL REFERENCES payload (id),
    bundle_id   INTEGER REFERENCES bundle (id),
    first_task  INTEGER,
    end_task    INTEGER,
    devices     INTEGER NOT NULL CHECK (devices > 0),
    claimed_at  INTEGER NOT NULL,
    sent_at     INTEGER,
    finished_at INTEGER,
    latency_ms  INTEGER,
    http_status INTEGER,
    code        INTEGER,
    message     TEXT,
    error       TEXT,
    released    INTEGER NOT NULL DEFAULT 0 CHECK (released IN (0, 1)),      -- claimed, and surely never sent
    CHECK ((first_task IS NULL) = (end_task IS NULL)),
    CHECK (finished_at IS NOT NULL OR (released = 0 AND sent_at IS NULL)),
    CHECK (released = 0 OR sent_at IS NULL)
) STRICT;
CREATE INDEX request_open ON request (run_id, first_task) WHERE finished_at IS NULL;

-- Tasks that need another send, or a first one outside the ranges. While one is in flight its row names the request.
CREATE TABLE due (
    task_id         INTEGER PRIMARY KEY REFERENCES task (id),
    run_id          INTEGER NOT NULL REFERENCES run (id),
    payload_id      INTEGER NOT NULL REFERENCES payload (id),
    bundle_id       INTEGER REFERENCES bundle (id),
    request_id      INTEGER REFERENCES request (id),
    due_at          INTEGER,
    class           INTEGER CHECK (class BETWEEN 1 AND 12), -- what the last send came to; NULL: not sent yet
    sends           INTEGER NOT NULL DEFAULT 0,             -- requests it has been in
    attempts        INTEGER NOT NULL DEFAULT 0,             -- of the budget, used up
    throttles       INTEGER NOT NULL DEFAULT 0,             -- throttled replies in a row
    snoozed_ms      INTEGER NOT NULL DEFAULT 0,             -- pauses planned for them
    offline_retries INTEGER NOT NULL DEFAULT 0,
    CHECK ((due_at IS NULL) <> (request_id IS NULL)),
    CHECK (sends >= attempts)
) STRICT;
-- The class is there so that snoozing tasks are counted in the index alone: 10 times quicker.
CREATE INDEX due_ready ON due (run_id, due_at, bundle_id, payload_id, class) WHERE due_at IS NOT NULL;
CREATE INDEX due_in_flight ON due (request_id) WHERE request_id IS NOT NULL;

-- What a send came to, for every send but a task's last one, which stands in `outcome`.
CREATE TABLE attempt (
    task_id    INTEGER NOT NULL REFERENCES task (id),
    attempt    INTEGER NOT NULL CHECK (attempt > 0),
    request_id INTEGER NOT NULL REFERENCES request (id),
    class      INTEGER NOT NULL CHECK (class BETWEEN 1 AND 10),
    code       INTEGER,
    message    TEXT,
    ticket     ANY,
    PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;
-- How many sends were repeated in doubt is told at the end of every push; they are few among many.
CREATE INDEX attempt_in_doubt ON attempt (task_id) WHERE class = 6;

-- How a task ended. A task without a row here is pending.
CREATE TABLE outcome (
    task_id     INTEGER PRIMARY KEY REFERENCES task (id),
    state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    class       INTEGER CHECK (class BETWEEN 1 AND 12),
    code        INTEGER,
    message     TEXT,
    ticket      ANY,                                        -- an integer when its text is one: half the size
    request_id  INTEGER REFERENCES request (id),            -- NULL: this end came without a send
    attempts    INTEGER NOT NULL,                           -- sends, all of them
    finished_at INTEGER NOT NULL,
    CHECK ((state = 1) = (class IS 1)),
    CHECK ((state = 4) = (class IS NULL)),
    CHECK (state <> 3 OR class = 6),
    CHECK (state <> 1 OR request_id IS NOT NULL),
    CHECK (ticket IS NULL OR state = 1),
    CHECK (request_id IS NULL OR attempts > 0)
) STRICT;
CREATE INDEX outcome_trouble ON outcome (state, class, code) WHERE state IN (2, 3);
CREATE INDEX outcome_ticket ON outcome (ticket) WHERE ticket IS NOT NULL;

-- Payloads and products that the platform refuses as such.
CREATE TABLE refusal (
    run_id      INTEGER NOT NULL REFERENCES run (id),
    payload_id  INTEGER REFERENCES payload (id),            -- NULL: the product is refused
    product_key TEXT NOT NULL,
    code        INTEGER NOT NULL,
    request_id  INTEGER NOT NULL REFERENCES request (id),   -- the last one refused
    requests    INTEGER NOT NULL,
    devices     INTEGER NOT NULL,
    ended       INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX refusal_of ON refusal (run_id, product_key, coalesce(payload_id, 0));

-- How many tasks of a run have ended how; kept with every commit, so that counting ten million tasks costs nothing. 0 stands for none.
CREATE TABLE tally (
    run_id INTEGER NOT NULL REFERENCES run (id),
    state  INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    class  INTEGER NOT NULL,
    code   INTEGER NOT NULL,
    n      INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run_id, state, class, code)
) STRICT, WITHOUT ROWID;

CREATE VIEW runs AS
SELECT
    c.run, c.name, c.manifest, c.identity, c.base_url, c.state, c.created_at, c.started_at, c.finished_at, c.tasks,
    c.accepted, c.failed, c.in_doubt,
    c.tasks - c.accepted - c.failed - c.in_doubt - c.skipped AS pending,
    c.snoozing, c.in_flight, c.skipped
FROM (
    SELECT
        r.id AS run, r.name, r.manifest, r.identity, r.base_url, r.state,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.created_at / 1000.0, 'unixepoch') AS created_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at / 1000.0, 'unixepoch') AS started_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_at / 1000.0, 'unixepoch') AS finished_at,
        r.tasks,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 1) AS accepted,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 2) AS failed,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 3) AS in_doubt,
        (SELECT count(*) FROM due WHERE run_id = r.id AND due_at IS NOT NULL AND class IN (2, 3)) AS snoozing,
        (SELECT coalesce(sum(devices), 0) FROM request WHERE run_id = r.id AND finished_at IS NULL) AS in_flight,
        (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 4) AS skipped
    FROM run AS r
    WHERE r.state <> 'staging'
) AS c;

CREATE VIEW results AS
SELECT
    r.id AS run, r.name, t.line, p.product_key, t.device_key,
    CASE
        WHEN o.task_id IS NOT NULL THEN s.name
        WHEN d.request_id IS NOT NULL THEN 'in_flight'
        WHEN d.task_id IS NULL AND t.held = 0 AND EXISTS (
            SELECT 1 FROM request AS q
            WHERE q.finished_at IS NULL AND q.run_id = r.id AND q.first_task <= t.id AND q.end_task > t.id
        ) THEN 'in_flight'
        ELSE 'pending'
    END AS state,
    k.name AS class,
    CASE WHEN o.task_id IS NOT NULL THEN o.code ELSE a.code END AS code,
    CASE WHEN o.task_id IS NOT NULL THEN o.message ELSE a.message END AS message,
    CAST(o.ticket AS TEXT) AS ticket,
    coalesce(o.attempts, d.sends, (SELECT max(attempt) FROM attempt WHERE task_id = t.id), 0) AS attempts,
    coalesce(o.request_id, d.request_id, a.request_id) AS request_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', d.due_at / 1000.0, 'unixepoch') AS due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.finished_at / 1000.0, 'unixepoch') AS finished_at,
    p.data, t.labels
FROM run AS r
JOIN task AS t ON t.id >= r.first_task AND t.id < r.end_task
LEFT JOIN payload AS p ON p.id = t.payload_id
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN due AS d ON d.task_id = t.id
LEFT JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends
LEFT JOIN task_state AS s ON s.id = o.state
LEFT JOIN class AS k ON k.id = coalesce(o.class, d.class)
WHERE r.state <> 'staging';

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
) AS e
JOIN task AS t ON t.id = e.task_id
JOIN request AS q ON q.id = e.request_id
JOIN run AS r ON r.id = q.run_id
JOIN payload AS p ON p.id = t.payload_id
JOIN class AS k ON k.id = e.class;

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
