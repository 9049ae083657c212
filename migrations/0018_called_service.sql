-- The services that payloads call, so that what devices accepted last is a search in an index and not a reading of JSON for each task. Few
-- payloads are shared by many tasks, and none of them changes. A payload without a row calls nothing that could be read.
CREATE TABLE called_service (
    payload_id INTEGER NOT NULL REFERENCES payload (id),
    service    TEXT NOT NULL,
    PRIMARY KEY (payload_id, service)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO called_service (payload_id, service)
SELECT p.id, s.key
FROM payload AS p
JOIN json_each(CASE WHEN json_valid(p.data) AND json_type(p.data) = 'array' THEN p.data END) AS c ON c.type = 'object'
JOIN json_each(c.value) AS s
ORDER BY p.id;
