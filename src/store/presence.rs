//! Whether the database is still where it was opened, and how its content is saved if it is not.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use super::{Missing, Store, StoreError, file_id::FileId, home::Home, identity::log_path};

impl Store {
    /// What somebody has taken away since the push began. Costs two calls of the system.
    pub(crate) fn missing(&self) -> Option<Missing> {
        // What cannot be looked at is not known to be gone.
        let is_here = |path: &Path, id| FileId::at(path).map_or(true, |found| found == Some(id));
        let file = match &self.home {
            Home::File(file) => file,
            Home::Server(server) => {
                return (!server.lease.permission().holds()).then_some(Missing::Lease);
            }
        };
        if !is_here(&file.path, file.file) {
            return Some(Missing::Database);
        }
        let log = file.log?;
        (!is_here(&log_path(&file.path), log)).then_some(Missing::Log)
    }

    /// Saves all that the database has into a new file: beside its path, or else in the folder for temporary files. It is still open here,
    /// whatever became of its name.
    pub(crate) async fn save_aside(&mut self) -> Result<PathBuf, StoreError> {
        let path = self.home.path().unwrap_or(Path::new(""));
        let mut beside = path.as_os_str().to_owned();
        beside.push(".saved");
        let name = path.file_name().unwrap_or_default().to_owned();
        let mut elsewhere = std::env::temp_dir().join(name).into_os_string();
        elsewhere.push(".saved");
        let mut result = self.save_as(beside.into()).await;
        if result.is_err() {
            result = self.save_as(elsewhere.into()).await;
        }
        result
    }

    async fn save_as(&mut self, wanted: PathBuf) -> Result<PathBuf, StoreError> {
        let failed = |path: &Path, source| StoreError::File {
            action: "save what is open as",
            path: path.to_owned(),
            source,
        };
        let mut path = wanted.clone();
        for n in 2.. {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(&path) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let mut next = wanted.as_os_str().to_owned();
                    next.push(format!("-{n}"));
                    path = next.into();
                }
                Err(error) => return Err(failed(&path, error)),
            }
        }
        // SQLite writes into a file that is there when it is empty.
        let saved = sqlx::query("VACUUM INTO ?")
            .bind(path.to_string_lossy().into_owned())
            .execute(&mut self.connection)
            .await;
        if let Err(error) = saved {
            let _ = std::fs::remove_file(&path);
            return Err(error.into());
        }
        Ok(path)
    }
}
