-- A message about a command. `digest` is the same when a message is delivered again, so that a repeat changes nothing.
-- AUTOINCREMENT: readers remember a position, and no later message may get an id that has been given before, also after a prune.
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('reqack_succ', 'reqack_fail', 'input', 'output')),
    ticket TEXT NOT NULL,
    product_key TEXT NOT NULL,
    device_key TEXT NOT NULL,
    code TEXT,
    kv TEXT,
    packet_id INTEGER,
    at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    UNIQUE (ticket, digest)
) STRICT;
CREATE INDEX message_of_device ON message (device_key, product_key);

-- When a device last came online and went offline: the latest of each, whatever the order of messages.
CREATE TABLE presence (
    product_key TEXT NOT NULL,
    device_key TEXT NOT NULL,
    online_at INTEGER,
    offline_at INTEGER,
    PRIMARY KEY (device_key, product_key)
) STRICT, WITHOUT ROWID;

-- Messages that are counted and not kept, by their type, or by what is wrong with them.
CREATE TABLE other (
    kind TEXT PRIMARY KEY,
    messages INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Since when and until when somebody has listened to a queue.
CREATE TABLE listened (
    queue TEXT PRIMARY KEY,
    began_at INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Times of which messages are missing, or may be.
CREATE TABLE gap (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    from_at INTEGER NOT NULL,
    to_at INTEGER NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('away', 'full')),
    recorded_at INTEGER NOT NULL
) STRICT;
