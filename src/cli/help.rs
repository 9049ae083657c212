//! The parts of the help that belong to no single flag.

/// What follows the commands in `-h`.
pub(super) const SHORT_EPILOGUE: &str = "\
--help shows examples, exit codes and variables. `fleetpush help COMMAND` shows the flags of a command.";

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
  FLEETPUSH_TOKEN                                   An access token instead of the key pair
  FLEETPUSH_ACCESS_KEY_FILE, FLEETPUSH_ACCESS_SECRET_FILE, FLEETPUSH_TOKEN_FILE
                                                    The same, each from a file
  FLEETPUSH_DB_PASSWORD, FLEETPUSH_DB_PASSWORD_FILE The password of a PostgreSQL database
  FLEETPUSH_LOG                                     Log filter, for example fleetpush=debug
  FLEETPUSH_<FLAG>                                  A flag, if its help names this variable

A setting comes from the first of these that has it: the flag, its variable, the profile of the
config file, the keys at the top of the config file, the default. A key of the config file is a flag
without the leading dashes: `rate = 10`. A flag or the config file cannot contain a credential.";

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

`check` takes every flag of `run`, and needs no credentials. With a target (--region, --base-url or
--simulate), it also shows what `run` would do with the current results database.";

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
The page needs no network and no other file. It shows what to do next, with the commands, a chart of
the push, the latency, and the first 1,000 devices that failed or are in doubt. With filters, the
page covers a part of the run, and says so.

Examples:
  fleetpush report night-1 --out night-1.html
  fleetpush report --label site=Oslo --out oslo.html";

/// What follows the flags of `db migrate` in `--help`.
pub(super) const MIGRATE_EPILOGUE: &str = "\
If the migration is interrupted or killed, the database stays intact. Run the same command again. An
older fleetpush cannot open the migrated database, but it can open the backup.

Examples:
  fleetpush db migrate --dry-run
  fleetpush db migrate --backup /backup/fleetpush-before-update.db";

/// What follows the flags of `db copy` in `--help`.
pub(super) const COPY_EPILOGUE: &str = "\
The password comes from FLEETPUSH_DB_PASSWORD or the file that FLEETPUSH_DB_PASSWORD_FILE names, or
else from the file that PGPASSFILE names or ~/.pgpass. Parameters of the address control TLS:
sslmode=verify-full, and sslrootcert=FILE for certificates that the system does not trust.

Run numbers stay the same, so a PostgreSQL database can contain the runs of only one SQLite
database. A run that `prune` has deleted from FROM stays in TO.

Examples:
  fleetpush db migrate --db 'postgres://fleet@db.example.com/fleet?sslmode=verify-full'
  fleetpush db copy fleetpush.db 'postgres://fleet@db.example.com/fleet?sslmode=verify-full'";

/// What follows the flags of `revert` in `--help`.
pub(super) const REVERT_EPILOGUE: &str = "\
The manifest has a row for each device that accepted a command of the run, or may have received one.
The row contains the last command that the device accepted before the run, for each service. To send
it, push the manifest with `run`. Devices that have accepted a newer command since, or that have no
earlier one, are left out and counted. A run that has not ended is refused.

Examples:
  fleetpush revert night-2 --service setApn --out revert.jsonl
  fleetpush run revert.jsonl --region europe";

/// What follows the flags of `sql` in `--help`.
pub(super) const SQL_EPILOGUE: &str = "\
The database is opened read-only: a statement that would change it fails. The views are runs,
results, attempts, deliveries, requests, sessions, pruned_runs, devices and parts;
docs/results-database.md lists their columns.

Examples:
  fleetpush sql 'SELECT name, state, tasks, failed FROM runs'
  fleetpush sql - --format csv --out hours.csv < hours.sql";

/// What follows the flags of `results` in `--help`.
pub(super) const RESULTS_EPILOGUE: &str = "\
Rows are in the order of sending. To sort them by the line of the manifest, use `--sort line`.

Examples:
  fleetpush results --state failed --columns device_key,label.site,code,message --sort label.site
  fleetpush results --state failed --format csv --out failed.csv
  fleetpush results --state failed --as-manifest --out again.jsonl";
