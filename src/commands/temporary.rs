//! A temporary database, deleted at the end.

use std::path::Path;

use anyhow::Context as _;

use crate::{
    exit::Failure,
    model::Consent,
    store::{Store, StoreError},
};

/// Where it is put; it goes with the folder.
pub(super) fn folder() -> Result<tempfile::TempDir, Failure> {
    tempfile::tempdir()
        .context("cannot make a temporary folder")
        .map_err(Failure::usage)
}

/// Opens a new one.
pub(super) async fn store(folder: &Path) -> Result<Store, StoreError> {
    let consent = Consent {
        network_filesystem: true,
        ..Consent::default()
    };
    Store::open_with(&folder.join("check.db"), consent).await
}
