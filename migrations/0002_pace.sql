-- The rate of requests that a platform has been found to take, for the next push to begin with. Without a row none has been refused of late.
CREATE TABLE pace (
    base_url TEXT PRIMARY KEY,                              -- as in `run`
    rate     REAL NOT NULL CHECK (rate > 0),                -- requests a second
    found_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
