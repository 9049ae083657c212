//! Where credentials are looked for: variables, and keys of the config file.

/// The variable of the AccessKey.
pub(super) const ACCESS_KEY: &str = "FLEETPUSH_ACCESS_KEY";
/// The variable of the AccessSecret.
pub(super) const ACCESS_SECRET: &str = "FLEETPUSH_ACCESS_SECRET";
/// The variable of a token made elsewhere.
pub(super) const TOKEN: &str = "FLEETPUSH_TOKEN";

/// The credentials, each by the variable that holds it; with `_FILE` at its end the variable names a file instead.
pub(super) const NAMES: [&str; 3] = [ACCESS_KEY, ACCESS_SECRET, TOKEN];

/// The variable of the password for a results database on a server; with `_FILE` at its end it names a file instead.
pub(super) const DB_PASSWORD: &str = "FLEETPUSH_DB_PASSWORD";
/// The same from a file.
pub(super) const DB_PASSWORD_FILE: &str = "FLEETPUSH_DB_PASSWORD_FILE";

/// The variables that credentials can come from.
pub(super) const VARIABLES: [&str; 8] = [
    ACCESS_KEY,
    ACCESS_SECRET,
    TOKEN,
    "FLEETPUSH_ACCESS_KEY_FILE",
    "FLEETPUSH_ACCESS_SECRET_FILE",
    "FLEETPUSH_TOKEN_FILE",
    DB_PASSWORD,
    DB_PASSWORD_FILE,
];

/// The files that hold credentials, by the keys that name them in the config file.
pub(super) const FILE_KEYS: [&str; 3] = ["access-key-file", "access-secret-file", "token-file"];
