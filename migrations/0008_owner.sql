-- Marks the file as a results database of fleetpush ('FLTP'), so that another program's is never taken for one.
PRAGMA application_id = 1179407440;

-- Who owns the database, one row. Every transaction begins with a look at the mark, so that an owner that has lost its database stops.
CREATE TABLE owner (
    id        INTEGER PRIMARY KEY CONSTRAINT another_owner CHECK (id = 1),
    mark      INTEGER NOT NULL,                             -- a random number, another at each start
    -- 1: what follows stands in the write-ahead log. Only the file itself says so; the log says 0 again. So a file without its log shows
    -- that it is missing, unless all of the log has been moved into the file.
    needs_log INTEGER NOT NULL CHECK (needs_log IN (0, 1))
) STRICT;
INSERT INTO owner (id, mark, needs_log) VALUES (1, 0, 0);
