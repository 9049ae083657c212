-- The devices of a run that go first. Their first tasks are held back from the first sends (`task.held`) and stand in `due` instead; as
-- long as the canary has not passed, nothing but `due` is claimed.
CREATE TABLE canary (
    run_id    INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    asked     TEXT NOT NULL,                                -- the number or share that was asked for
    seed      INTEGER NOT NULL,                             -- what the choice follows from
    devices   INTEGER NOT NULL CHECK (devices > 0),
    pause     INTEGER NOT NULL CHECK (pause IN (0, 1)),     -- whether the push stops for a look when it has ended well
    chosen_at INTEGER NOT NULL,
    passed_at INTEGER,                                      -- from then on the others go
    accepted  INTEGER CHECK (accepted >= 0),                -- tasks accepted by then: a ramp counts from here
    CHECK ((passed_at IS NULL) = (accepted IS NULL))
) STRICT;
