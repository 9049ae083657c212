-- Who paused or cancelled a run, and the tags by which teams tell their runs apart.

ALTER TABLE run ADD COLUMN paused_at INTEGER;               -- NULL: not paused. Only in state 'stopped', which the view then calls 'paused'
ALTER TABLE run ADD COLUMN paused_by TEXT;                  -- a user's name
ALTER TABLE run ADD COLUMN cancelled_by TEXT;               -- a user's name; NULL: not cancelled, or before this column
ALTER TABLE run ADD COLUMN last_control TEXT;               -- the id of the last control file that was obeyed, in case that it cannot be deleted
ALTER TABLE run ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'  -- a JSON object of texts, its keys in order
    CHECK (json_valid(tags) AND json_type(tags) = 'object');

DROP VIEW runs;
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
