-- Outages that answer, requests that are disliked, and limits that are believed when they have been met repeatedly.

-- Tasks that ended in an outage: they count for no threshold. The columns are those of `tally`.
CREATE TABLE excused (
    run_id INTEGER NOT NULL REFERENCES run (id),
    state  INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    class  INTEGER NOT NULL,
    code   INTEGER NOT NULL,
    n      INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run_id, state, class, code)
) STRICT, WITHOUT ROWID;

-- A bundle is also a request that was refused as it is and stays together. How often it was, each time while others were answered; and
-- whether it is a suspect: something is wrong with one of its devices, and nothing with the platform.
ALTER TABLE bundle ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0 CHECK (refusals >= 0);
ALTER TABLE bundle ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0 CHECK (suspect IN (0, 1));
-- Whether it speaks of a limit of devices when both halves of a request pass: only when a rejection split it.
ALTER TABLE bundle ADD COLUMN of_size INTEGER NOT NULL DEFAULT 1 CHECK (of_size IN (0, 1));
CREATE INDEX bundle_standing ON bundle (run_id) WHERE refusals > 0 OR suspect = 1;

-- The most devices that one request has carried and that were all answered; and how often a smaller limit seemed to have been met since.
ALTER TABLE run ADD COLUMN passed_size INTEGER NOT NULL DEFAULT 0 CHECK (passed_size >= 0);
ALTER TABLE run ADD COLUMN limit_hints INTEGER NOT NULL DEFAULT 0 CHECK (limit_hints >= 0);
