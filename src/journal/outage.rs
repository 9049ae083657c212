//! Whether the platform is there: a state machine over the outcomes of requests, in the order in which they ended, without its own clock.
//!
//! One request without a usable answer proves nothing. Five in a row, from any sender, are an outage. Then only probes are sent, with one
//! device each. After a probe was answered, 1, 2, 4 … requests are sent at a time, because a platform that recovers should not get
//! everything that has waited at once.
//!
//! A platform that has answered and then refuses requests for their number (429, 503) may do so until a window of its limit is over. That
//! is an outage only when it lasts.

use std::time::Duration;

use crate::{
    model::{PayloadId, RequestId, Timestamp},
    policy::{Signal, probe_delay},
};

/// So many requests in a row without a usable answer are an outage.
const IN_A_ROW: u32 = 5;
/// A refusal of the credentials or the endpoint is believed when so many probes in a row have met it, too.
const REFUSED_PROBES: u32 = 2;
/// When all requests have been refused for their number for so long, the rate is not what is wrong.
const LULL: Duration = Duration::from_secs(10);
/// The pace needs no more tries in that time, beside those that were under way or due.
const TRIES: usize = 20;

/// What is known of the platform.
#[derive(Debug)]
pub(crate) struct OutageTracker {
    max_outage: Duration,
    /// Requests at a time that the push may send when nothing is wrong.
    concurrency: usize,
    /// The latest request that has been handed out.
    newest: RequestId,
    /// Whether anything has ever been answered.
    answered: bool,
    /// Requests in a row without a usable answer.
    row: u32,
    /// Requests in a row that a platform which had answered refused for their number, with 503.
    overloaded: usize,
    /// Refusals of credentials or endpoint in a row, each of a request that was handed out after the one before had ended.
    refusals: u32,
    /// Refusals of requests up to this one are one refusal.
    refused_until: RequestId,
    trouble: Option<Trouble>,
    phase: OutagePhase,
}

/// A time without a usable answer.
#[derive(Debug)]
struct Trouble {
    since: Timestamp,
    /// What was said last.
    reason: String,
    /// Whether a request got as far as being sent, which takes a login.
    sent: bool,
    /// The payloads of these requests.
    tried: Vec<PayloadId>,
}

#[derive(Debug)]
enum OutagePhase {
    /// Nothing is wrong.
    Open,
    Paused(Probing),
    Rising(Rising),
}

#[derive(Debug)]
struct Probing {
    failed: u32,
    /// Probes in a row whose credentials or endpoint were refused.
    refused: u32,
    probe_at: Timestamp,
    /// The probe under way.
    probe: Option<RequestId>,
}

#[derive(Debug)]
struct Rising {
    /// Requests up to this one were handed out before.
    after: RequestId,
    /// Requests at a time.
    allowed: usize,
    /// Usable answers since that was allowed.
    answers: usize,
    /// Whether a request has been answered since the probe.
    proven: bool,
}

/// What changes by the end of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutageChange {
    /// Nothing but probes may be sent; also when a pause goes on.
    Paused {
        /// What the platform or the network said.
        reason: String,
        /// When the next probe is sent.
        probe_at: Timestamp,
    },
    /// The platform answers again.
    Resumed {
        /// How long it had not.
        after: Duration,
    },
    /// The platform refuses everybody.
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Whether what has ended with a request speaks of its devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// It does.
    No,
    /// It does unless an outage is about to be found.
    Perhaps,
    /// It ended in an outage.
    Yes,
}

impl OutageTracker {
    pub(crate) fn new(max_outage: Duration, concurrency: usize) -> Self {
        Self {
            max_outage,
            concurrency,
            newest: RequestId(0),
            answered: false,
            row: 0,
            overloaded: 0,
            refusals: 0,
            refused_until: RequestId(0),
            trouble: None,
            phase: OutagePhase::Open,
        }
    }

