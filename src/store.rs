//! The results database: one SQLite file with every task, every request and its outcome.
//!
//! All SQL of the crate is in this folder. One process at a time owns a database and writes through one [`Store`]. Any number of
//! [`Reader`]s can read at any time. The platform's messages are in a file of their own, the [`inbox`].

mod accepted_range;
mod archive;
mod bulk;
mod canary;
mod cancel;
mod changes;
mod common;
#[cfg(test)]
pub(crate) mod conformance;
mod control;
mod copied;
mod copy;
mod db;
mod delivery;
mod device_list;
mod device_sends;
mod error;
mod file_id;
mod hold;
mod home;
mod identity;
mod inbox;
mod lock;
mod migrate;
mod offline;
mod older;
mod open;
mod opened;
mod owner;
mod pace;
mod part;
mod payload;
mod place;
mod plan;
mod postgres;
mod presence;
mod prune;
mod push;
mod pushes;
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
mod send_time;
mod session;
mod space;
mod stage;
mod stale;
mod tally;
mod temporary;
#[cfg(test)]
mod tests;
mod throttles;
mod told;
mod transaction;
mod views;
mod writes;

use schema::MIGRATOR;

pub(crate) use archive::Archived;
pub(crate) use canary::{NewCanary, SentCommand};
pub(crate) use changes::Changes;
pub(crate) use common::{Common, CommonTask, Gate, LEFT};
pub(crate) use control::{
    ControlRequest, ControlRequests, ControlledRun, FoundRequests, RequestError, TakenBack,
};
pub(crate) use copy::{
    CopySource, CopyTarget, Digest, Holdings, Part, RunMark, SessionMark, SourceError, SourceRun,
    Written,
};
pub(crate) use delivery::{AcceptedCommand, DeliveryCounts, Looked, SendTicket, TaskProof};
pub(crate) use device_list::{DeviceLists, Difference, ListSize};
pub(crate) use device_sends::DeviceSend;
pub(crate) use error::{Missing, Owner, StoreError};
pub(crate) use inbox::{
    DevicePresence, Inbox, InboxError, InboxMessage, InboxPlace, InboxReader, MOST_OF_DEVICE,
    MessageDevice, TicketMessage, inbox_path,
};
pub(crate) use lock::{Presence, presence};
pub(crate) use migrate::{Upgrade, free, share_room};
pub(crate) use offline::OfflineFailure;
pub(crate) use open::Store;
pub(crate) use opened::Opened;
pub(crate) use pace::KeptRate;
pub(crate) use part::{OpenPart, Whole};
pub(crate) use payload::PayloadCache;
pub(crate) use place::{file_system, network_folder};
pub(crate) use plan::Plan;
pub(crate) use postgres::{ServerError, ServerStore, Sharing};
pub(crate) use prune::{Prunable, PrunedRun};
pub(crate) use query::MOST_KEYS;
pub(crate) use query::{
    Acceptance, Answer, Cell, Changed, Comparison, Direction, FindError, Grouping, LastThrottle,
    OrderedPages, PastAcceptance, PayloadId, PrunedRow, RecentThroughput, ResultPages, ResultRow,
    RunRow, Send, SessionRow, SqlError, StoredPayload, UnknownName,
};
pub(crate) use query::{BreakdownError, Group, GroupCounts, OpenPause};
pub(crate) use reader::{ReadError, Reader};
pub(crate) use resolve::{Adopted, Adoption};
pub(crate) use retry::{DeviceTask, Retriable, RetryDraft};
pub(crate) use row::{
    AcceptedRange, Attempt, Blocker, Bundle, CanaryRow, DeviceThrottle, Due, DueTask, EndedTask,
    FinishedRequest, FirstTask, Member, NewBundle, NewRequest, NextTask, ProbeTask, PushRows,
    RefusalKey, RefusalRow,
};
pub(crate) use run::{NewRun, Run};
pub(crate) use select::{Unknown, UnknownValue};
pub(crate) use session::{NewSession, SessionEnd, SessionTotals};
pub(crate) use stage::{Earlier, Forgotten, Past, PastRun, Staged, StagedTask, Stager};
pub(crate) use stage::{Listed, ListedRow};
pub(crate) use stale::Stale;
pub(crate) use told::ToldDoubt;
pub(crate) use transaction::PushTransaction;
