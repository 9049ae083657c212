//! A results database on a PostgreSQL server: the same views, copied from SQLite.

mod address;
mod again;
mod at_once;
mod control;
mod copy;
mod crash;
mod ended;
mod inbox;
mod killed;
mod lost;
mod parts;
mod prune;
mod push;
mod queries;
mod questions;
mod reading;
mod verify;
mod views;
mod workers;

use crate::support::{Database, Ended, Postgres, Push, Site, migrate, with_server};

/// A database with our schema; none where no server is installed.
fn made(site: &Site) -> Option<Database> {
    Some(Postgres::shared()?.migrated(|database| migrate(site, database)))
}

/// Copies the site's database.
fn copy(site: &Site, to: &Database, more: &[&str]) -> Ended {
    copy_from(site, "push.db", to, more)
}

/// Copies a database of the site.
fn copy_from(site: &Site, from: &str, to: &Database, more: &[&str]) -> Ended {
    let url = to.url();
    let args = [&["db", "copy", from, &url][..], more].concat();
    Push::start(with_server(site, &args)).ended()
}
