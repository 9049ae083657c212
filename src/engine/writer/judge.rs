//! Whether what a request came to is about the platform or about the request.

use tokio::time::Instant;
use tracing::debug;

use super::Writer;
use crate::{
    engine::{
        Event, Stop,
        pace::FirstSendStats,
        recorder::{Settled, settle},
    },
    gateway::SendReport,
    journal::{Claim, Next, Record, RequestEnd, Settlement, suspect},
    model::{BundleStatus, RequestId, SendResult},
    policy::{self, Judgement, Signal},
    store::Tally,
    throttle::Ticket,
};

/// What a request came to.
struct JudgedRequest {
    judgement: Judgement,
    /// What it says of the platform as a whole.
    signal: Signal,
    /// How it stands when it was refused as a whole and stays together.
    together: Option<BundleStatus>,
}

impl Writer<'_, '_> {
    /// Takes what became of a request, and gives what is to be recorded of it.
    pub(super) fn done(
        &mut self,
        request: RequestId,
        (ticket, started): (Ticket, Instant),
        send_report: &SendReport,
    ) -> Option<Record> {
        // What was not handed over has not started.
        let claim = self
            .under_way
            .remove(&request)
            .or_else(|| self.waiting.remove(&request));
        let Some(claim) = claim else {
            self.pace.silent(ticket);
            return None;
        };
        let now = self.clock.now();
        let JudgedRequest {
            judgement,
            signal,
            together,
        } = self.judge(&claim, &send_report.result);
        let Settled {
            end,
            without_ticket,
        } = settle(
            &claim,
            send_report,
            judgement,
            together,
            now,
            &self.options.rules,
            &mut self.random,
        );
        debug!(%request, devices = claim.members.len(), ?signal, latency = ?send_report.latency, "request ended");
        if without_ticket > 0 {
            let devices = without_ticket;
            self.pending_events.push(Event::TicketMissing { devices });
        }
        let tasks = match &end {
            RequestEnd::Released => &[][..],
            RequestEnd::Sent { tasks, .. } => tasks,
        };
        let classes = tasks.iter().map(|task| task.outcome.class);
        self.traffic.add(send_report.latency, classes);
        let firsts = FirstSendStats::of(&claim, tasks);
        let ended = ended_by(tasks);
        self.apply_signal(&claim, (ticket, started), &signal, firsts, now, ended);
        if let SendResult::Answered(answer) = &send_report.result {
            let devices = claim.members.iter().map(|member| &*member.device_key);
            if let Some(reason) = self.strays.hear(&claim.payload, devices, answer) {
                self.begin_stop(Stop::Refused { reason });
            }
        }
        Some(Record { claim, end })
    }

    fn judge(&mut self, claim: &Claim, result: &SendResult) -> JudgedRequest {
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
}

/// What the tasks that end here are counted by.
fn ended_by(tasks: &[Settlement]) -> Vec<Tally> {
    tasks
        .iter()
        .filter_map(|task| match task.next {
            Next::End(state) => Some(Tally {
                state,
                class: Some(task.outcome.class),
                code: task.outcome.code,
            }),
            Next::Again { .. } | Next::Split { .. } => None,
        })
        .collect()
}
