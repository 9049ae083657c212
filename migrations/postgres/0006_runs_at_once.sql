-- Several processes push at once, each a run of its own: each has a lease `run N`, and `database` only while it decides what to do.

-- The mark of a process: the epoch of all its leases, and the owner of its session. It never comes again.
CREATE SEQUENCE owner_mark;
SELECT setval('owner_mark', (SELECT coalesce(max(epoch), 0) + 1 FROM lease));

-- From now on `owner` has what copies bring; who is at work the leases tell.
DELETE FROM owner WHERE EXISTS (SELECT 1 FROM lease);

-- Processes take the numbers of requests in blocks of 1000, and those of sessions one by one.
CREATE SEQUENCE request_block MINVALUE 0 START 0;
CREATE SEQUENCE session_number;
CREATE OR REPLACE FUNCTION fleetpush.next_session() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('fleetpush.session_number') $$;
