-- What a push needs of a server.

-- Who may write, and until when: a lease has one holder at a time. Each commit of its holder locks the row, compares the epoch, looks at
-- the server's clock, and counts itself as an exchange.
CREATE TABLE lease (
    name     text COLLATE "C" PRIMARY KEY,                  -- what it is for: `database`
    epoch    bigint NOT NULL,                               -- how often it was taken; that of a holder is its mark in `session`
    exchange bigint NOT NULL,                               -- how many commits were made under it
    ends_at  timestamptz NOT NULL,                          -- by the server's clock
    holder   text COLLATE "C" NOT NULL,                     -- for people
    backend  integer,                                       -- the holder's connection, which whoever takes the lease after it ends
    began_at timestamptz                                    -- when that was made: the server gives its number again
);

-- As in the SQLite file: the rate that a platform has been found to take.
CREATE TABLE pace (
    base_url text COLLATE "C" PRIMARY KEY,
    rate     double precision NOT NULL CHECK (rate > 0),
    found_at bigint NOT NULL,
    span_ms  bigint NOT NULL DEFAULT 0 CHECK (span_ms >= 0)
);

-- What a push looks for.
CREATE INDEX due_ready ON due (run_id, due_at, bundle_id NULLS FIRST, payload_id, class) WHERE due_at IS NOT NULL;
CREATE INDEX due_in_flight ON due (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX bundle_parent ON bundle (parent_request_id);
CREATE INDEX bundle_standing ON bundle (run_id) WHERE refusals > 0 OR suspect = 1;
CREATE INDEX attempt_in_doubt ON attempt (task_id) WHERE class = 6;
CREATE INDEX session_open ON session (id) WHERE seen_at IS NULL;
CREATE INDEX pruned_run_left ON pruned_run (id) WHERE deleted = 0;

-- Above every session that there is; a copy brings its own numbers.
CREATE FUNCTION fleetpush.next_session() RETURNS bigint LANGUAGE sql AS $$ SELECT coalesce(max(id), 0) + 1 FROM fleetpush.session $$;
ALTER TABLE session ALTER COLUMN id SET DEFAULT fleetpush.next_session();
