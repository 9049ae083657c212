//! The parts of the help that belong to no single flag.

/// What follows the commands in `-h`.
pub(super) const SHORT_EPILOGUE: &str = "\
--help shows examples, exit codes and the environment. `fleetpush help COMMAND` shows the flags of a command.";

/// What follows the commands in `--help`.
pub(super) const LONG_EPILOGUE: &str = "\
Examples:
  fleetpush run fleet.csv --simulate                Try a manifest against the simulator
  fleetpush check fleet.csv                         Validate it and see the plan
  fleetpush run fleet.csv --region europe           Push it; run it again to continue
  fleetpush results --state failed --format csv     Who failed, and why
  fleetpush retry fleet-1a2b3c4d --class offline    Send to offline devices again

Exit codes:
  0  every task accepted (duplicates and --tolerate aside), or the query answered
  1  ended: some tasks failed or are in doubt, or the run was cancelled
  2  bad usage, configuration or manifest
  3  stopped before the end (signal, deadline, outage, canary pause): run it again to continue
  4  aborted by a threshold, stays aborted until --override-abort
  5  refused: credentials, permission, certificate, endpoint
  6  the results database failed
  7  another process owns this database

Environment:
  FLEETPUSH_ACCESS_KEY, FLEETPUSH_ACCESS_SECRET     The key pair that logs in to the platform
  FLEETPUSH_TOKEN                                   A ready token instead of the key pair
  FLEETPUSH_ACCESS_KEY_FILE, FLEETPUSH_ACCESS_SECRET_FILE, FLEETPUSH_TOKEN_FILE
                                                    The same, each from a file
  FLEETPUSH_DB_PASSWORD, FLEETPUSH_DB_PASSWORD_FILE The password of a PostgreSQL database
  FLEETPUSH_LOG                                     Log filter, for example fleetpush=debug
  FLEETPUSH_<FLAG>                                  A flag, for those whose help names a variable

A flag overrides its variable. A variable overrides the config file's profile, a profile the keys at
the top of the file, and those the default. A key of the config file is a flag without the leading
dashes: `rate = 10`. Credentials are never read from a flag or from a key of the config file.";

/// What follows the flags of a command in `-h`.
pub(super) const MORE: &str = "These are the most used flags. --help lists all of them.";

pub(super) const INVENTORY_EPILOGUE: &str = "\
Examples:
  fleetpush inventory PK0001 --region europe --out fleet.csv
  fleetpush inventory PK0001 PK0002 --active --seen-within 7d --out fleet.csv
  fleetpush run fleet.csv --service setMode --param mode=1 --region europe";

pub(super) const TEMPLATE_EPILOGUE: &str = "\
Examples:
  fleetpush template setMode --tsl thing-model.json
  fleetpush template setMode --tsl fetch --product-key PK0001 --region europe --format jsonl";

/// What follows the flags of `run` in `--help`.
pub(super) const CHECK_EPILOGUE: &str = "\
Examples:
  fleetpush check fleet.csv
  fleetpush check fleet.csv --region europe --rate 10 --canary 1%
  fleetpush check fleet.csv --format json

`check` takes every flag of `run`, and needs no credentials. With the target (--region, --base-url
or --simulate), it also shows what `run` would do with the current results database.";

pub(super) const RUN_EPILOGUE: &str = "\
Examples:
  fleetpush run fleet.csv --region europe
  fleetpush run fleet.csv --region europe --window '22:00-05:00 Europe/Oslo' --repeat-after 12h
  fleetpush run keys.csv --region china --product-key PK0001 --service fuwu --param raw1=AA
  zcat fleet.jsonl.gz | fleetpush run - --name night --region europe --rate 10";

/// What follows the flags of `explain` in `--help`.
pub(super) const EXPLAIN_EPILOGUE: &str = "\
Examples:
  fleetpush explain 860123456789012
  fleetpush explain --label sn=A1B2C3
  fleetpush explain 860123456789012 --live --region europe";

/// What follows the flags of `diff` in `--help`.
pub(super) const DIFF_EPILOGUE: &str = "\
A device fails when its task ends failed or in doubt.

Examples:
  fleetpush diff                                    What changed since the run before
  fleetpush diff --by label.site --only newly_failing
  fleetpush diff --last 5                           Who fails every night
  fleetpush diff --as-manifest --out failing.jsonl";

/// What follows the flags of `report` in `--help`.
pub(super) const REPORT_EPILOGUE: &str = "\
The page needs no network and no other file. It shows what you have to do and the commands for it,
the course of the push, the latency, and the first 1,000 devices that failed or are in doubt. With
filters the page covers a part of the run, and says so.

Examples:
  fleetpush report night-1 --out night-1.html
  fleetpush report --label site=Oslo --out oslo.html";

/// What follows the flags of `db migrate` in `--help`.
pub(super) const MIGRATE_EPILOGUE: &str = "\
If this is interrupted or killed, the database stays intact. Run the same command again. An older
fleetpush cannot open the migrated database, but it can open the backup.

Examples:
  fleetpush db migrate --dry-run
  fleetpush db migrate --backup /backup/fleetpush-before-update.db";

/// What follows the flags of `db copy` in `--help`.
pub(super) const COPY_EPILOGUE: &str = "\
The password comes from ~/.pgpass or the file that PGPASSFILE names, or from FLEETPUSH_DB_PASSWORD
or the file that FLEETPUSH_DB_PASSWORD_FILE names. The address sets TLS: sslmode=verify-full, with
sslrootcert=FILE for certificates that the system does not trust.

Run numbers stay the same. So a PostgreSQL database takes the runs of one SQLite database, and
refuses those of another. A run that `prune` has deleted from FROM stays in TO.

Examples:
  fleetpush db migrate --db 'postgres://fleet@db.example.com/fleet?sslmode=verify-full'
  fleetpush db copy fleetpush.db 'postgres://fleet@db.example.com/fleet?sslmode=verify-full'";

/// What follows the flags of `revert` in `--help`.
pub(super) const REVERT_EPILOGUE: &str = "\
The manifest has a row for each device that accepted a command of the run, or may have received one.
The row contains what the device had accepted last before the run, for each service. To send it,
push the manifest with `run`. Devices that have accepted something newer since, or that have nothing
earlier, are left out and reported. A run that has not ended is refused.

Examples:
  fleetpush revert night-2 --service setApn --out revert.jsonl
  fleetpush run revert.jsonl --region europe";

/// What follows the flags of `sql` in `--help`.
pub(super) const SQL_EPILOGUE: &str = "\
The database is opened read-only: a statement that would change it fails. The views are runs,
results, attempts, requests and devices; docs/results-database.md has their columns.

Examples:
  fleetpush sql 'SELECT name, state, tasks, failed FROM runs'
  fleetpush sql - --format csv --out hours.csv < hours.sql";

/// What follows the flags of `results` in `--help`.
pub(super) const RESULTS_EPILOGUE: &str = "\
Rows are in the order in which they are sent. `--sort line` sorts them by line.

Examples:
  fleetpush results --state failed --columns device_key,label.site,code,message --sort label.site
  fleetpush results --state failed --format csv --out failed.csv
  fleetpush results --state failed --as-manifest --out again.jsonl";
