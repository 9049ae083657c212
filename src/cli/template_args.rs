//! The flags of `template`.

use clap::Args;

use super::{one_of, output_args::OUTPUT, values};
use crate::model::{ManifestFormat, TslFile};

/// `fleetpush template`
#[derive(Debug, Args)]
pub struct TemplateArgs {
    /// The service's code; the error names those that there are
    #[arg(value_name = "SERVICE", value_parser = values::not_empty)]
    pub service: String,
    /// The thing model: the platform's export of it, a JSON file
    #[arg(long, value_name = "[PRODUCT=]FILE")]
    pub tsl: TslFile,
    /// The form of the manifest
    #[arg(long, value_name = "FORMAT", default_value = "csv", help_heading = OUTPUT, value_parser = one_of(ManifestFormat::ALL, ManifestFormat::name))]
    pub format: ManifestFormat,
}
