//! The words of the domain as types: what a payload is, what a send can come to, which states a task can be in.
//!
//! Nothing here does I/O, but for the look-up of a time zone that somebody names, and nothing here imports another module of the crate.

mod age;
mod bundle_status;
mod change;
mod consent;
mod control;
mod course;
mod device_rate;
mod dimension;
mod history;
mod ids;
mod in_doubt;
mod latency;
mod loopback;
mod options;
mod outcome;
mod payload;
mod rollout;
mod schedule;
mod send_result;
mod state;
mod tags;
mod task_filter;
mod threshold;
mod ticket;
mod time;
mod tolerance;
mod unseen;
mod words;

pub use age::Age;
pub use bundle_status::{BundleStatus, Sizes};
pub use change::Change;
pub use consent::Consent;
pub use control::{Control, ControlAction, Paused};
pub use course::{Course, CourseStep};
pub use device_rate::DeviceRate;
pub use dimension::{Dimension, DimensionError};
pub use history::History;
pub use ids::{BundleId, PayloadId, RequestId, RunId, TaskId};
pub use in_doubt::{CompetingSend, Downlink, InDoubtSend, InDoubtTask, TimeRange, Trace};
pub use latency::Latency;
pub use loopback::is_loopback;
pub use options::{AfterFailure, InDoubt, Language, OptionError, Percent, Rate, Region};
pub use outcome::{Class, Outcome};
pub use payload::{BadRow, Payload, Row, RowError};
pub use rollout::{Canary, CanaryStanding, CanaryVerdict, Ramp, Steps};
pub use schedule::{
    DailyWindow, Deadline, Hours, Moment, RepeatAfter, Schedule, SendWindow, Until,
};
pub use send_result::{Answer, Element, SendResult, Stray, Unsent};
pub use state::{Counts, RunState, TaskState, TaskStatus};
pub use tags::Tags;
pub use task_filter::{Devices, TaskFilter};
pub use threshold::{AbortIf, Bound, Condition, Counted, Limit, Tolerate};
pub use ticket::Ticket;
pub use time::Timestamp;
pub use tolerance::{LimitCount, Tolerance};
pub use unseen::CodePoint;
pub use words::{LogFormat, ProgressMode, RowFormat, SummaryFormat};
