-- A task names its payload by number, and its run only by where it stands among the tasks.
CREATE INDEX payload_of_number ON payload (id);
