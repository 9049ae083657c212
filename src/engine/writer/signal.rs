//! What a request says of the platform as a whole, and what the push does about it.

use tokio::time::Instant;
use tracing::info;

use super::Writer;
use crate::{
    engine::{Event, Pause, Stop, pace::FirstSendStats, sender::Gate},
    journal::{Claim, outage::Change},
    model::Timestamp,
    policy::{self, Signal},
    store::Tally,
    throttle::Ticket,
};

/// So many payloads are named when a push gives up.
const NAMED: usize = 3;

impl Writer<'_, '_> {
    /// Heeds the signal of a request that was sent at `sent_at`, and by which these tasks have ended.
    pub(super) fn apply_signal(
        &mut self,
        claim: &Claim,
        (ticket, sent_at): (Ticket, Instant),
        signal: &Signal,
        firsts: FirstSendStats,
        now: Timestamp,
        ended: Vec<Tally>,
    ) {
        if let Signal::Stop { reason } = signal {
            let reason = reason.clone();
            self.begin_stop(Stop::Refused { reason });
        }
        let before = self.outage.is_paused();
        let (change, excuse) =
            self.outage
                .apply_signal(claim.request, claim.payload_id, signal, now);
        let pauses = self.outage.is_paused();
        self.excused.ended(
            ended.into_iter(),
            excuse,
            *signal == Signal::Reached,
            pauses,
        );
        self.remember_payload(claim);
        let begins = pauses && !before;
        let lowered = match signal {
            Signal::Reached => self.pace.answered(ticket, sent_at, firsts),
            Signal::Throttled { retry_after, .. } => {
                let hold = retry_after.map(|asked| policy::probe_delay(0, Some(asked)));
                self.pace.refused(ticket, hold)
            }
            // A probe that fails says nothing about the rate.
            Signal::Unusable {
                overloaded: true, ..
            } if begins => {
                self.pace.silent(ticket);
                self.pace.overloaded()
            }
            Signal::Unusable {
                overloaded: true, ..
            } if !before => self.pace.refused(ticket, None),
            _ => {
                self.pace.silent(ticket);
                None
            }
        };
        if let Some(change) = change {
            self.follow(change, now);
        }
        if let Some(rate) = lowered {
            info!(rate, "the platform throttles: rate lowered");
            self.pending_events.push(Event::RateLowered { rate });
        }
        if let Some(requests) = self.pace.new_in_flight() {
            info!(requests, "the platform limits the requests in flight");
            self.pending_events
                .push(Event::InFlightLimited { requests });
        }
        if let Some((requests, rate)) = self.pace.newly_held_up() {
            info!(requests, rate, "the concurrency limits the rate");
            self.pending_events.push(Event::HeldUp { requests, rate });
        }
    }

    /// Does what follows from a change of what is known of the platform.
    pub(super) fn follow(&mut self, change: Change, now: Timestamp) {
        match change {
            Change::Paused { reason, probe_at } => {
                self.set_gate(Gate::ProbesOnly);
                self.journal.pauses(reason.clone(), now);
                self.pending_events.push(Event::Paused(Pause {
                    reason,
                    probe_at,
                    give_up_at: self.outage.give_up_at().unwrap_or(now),
                }));
            }
            Change::Resumed { after } => {
                self.set_gate(Gate::Open);
                self.journal.goes_on(now);
                self.pending_events.push(Event::Resumed { after });
            }
            Change::Refused { reason } => self.begin_stop(Stop::Refused { reason }),
        }
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

    /// Why the push gives up: what was said last, and with which payloads, when it is the sends that fail and not the logins.
    pub(super) fn giving_up(&self) -> String {
        let Some((reason, sent, tried)) = self.outage.account() else {
            return String::new();
        };
        if !sent {
            return reason.to_owned();
        }
        let mut named: Vec<&str> = self.tried.values().map(String::as_str).collect();
        let others = tried.len().saturating_sub(named.len());
        let others = match others {
            0 => None,
            1 => Some("1 other".to_owned()),
            others => Some(format!("{others} others")),
        };
        named.extend(others.as_deref());
        format!(
            "{reason}; logins worked, and no request had a usable answer; tried with payloads: {}",
            named.join(", ")
        )
    }
}
