-- The command that decides on the canary when that is over, and when it did; and the answers that its devices have to give, as flags.
ALTER TABLE canary ADD COLUMN check_command TEXT;
ALTER TABLE canary ADD COLUMN checked_at INTEGER;
ALTER TABLE canary ADD COLUMN expected_answers TEXT;
