PRAGMA application_id = 1179407440;
CREATE TABLE task_state (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE class (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
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
    chunk_limit     INTEGER CHECK (chunk_limit > 0), manifest_path TEXT, passed_size INTEGER NOT NULL DEFAULT 0 CHECK (passed_size >= 0), limit_hints INTEGER NOT NULL DEFAULT 0 CHECK (limit_hints >= 0), pushed_at INTEGER, account TEXT, paused_at INTEGER, paused_by TEXT, cancelled_by TEXT, last_control TEXT, tags TEXT NOT NULL DEFAULT '{}'  -- a JSON object of texts, its keys in order
    CHECK (json_valid(tags) AND json_type(tags) = 'object'),        -- the platform's device limit, when it has been met
    CHECK ((finished_at IS NOT NULL) = (state IN ('cancelled', 'complete'))),
    CHECK (first_task <= next_task AND next_task <= end_task)
) STRICT;
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
CREATE TABLE task (
    id         INTEGER PRIMARY KEY,
    payload_id INTEGER REFERENCES payload (id),             -- NULL: an invalid row
    line       INTEGER NOT NULL,
    device_key TEXT NOT NULL,
    labels     TEXT,                                        -- a JSON object
    held       INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),   -- 1: not part of the first sends (skipped, invalid, or waiting for an earlier task)
    CHECK (payload_id IS NOT NULL OR held = 1)
) STRICT;
CREATE TABLE device_task (
    run_id     INTEGER NOT NULL,
    device_key TEXT NOT NULL,
    task_id    INTEGER NOT NULL,
    PRIMARY KEY (run_id, device_key, task_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE follower (
    previous_id INTEGER PRIMARY KEY REFERENCES task (id),
    task_id     INTEGER NOT NULL UNIQUE REFERENCES task (id)
) STRICT;
CREATE TABLE bundle (
    id                INTEGER PRIMARY KEY,
    run_id            INTEGER NOT NULL REFERENCES run (id),
    parent_request_id INTEGER NOT NULL REFERENCES request (id),
    devices           INTEGER NOT NULL CHECK (devices > 0),
    passed            INTEGER CHECK (passed IN (0, 1))      -- 0: refused as a whole, 1: not; NULL: not answered yet
, refusals INTEGER NOT NULL DEFAULT 0 CHECK (refusals >= 0), suspect INTEGER NOT NULL DEFAULT 0 CHECK (suspect IN (0, 1)), of_size INTEGER NOT NULL DEFAULT 1 CHECK (of_size IN (0, 1))) STRICT;
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
CREATE TABLE tally (
    run_id INTEGER NOT NULL REFERENCES run (id),
    state  INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    class  INTEGER NOT NULL,
    code   INTEGER NOT NULL,
    n      INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run_id, state, class, code)
) STRICT, WITHOUT ROWID;
CREATE TABLE pace (
    base_url TEXT PRIMARY KEY,                              -- as in `run`
    rate     REAL NOT NULL CHECK (rate > 0),                -- requests a second
    found_at INTEGER NOT NULL
, span_ms INTEGER NOT NULL DEFAULT 0 CHECK (span_ms >= 0)) STRICT, WITHOUT ROWID;
CREATE TABLE canary (
    run_id    INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    asked     TEXT NOT NULL,                                -- the number or share that was asked for
    seed      INTEGER NOT NULL,                             -- what the choice follows from
    devices   INTEGER NOT NULL CHECK (devices > 0),
    pause     INTEGER NOT NULL CHECK (pause IN (0, 1)),     -- whether the push stops for a look when it has ended well
    chosen_at INTEGER NOT NULL,
    passed_at INTEGER,                                      -- from then on the others go
    accepted  INTEGER CHECK (accepted >= 0), verdict TEXT                  -- NULL: not judged, or passed before this column
    CHECK (verdict IN ('passed', 'failed', 'overridden')), verify_ms INTEGER CHECK (verify_ms > 0), verify_level TEXT, proved_at INTEGER, check_command TEXT, checked_at INTEGER, expected_answers TEXT,                -- tasks accepted by then: a ramp counts from here
    CHECK ((passed_at IS NULL) = (accepted IS NULL))
) STRICT;
CREATE TABLE device_throttle (
    device_key   TEXT NOT NULL,
    product_key  TEXT NOT NULL,
    class        INTEGER NOT NULL CHECK (class IN (2, 3)),
    throttled_at INTEGER NOT NULL,
    until        INTEGER NOT NULL,                          -- the device is left alone until then
    PRIMARY KEY (device_key, product_key)
) STRICT, WITHOUT ROWID;
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
, manifest TEXT, created_at INTEGER, started_at INTEGER, accepted INTEGER, failed INTEGER, in_doubt INTEGER, skipped INTEGER, pruned_at INTEGER) STRICT;
CREATE TABLE device_past (
    device_key  TEXT NOT NULL,
    product_key TEXT NOT NULL,
    service     TEXT NOT NULL,                              -- empty: none could be read
    run_id      INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    ticket      ANY,
    accepted_at INTEGER NOT NULL, payload_id INTEGER REFERENCES past_payload (id), request_id INTEGER,
    PRIMARY KEY (device_key, product_key, service)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE excused (
    run_id INTEGER NOT NULL REFERENCES run (id),
    state  INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    class  INTEGER NOT NULL,
    code   INTEGER NOT NULL,
    n      INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run_id, state, class, code)
) STRICT, WITHOUT ROWID;
CREATE TABLE owner (
    id        INTEGER PRIMARY KEY CONSTRAINT another_owner CHECK (id = 1),
    mark      INTEGER NOT NULL,                             -- a random number, another at each start
    -- 1: what follows stands in the write-ahead log. Only the file itself says so; the log says 0 again. So a file without its log shows
    -- that it is missing, unless all of the log has been moved into the file.
    needs_log INTEGER NOT NULL CHECK (needs_log IN (0, 1))
) STRICT;
CREATE TABLE session (
    id              INTEGER PRIMARY KEY,
    owner           INTEGER NOT NULL,                       -- the owner's mark: while `owner` has the same, nobody has opened the database since
    command         TEXT NOT NULL,
    arguments       TEXT NOT NULL,                          -- a JSON array, with payloads left out
    note            TEXT,
    user            TEXT NOT NULL,
    host            TEXT NOT NULL,
    pid             INTEGER NOT NULL,
    version         TEXT NOT NULL,
    run_id          INTEGER,                                -- NULL: it concerns no run, or several
    run_name        TEXT,
    began_at        INTEGER NOT NULL,
    staging_ms      INTEGER NOT NULL DEFAULT 0,             -- reading and staging the manifest
    pushed_at       INTEGER,                                -- when it could begin to send; NULL: it has not
    first_request   INTEGER,                                -- its requests are the ids from this one …
    end_request     INTEGER,                                -- … up to but not including this one; NULL: until the next session
    -- The run's tally when it began.
    accepted_before INTEGER NOT NULL DEFAULT 0,
    failed_before   INTEGER NOT NULL DEFAULT 0,
    in_doubt_before INTEGER NOT NULL DEFAULT 0,
    ended_at        INTEGER,                                -- NULL: at work, or killed
    stop            TEXT,
    reason          TEXT,
    exit_code       INTEGER,
    -- What it came to, of a session that has ended or that a later one has found without an end.
    seen_at         INTEGER,                                -- its last sign of life
    sent            INTEGER,
    sends           INTEGER,
    requests        INTEGER,
    accepted        INTEGER,
    failed          INTEGER,
    in_doubt        INTEGER,
    sending_ms      INTEGER,
    paused_ms       INTEGER,
    canary_ms       INTEGER,
    CHECK ((ended_at IS NULL) = (stop IS NULL)),
    CHECK ((ended_at IS NULL) = (exit_code IS NULL)),
    CHECK ((pushed_at IS NULL) = (first_request IS NULL)),
    CHECK ((run_id IS NULL) = (run_name IS NULL)),
    CHECK ((seen_at IS NULL) = (sending_ms IS NULL))
) STRICT;
CREATE TABLE pause (
    session_id INTEGER NOT NULL REFERENCES session (id),
    began_at   INTEGER NOT NULL,
    ended_at   INTEGER,                                     -- NULL: it lasts
    reason     TEXT NOT NULL,
    PRIMARY KEY (session_id, began_at)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE device_past_before (
    device_key  TEXT NOT NULL,
    product_key TEXT NOT NULL,
    service     TEXT NOT NULL,
    run_id      INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    ticket      ANY,
    accepted_at INTEGER NOT NULL,
    payload_id  INTEGER REFERENCES past_payload (id), request_id INTEGER,
    PRIMARY KEY (device_key, product_key, service)
) STRICT, WITHOUT ROWID;
CREATE TABLE "outcome" (
    task_id     INTEGER PRIMARY KEY REFERENCES task (id),
    state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    class       INTEGER CHECK (class BETWEEN 1 AND 13),
    code        INTEGER,
    message     TEXT,
    ticket      ANY,                                        -- an integer when its text is one: half the size
    request_id  INTEGER REFERENCES request (id),            -- NULL: this end came without a send
    attempts    INTEGER NOT NULL,                           -- sends, all of them
    finished_at INTEGER NOT NULL,
    CHECK ((state = 1) = (class IS 1)),
    CHECK ((state = 4) = (class IS NULL OR class = 13)),
    CHECK (state <> 3 OR class = 6),
    CHECK (state <> 1 OR request_id IS NOT NULL),
    CHECK (ticket IS NULL OR state = 1),
    CHECK (request_id IS NULL OR attempts > 0)
) STRICT;
CREATE TABLE called_service (
    payload_id  INTEGER NOT NULL REFERENCES payload (id),
    service     TEXT,                                       -- NULL: the payload calls nothing that could be read, and has this row alone
    product_key TEXT NOT NULL
) STRICT;
CREATE TABLE delivery (
    task_id     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt > 0),       -- which of the task's sends
    delivery    INTEGER NOT NULL CHECK (delivery BETWEEN 1 AND 6),
    evidence    INTEGER NOT NULL CHECK (evidence BETWEEN 1 AND 5),
    at          INTEGER,                                    -- the platform's time of it
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_answer (
    task_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    answer  TEXT NOT NULL,
    PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE settled_inbox (
    run_id   INTEGER PRIMARY KEY,
    inbox    TEXT NOT NULL,      -- the name that the inbox has given itself
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX run_identity ON run (identity);
CREATE INDEX bundle_parent ON bundle (parent_request_id);
CREATE INDEX request_open ON request (run_id, first_task) WHERE finished_at IS NULL;
CREATE INDEX due_ready ON due (run_id, due_at, bundle_id, payload_id, class) WHERE due_at IS NOT NULL;
CREATE INDEX due_in_flight ON due (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX attempt_in_doubt ON attempt (task_id) WHERE class = 6;
CREATE UNIQUE INDEX refusal_of ON refusal (run_id, product_key, coalesce(payload_id, 0));
CREATE INDEX pruned_run_identity ON pruned_run (identity);
CREATE INDEX pruned_run_left ON pruned_run (id) WHERE deleted = 0;
CREATE INDEX bundle_standing ON bundle (run_id) WHERE refusals > 0 OR suspect = 1;
CREATE INDEX session_of_run ON session (run_id);
CREATE INDEX session_open ON session (id) WHERE seen_at IS NULL;
CREATE INDEX outcome_trouble ON outcome (state, class, code) WHERE state IN (2, 3);
CREATE INDEX outcome_ticket ON outcome (ticket) WHERE ticket IS NOT NULL;
CREATE UNIQUE INDEX called_service_of_payload ON called_service (payload_id, service, product_key);
INSERT INTO task_state VALUES (1, 'accepted');
INSERT INTO task_state VALUES (2, 'failed');
INSERT INTO task_state VALUES (3, 'in_doubt');
INSERT INTO task_state VALUES (4, 'skipped');
INSERT INTO class VALUES (1, 'accepted');
INSERT INTO class VALUES (10, 'rejected');
INSERT INTO class VALUES (11, 'blocked');
INSERT INTO class VALUES (12, 'invalid');
INSERT INTO class VALUES (13, 'unchanged');
INSERT INTO class VALUES (2, 'frequency');
INSERT INTO class VALUES (3, 'quota');
INSERT INTO class VALUES (4, 'transient');
INSERT INTO class VALUES (5, 'outage');
INSERT INTO class VALUES (6, 'in_doubt');
INSERT INTO class VALUES (7, 'offline');
INSERT INTO class VALUES (8, 'auth');
INSERT INTO class VALUES (9, 'refused');
INSERT INTO owner VALUES (1, 0, 0);
