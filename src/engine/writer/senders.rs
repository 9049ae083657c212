//! The senders, as the writer sees them: what goes to them, and whether requests may leave.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::warn;

use crate::{
    clock::Permission,
    engine::sender::{self, Gate, Job, SenderReport},
    gateway::{Gateway, Outgoing},
    journal::Claim,
    model::Timestamp,
    throttle::Pacer,
};

/// The way to the senders. They end with it, whatever ends that.
pub(super) struct Senders {
    jobs: mpsc::Sender<Job>,
    gate: watch::Sender<Gate>,
    tasks: JoinSet<()>,
    /// Whether a stop has closed the gate, which then stays closed.
    closed: bool,
}

impl Senders {
    /// Begins as many as may send at a time; gives where they report.
    pub(super) fn spawn<G: Gateway>(
        gateway: Arc<G>,
        pacer: Arc<Pacer>,
        permission: Permission,
        concurrency: usize,
    ) -> (Self, mpsc::Receiver<SenderReport>) {
        // Claims are made only as long as there is a place here for each, so that the writer never waits for a sender that waits for it.
        let places = 2 * concurrency;
        let (jobs, jobs_out) = mpsc::channel(places);
        // Each of them is reported at most twice.
        let (reports_in, reports) = mpsc::channel(2 * places);
        let (gate, gate_out) = watch::channel(Gate::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(sender::run(
            gateway,
            pacer,
            jobs_out,
            gate_out,
            reports_in,
            permission,
            concurrency,
        ));
        let senders = Self {
            jobs,
            gate,
            tasks,
            closed: false,
        };
        (senders, reports)
    }

    /// Hands a claim over.
    pub(super) fn send(&self, claim: &Claim, probe: bool, not_after: Option<Timestamp>) {
        let job = Job {
            request: claim.request,
            outgoing: Outgoing {
                payload: Arc::clone(&claim.payload),
                devices: claim
                    .members
                    .iter()
                    .map(|member| Arc::clone(&member.device_key))
                    .collect(),
                suspect: claim.bundle_status.suspect,
                not_after,
            },
            probe,
        };
        // There is a place for every claim; that the senders are gone is noticed when their reports are waited for.
        if let Err(error) = self.jobs.try_send(job) {
            warn!(%error, "a claimed request could not be handed to a sender");
        }
    }

    /// Lets requests leave, or only probes, unless a stop has closed the gate.
    pub(super) fn set_gate(&self, gate: Gate) {
        if !self.closed {
            self.gate.send_replace(gate);
        }
    }

    /// Lets nothing more leave, for good.
    pub(super) fn close_gate(&mut self) {
        self.closed = true;
        self.gate.send_replace(Gate::Closed);
    }

    /// The gate, for a wait in which nothing is sent.
    pub(super) fn gate(&self) -> &watch::Sender<Gate> {
        &self.gate
    }

    /// Stops them: nothing more is sent than what is on its way.
    pub(super) async fn abort(&mut self) {
        self.tasks.abort_all();
        self.join().await;
    }

    /// Waits for their end. A panic of theirs is carried on, since without them a push would wait for ever.
    pub(super) async fn join(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
