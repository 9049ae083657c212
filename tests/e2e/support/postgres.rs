//! The program with a results database on a PostgreSQL server.

use std::process::Command;

use super::{Database, PASSWORD, Push, Site};

/// A command on a site that knows the password and no database.
pub(crate) fn with_server(site: &Site, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetpush"));
    command
        .current_dir(site.folder())
        .env_clear()
        .env("HOME", site.folder())
        .env("FLEETPUSH_DB_PASSWORD", PASSWORD)
        .env("FLEETPUSH_ACCESS_KEY", "key")
        .env("FLEETPUSH_ACCESS_SECRET", "secret")
        .args(args);
    command
}

/// Gives a database our schema.
pub(crate) fn migrate(site: &Site, database: &Database) {
    let url = database.url();
    Push::start(with_server(site, &["db", "migrate", "--db", &url]))
        .ended()
        .expect(0)
        .says(&["schema fleetpush made"]);
}
