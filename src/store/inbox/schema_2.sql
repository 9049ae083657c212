-- Which inbox it is: a position in one says nothing of another that has taken its place.
CREATE TABLE identity (
    uid TEXT NOT NULL
) STRICT;
INSERT INTO identity (uid) VALUES (lower(hex(randomblob(8))));
