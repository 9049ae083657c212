//! The journal: one SQLite file that knows every task, every request and what came of it.
//!
//! All SQL of the crate stands in this folder. One process at a time owns a database and writes through one [`Store`]; readers use a
//! [`Reader`] and are always welcome.

mod accepted_range;
mod archive;
mod bulk;
mod canary;
mod cancel;
mod changes;
#[cfg(test)]
pub(crate) mod conformance;
mod control;
mod error;
mod file_id;
mod identity;
mod lock;
mod open;
mod owner;
mod pace;
mod payload;
mod place;
mod plan;
mod presence;
mod prune;
mod push;
mod query;
mod reader;
mod recover;
mod resolve;
mod retry;
mod row;
mod run;
#[cfg(test)]
pub(crate) mod sample;
mod schema;
mod seal;
mod select;
mod session;
mod space;
mod sqlite;
mod stage;
mod stale;
mod tally;
mod temporary;
#[cfg(test)]
mod tests;
mod throttles;
mod transaction;
#[cfg(test)]
mod views;
mod writes;

use schema::MIGRATOR;

pub use archive::Archived;
pub(crate) use canary::NewCanary;
pub(crate) use changes::Changes;
pub use control::{ControlFile, ControlFiles, ControlledRun, TakenBack};
pub use error::{Missing, Owner, StoreError};
pub use lock::{Presence, presence};
pub use open::Store;
pub(crate) use payload::PayloadCache;
pub use plan::Plan;
pub use prune::{Prunable, PrunedRun};
pub(crate) use query::MOST_KEYS;
pub use query::{
    Answer, Cell, Changed, Comparison, Direction, DueTimes, FindError, Grouping, LastThrottle,
    OrderedPages, PastAcceptance, PrunedRow, RecentThroughput, ResultPages, ResultRow, RunRow,
    Send, SessionRow, SqlError, UnknownName,
};
pub use query::{BreakdownError, Group, GroupCounts, OpenPause};
pub use reader::{ReadError, Reader};
pub use resolve::Adoption;
pub(crate) use retry::{DeviceTask, RetryDraft};
pub(crate) use row::{
    AcceptedRange, Attempt, Blocker, Bundle, CanaryRow, DeviceThrottle, Due, DueTask, EndedTask,
    FinishedRequest, FirstTask, NewBundle, NewRequest, NextTask, ProbeTask, PushRows, RefusalKey,
    RefusalRow,
};
pub use row::{Member, Tally};
pub use run::{NewRun, Run};
pub use select::{Unknown, UnknownValue};
pub use session::{NewSession, SessionEnd, SessionTotals};
pub use stage::{Staged, Stager};
pub use stale::Stale;
pub use tally::Ending;
pub(crate) use transaction::PushTransaction;
