-- What the devices of a canary have to prove before the others go: how long evidence of their commands is waited for, how far it has to
-- reach, and when it did. Without a time, replies are enough.
ALTER TABLE canary ADD COLUMN verify_ms INTEGER CHECK (verify_ms > 0);
ALTER TABLE canary ADD COLUMN verify_level TEXT;
ALTER TABLE canary ADD COLUMN proved_at INTEGER;
