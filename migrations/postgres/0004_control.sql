-- What somebody asks of a run whose push is under way: to pause, or to end. Beside a file it is a file of its own. Any process may leave a row;
-- the owner looks for it, and deletes it when it is recorded with the run.
CREATE TABLE control (
    id         text COLLATE "C" PRIMARY KEY,                -- that of `run.last_control`
    run_id     bigint NOT NULL,
    created_at bigint NOT NULL,                             -- when the run was made
    action     text COLLATE "C" NOT NULL CHECK (action IN ('pause', 'cancel')),
    begun      bigint NOT NULL DEFAULT 0 CHECK (begun IN (0, 1)),
    asked_by   text COLLATE "C" NOT NULL,
    asked_at   bigint NOT NULL,
    asker      text COLLATE "C"                             -- the command, as its session tells it
);
CREATE INDEX control_of_run ON control (run_id);
