//! The results database: what is to be sent, what was sent and what came back. SQL stands here and nowhere else.

pub mod query;
pub mod reader;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod views;

/// The schema, by version. Append-only.
pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
