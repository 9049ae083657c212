-- What evidence says of accepted commands after their reply: a row for each ticket of which there is any, written in the order of the tasks.
-- Without a row, nothing is known. A task has one for each of its sends that has a ticket.
CREATE TABLE delivery (
    task_id     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt > 0),       -- which of the task's sends
    delivery    INTEGER NOT NULL CHECK (delivery BETWEEN 1 AND 6),
    evidence    INTEGER NOT NULL CHECK (evidence BETWEEN 1 AND 5),
    at          INTEGER,                                    -- the platform's time of it
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;

-- What devices answered. Few, and long.
CREATE TABLE delivery_answer (
    task_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    answer  TEXT NOT NULL,
    PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;
