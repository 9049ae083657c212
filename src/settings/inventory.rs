//! Which devices are listed, and where to.

use std::path::PathBuf;

use super::{Error, Push, query::asking, source::Sources};
use crate::{
    cli::{InventoryArgs, PaceArgs},
    model::{Age, ManifestFormat},
};

/// `fleetpush inventory`
#[derive(Debug, Clone)]
pub(crate) struct Inventory {
    pub products: Vec<String>,
    /// Only devices that are online, or offline.
    pub online: Option<bool>,
    /// Only devices that have been activated.
    pub active: bool,
    /// Only devices that have been seen within this time.
    pub seen_within: Option<Age>,
    /// The form of the manifest.
    pub format: ManifestFormat,
    /// The file to write to.
    pub out: Option<PathBuf>,
    /// Where and how fast to ask.
    pub push: Push,
}

impl Inventory {
    pub(super) fn resolve(
        args: InventoryArgs,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let InventoryArgs {
            products,
            online,
            offline,
            active,
            seen_within,
            format,
            out,
            target,
            rate,
            max_outage,
        } = args;
        let pace = PaceArgs {
            rate,
            ..PaceArgs::default()
        };
        Ok(Self {
            products,
            online: match (online, offline) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
            active,
            seen_within,
            format,
            out,
            push: Push::resolve(asking(target, pace, max_outage), quiet, sources)?,
        })
    }
}
