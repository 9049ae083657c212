//! The parts of the help that belong to no single flag.

/// What follows the commands in `-h`.
pub(super) const SHORT_EPILOGUE: &str = "\
Use --help for examples, exit codes and the environment, `fleetpush help COMMAND` for a command's flags.";

/// What follows the commands in `--help`.
pub(super) const LONG_EPILOGUE: &str = "\
Examples:
  fleetpush run fleet.csv --simulate                Try a manifest against the simulator
  fleetpush check fleet.csv                         Validate it and see the plan
  fleetpush run fleet.csv --region europe           Push it; the same again continues
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
  FLEETPUSH_LOG                                     Log filter, for example fleetpush=debug
  FLEETPUSH_<FLAG>                                  A flag, for those whose help names a variable

A flag wins over its variable, a variable over the config file's profile, a profile over the keys
at the file's top, and those over the default. A key of the config file is a flag without dashes in
front: `rate = 10`. Secrets are never taken from a flag or from the config file.";

/// What follows the flags of a command in `-h`.
pub(super) const MORE: &str = "These are the most used flags; --help has all of them.";

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

Takes every flag of `run`, and needs no credentials. With the target (--region, --base-url or
--simulate), it also says what `run` would do with the results database as it is.";

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
To fail is to end failed or in doubt.

Examples:
  fleetpush diff                                    What changed since the run before
  fleetpush diff --by label.site --only newly_failing
  fleetpush diff --last 5                           Who fails every night
  fleetpush diff --as-manifest --out failing.jsonl";

/// What follows the flags of `report` in `--help`.
pub(super) const REPORT_EPILOGUE: &str = "\
The page needs no network and no other file: headline, what needs a hand with the commands for it, the
course of the push, latency, and the first 1,000 devices that failed or are in doubt. With filters it
shows a part of the run, and says so.

Examples:
  fleetpush report night-1 --out night-1.html
  fleetpush report --label site=Oslo --out oslo.html";

/// What follows the flags of `db migrate` in `--help`.
pub(super) const MIGRATE_EPILOGUE: &str = "\
The database stays whole if this is interrupted or killed: give the same command again. An older
fleetpush cannot open a database that is up to date, but it can open the backup.

Examples:
  fleetpush db migrate --dry-run
  fleetpush db migrate --backup /backup/fleetpush-before-update.db";

/// What follows the flags of `revert` in `--help`.
pub(super) const REVERT_EPILOGUE: &str = "\
Each device that accepted a command of the run, or may have got it, gets what it had accepted last
before that run, service by service. Nothing is sent: `run` sends the manifest. Devices that accepted
something newer since, or that have nothing earlier, are left out and reported. A run that has not
ended is refused.

Examples:
  fleetpush revert night-2 --service setApn --out revert.jsonl
  fleetpush run revert.jsonl --region europe";

/// What follows the flags of `sql` in `--help`.
pub(super) const SQL_EPILOGUE: &str = "\
The database is opened for reading: a statement that would change it is refused. The views are runs,
results, attempts, requests and devices; docs/results-database.md has their columns.

Examples:
  fleetpush sql 'SELECT name, state, tasks, failed FROM runs'
  fleetpush sql - --format csv --out hours.csv < hours.sql";

/// What follows the flags of `results` in `--help`.
pub(super) const RESULTS_EPILOGUE: &str = "\
Rows come grouped as they are sent, not by line: `--sort line` has them by line.

Examples:
  fleetpush results --state failed --columns device_key,label.site,code,message --sort label.site
  fleetpush results --state failed --format csv --out failed.csv
  fleetpush results --state failed --as-manifest --out again.jsonl";
