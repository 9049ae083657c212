-- Functions of SQLite that the statements of both engines call, and PostgreSQL lacks. They are replaced with each migration, as the views are.

-- The members of a list or of an object, as `json_each` of SQLite yields them: text without quotes, and what is nested as JSON.
CREATE OR REPLACE FUNCTION fleetpush.json_each(given text) RETURNS TABLE (key text, value text, id bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (e.n - 1)::text, e.member #>> '{}', e.n
    FROM pg_catalog.json_array_elements(CASE WHEN json_typeof(given::json) = 'array' THEN given::json ELSE '[]' END)
        WITH ORDINALITY AS e (member, n)
    UNION ALL
    SELECT e.name, e.member #>> '{}', e.n
    FROM pg_catalog.json_each(CASE WHEN json_typeof(given::json) = 'object' THEN given::json ELSE '{}' END)
        WITH ORDINALITY AS e (name, member, n)
$$;

-- Where a text stands in another; 0: nowhere.
CREATE OR REPLACE FUNCTION fleetpush.instr(given text, part text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT strpos(given, part)::bigint $$;

-- The bytes of a text of hexadecimal digits.
CREATE OR REPLACE FUNCTION fleetpush.unhex(digits text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT decode(digits, 'hex') $$;

-- The greater and the lesser of two; absent when one of them is.
CREATE OR REPLACE FUNCTION fleetpush.max(one bigint, other bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT greatest(one, other) $$;
CREATE OR REPLACE FUNCTION fleetpush.min(one bigint, other bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT least(one, other) $$;

-- A member of a list or of an object, as `->>` of SQLite finds it in a text.
CREATE OR REPLACE FUNCTION fleetpush.json_member(given text, place integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT given::json OPERATOR(pg_catalog.->>) place $$;
CREATE OR REPLACE FUNCTION fleetpush.json_member(given text, name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT given::json OPERATOR(pg_catalog.->>) name $$;
DO $$ BEGIN
    IF to_regoperator('fleetpush.->>(text, integer)') IS NULL THEN
        CREATE OPERATOR fleetpush.->> (LEFTARG = text, RIGHTARG = integer, FUNCTION = fleetpush.json_member);
        CREATE OPERATOR fleetpush.->> (LEFTARG = text, RIGHTARG = text, FUNCTION = fleetpush.json_member);
    END IF;
END $$;

-- Values as one text, a JSON list: one row costs less than many.
CREATE OR REPLACE FUNCTION fleetpush.json_of(numbers bigint[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT array_to_json(numbers)::text $$;
CREATE OR REPLACE FUNCTION fleetpush.json_of(texts text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT array_to_json(texts)::text $$;
CREATE OR REPLACE FUNCTION fleetpush.json_of(lists json[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT array_to_json(lists)::text $$;
CREATE OR REPLACE AGGREGATE fleetpush.json_group_array(bigint) (
    SFUNC = array_append, STYPE = bigint[], INITCOND = '{}', FINALFUNC = fleetpush.json_of
);
CREATE OR REPLACE AGGREGATE fleetpush.json_group_array(text) (
    SFUNC = array_append, STYPE = text[], INITCOND = '{}', FINALFUNC = fleetpush.json_of
);
CREATE OR REPLACE AGGREGATE fleetpush.json_group_array(json) (
    SFUNC = array_append, STYPE = json[], INITCOND = '{}', FINALFUNC = fleetpush.json_of
);

-- Prolongs a lease that has not ended, for its holder. A commit that is to follow is counted.
CREATE OR REPLACE FUNCTION fleetpush.hold_lease(held text, mark bigint, lasts_ms bigint, commits bigint DEFAULT 1) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE counted bigint;
BEGIN
    UPDATE fleetpush.lease
    SET ends_at = greatest(ends_at, clock_timestamp() + lasts_ms * interval '1 millisecond'), exchange = exchange + commits
    WHERE name = held AND epoch = mark AND ends_at > clock_timestamp()
    RETURNING exchange INTO counted;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease "%" of epoch % has ended', held, mark USING ERRCODE = 'FP001';
    END IF;
    RETURN counted;
END $$;

-- Has the next numbers of requests and sessions be above all that there are. Copies bring their own numbers, so this is for the one process
-- at a time that decides what to push.
CREATE OR REPLACE FUNCTION fleetpush.raise_numbers() RETURNS void
LANGUAGE sql AS $$
    SELECT setval('fleetpush.request_block', used.blocks, false)
    FROM (
        SELECT (greatest(
            (SELECT coalesce(max(id), 0) FROM fleetpush.request), (SELECT coalesce(max(last_request), 0) FROM fleetpush.pruned_run)
        ) + 999) / 1000 AS blocks
    ) AS used
    WHERE used.blocks > (SELECT last_value + is_called::int FROM fleetpush.request_block);
    SELECT setval('fleetpush.session_number', used.last)
    FROM (SELECT coalesce(max(id), 0) AS last FROM fleetpush.session) AS used
    WHERE used.last > (SELECT last_value - 1 + is_called::int FROM fleetpush.session_number)
$$;

-- The first of 1000 numbers for requests that nobody else gets.
CREATE OR REPLACE FUNCTION fleetpush.next_requests() RETURNS bigint
LANGUAGE sql AS $$ SELECT nextval('fleetpush.request_block') * 1000 + 1 $$;
