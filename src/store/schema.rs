//! The schema of a results database.

use sqlx::migrate::Migrator;

/// The schema, embedded in the binary. Append-only.
pub(super) static MIGRATOR: Migrator = sqlx::migrate!();
