-- Which file a run was made of, so that a later version of it is known as one. `run.manifest` is the path as it was typed, for people.

ALTER TABLE run ADD COLUMN manifest_path TEXT;              -- absolute; NULL: no file, or staged before this column