    /// Whether nothing but probes may be sent.
    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.phase, OutagePhase::Paused(_))
    }

    /// Whether a probe should be sent now.
    pub(crate) fn wants_probe(&self, now: Timestamp) -> bool {
        self.next_probe().is_some_and(|at| at <= now)
    }

    /// When a probe should be sent, if none is under way.
    pub(crate) fn next_probe(&self) -> Option<Timestamp> {
        match &self.phase {
            OutagePhase::Paused(probing) if probing.probe.is_none() => Some(probing.probe_at),
            _ => None,
        }
    }

    /// How many requests may be under way, and after which request these are counted; `None` when nothing limits them.
    pub(crate) fn allowed(&self) -> Option<(RequestId, usize)> {
        match &self.phase {
            OutagePhase::Rising(rising) => Some((rising.after, rising.allowed)),
            OutagePhase::Open | OutagePhase::Paused(_) => None,
        }
    }

    /// Whether this request is the probe under way.
    pub(crate) fn is_probe(&self, request: RequestId) -> bool {
        matches!(&self.phase, OutagePhase::Paused(probing) if probing.probe == Some(request))
    }

    /// Whether a probe has passed and this is the next request.
    pub(crate) fn follows_probe(&self, request: RequestId) -> bool {
        matches!(&self.phase, OutagePhase::Rising(rising) if !rising.proven && request > rising.after)
    }

    /// The time at which to give up.
    pub(crate) fn give_up_at(&self) -> Option<Timestamp> {
        self.trouble
            .as_ref()
            .map(|trouble| trouble.since.after(self.max_outage))
    }

    /// Whether it is time to give up. A probe that is due, or under way, is heard first: the time may have passed while this process
    /// stood still. It cannot be sent when there is nothing that it `can_carry`.
    pub(crate) fn gives_up(&self, now: Timestamp, can_carry: bool) -> bool {
        let has_a_say = match &self.phase {
            OutagePhase::Paused(probing) => match probing.probe {
                Some(_) => true,
                None => can_carry && probing.probe_at <= now,
            },
            OutagePhase::Open | OutagePhase::Rising(_) => false,
        };
        !has_a_say && self.give_up_at().is_some_and(|at| at <= now)
    }

    /// Begins a pause when it is time to give up and none has begun: whoever gives up has asked once more. Nothing is asked when there is
    /// nothing that a probe `can_carry`.
    pub(crate) fn ask_once_more(
        &mut self,
        now: Timestamp,
        can_carry: bool,
    ) -> Option<OutageChange> {
        let is_late = self.give_up_at().is_some_and(|at| at <= now);
        (is_late && can_carry && !self.is_paused()).then(|| self.pause(&self.reason(), now))
    }

    /// What was said last, whether logins worked all the while, and the payloads that were tried.
    pub(crate) fn account(&self) -> Option<(&str, bool, &[PayloadId])> {
        let trouble = self.trouble.as_ref()?;
        Some((&trouble.reason, trouble.sent, &trouble.tried))
    }

    /// Notes that this request is handed out; in a pause it is the probe.
    pub(crate) fn handed_out(&mut self, request: RequestId) {
        self.newest = self.newest.max(request);
        if let OutagePhase::Paused(probing) = &mut self.phase {
            probing.probe = Some(request);
        }
    }

    /// This request came back unsent, or nothing can be learned from it; if it was the probe, another one is needed.
    pub(crate) fn silent(&mut self, request: RequestId, now: Timestamp) {
        if let OutagePhase::Paused(probing) = &mut self.phase
            && probing.probe == Some(request)
        {
            probing.failed += 1;
            probing.probe = None;
            probing.probe_at = now.after(probe_delay(probing.failed, None));
        }
    }

    /// Heeds what the end of a request says.
    pub(crate) fn apply_signal(
        &mut self,
        request: RequestId,
        payload: PayloadId,
        signal: &Signal,
        now: Timestamp,
    ) -> (Option<OutageChange>, Excuse) {
        match signal {
            Signal::Reached => (self.reached(request, now), Excuse::No),
            Signal::Silent | Signal::Stop { .. } => {
                self.silent(request, now);
                (None, Excuse::No)
            }
            Signal::Throttled { reason, .. } => {
                (self.throttled(request, payload, reason, now), Excuse::No)
            }
            Signal::Unusable {
                reason,
                retry_after,
                overloaded,
                sent,
            } => {
                self.note(payload, reason, *sent, now);
                self.unusable(request, *retry_after, *overloaded, now)
            }
            Signal::Unauthorized { reason } => (
                self.refused(request, payload, reason, false, now),
                Excuse::No,
            ),
            Signal::Forbidden { reason } => (
                self.refused(request, payload, reason, true, now),
                Excuse::No,
            ),
        }
    }

    fn reached(&mut self, request: RequestId, now: Timestamp) -> Option<OutageChange> {
        self.answered = true;
        (self.row, self.overloaded) = (0, 0);
        self.refusals = 0;
        let trouble = self.trouble.take();
        match &mut self.phase {
            OutagePhase::Open => None,
            OutagePhase::Paused(_) => {
                self.phase = OutagePhase::Rising(Rising {
                    after: self.newest,
                    allowed: 1,
                    answers: 0,
                    proven: false,
                });
                Some(OutageChange::Resumed {
                    after: trouble.map_or(Duration::ZERO, |trouble| trouble.since.until(now)),
                })
            }
            OutagePhase::Rising(rising) => {
                if request > rising.after {
                    rising.proven = true;
                    rising.answers += 1;
                    if rising.answers >= rising.allowed {
                        rising.answers = 0;
                        rising.allowed *= 2;
                    }
                    if rising.allowed >= self.concurrency {
                        self.phase = OutagePhase::Open;
                    }
                }
                None
            }
        }
    }

    fn throttled(
        &mut self,
        request: RequestId,
        payload: PayloadId,
        reason: &str,
        now: Timestamp,
    ) -> Option<OutageChange> {
        // The probe passed and the next request did not: it may be this one.
        let after_probe = self.follows_probe(request);
        self.note(payload, reason, true, now);
        self.silent(request, now);
        (!self.is_paused() && (after_probe || self.is_lull(now)))
            .then(|| self.pause(reason, now.after(probe_delay(0, None))))
    }

    /// Whether nothing has been answered for so long that a limit does not explain it.
    fn is_lull(&self, now: Timestamp) -> bool {
        let since = self.trouble.as_ref().map(|trouble| trouble.since);
        since.is_some_and(|since| since.until(now) >= LULL)
    }

    fn unusable(
        &mut self,
        request: RequestId,
        retry_after: Option<Duration>,
        overloaded: bool,
        now: Timestamp,
    ) -> (Option<OutageChange>, Excuse) {
        let is_lull = self.is_lull(now);
        match &mut self.phase {
            OutagePhase::Paused(probing) => {
                if probing.probe != Some(request) {
                    // It was under way when the pause began.
                    return (None, Excuse::Yes);
                }
                probing.failed += 1;
                probing.refused = 0;
                probing.probe = None;
                probing.probe_at = now.after(probe_delay(probing.failed, retry_after));
                let probe_at = probing.probe_at;
                return (Some(self.paused(probe_at)), Excuse::Yes);
            }
            OutagePhase::Rising(rising) if request <= rising.after => return (None, Excuse::Yes),
            // The probe passed and the next request did not: one of the two is the exception.
            OutagePhase::Rising(rising) if !rising.proven => self.row = IN_A_ROW,
            // Requests have passed: it is a limit, for which the pace knows what to do, as with any refusal for their number.
            OutagePhase::Open | OutagePhase::Rising(_) if overloaded && self.answered => {
                self.overloaded += 1;
                if !is_lull && self.overloaded < TRIES + 2 * self.concurrency {
                    return (None, Excuse::Perhaps);
                }
                self.row = IN_A_ROW;
            }
            OutagePhase::Open | OutagePhase::Rising(_) => self.row += 1,
        }
        if self.row < IN_A_ROW {
            return (None, Excuse::Perhaps);
        }
        let reason = self.reason();
        let change = self.pause(&reason, now.after(probe_delay(0, retry_after)));
        (Some(change), Excuse::Yes)
    }

    /// The credentials or the endpoint were refused, for good if it `stops` the push. That may be about one request, so that others are
    /// heard first.
    fn refused(
        &mut self,
        request: RequestId,
        payload: PayloadId,
        reason: &str,
        stops: bool,
        now: Timestamp,
    ) -> Option<OutageChange> {
        self.note(payload, reason, true, now);
        if let OutagePhase::Paused(probing) = &mut self.phase {
            if probing.probe != Some(request) {
                return None;
            }
            probing.probe = None;
            probing.refused += 1;
            if stops && probing.refused >= REFUSED_PROBES {
                return Some(OutageChange::Refused {
                    reason: reason.to_owned(),
                });
            }
            // The first one waits for nothing; a new token may have been had meanwhile.
            probing.probe_at = match probing.refused {
                1 => now,
                more => now.after(probe_delay(more - 2, None)),
            };
            let probe_at = probing.probe_at;
            return Some(self.paused(probe_at));
        }
        if request <= self.refused_until {
            return None;
        }
        self.refused_until = self.newest;
        self.refusals += 1;
        let believed = self.refusals > 1 || (stops && !self.answered);
        believed.then(|| self.pause(reason, now))
    }

    fn pause(&mut self, reason: &str, probe_at: Timestamp) -> OutageChange {
        (self.row, self.overloaded) = (0, 0);
        self.refusals = 0;
        self.phase = OutagePhase::Paused(Probing {
            failed: 0,
            refused: 0,
            probe_at,
            probe: None,
        });
        OutageChange::Paused {
            reason: reason.to_owned(),
            probe_at,
        }
    }

    fn paused(&self, probe_at: Timestamp) -> OutageChange {
        OutageChange::Paused {
            reason: self.reason(),
            probe_at,
        }
    }

    fn reason(&self) -> String {
        self.trouble
            .as_ref()
            .map(|trouble| trouble.reason.clone())
            .unwrap_or_default()
    }

    fn note(&mut self, payload: PayloadId, reason: &str, sent: bool, now: Timestamp) {
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: now,
            reason: String::new(),
            sent: false,
            tried: Vec::new(),
        });
        reason.clone_into(&mut trouble.reason);
        trouble.sent |= sent;
        if !trouble.tried.contains(&payload) {
            trouble.tried.push(payload);
        }
    }
}

#[cfg(test)]
mod tests;
