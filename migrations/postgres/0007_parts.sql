-- A run may stand in parts, so that several workers push it: each part has a lease `run N part K`, and the run as a whole `run N`, which
-- nobody can have while somebody has a part of it.
CREATE TABLE part (
    run_id      bigint NOT NULL,
    number      bigint NOT NULL CHECK (number >= 0),        -- 0: what had been sent or was waiting when the others were made
    first_task  bigint NOT NULL,                            -- its first sends: from this task …
    next_task   bigint NOT NULL,                            -- (claimed up to here)
    end_task    bigint NOT NULL,                            -- … up to but not including this one
    tasks       bigint NOT NULL CHECK (tasks >= 0),         -- those, and what waits for them
    accepted    bigint NOT NULL DEFAULT 0,                  -- of these, how many have ended so
    failed      bigint NOT NULL DEFAULT 0,
    in_doubt    bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    begun_at    bigint,
    finished_at bigint,
    is_gathered bigint NOT NULL DEFAULT 0 CHECK (is_gathered IN (0, 1)), -- its tasks have been the run's again since
    PRIMARY KEY (run_id, number),
    CHECK (first_task <= next_task AND next_task <= end_task)
);

-- The part of those who have claimed and deferred: a worker sees its own alone.
ALTER TABLE due ADD COLUMN part bigint NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN part bigint NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN part bigint;
CREATE INDEX due_of_part ON due (run_id, part, due_at, bundle_id NULLS FIRST, payload_id) WHERE part > 0 AND due_at IS NOT NULL;
