//! Senders: a slot, then a token, then one send. They know no SQL and no retry rule.

use std::sync::Arc;

use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    clock::Permission,
    gateway::{Gateway, Handover, Outgoing, SendReport},
    model::{RequestId, SendResult, Unsent},
    throttle::{Pacer, Ticket},
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
pub(super) enum SenderReport {
    /// The last piece of the request has been handed to HTTP: from now on the platform may act on it.
    Started(RequestId),
    /// The send is over.
    Done {
        request: RequestId,
        ticket: Ticket,
        started: Instant,
        send_report: SendReport,
    },
    /// The request was not sent, since the gate closed before it had been handed over, or its time was over.
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
    fn lets(self, probe: bool) -> bool {
        match self {
            Self::Open => true,
            Self::ProbesOnly => probe,
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
    reports: mpsc::Sender<SenderReport>,
    permission: Permission,
    concurrency: usize,
) {
    stream::poll_fn(move |context| jobs.poll_recv(context))
        .for_each_concurrent(concurrency, |job| {
            send(&*gateway, &pacer, gate.clone(), &reports, &permission, job)
        })
        .await;
}

async fn send<G: Gateway>(
    gateway: &G,
    pacer: &Pacer,
    mut gate: watch::Receiver<Gate>,
    reports: &mpsc::Sender<SenderReport>,
    permission: &Permission,
    job: Job,
) {
    let Job {
        request,
        outgoing,
        probe,
    } = job;
    let token = tokio::select! {
        biased;
        _ = gate.wait_for(|gate| !gate.lets(probe)) => None,
        ticket = pacer.token(outgoing.devices.len()) => Some(ticket),
    };
    // The writer outlives the senders; when it does not, nobody is left to tell.
    let Some(ticket) = token else {
        let _ = reports.send(SenderReport::Returned(request)).await;
        return;
    };
    let tell = reports.clone();
    let handover = Handover::telling(permission.clone(), move || {
        // There is a place for both reports of every request.
        let _ = tell.try_send(SenderReport::Started(request));
    });
    // A sender that is stopped, as at the end of a drain, leaves nothing behind that goes out later.
    let _withdrawal = WithdrawnWhenDropped(&handover);
    let started = Instant::now();
    let send_report = tokio::select! {
        biased;
        send_report = gateway.send(outgoing, handover.clone()) => send_report,
        () = withdrawn(&mut gate, probe, &handover) => {
            pacer.returned(ticket);
            pacer.silent(ticket);
            let _ = reports.send(SenderReport::Returned(request)).await;
            return;
        }
    };
    // Another one may go at once, whenever the writer gets to this one.
    pacer.returned(ticket);
    // What lacked the permission to go comes back as what came too late.
    let is_late = send_report.result == SendResult::Unsent(Unsent::Late);
    let is_forbidden = !permission.holds() && handover.is_withdrawn();
    let report = if is_late || is_forbidden {
        pacer.silent(ticket);
        SenderReport::Returned(request)
    } else {
        SenderReport::Done {
            request,
            ticket,
            started,
            send_report,
        }
    };
    let _ = reports.send(report).await;
}

/// Waits until the gate closes before a request that has not been handed over.
async fn withdrawn(gate: &mut watch::Receiver<Gate>, probe: bool, handover: &Handover) {
    let _ = gate.wait_for(|gate| !gate.lets(probe)).await;
    if !handover.withdraw() {
        std::future::pending::<()>().await;
    }
}

struct WithdrawnWhenDropped<'h>(&'h Handover);

impl Drop for WithdrawnWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use super::*;
    use crate::{
        model::{Answer, Payload, SendResult, Timestamp},
        throttle::Ceilings,
    };

    /// A platform that answers nothing as long as it stalls, and notes when each request came.
    struct Stalling {
        stalls: watch::Receiver<bool>,
        came: Mutex<Vec<Instant>>,
    }

    impl Gateway for Stalling {
        async fn send(&self, _: Outgoing, handover: Handover) -> SendReport {
            assert!(handover.hand_over());
            self.came.lock().unwrap().push(Instant::now());
            let mut stalls = self.stalls.clone();
            stalls.wait_for(|stalls| !stalls).await.unwrap();
            SendReport {
                sent_at: Timestamp(0),
                latency: Duration::ZERO,
                result: SendResult::Answered(Answer::default()),
            }
        }
    }

    fn job(request: i64) -> Job {
        Job {
            request: RequestId(request),
            outgoing: Outgoing {
                suspect: false,
                payload: Arc::new(Payload::plain("PK", "[]")),
                not_after: None,
                devices: vec!["DK".into()],
            },
            probe: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_not_followed_by_a_burst() {
        let (stall, stalls) = watch::channel(true);
        let platform = Arc::new(Stalling {
            stalls,
            came: Mutex::default(),
        });
        let ceilings = Ceilings {
            requests: Some(10.0),
            devices: None,
        };
        let pacer = Arc::new(Pacer::new(ceilings, 16, Some(10.0)));
        let (jobs, jobs_out) = mpsc::channel(20);
        for request in 0..20 {
            jobs.try_send(job(request)).unwrap();
        }
        drop(jobs);
        let (_gate, gate) = watch::channel(Gate::Open);
        let (reports, _heard) = mpsc::channel(100);
        let gateway = Arc::clone(&platform);
        let senders = tokio::spawn(run(
            gateway,
            pacer,
            jobs_out,
            gate,
            reports,
            Permission::unlimited(),
            4,
        ));
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(platform.came.lock().unwrap().len(), 4, "one for each slot");
        stall.send_replace(false);
        senders.await.unwrap();
        let came = platform.came.lock().unwrap();
        assert_eq!(came.len(), 20);
        // Of what waited for a slot, one goes at once and the others at the rate, but for what a timer may be late.
        for pair in came[4..].windows(2) {
            let apart = pair[1] - pair[0];
            assert!(apart >= Duration::from_millis(70), "{apart:?}");
        }
    }
    /// A platform to which nothing goes any more.
    struct Forbidden;

    impl Gateway for Forbidden {
        async fn send(&self, _: Outgoing, handover: Handover) -> SendReport {
            assert!(!handover.hand_over());
            SendReport {
                sent_at: Timestamp(0),
                latency: Duration::ZERO,
                result: SendResult::Unsent(Unsent::Unreachable {
                    error: "withdrawn".into(),
                    retry_after: None,
                }),
            }
        }
    }

    #[tokio::test]
    async fn what_may_not_leave_comes_back_unsent() {
        let (jobs, jobs_out) = mpsc::channel(1);
        let (_gate, gate) = watch::channel(Gate::Open);
        let (reports, mut heard) = mpsc::channel(4);
        jobs.send(job(7)).await.unwrap();
        drop(jobs);
        let ceilings = Ceilings {
            requests: None,
            devices: None,
        };
        let pacer = Arc::new(Pacer::new(ceilings, 16, None));
        let permission = Permission::until(Duration::ZERO);
        run(
            Arc::new(Forbidden),
            pacer,
            jobs_out,
            gate,
            reports,
            permission,
            1,
        )
        .await;
        let Some(SenderReport::Returned(request)) = heard.recv().await else {
            panic!("it was not sent");
        };
        assert_eq!(request, RequestId(7));
        assert!(heard.recv().await.is_none());
    }
}
