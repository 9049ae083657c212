//! Senders: a slot, then a token, then one send. They know no SQL and no retry rule.

use std::sync::Arc;

use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    gateway::{Delivery, Gateway, Outgoing},
    model::RequestId,
    throttle::Pacer,
};

/// One claimed request on its way to a sender.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: RequestId,
    pub(super) outgoing: Outgoing,
    /// Whether it is the one request that may go out during an outage.
    pub(super) probe: bool,
}

/// What a sender says.
#[derive(Debug)]
pub(super) enum Report {
    /// The send begins: from now on the request may reach the platform.
    Started(RequestId),
    /// The send is over.
    Done {
        request: RequestId,
        started: Instant,
        delivery: Delivery,
    },
    /// The request was not sent, since the gate closed before it.
    Returned(RequestId),
}

/// Whether requests may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    ProbesOnly,
    Closed,
}

impl Gate {
    fn lets(self, job: &Job) -> bool {
        match self {
            Self::Open => true,
            Self::ProbesOnly => job.probe,
            Self::Closed => false,
        }
    }
}

/// Sends what comes in on `jobs`, at most `concurrency` at a time, until its sender is gone.
///
/// A slot is taken before the token, so that a stall of the platform is not followed by a burst of requests whose tokens were drawn
/// during it.
pub(super) async fn run<G: Gateway>(
    gateway: Arc<G>,
    pacer: Arc<Pacer>,
    mut jobs: mpsc::Receiver<Job>,
    gate: watch::Receiver<Gate>,
    reports: mpsc::Sender<Report>,
    concurrency: usize,
) {
    stream::poll_fn(move |context| jobs.poll_recv(context))
        .for_each_concurrent(concurrency, |job| {
            send(&*gateway, &pacer, gate.clone(), &reports, job)
        })
        .await;
}

async fn send<G: Gateway>(
    gateway: &G,
    pacer: &Pacer,
    mut gate: watch::Receiver<Gate>,
    reports: &mpsc::Sender<Report>,
    job: Job,
) {
    let request = job.request;
    let closed = tokio::select! {
        biased;
        _ = gate.wait_for(|gate| !gate.lets(&job)) => true,
        () = pacer.token(job.outgoing.devices.len()) => false,
    };
    // The writer outlives the senders; when it does not, nobody is left to tell.
    if closed {
        let _ = reports.send(Report::Returned(request)).await;
        return;
    }
    let _ = reports.send(Report::Started(request)).await;
    let started = Instant::now();
    let delivery = gateway.send(job.outgoing).await;
    let _ = reports
        .send(Report::Done {
            request,
            started,
            delivery,
        })
        .await;
}
