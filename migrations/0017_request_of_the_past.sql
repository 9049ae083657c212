-- The request in which a device accepted what is kept of pruned runs. Requests are numbered in the order in which they are claimed, in all
-- runs together, so that they say what was last whatever a clock showed. NULL: pruned before this column.
ALTER TABLE device_past ADD COLUMN request_id INTEGER;
ALTER TABLE device_past_before ADD COLUMN request_id INTEGER;
