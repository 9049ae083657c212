//! What an outcome means and what follows from it: pure functions of a reply, a task's history, the time and a random source.
//!
//! The rules are those of the design's table "Outcomes and what follows"; the codes stand in [`codes`].

pub(crate) mod canary_proof;
pub(crate) mod codes;
mod disposition;
mod evidence;
mod judgement;
mod threshold;

pub(crate) use disposition::{
    Disposition, Rules, after_crash, dispose, longest_pause, next_task_at, probe_delay,
};
pub(crate) use evidence::{Evidence, EvidenceVerdict, Match, Weighed, spans, weigh};
pub(crate) use judgement::{Basis, DeviceOutcome, Judgement, Signal, judge};
pub(crate) use threshold::{Sample, crossed, tolerance};
