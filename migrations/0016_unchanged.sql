-- A task may be skipped because its device has accepted the same last: class 'unchanged'. Only the conditions of `outcome` change. It has
-- the tasks that one reply did not accept alike at their first send, so that to write it anew takes a moment.
INSERT INTO class (id, name) VALUES (13, 'unchanged');

-- The views that name the table are left as they are.
PRAGMA legacy_alter_table = ON;
CREATE TABLE outcome_next (
    task_id     INTEGER PRIMARY KEY REFERENCES task (id),
    state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    class       INTEGER CHECK (class BETWEEN 1 AND 13),
    code        INTEGER,
    message     TEXT,
    ticket      ANY,                                        -- an integer when its text is one: half the size
    request_id  INTEGER REFERENCES request (id),            -- NULL: this end came without a send
    attempts    INTEGER NOT NULL,                           -- sends, all of them
    finished_at INTEGER NOT NULL,
    CHECK ((state = 1) = (class IS 1)),
    CHECK ((state = 4) = (class IS NULL OR class = 13)),
    CHECK (state <> 3 OR class = 6),
    CHECK (state <> 1 OR request_id IS NOT NULL),
    CHECK (ticket IS NULL OR state = 1),
    CHECK (request_id IS NULL OR attempts > 0)
) STRICT;
INSERT INTO outcome_next (task_id, state, class, code, message, ticket, request_id, attempts, finished_at)
SELECT task_id, state, class, code, message, ticket, request_id, attempts, finished_at FROM outcome ORDER BY task_id;
DROP TABLE outcome;
ALTER TABLE outcome_next RENAME TO outcome;
CREATE INDEX outcome_trouble ON outcome (state, class, code) WHERE state IN (2, 3);
CREATE INDEX outcome_ticket ON outcome (ticket) WHERE ticket IS NOT NULL;
PRAGMA legacy_alter_table = OFF;
