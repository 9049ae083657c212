//! The flags of `template`.

use clap::Args;

use super::{one_of, output_args::OUTPUT, push_args::TargetArgs, values};
use crate::model::{ManifestFormat, Tsl};

/// `fleetpush template`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::TEMPLATE_EPILOGUE)]
pub struct TemplateArgs {
    /// The service's code; if it is unknown, the error lists those of the product
    #[arg(value_name = "SERVICE", value_parser = values::not_empty)]
    pub service: String,
    /// The thing model: a JSON file exported from the platform, or `fetch` to fetch it from the platform
    #[arg(long, value_name = "[PRODUCT=]FILE|fetch")]
    pub tsl: Tsl,
    /// The product, for `--tsl fetch` and for the row
    #[arg(long, value_name = "KEY", value_parser = values::not_empty)]
    pub product_key: Option<String>,
    /// Format of the manifest
    #[arg(long, value_name = "FORMAT", default_value = "csv", help_heading = OUTPUT, value_parser = one_of(ManifestFormat::ALL, ManifestFormat::name))]
    pub format: ManifestFormat,
    /// The platform that is asked.
    #[command(flatten)]
    pub target: TargetArgs,
}
