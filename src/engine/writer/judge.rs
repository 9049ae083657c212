//! What the end of a request means for its tasks, for the pace, for the thresholds and for the push as a whole.

use rand::rngs::SmallRng;
use tokio::time::Instant;
use tracing::debug;

use super::{
    platform::{JudgedRequest, Platform},
    thresholds::Thresholds,
};
use crate::{
    engine::{
        Event, Options, Stop, Traffic,
        pace::{FirstSendStats, Pace},
        recorder::{Settled, settle},
    },
    gateway::SendReport,
    journal::{Claim, Journal, RequestEnd, Strays, outage::OutageChange},
    model::{SendResult, Timestamp},
    policy::{Rules, Signal},
    store::KeptRate,
    throttle::Ticket,
};

/// All that learns from what requests came to.
pub(super) struct Judge {
    rules: Rules,
    random: SmallRng,
    pub(super) platform: Platform,
    pub(super) pace: Pace,
    pub(super) thresholds: Thresholds,
    pub(super) traffic: Traffic,
    strays: Strays,
}

/// What follows for the push, in the order in which it is done.
#[derive(Debug)]
pub(super) enum Effect {
    Tell(Event),
    Stop(Stop),
    Follow(OutageChange),
}

impl Judge {
    pub(super) fn new(
        options: &Options,
        journal: &Journal<'_>,
        found: Option<KeptRate>,
        random: SmallRng,
        now: Timestamp,
    ) -> Self {
        let concurrency = options.concurrency;
        Self {
            rules: options.rules,
            random,
            platform: Platform::new(options.max_outage, concurrency),
            pace: Pace::new(options.ceilings, concurrency, found, now),
            thresholds: Thresholds::new(options, journal),
            traffic: Traffic::default(),
            strays: Strays::default(),
        }
    }

    /// Keeps to this push's part of what its account may send, and to what another one has found; what to tell if that is news.
    pub(super) fn share(&mut self, journal: &mut Journal<'_>) -> Option<Event> {
        let told = self.pace.share(journal.sharing(), journal.followed());
        journal.lead(self.pace.lead());
        told
    }

    /// Judges a request that was `sent` so; gives what is to be recorded of it and what follows.
    pub(super) fn judge(
        &mut self,
        claim: &Claim,
        sent: (Ticket, Instant),
        send_report: &SendReport,
        now: Timestamp,
    ) -> (RequestEnd, Vec<Effect>) {
        let JudgedRequest {
            judgement,
            signal,
            together,
        } = self.platform.judge(claim, &send_report.result);
        let Settled {
            end,
            without_ticket,
        } = settle(
            claim,
            send_report,
            judgement,
            together,
            now,
            &self.rules,
            &mut self.random,
        );
        debug!(request = %claim.request, devices = claim.members.len(), ?signal, latency = ?send_report.latency, "request ended");
        let mut effects = Vec::new();
        if without_ticket > 0 {
            let devices = without_ticket;
            effects.push(Effect::Tell(Event::TicketMissing { devices }));
        }
        let classes = end.tasks().iter().map(|task| task.outcome.class);
        self.traffic.add(send_report.latency, classes);
        self.apply_signal(claim, &end, &signal, sent, now, &mut effects);
        if let SendResult::Answered(answer) = &send_report.result {
            let devices = claim.members.iter().map(|member| &*member.device_key);
            if let Some(reason) = self.strays.hear(&claim.payload, devices, answer) {
                effects.push(Effect::Stop(Stop::Refused { reason }));
            }
        }
        (end, effects)
    }

    /// Tells all whom it concerns what a request says of the platform as a whole.
    fn apply_signal(
        &mut self,
        claim: &Claim,
        end: &RequestEnd,
        signal: &Signal,
        sent: (Ticket, Instant),
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if let Signal::Stop { reason } = signal {
            let reason = reason.clone();
            effects.push(Effect::Stop(Stop::Refused { reason }));
        }
        let heard = self.platform.apply_signal(claim, signal, now);
        self.thresholds
            .ended(end.tasks(), &heard, *signal == Signal::Reached);
        let firsts = FirstSendStats::of(claim, end.tasks());
        let (was_paused, is_paused) = (heard.was_paused, heard.is_paused);
        let told = self
            .pace
            .apply_signal(signal, sent, firsts, was_paused, is_paused);
        effects.extend(heard.change.map(Effect::Follow));
        effects.extend(told.into_iter().map(Effect::Tell));
    }
}
