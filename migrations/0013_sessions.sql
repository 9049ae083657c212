-- Each start of a command that writes: who began it and with what, how it ended, and what it sent. It refers to no run, since it outlives it.
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
CREATE INDEX session_of_run ON session (run_id);
CREATE INDEX session_open ON session (id) WHERE seen_at IS NULL;

-- When a session sent nothing because the platform did not answer.
CREATE TABLE pause (
    session_id INTEGER NOT NULL REFERENCES session (id),
    began_at   INTEGER NOT NULL,
    ended_at   INTEGER,                                     -- NULL: it lasts
    reason     TEXT NOT NULL,
    PRIMARY KEY (session_id, began_at)
) STRICT, WITHOUT ROWID;

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

CREATE VIEW sessions AS
SELECT
    s.id AS session, s.run_id AS run, s.run_name AS name, s.command, s.arguments, s.note, s.user, s.host, s.pid, s.version,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.began_at / 1000.0, 'unixepoch') AS began_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.ended_at / 1000.0, 'unixepoch') AS ended_at,
    CASE WHEN s.ended_at IS NULL AND s.owner <> (SELECT mark FROM owner) THEN 'killed' ELSE s.stop END AS stop,
    s.reason, s.exit_code,
    coalesce(s.sent, n.sent) AS sent, coalesce(s.accepted, n.accepted) AS accepted, coalesce(s.failed, n.failed) AS failed,
    coalesce(s.in_doubt, n.in_doubt) AS in_doubt,
    coalesce(s.requests, n.requests) AS requests, coalesce(s.sends, n.sends) AS sends,
    s.staging_ms, coalesce(s.canary_ms, n.canary_ms) AS canary_ms, coalesce(s.sending_ms, n.sending_ms) AS sending_ms,
    coalesce(s.paused_ms, n.paused_ms) AS paused_ms
FROM session AS s
LEFT JOIN session_so_far AS n ON n.id = s.id;

-- What is left of a pruned run, for people: NULL in runs that were pruned before this.
ALTER TABLE pruned_run ADD COLUMN manifest TEXT;
ALTER TABLE pruned_run ADD COLUMN created_at INTEGER;
ALTER TABLE pruned_run ADD COLUMN started_at INTEGER;
ALTER TABLE pruned_run ADD COLUMN accepted INTEGER;
ALTER TABLE pruned_run ADD COLUMN failed INTEGER;
ALTER TABLE pruned_run ADD COLUMN in_doubt INTEGER;
ALTER TABLE pruned_run ADD COLUMN skipped INTEGER;
ALTER TABLE pruned_run ADD COLUMN pruned_at INTEGER;

CREATE VIEW pruned_runs AS
SELECT
    id AS run, name, manifest, identity, base_url, state,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', finished_at / 1000.0, 'unixepoch') AS finished_at,
    end_task - first_task AS tasks, accepted, failed, in_doubt, skipped,
    strftime('%Y-%m-%dT%H:%M:%fZ', pruned_at / 1000.0, 'unixepoch') AS pruned_at
FROM pruned_run;
