-- The tables of a results database on PostgreSQL. Names, columns and meaning are those of SQLite (migrations/*.sql, where the reason for
-- each stands). Numbers and times are bigint, digests and tickets of a span bytea, all else text.
--
-- Text is sorted by its bytes, as SQLite does, so that a query has the same order on both. The rows of one run refer to each other without
-- foreign keys: they are written whole and deleted whole, and each copy is compared with its source.
--
-- The numbers of payloads and bundles are those of one run: SQLite gives them again when a run is pruned, and here that run stays. So
-- `called_service` has the run as well. Those of runs, tasks, requests and sessions are never given again.
--
-- Not here: `pace` and `settled_inbox`, which belong to the machine that pushes, and `owner.needs_log`, which belongs to a file.

CREATE TABLE task_state (id bigint PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);
INSERT INTO task_state (id, name) VALUES (1, 'accepted'), (2, 'failed'), (3, 'in_doubt'), (4, 'skipped');

CREATE TABLE class (id bigint PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);
INSERT INTO class (id, name) VALUES
    (1, 'accepted'), (2, 'frequency'), (3, 'quota'), (4, 'transient'), (5, 'outage'), (6, 'in_doubt'),
    (7, 'offline'), (8, 'auth'), (9, 'refused'), (10, 'rejected'), (11, 'blocked'), (12, 'invalid'), (13, 'unchanged');

CREATE TABLE run (
    id              bigint PRIMARY KEY,
    name            text COLLATE "C" NOT NULL,
    manifest        text COLLATE "C" NOT NULL,
    manifest_sha256 text COLLATE "C" NOT NULL,
    defaults        text COLLATE "C" NOT NULL,
    base_url        text COLLATE "C" NOT NULL,
    identity        text COLLATE "C" NOT NULL,
    state           text COLLATE "C" NOT NULL CHECK (state IN ('staging', 'running', 'stopped', 'aborted', 'cancelled', 'complete')),
    created_at      bigint NOT NULL,
    started_at      bigint,
    finished_at     bigint,
    tasks           bigint NOT NULL DEFAULT 0,
    first_task      bigint NOT NULL DEFAULT 0,
    end_task        bigint NOT NULL DEFAULT 0,
    next_task       bigint NOT NULL DEFAULT 0,
    ordered         bigint NOT NULL DEFAULT 0 CHECK (ordered IN (0, 1)),
    chunk_limit     bigint CHECK (chunk_limit > 0),
    manifest_path   text COLLATE "C",
    passed_size     bigint NOT NULL DEFAULT 0 CHECK (passed_size >= 0),
    limit_hints     bigint NOT NULL DEFAULT 0 CHECK (limit_hints >= 0),
    pushed_at       bigint,
    account         text COLLATE "C",
    paused_at       bigint,
    paused_by       text COLLATE "C",
    cancelled_by    text COLLATE "C",
    last_control    text COLLATE "C",
    tags            text COLLATE "C" NOT NULL DEFAULT '{}' CHECK (json_typeof(tags::json) = 'object'),
    CHECK ((finished_at IS NOT NULL) = (state IN ('cancelled', 'complete'))),
    CHECK (first_task <= next_task AND next_task <= end_task)
);
-- Not unique: a run that its source has pruned is kept here, and its name may be given again there.
CREATE INDEX run_name ON run (name);
CREATE INDEX run_identity ON run (identity);

CREATE TABLE payload (
    id          bigint NOT NULL,
    run_id      bigint NOT NULL,
    digest      bytea NOT NULL,
    product_key text COLLATE "C" NOT NULL,
    data        text COLLATE "C" NOT NULL,
    qos         bigint,
    is_cache    bigint CHECK (is_cache IN (0, 1)),
    cache_time  bigint,
    is_cover    bigint CHECK (is_cover IN (0, 1)),
    extend_para text COLLATE "C",
    accepted    bigint NOT NULL DEFAULT 0 CHECK (accepted IN (0, 1)),
    PRIMARY KEY (run_id, id),
    UNIQUE (run_id, digest)
);

CREATE TABLE called_service (
    run_id      bigint NOT NULL,
    payload_id  bigint NOT NULL,
    service     text COLLATE "C",
    product_key text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX called_service_of_payload ON called_service (run_id, payload_id, service, product_key);

CREATE TABLE task (
    id         bigint PRIMARY KEY,
    payload_id bigint,
    line       bigint NOT NULL,
    device_key text COLLATE "C" NOT NULL,
    labels     text COLLATE "C",
    held       bigint NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    CHECK (payload_id IS NOT NULL OR held = 1)
);

CREATE TABLE device_task (
    run_id     bigint NOT NULL,
    device_key text COLLATE "C" NOT NULL,
    task_id    bigint NOT NULL,
    PRIMARY KEY (run_id, device_key, task_id)
);

CREATE TABLE follower (
    previous_id bigint PRIMARY KEY,
    task_id     bigint NOT NULL UNIQUE
);

CREATE TABLE bundle (
    id                bigint NOT NULL,
    run_id            bigint NOT NULL,
    parent_request_id bigint NOT NULL,
    devices           bigint NOT NULL CHECK (devices > 0),
    passed            bigint CHECK (passed IN (0, 1)),
    refusals          bigint NOT NULL DEFAULT 0 CHECK (refusals >= 0),
    suspect           bigint NOT NULL DEFAULT 0 CHECK (suspect IN (0, 1)),
    of_size           bigint NOT NULL DEFAULT 1 CHECK (of_size IN (0, 1)),
    PRIMARY KEY (run_id, id)
);

CREATE TABLE request (
    id          bigint PRIMARY KEY,
    run_id      bigint NOT NULL,
    payload_id  bigint NOT NULL,
    bundle_id   bigint,
    first_task  bigint,
    end_task    bigint,
    devices     bigint NOT NULL CHECK (devices > 0),
    claimed_at  bigint NOT NULL,
    sent_at     bigint,
    finished_at bigint,
    latency_ms  bigint,
    http_status bigint,
    code        bigint,
    message     text COLLATE "C",
    error       text COLLATE "C",
    released    bigint NOT NULL DEFAULT 0 CHECK (released IN (0, 1)),
    CHECK ((first_task IS NULL) = (end_task IS NULL)),
    CHECK (finished_at IS NOT NULL OR (released = 0 AND sent_at IS NULL)),
    CHECK (released = 0 OR sent_at IS NULL)
);
CREATE INDEX request_of_run ON request (run_id, id);
CREATE INDEX request_open ON request (run_id, first_task) WHERE finished_at IS NULL;

CREATE TABLE due (
    task_id         bigint PRIMARY KEY,
    run_id          bigint NOT NULL,
    payload_id      bigint NOT NULL,
    bundle_id       bigint,
    request_id      bigint,
    due_at          bigint,
    class           bigint CHECK (class BETWEEN 1 AND 12),
    sends           bigint NOT NULL DEFAULT 0,
    attempts        bigint NOT NULL DEFAULT 0,
    throttles       bigint NOT NULL DEFAULT 0,
    snoozed_ms      bigint NOT NULL DEFAULT 0,
    offline_retries bigint NOT NULL DEFAULT 0,
    CHECK ((due_at IS NULL) <> (request_id IS NULL)),
    CHECK (sends >= attempts)
);
CREATE INDEX due_of_run ON due (run_id, task_id);

CREATE TABLE attempt (
    task_id    bigint NOT NULL,
    attempt    bigint NOT NULL CHECK (attempt > 0),
    request_id bigint NOT NULL,
    class      bigint NOT NULL CHECK (class BETWEEN 1 AND 10),
    code       bigint,
    message    text COLLATE "C",
    ticket     text COLLATE "C",
    PRIMARY KEY (task_id, attempt)
);

CREATE TABLE outcome (
    task_id     bigint PRIMARY KEY,
    state       bigint NOT NULL CHECK (state BETWEEN 1 AND 4),
    class       bigint CHECK (class BETWEEN 1 AND 13),
    code        bigint,
    message     text COLLATE "C",
    ticket      text COLLATE "C",
    request_id  bigint,
    attempts    bigint NOT NULL,
    finished_at bigint NOT NULL,
    CHECK ((state = 1) = (class IS NOT DISTINCT FROM 1)),
    CHECK ((state = 4) = (class IS NULL OR class = 13)),
    CHECK (state <> 3 OR class = 6),
    CHECK (state <> 1 OR request_id IS NOT NULL),
    CHECK (ticket IS NULL OR state = 1),
    CHECK (request_id IS NULL OR attempts > 0)
);
CREATE INDEX outcome_trouble ON outcome (state, class, code) WHERE state IN (2, 3);
CREATE INDEX outcome_ticket ON outcome (ticket) WHERE ticket IS NOT NULL;

CREATE TABLE accepted_span (
    first_task   bigint PRIMARY KEY,
    end_task     bigint NOT NULL,
    request_id   bigint NOT NULL,
    code         bigint NOT NULL,
    message      text COLLATE "C",
    ticket_bytes bigint NOT NULL CHECK (ticket_bytes > 0),
    tickets      bytea NOT NULL,
    finished_at  bigint NOT NULL,
    CHECK (end_task > first_task),
    CHECK (length(tickets) = ticket_bytes * (end_task - first_task))
);
-- A single ticket is cut out of it; of compressed bytes all would be read for each.
ALTER TABLE accepted_span ALTER COLUMN tickets SET STORAGE EXTERNAL;

CREATE TABLE refusal (
    run_id      bigint NOT NULL,
    payload_id  bigint,
    product_key text COLLATE "C" NOT NULL,
    code        bigint NOT NULL,
    request_id  bigint NOT NULL,
    requests    bigint NOT NULL,
    devices     bigint NOT NULL,
    ended       bigint NOT NULL DEFAULT 0 CHECK (ended IN (0, 1))
);
CREATE UNIQUE INDEX refusal_of ON refusal (run_id, product_key, coalesce(payload_id, 0));

CREATE TABLE tally (
    run_id bigint NOT NULL,
    state  bigint NOT NULL CHECK (state BETWEEN 1 AND 4),
    class  bigint NOT NULL,
    code   bigint NOT NULL,
    n      bigint NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run_id, state, class, code)
);

CREATE TABLE excused (
    run_id bigint NOT NULL,
    state  bigint NOT NULL CHECK (state BETWEEN 1 AND 4),
    class  bigint NOT NULL,
    code   bigint NOT NULL,
    n      bigint NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run_id, state, class, code)
);

CREATE TABLE canary (
    run_id           bigint PRIMARY KEY,
    asked            text COLLATE "C" NOT NULL,
    seed             bigint NOT NULL,
    devices          bigint NOT NULL CHECK (devices > 0),
    pause            bigint NOT NULL CHECK (pause IN (0, 1)),
    chosen_at        bigint NOT NULL,
    passed_at        bigint,
    accepted         bigint CHECK (accepted >= 0),
    verdict          text COLLATE "C" CHECK (verdict IN ('passed', 'failed', 'overridden')),
    verify_ms        bigint CHECK (verify_ms > 0),
    verify_level     text COLLATE "C",
    proved_at        bigint,
    check_command    text COLLATE "C",
    checked_at       bigint,
    expected_answers text COLLATE "C",
    CHECK ((passed_at IS NULL) = (accepted IS NULL))
);

CREATE TABLE delivery (
    task_id     bigint NOT NULL,
    attempt     bigint NOT NULL CHECK (attempt > 0),
    delivery    bigint NOT NULL CHECK (delivery BETWEEN 1 AND 6),
    evidence    bigint NOT NULL CHECK (evidence BETWEEN 1 AND 5),
    at          bigint,
    recorded_at bigint NOT NULL,
    PRIMARY KEY (task_id, attempt)
);

CREATE TABLE delivery_answer (
    task_id bigint NOT NULL,
    attempt bigint NOT NULL,
    answer  text COLLATE "C" NOT NULL,
    PRIMARY KEY (task_id, attempt)
);

CREATE TABLE device_throttle (
    device_key   text COLLATE "C" NOT NULL,
    product_key  text COLLATE "C" NOT NULL,
    class        bigint NOT NULL CHECK (class IN (2, 3)),
    throttled_at bigint NOT NULL,
    until        bigint NOT NULL,
    PRIMARY KEY (device_key, product_key)
);

CREATE TABLE pruned_run (
    id           bigint PRIMARY KEY,
    name         text COLLATE "C" NOT NULL,
    base_url     text COLLATE "C" NOT NULL,
    identity     text COLLATE "C" NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('cancelled', 'complete')),
    unsuccessful bigint NOT NULL CHECK (unsuccessful >= 0),
    finished_at  bigint NOT NULL,
    first_task   bigint NOT NULL,
    end_task     bigint NOT NULL,
    last_request bigint NOT NULL,
    deleted      bigint NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    manifest     text COLLATE "C",
    created_at   bigint,
    started_at   bigint,
    accepted     bigint,
    failed       bigint,
    in_doubt     bigint,
    skipped      bigint,
    pruned_at    bigint
);
CREATE INDEX pruned_run_identity ON pruned_run (identity);

CREATE TABLE past_payload (
    id          bigint PRIMARY KEY,
    digest      bytea NOT NULL UNIQUE,
    product_key text COLLATE "C" NOT NULL,
    data        text COLLATE "C" NOT NULL,
    qos         bigint,
    is_cache    bigint CHECK (is_cache IN (0, 1)),
    cache_time  bigint,
    is_cover    bigint CHECK (is_cover IN (0, 1)),
    extend_para text COLLATE "C"
);

CREATE TABLE device_past (
    device_key  text COLLATE "C" NOT NULL,
    product_key text COLLATE "C" NOT NULL,
    service     text COLLATE "C" NOT NULL,
    run_id      bigint NOT NULL,
    line        bigint NOT NULL,
    ticket      text COLLATE "C",
    accepted_at bigint NOT NULL,
    payload_id  bigint,
    request_id  bigint,
    PRIMARY KEY (device_key, product_key, service)
);

CREATE TABLE device_past_before (
    device_key  text COLLATE "C" NOT NULL,
    product_key text COLLATE "C" NOT NULL,
    service     text COLLATE "C" NOT NULL,
    run_id      bigint NOT NULL,
    line        bigint NOT NULL,
    ticket      text COLLATE "C",
    accepted_at bigint NOT NULL,
    payload_id  bigint,
    request_id  bigint,
    PRIMARY KEY (device_key, product_key, service)
);

CREATE TABLE owner (
    id   bigint PRIMARY KEY CHECK (id = 1),
    mark bigint NOT NULL
);

CREATE TABLE session (
    id              bigint PRIMARY KEY,
    owner           bigint NOT NULL,
    command         text COLLATE "C" NOT NULL,
    arguments       text COLLATE "C" NOT NULL,
    note            text COLLATE "C",
    "user"          text COLLATE "C" NOT NULL,
    host            text COLLATE "C" NOT NULL,
    pid             bigint NOT NULL,
    version         text COLLATE "C" NOT NULL,
    run_id          bigint,
    run_name        text COLLATE "C",
    began_at        bigint NOT NULL,
    staging_ms      bigint NOT NULL DEFAULT 0,
    pushed_at       bigint,
    first_request   bigint,
    end_request     bigint,
    accepted_before bigint NOT NULL DEFAULT 0,
    failed_before   bigint NOT NULL DEFAULT 0,
    in_doubt_before bigint NOT NULL DEFAULT 0,
    ended_at        bigint,
    stop            text COLLATE "C",
    reason          text COLLATE "C",
    exit_code       bigint,
    seen_at         bigint,
    sent            bigint,
    sends           bigint,
    requests        bigint,
    accepted        bigint,
    failed          bigint,
    in_doubt        bigint,
    sending_ms      bigint,
    paused_ms       bigint,
    canary_ms       bigint,
    CHECK ((ended_at IS NULL) = (stop IS NULL)),
    CHECK ((ended_at IS NULL) = (exit_code IS NULL)),
    CHECK ((pushed_at IS NULL) = (first_request IS NULL)),
    CHECK ((run_id IS NULL) = (run_name IS NULL)),
    CHECK ((seen_at IS NULL) = (sending_ms IS NULL))
);
CREATE INDEX session_of_run ON session (run_id);

CREATE TABLE pause (
    session_id bigint NOT NULL,
    began_at   bigint NOT NULL,
    ended_at   bigint,
    reason     text COLLATE "C" NOT NULL,
    PRIMARY KEY (session_id, began_at)
);

-- What `db copy` has brought: with what content each run came, so that a change of it here is known from one at its source.
CREATE TABLE copied_run (
    run_id    bigint PRIMARY KEY,
    digest    bytea NOT NULL,                               -- the SHA-256 of its rows
    copied_at bigint NOT NULL
);
