-- A device of several runs that are pushed at once is not sent commands of two of them at the same time.
CREATE TABLE common_device (
    device_key text COLLATE "C" NOT NULL,
    elder      bigint NOT NULL,                             -- a run with a task for it …
    younger    bigint NOT NULL,                             -- … and one that was made later
    PRIMARY KEY (device_key, elder, younger),
    CHECK (elder < younger)
);

-- Each claim reads the row of its platform, and whoever begins to push another run locks the table against that, so that the one knows of the
-- other.
CREATE TABLE claim_gate (
    base_url  text COLLATE "C" PRIMARY KEY,
    is_common bigint NOT NULL CHECK (is_common IN (0, 1))   -- whether runs to this platform have devices in common
);

-- The pace of the push that finds what a platform takes for those who share the account; they follow it as long as it is told again and again.
CREATE TABLE lead (
    base_url  text COLLATE "C" NOT NULL,
    account   text COLLATE "C" NOT NULL,
    rate      double precision CHECK (rate > 0),            -- requests a second, of all together; NULL: nothing limits it
    in_flight bigint CHECK (in_flight > 0),                 -- requests in flight, of all together; NULL: nothing limits them
    told_at   timestamptz NOT NULL,
    PRIMARY KEY (base_url, account)
);
