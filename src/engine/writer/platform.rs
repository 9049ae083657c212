//! The state of the platform: whether it is there, and whether the outcome of a request says something about it or only about the request.

use std::{collections::BTreeMap, time::Duration};

use super::{backlog::Backlog, outstanding::Outstanding};
use crate::{
    journal::{
        Claim,
        outage::{Excuse, OutageChange, OutageTracker},
        suspect::{self, Others},
    },
    model::{BundleStatus, PayloadId, RequestId, SendResult, Timestamp},
    policy::{self, Judgement, Signal},
};

/// So many payloads are named when a push gives up.
const NAMED: usize = 3;

/// What is known of the platform.
#[derive(Debug)]
pub(super) struct Platform {
    outage: OutageTracker,
    /// What the payloads are that an outage has been met with, for a person.
    tried: BTreeMap<PayloadId, String>,
    others: Others,
}

/// What a request came to.
#[derive(Debug)]
pub(super) struct JudgedRequest {
    pub(super) judgement: Judgement,
    /// What it says of the platform as a whole.
    pub(super) signal: Signal,
    /// How it stands when it was refused as a whole and stays together.
    pub(super) together: Option<BundleStatus>,
}

/// What follows from a signal.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) change: Option<OutageChange>,
    /// Whether what ended with the request counts.
    pub(super) excuse: Excuse,
    pub(super) was_paused: bool,
    pub(super) is_paused: bool,
}

impl Platform {
    /// Nothing is wrong as yet.
    pub(super) fn new(max_outage: Duration, concurrency: usize) -> Self {
        Self {
            outage: OutageTracker::new(max_outage, concurrency),
            tried: BTreeMap::new(),
            others: Others::default(),
        }
    }

    /// Whether nothing but probes may be sent.
    pub(super) fn is_paused(&self) -> bool {
        self.outage.is_paused()
    }

    /// How many requests it may be sent now, when otherwise there would be `room` for so many.
    pub(super) fn allows(&self, now: Timestamp, outstanding: &Outstanding, room: usize) -> usize {
        if self.outage.is_paused() {
            return usize::from(self.outage.wants_probe(now) && outstanding.unsent() == 0);
        }
        match self.outage.allowed() {
            Some((after, allowed)) => room.min(allowed.saturating_sub(outstanding.after(after))),
            None => room,
        }
    }

    /// When it may be sent the next of what there is, if nothing comes before.
    pub(super) fn next_claim(&self, backlog: &Backlog) -> Option<Timestamp> {
        match self.outage.next_probe() {
            Some(probe) => Some(probe.max(backlog.not_before().unwrap_or(probe))),
            None => backlog.next_due(),
        }
    }

    /// Notes that a request is handed out; gives whether it is a probe.
    pub(super) fn handed_out(&mut self, request: RequestId) -> bool {
        let probe = self.outage.is_paused();
        self.outage.handed_out(request);
        probe
    }

    /// A request came back unsent.
    pub(super) fn returned(&mut self, request: RequestId, now: Timestamp) {
        self.outage.silent(request, now);
    }

    /// Whether what a request came to is about the platform or about the request.
    pub(super) fn judge(&mut self, claim: &Claim, result: &SendResult) -> JudgedRequest {
        let judgement = policy::judge(result, claim.members.len());
        let was_sent = !matches!(result, SendResult::Unsent(_));
        let refusal = suspect::refusal(&judgement, was_sent);
        let answered = refusal.is_none() && judgement.signal == Signal::Reached;
        if answered {
            self.others.answered(claim.request);
        }
        if claim.bundle.is_none() && (answered || refusal.is_some()) {
            self.others.first_ended(refusal.is_some());
        }
        // A probe is one device of some request, and goes back to the others.
        let is_probe = self.outage.is_probe(claim.request);
        let after_probe = self.outage.follows_probe(claim.request);
        let together = refusal
            .filter(|_| !is_probe || claim.bundle_status.suspect)
            .map(|refusal| {
                self.others
                    .refused(claim.bundle_status, claim.request, refusal, after_probe)
            });
        let mut signal = judgement.signal.clone();
        if together.is_some_and(|bundle_status| bundle_status.suspect) {
            // It says nothing of the platform, but that it was there to answer.
            signal = match result {
                SendResult::Answered(_) if is_probe => Signal::Reached,
                _ => Signal::Silent,
            };
        }
        JudgedRequest {
            judgement,
            signal,
            together,
        }
    }

    /// Heeds the signal of a request.
    pub(super) fn apply_signal(&mut self, claim: &Claim, signal: &Signal, now: Timestamp) -> Heard {
        let was_paused = self.outage.is_paused();
        let (change, excuse) =
            self.outage
                .apply_signal(claim.request, claim.payload_id, signal, now);
        self.remember_payload(claim);
        Heard {
            change,
            excuse,
            was_paused,
            is_paused: self.outage.is_paused(),
        }
    }

    /// Begins a pause when it is time to give up and none has begun, with a probe for what it `can_carry`.
    pub(super) fn ask_once_more(
        &mut self,
        now: Timestamp,
        can_carry: bool,
    ) -> Option<OutageChange> {
        self.outage.ask_once_more(now, can_carry)
    }

    /// When to give up.
    pub(super) fn give_up_at(&self) -> Option<Timestamp> {
        self.outage.give_up_at()
    }

    /// Why to give up, when it is time to: what was said last, and with which payloads, when it is the sends that fail and not the logins.
    pub(super) fn gives_up(&self, now: Timestamp, can_carry: bool) -> Option<String> {
        if !self.outage.gives_up(now, can_carry) {
            return None;
        }
        let Some((reason, sent, tried)) = self.outage.account() else {
            return Some(String::new());
        };
        if !sent {
            return Some(reason.to_owned());
        }
        let mut named: Vec<&str> = self.tried.values().map(String::as_str).collect();
        let others = tried.len().saturating_sub(named.len());
        let others = match others {
            0 => None,
            1 => Some("1 other".to_owned()),
            others => Some(format!("{others} others")),
        };
        named.extend(others.as_deref());
        Some(format!(
            "{reason}; logins worked, and no request had a usable answer; tried with payloads: {}",
            named.join(", ")
        ))
    }

    /// Keeps the words for a payload that is met with trouble, as long as there is trouble.
    fn remember_payload(&mut self, claim: &Claim) {
        match self.outage.account() {
            None => self.tried.clear(),
            Some((.., tried)) => {
                if tried.iter().take(NAMED).any(|id| *id == claim.payload_id) {
                    self.tried
                        .entry(claim.payload_id)
                        .or_insert_with(|| claim.payload.words());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
