//! What has changed from one run to another. The failing tasks of each run come from the index of trouble, and devices that only one run has
//! from the two indexes of devices side by side: what has gone well in both is never read.
//!
//! A device is its key, within its product. What is found stands in temporary tables, so that memory does not grow with it.

mod count;
mod find;
mod pages;
mod products;

pub(crate) use count::Grouping;

use super::{ResultRow, RunRow};
use crate::{
    model::{Change, RunId},
    store::reader::{ReadError, Reader},
};

/// A device whose fate has changed, or that still fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// What has become of it.
    pub change: Change,
    /// Its task in the later run, where there is one to show.
    pub later: Option<ResultRow>,
    /// Its task in the earlier run, where there is one to show.
    pub earlier: Option<ResultRow>,
    id: i64,
}

impl Changed {
    /// The task that is meant by a filter and in a group.
    pub(crate) fn shown(&self) -> Option<&ResultRow> {
        if self.change.is_of_later() {
            self.later.as_ref()
        } else {
            self.earlier.as_ref()
        }
    }
}

/// What has changed between two runs, or what fails in each of several.
#[derive(Debug)]
pub(crate) struct Comparison<'r> {
    reader: &'r mut Reader,
    earlier: RunId,
    later: RunId,
    after: i64,
}

impl Reader {
    /// Compares two runs.
    pub(crate) async fn compare(
        &mut self,
        earlier: &RunRow,
        later: &RunRow,
    ) -> Result<Comparison<'_>, ReadError> {
        self.make_temporary(find::TABLES).await?;
        find::changes(&mut self.connection, earlier, later)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(self.comparison(earlier, later))
    }

    /// Finds the devices that fail in each of these runs, the earliest first; two at least.
    pub(crate) async fn failing_in_all(
        &mut self,
        runs: &[RunRow],
    ) -> Result<Option<Comparison<'_>>, ReadError> {
        let [.., earlier, later] = runs else {
            return Ok(None);
        };
        self.make_temporary(find::TABLES).await?;
        find::failing_in_all(&mut self.connection, runs)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(Some(self.comparison(earlier, later)))
    }

    fn comparison(&mut self, earlier: &RunRow, later: &RunRow) -> Comparison<'_> {
        Comparison {
            earlier: earlier.id,
            later: later.id,
            reader: self,
            after: 0,
        }
    }
}
