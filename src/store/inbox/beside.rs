//! The inbox as a push reads it: when it needs to, if there is one, and never at the push's expense.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    InboxError, InboxMessage, InboxReader, Since, inbox_path,
    since::{have_inputs, of_device_since},
};
use crate::{
    model::Timestamp,
    store::{StoreError, db::DbConnection},
};

/// How long a push waits for a lock: readers of an inbox wait for nobody as a rule, and its transaction is open meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_millis(200);
/// How long an inbox that could not be read is left alone.
const REST: Duration = Duration::from_mins(1);

/// The inbox of a database, for its owner.
#[derive(Debug)]
pub(crate) struct InboxBeside {
    place: Place,
    /// Until when it is left alone, since it could not be read.
    rests_until: Option<Timestamp>,
    /// What is to be told of it, once.
    trouble: Option<String>,
    is_told: bool,
}

#[derive(Debug)]
enum Place {
    /// Beside a file, opened when it is needed.
    File {
        path: PathBuf,
        reader: Option<Box<InboxReader>>,
    },
    /// Tables of the same database, which are read by the connection of the push.
    Tables,
}

impl InboxBeside {
    pub(in crate::store) fn of(database: &Path) -> Self {
        Self::at(Place::File {
            path: inbox_path(database),
            reader: None,
        })
    }

    /// That of a database on a server.
    pub(in crate::store) fn in_tables() -> Self {
        Self::at(Place::Tables)
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            rests_until: None,
            trouble: None,
            is_told: false,
        }
    }

    /// Whether there is one that can be read.
    pub(in crate::store) async fn is_there(&mut self, now: Timestamp) -> bool {
        let Place::File { path, reader } = &mut self.place else {
            return true;
        };
        if reader.is_some() {
            return true;
        }
        if self.rests_until.is_some_and(|until| now < until) {
            return false;
        }
        match InboxReader::open_within(path, BUSY_TIMEOUT).await {
            Ok(opened) => {
                *reader = Some(Box::new(opened));
                true
            }
            // A look at the file's name is all that it costs.
            Err(InboxError::Missing(_)) => false,
            Err(error) => {
                self.failed(&error, now);
                false
            }
        }
    }

    /// The places of the devices among these about which an `INPUT` has come, as far as that can be read.
    pub(in crate::store) async fn have_inputs(
        &mut self,
        of_push: &mut DbConnection,
        devices: &[Since<'_>],
        now: Timestamp,
    ) -> Result<Vec<usize>, StoreError> {
        if devices.is_empty() || !self.is_there(now).await {
            return Ok(Vec::new());
        }
        let read = match self.opened() {
            Some(reader) => reader.have_inputs(devices).await,
            None => have_inputs(of_push, devices).await,
        };
        Ok(self.known(read, now)?.unwrap_or_default())
    }

    /// The messages about this device from a time on; none when they cannot be read.
    pub(in crate::store) async fn of_device_since(
        &mut self,
        of_push: &mut DbConnection,
        since: &Since<'_>,
        now: Timestamp,
    ) -> Result<Option<Vec<InboxMessage>>, StoreError> {
        if !self.is_there(now).await {
            return Ok(None);
        }
        let read = match self.opened() {
            Some(reader) => reader.of_device_since(since).await,
            None => of_device_since(of_push, since).await,
        };
        self.known(read, now)
    }

    /// That of a file, once it is opened.
    fn opened(&mut self) -> Option<&mut InboxReader> {
        match &mut self.place {
            Place::File { reader, .. } => reader.as_deref_mut(),
            Place::Tables => None,
        }
    }

    /// Why it could not be read, the first time.
    pub(in crate::store) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Gives what was read; nothing, and leaves the inbox alone for a while, when it could not be read.
    pub(super) fn known<T>(
        &mut self,
        read: Result<T, InboxError>,
        now: Timestamp,
    ) -> Result<Option<T>, StoreError> {
        match read {
            Ok(read) => Ok(Some(read)),
            // The transaction of the push has failed with it.
            Err(InboxError::Sql(error)) if matches!(self.place, Place::Tables) => Err(error.into()),
            Err(error) => {
                self.failed(&error, now);
                Ok(None)
            }
        }
    }

    fn failed(&mut self, error: &InboxError, now: Timestamp) {
        if let Place::File { reader, .. } = &mut self.place {
            *reader = None;
        }
        self.rests_until = Some(now.after(REST));
        if !self.is_told {
            self.is_told = true;
            let cause = std::error::Error::source(error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            self.trouble = Some(format!("{error}{cause}"));
        }
    }
}
