//! The types of the domain: what a payload is, how a send can end, which states a task can be in.
//!
//! Nothing here does I/O, except for looking up a time zone by its name, and nothing here imports another module of the crate.

mod age;
mod bundle_status;
mod canary_proof;
mod change;
mod consent;
mod control;
mod course;
mod delivery;
mod device_rate;
mod dimension;
mod expected_answer;
mod history;
mod history_entry;
mod ids;
mod in_doubt;
mod inventory;
mod latency;
mod lead;
mod loopback;
mod message;
mod options;
mod outcome;
mod payload;
mod rollout;
mod schedule;
mod send_result;
mod server_address;
mod state;
mod tags;
mod task_filter;
mod threshold;
mod ticket;
mod time;
mod tolerance;
mod tsl;
mod unseen;
mod verification;
mod words;

pub(crate) use age::Age;
pub(crate) use bundle_status::{BundleStatus, Sizes};
pub(crate) use canary_proof::{CanaryCheck, CanaryProof, CanaryVerify, ProofAsked};
pub(crate) use change::Change;
pub(crate) use consent::Consent;
pub(crate) use control::{Asker, Control, ControlAction, Paused};
pub(crate) use course::{Course, CourseStep};
pub(crate) use delivery::{Delivery, DeliveryWord, EvidenceSource, Proof};
pub(crate) use device_rate::DeviceRate;
pub(crate) use dimension::Dimension;
pub(crate) use expected_answer::ExpectedAnswer;
pub(crate) use history::History;
pub(crate) use history_entry::{Direction, HistoryEntry, Trace};
pub(crate) use ids::{BundleId, PartNumber, PayloadId, RequestId, RunId, TaskId};
pub(crate) use in_doubt::{CLOCK_TOLERANCE, CompetingSend, InDoubtSend, InDoubtTask, TimeRange};
pub(crate) use inventory::{ListPage, ListedDevice, ListedProduct, ListedState};
pub(crate) use latency::Latency;
pub(crate) use lead::Lead;
pub(crate) use loopback::is_loopback;
pub(crate) use message::{
    CommandMessage, GapCause, MessageGap, MessageKind, PresenceMessage, QueueMessage,
};
pub(crate) use options::{AfterFailure, InDoubt, Language, OptionError, Percent, Rate, Region};
pub(crate) use outcome::{Class, Outcome};
pub use payload::Payload;
pub(crate) use payload::{BadRow, Row, RowError};
pub(crate) use rollout::{Canary, CanaryStatus, CanaryVerdict, Ramp, Steps};
pub(crate) use schedule::{Deadline, Hours, Moment, RepeatAfter, Schedule, SendWindow, Until};
pub(crate) use send_result::{Answer, Element, SendResult, Stray, Unsent};
pub(crate) use server_address::{AddressError, ServerAddress};
pub(crate) use state::{Counts, RunState, Tally, TaskState, TaskStatus};
pub(crate) use tags::Tags;
pub(crate) use task_filter::{Devices, TaskFilter};
pub(crate) use threshold::{AbortIf, Condition, Counted, Limit, Tolerate};
pub(crate) use ticket::Ticket;
pub(crate) use time::Timestamp;
pub(crate) use tolerance::{LimitCount, Tolerance};
pub(crate) use tsl::Tsl;
pub(crate) use unseen::CodePoint;
pub(crate) use verification::{
    CountedDelivery, DeliveryLimit, DeliveryTolerance, Sampling, Untold, VerifyLevel,
};
pub(crate) use words::{LogFormat, ManifestFormat, ProgressMode, RowFormat, SummaryFormat};
