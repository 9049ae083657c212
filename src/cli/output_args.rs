//! Where the rows of a query go.

use std::path::PathBuf;

use clap::Args;

use super::one_of;
use crate::model::RowFormat;

pub(super) const OUTPUT: &str = "Output";

/// The form of rows, and where they go.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputArgs {
    /// Format of the rows [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// Write to this file instead of stdout
    ///
    /// The file is created or replaced only when the output is complete. - is stdout.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
}
