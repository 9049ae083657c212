-- Up to which message of which inbox everything about a run has been settled, so that whoever reads looks at later messages alone.
CREATE TABLE settled_inbox (
    run_id   INTEGER PRIMARY KEY,
    inbox    TEXT NOT NULL,      -- the name that the inbox has given itself
    position INTEGER NOT NULL
) STRICT;
