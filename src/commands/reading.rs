//! Opening the results database for a command that only shows it.

use crate::{
    settings::Database,
    store::{ReadError, Reader},
    ui::printer::Printer,
};

/// Opens the database for reading, with a warning when part of what was recorded is missing.
pub(super) async fn open(database: &Database, printer: &Printer) -> Result<Reader, ReadError> {
    let mut reader = Reader::open(&database.path).await?.scoped(&database.tags);
    if let Some(log) = reader.lost_log().await? {
        printer.warn(&format!(
            "the write-ahead log {} is missing: the last results of the last push are not shown; put the log back beside the database",
            log.display()
        ));
    }
    Ok(reader)
}
