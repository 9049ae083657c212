//! Errors in settings. Each message names the place and what to do.

use std::path::PathBuf;

use crate::model::{AddressError, ServerAddress};

use super::{CredentialsError, Origin};

/// Something that was set is wrong, or something that is needed is missing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A value cannot be read.
    #[error("invalid value '{value}' for '--{name}' {origin}: {reason}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Its text.
        value: String,
        /// Where it stands.
        origin: Origin,
        /// What to write instead.
        reason: String,
    },
    /// A variable is not text.
    #[error("the variable {variable} is not UTF-8 text")]
    NotUtf8 {
        /// Its name.
        variable: String,
    },
    /// The config file cannot be read.
    #[error("cannot read the config file {}", path.display())]
    ConfigUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in the config file is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A profile was named and there is no config file.
    #[error(
        "the profile {profile:?} is given, but there is no config file: name one with --config or FLEETPUSH_CONFIG"
    )]
    ProfileWithoutConfig { profile: String },
    /// The config file has no such profile.
    #[error("{} has no [profile.{profile}]{hint}", path.display())]
    UnknownProfile {
        /// The file.
        path: PathBuf,
        profile: String,
        /// Which profiles there are.
        hint: String,
    },
    /// No platform is named.
    #[error(
        "no platform is given: give --region china, --region europe or --base-url URL, or set FLEETPUSH_REGION or FLEETPUSH_BASE_URL \
         (--simulate uses a simulator instead)"
    )]
    NoTarget,
    /// A region and a base URL in the same place.
    #[error(
        "a region is given {region} and a base URL {base_url}: give only one of --region and --base-url"
    )]
    TwoTargets {
        /// Where the region stands.
        region: Origin,
        /// Where the base URL stands.
        base_url: Origin,
    },
    /// A stop after a canary is asked for, and no canary.
    #[error(
        "--canary-pause, given {pause}, has no canary to stop after, and the whole fleet would be pushed at once: give --canary as well, for \
         example --canary 1%"
    )]
    PauseWithoutCanary {
        /// Where the pause stands.
        pause: Origin,
    },
    /// A proof of the canary is asked for, and no canary.
    #[error(
        "{flag}, given {given}, has no canary to ask about, and the whole fleet would be pushed at once: give --canary as well, for example \
         --canary 1%"
    )]
    ProofWithoutCanary {
        /// What asks for it.
        flag: &'static str,
        /// Where that stands.
        given: Origin,
    },
    /// The canary is to prove something, and nothing judges what it proves.
    #[error(
        "--canary-verify holds the fleet back until evidence meets none of the --abort-if conditions, and --abort-if never has none: leave \
         one of them out"
    )]
    ProofWithoutConditions,
    /// Something is said of a verification, and there is none.
    #[error("{flag} needs a verification: give --verify or --canary-verify as well")]
    NothingVerified {
        /// What is said.
        flag: &'static str,
    },
    /// The credentials are missing or wrong.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Nobody knows where the results database is.
    #[error("no folder for the results database is known: name the file with --db or FLEETPUSH_DB")]
    NoDatabase,
    /// The address of a database on a server is wrong. Its text is not shown, since there may be a password in it.
    #[error("--db {origin}: {reason}")]
    Address {
        /// Where it stands.
        origin: Origin,
        /// What is wrong.
        reason: AddressError,
    },
    /// The same of an argument.
    #[error("{argument}: {reason}")]
    AddressArgument {
        /// Its name.
        argument: &'static str,
        /// What is wrong.
        reason: AddressError,
    },
    /// The simulator's runs are in a file, and a server is named.
    #[error(
        "--simulate uses the database of simulated runs, which is an SQLite file, and --db {origin} names {address}, which is on a PostgreSQL \
         server: leave out one of them"
    )]
    SimulatedOnServer {
        /// The database.
        address: ServerAddress,
        /// Where it stands.
        origin: Origin,
    },
    /// Something is for a server, and the database is a file.
    #[error("{what} needs a results database on a PostgreSQL server, and {} is a file: name a server with --db postgres://… (docs/several-machines.md)", path.display())]
    OnlyForServer {
        /// The flag or command.
        what: &'static str,
        path: PathBuf,
    },
    /// A flag that means something for a file alone.
    #[error(
        "{flag} is for an SQLite database, and {address} is on a PostgreSQL server: leave it out{instead}"
    )]
    OnlyForFile {
        /// The flag.
        flag: &'static str,
        /// The database.
        address: ServerAddress,
        /// What to do instead, if there is something.
        instead: &'static str,
    },
    /// The databases of a copy are not of the kinds that it takes.
    #[error(
        "db copy copies from an SQLite file to a PostgreSQL database: write fleetpush db copy FILE postgres://USER@HOST/DATABASE"
    )]
    CopyOf,
    /// The databases of a copy are named by its arguments.
    #[error(
        "db copy takes both databases as arguments: leave --db out, and write fleetpush db copy FILE postgres://USER@HOST/DATABASE"
    )]
    CopyWithDb,
    /// No queue is named.
    #[error(
        "no queue is given: give --queue with its full name, as in a.123.fleet, or set FLEETPUSH_QUEUE; docs/delivery.md shows how to create one"
    )]
    NoQueue,
    /// The base URL is none of a region's, and no broker is named.
    #[error(
        "no message broker is given: give --region, or with --base-url also --amqp-url amqps://HOST:5671/quec-open, or set FLEETPUSH_AMQP_URL"
    )]
    NoBroker,
    /// A manifest from the standard input has no name of its own.
    #[error("a manifest from the standard input has no name: give the run one with --name")]
    StdinWithoutName,
    /// Nothing says which device.
    #[error("name a device, as in explain 860123456789012, or find it with --label sn=A1B2C3")]
    NoDevice,
    /// A manifest is not a table.
    #[error(
        "a manifest (--as-manifest, revert) is JSON lines or CSV: write --format jsonl or --format csv, or leave --format out"
    )]
    ManifestForm,
    /// A parameter is given twice.
    #[error("--param gives {code:?} twice: give each parameter once")]
    RepeatedParameter {
        /// The parameter's code.
        code: String,
    },
}
