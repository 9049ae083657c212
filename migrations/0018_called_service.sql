-- The services that payloads call, so that what devices accepted last is a search in an index and not a reading of JSON for each task. Few
-- payloads are shared by many tasks, and none of them changes. The product key stands here, too: who reads a whole fleet is spared a search
-- for each task.
CREATE TABLE called_service (
    payload_id  INTEGER NOT NULL REFERENCES payload (id),
    service     TEXT,                                       -- NULL: the payload calls nothing that could be read, and has this row alone
    product_key TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX called_service_of_payload ON called_service (payload_id, service, product_key);

INSERT INTO called_service (payload_id, service, product_key)
SELECT DISTINCT p.id, s.key, p.product_key
FROM payload AS p
LEFT JOIN json_each(CASE WHEN json_valid(p.data) AND json_type(p.data) = 'array' THEN p.data END) AS c
    ON c.type = 'object' AND c.value <> '{}'
LEFT JOIN json_each(c.value) AS s
ORDER BY p.id;
