//! What a template is written from.

use std::path::PathBuf;

use super::{Error, FetchFrom, source::Sources};
use crate::{
    cli::{PaceArgs, TemplateArgs},
    model::{ManifestFormat, Tsl},
};

/// `fleetpush template`
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// The service's code.
    pub service: String,
    /// The thing model.
    pub tsl: Tsl,
    /// The product whose model the platform is asked for.
    pub product_key: Option<String>,
    /// The platform that is asked, if one is.
    pub fetch: Option<FetchFrom>,
    /// The form of the manifest.
    pub format: ManifestFormat,
}

impl Template {
    pub(super) fn resolve(
        args: TemplateArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let TemplateArgs {
            service,
            tsl,
            product_key,
            format,
            target,
        } = args;
        let fetch = (tsl == Tsl::Fetch)
            .then(|| FetchFrom::resolve(target, PaceArgs::default(), db, sources))
            .transpose()?;
        Ok(Self {
            service,
            tsl,
            product_key,
            fetch,
            format,
        })
    }
}
