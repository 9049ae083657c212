//! The inbox as a push reads it: when it needs to, if there is one, and never at the push's expense.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{InboxError, InboxReader, inbox_path};
use crate::model::Timestamp;

/// How long a push waits for a lock: readers of an inbox wait for nobody as a rule, and its transaction is open meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_millis(200);
/// How long an inbox that could not be read is left alone.
const REST: Duration = Duration::from_mins(1);

/// The inbox beside a database, opened when it is needed.
#[derive(Debug)]
pub(crate) struct InboxBeside {
    /// None when the database has none beside it.
    path: Option<PathBuf>,
    reader: Option<InboxReader>,
    /// Until when it is left alone, since it could not be read.
    rests_until: Option<Timestamp>,
    /// What is to be told of it, once.
    trouble: Option<String>,
    is_told: bool,
}

impl InboxBeside {
    pub(in crate::store) fn of(database: &Path) -> Self {
        Self::at(Some(inbox_path(database)))
    }

    /// That of a database on a server, which has none yet.
    pub(in crate::store) fn absent() -> Self {
        Self::at(None)
    }

    fn at(path: Option<PathBuf>) -> Self {
        Self {
            path,
            reader: None,
            rests_until: None,
            trouble: None,
            is_told: false,
        }
    }

    /// The inbox, if there is one that can be read.
    pub(in crate::store) async fn reader(&mut self, now: Timestamp) -> Option<&mut InboxReader> {
        if self.reader.is_none() {
            if self.rests_until.is_some_and(|until| now < until) {
                return None;
            }
            let path = self.path.as_ref()?;
            match InboxReader::open_within(path, BUSY_TIMEOUT).await {
                Ok(reader) => self.reader = Some(reader),
                // A look at the file's name is all that it costs.
                Err(InboxError::Missing(_)) => {}
                Err(error) => self.failed(&error, now),
            }
        }
        self.reader.as_mut()
    }

    /// Gives what was read; nothing, and leaves the inbox alone for a while, when it could not be read.
    pub(in crate::store) fn read<T>(
        &mut self,
        read: Result<T, InboxError>,
        now: Timestamp,
    ) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                self.failed(&error, now);
                None
            }
        }
    }

    /// Why it could not be read, the first time.
    pub(in crate::store) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    fn failed(&mut self, error: &InboxError, now: Timestamp) {
        self.reader = None;
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
