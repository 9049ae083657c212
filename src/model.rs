//! The words of the domain as types: what a payload is, what a send can come to, which states a task can be in.
//!
//! Nothing here does I/O, and nothing here imports another module of the crate.

mod device_rate;
mod doubt;
mod fate;
mod history;
mod ids;
mod options;
mod outcome;
mod payload;
mod state;
mod ticket;
mod time;
mod words;

pub use device_rate::DeviceRate;
pub use doubt::{Doubt, DoubtfulSend, Downlink, Rival, Trace, Window};
pub use fate::{Answer, Element, Fate, Unsent};
pub use history::History;
pub use ids::{BundleId, PayloadId, RequestId, RunId, TaskId};
pub use options::{AbortIf, AfterFailure, InDoubt, Language, OptionError, Percent, Rate, Region};
pub use outcome::{Class, Outcome};
pub use payload::{Payload, Row, RowError};
pub use state::{Counts, RunState, TaskState};
pub use ticket::Ticket;
pub use time::Timestamp;
pub use words::{LogFormat, ProgressMode, RowFormat, ShownState, SummaryFormat};
