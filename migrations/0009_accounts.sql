-- Who pushes a run and since when, and how its canary was judged.

ALTER TABLE run ADD COLUMN pushed_at INTEGER;               -- when the latest push of it began; NULL: not since this column
ALTER TABLE run ADD COLUMN account TEXT;                    -- a fingerprint of the AccessKey that pushes it; NULL: not known
ALTER TABLE canary ADD COLUMN verdict TEXT                  -- NULL: not judged, or passed before this column
    CHECK (verdict IN ('passed', 'failed', 'overridden'));  -- failed: nothing was left to hold back; overridden: the others went all the same
