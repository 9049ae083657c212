//! `prune --archive`: writes runs as CSV files before they are deleted.

use std::{
    fs::{File, create_dir_all},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    exit::Failure,
    model::RowFormat,
    store::{Archived, Cell, Prunable, Store, StoreError},
    ui::{
        format::{Column, Value, writer},
        out_file::Destination,
        printer::{OutputError, Printer},
    },
};

/// A folder that takes the files of these runs.
#[derive(Debug)]
pub(super) struct Archive {
    folder: PathBuf,
}

/// A row that cannot be read or written.
enum RowFailure {
    Store(StoreError),
    Output(OutputError),
}

impl From<StoreError> for RowFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RowFailure> for Failure {
    fn from(error: RowFailure) -> Self {
        match error {
            RowFailure::Store(error) => error.into(),
            RowFailure::Output(error) => error.into(),
        }
    }
}

impl Archive {
    /// Makes the folder, and finds out whether every file can be written there.
    pub(super) fn open(folder: &Path, runs: &[Prunable]) -> Result<Self, Failure> {
        create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {} of --archive", folder.display()))
            .map_err(Failure::usage)?;
        let archive = Self {
            folder: folder.to_owned(),
        };
        for run in runs {
            for what in Archived::ALL {
                Destination::open(Some(&archive.path(run, what)))?;
            }
        }
        Ok(archive)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the files of a run; they are on the disk when this returns.
    pub(super) async fn write(
        &self,
        store: &mut Store,
        run: &Prunable,
        printer: &Printer,
    ) -> Result<(), Failure> {
        for what in Archived::ALL {
            let destination = Destination::open(Some(&self.path(run, what)))?;
            let columns: Vec<Column> = what
                .columns()
                .iter()
                .map(|name| Column::shown(name))
                .collect();
            let mut rows = writer(RowFormat::Csv, columns, destination.output(printer)?);
            store
                .archive::<RowFailure>(run.id, what, |cells| {
                    let values: Vec<Value<'_>> = cells.iter().map(value).collect();
                    rows.row(&values).map_err(RowFailure::Output)
                })
                .await?;
            rows.finish()?;
            drop(rows);
            destination.keep()?;
        }
        sync(&self.folder)
            .with_context(|| format!("cannot flush the folder {}", self.folder.display()))
            .map_err(Failure::usage)
    }

    /// `night-7-20261122T190000Z-results.csv`: also beside runs of other databases, and the same when it is written once more.
    fn path(&self, run: &Prunable, what: Archived) -> PathBuf {
        let is_plain = |character: &char| character.is_alphanumeric() || "-_.".contains(*character);
        let name: String = run
            .name
            .chars()
            .map(|character| if is_plain(&character) { character } else { '_' })
            .take(100)
            .collect();
        let created: String = run.created_at.to_string();
        let created: String = created
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        self.folder
            .join(format!("{name}-{}-{created}-{}.csv", run.id, what.name()))
    }
}

fn value(cell: &Cell) -> Value<'_> {
    match cell {
        // No view has bytes.
        Cell::Null | Cell::Blob(_) => Value::None,
        Cell::Integer(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Foreign(text),
        Cell::Real(number) => Value::Real(*number),
    }
}

/// Has the names of the files be on the disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RunId, Timestamp};

    #[test]
    fn a_name_of_any_kind_makes_a_file_in_the_folder() {
        let archive = Archive {
            folder: "/archive".into(),
        };
        let path = |name: &str| {
            let run = Prunable {
                id: RunId(7),
                name: name.into(),
                manifest: "night.csv".into(),
                manifest_path: None,
                is_stream: false,
                tasks: 1,
                created_at: Timestamp(1_795_374_000_123),
                finished_at: Timestamp(0),
            };
            archive.path(&run, Archived::Results)
        };
        let expected = |name: &str| {
            PathBuf::from(format!("/archive/{name}-7-20261122T190000123Z-results.csv"))
        };
        assert_eq!(path("night"), expected("night"));
        assert_eq!(path("../a b/ü"), expected(".._a_b_ü"));
        assert_eq!(path(&"x".repeat(300)), expected(&"x".repeat(100)));
    }
}
