//! The journal: one SQLite file that knows every task, every request and what came of it.
//!
//! All SQL of the crate stands in this folder. One process at a time owns a database and writes through one [`Store`]; readers use a
//! [`Reader`] and are always welcome.

mod bulk;
mod canary;
mod cancel;
mod claim;
mod end;
mod error;
mod identity;
mod journal;
mod lock;
mod open;
mod owner;
mod pace;
mod payload;
mod place;
mod plan;
mod presence;
mod prune;
mod query;
mod reader;
mod record;
mod recover;
mod refusal;
mod resolve;
mod retry;
mod run;
#[cfg(test)]
pub(crate) mod sample;
mod space;
mod span;
mod stage;
mod stale;
mod temporary;
#[cfg(test)]
mod tests;
mod throttles;
#[cfg(test)]
mod views;
mod writes;

use open::MIGRATOR;

pub use canary::{Choice, OpenCanary};
pub use claim::{Claim, Member};
pub use error::StoreError;
pub use journal::{Exchange, Finding, Journal, Tally, Wish};
pub use lock::Owner;
pub use open::Store;
pub use plan::Plan;
pub use presence::Missing;
pub use prune::{Prunable, PruneRule, PrunedRun};
pub use query::{DueTimes, Ending, Filter, FindError, Pace, ResultPages, ResultRow, RunRow};
pub use reader::{ReadError, Reader};
pub use record::{Next, Record, RequestEnd, Settlement};
pub use refusal::Refused;
pub use resolve::Adoption;
pub use retry::RetryFilter;
pub(crate) use retry::{DeviceTask, RetryDraft};
pub use run::{NewRun, Run};
pub use stage::{Staged, Stager};
pub use stale::Stale;
