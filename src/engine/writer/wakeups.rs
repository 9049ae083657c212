//! What wakes the writer: a report, a person, the end of its time, or the end of a wait. Each becomes one [`Wakeup`]. Their order is
//! defined only here.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    clock::Clock,
    engine::{Stop, sender::SenderReport},
    model::{Control, ControlAction, Deadline, Timestamp},
};

/// How often the counts are told when nothing happens: to whoever watches, a sign that the engine is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The most reports that are taken at a time.
const REPORTS: usize = 1024;

/// Why the writer wakes up.
#[derive(Debug)]
pub(super) enum Wakeup {
    /// A person or the hour wants the push to stop. Each of them is heard once.
    Stop(Stop),
    /// What is under way is not to be waited for any longer.
    Leave,
    /// Senders have reported.
    Reports(Vec<SenderReport>),
    /// The senders have ended.
    NoSenders,
    /// Nothing else has happened for a while.
    Heartbeat,
    /// The moment that was waited for, if any, has come.
    Due,
}

/// How long to wait when nothing comes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    No,
    Until(Instant),
    Forever,
}

/// Everything that wakes the writer.
pub(super) struct Wakeups {
    clock: Clock,
    stop: watch::Receiver<bool>,
    leave: watch::Receiver<bool>,
    control: watch::Receiver<Option<Control>>,
    deadline: Option<Deadline>,
    reports: mpsc::Receiver<SenderReport>,
    /// Reports that have arrived and were not handed out yet.
    arrived: Vec<SenderReport>,
    heard: Heard,
}

/// The wakeups that were handed out; they stay as they are from then on.
#[derive(Default)]
struct Heard {
    stop: bool,
    leave: bool,
    control: bool,
}

impl Wakeups {
    pub(super) fn new(
        clock: Clock,
        stop: watch::Receiver<bool>,
        leave: watch::Receiver<bool>,
        control: watch::Receiver<Option<Control>>,
        deadline: Option<Deadline>,
        reports: mpsc::Receiver<SenderReport>,
    ) -> Self {
        Self {
            clock,
            stop,
            leave,
            control,
            deadline,
            reports,
            arrived: Vec::new(),
            heard: Heard::default(),
        }
    }

    /// The next thing to handle. What stops the push comes before all else that is there: nothing is claimed that it forbids.
    pub(super) async fn next(&mut self, wait: Wait) -> Wakeup {
        if let Some(wakeup) = self.ready() {
            return wakeup;
        }
        let woken = self.wait(wait).await;
        self.ready().unwrap_or(woken)
    }

    /// The time from which on nothing is sent, until it has been heard.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadline.as_ref().map(|deadline| deadline.at)
    }

    /// The signal, for a wait of another kind.
    pub(super) fn signal(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// All reports that have come.
    pub(super) fn take_reports(&mut self) -> Vec<SenderReport> {
        while let Ok(report) = self.reports.try_recv() {
            self.arrived.push(report);
        }
        std::mem::take(&mut self.arrived)
    }

    fn ready(&mut self) -> Option<Wakeup> {
        self.asked().or_else(|| {
            (!self.arrived.is_empty()).then(|| Wakeup::Reports(std::mem::take(&mut self.arrived)))
        })
    }

    /// What stops the push, a signal before a person's request and that before the hour.
    fn asked(&mut self) -> Option<Wakeup> {
        if !self.heard.stop && *self.stop.borrow() {
            self.heard.stop = true;
            return Some(Wakeup::Stop(Stop::Signal));
        }
        if !self.heard.control
            && let Some(control) = &*self.control.borrow()
        {
            self.heard.control = true;
            let reason = control.words();
            return Some(Wakeup::Stop(match control.action {
                ControlAction::Pause => Stop::Paused { reason },
                ControlAction::Cancel => Stop::Cancelled { reason },
            }));
        }
        if !self.heard.leave && *self.leave.borrow() {
            self.heard.leave = true;
            return Some(Wakeup::Leave);
        }
        let over = self
            .deadline
            .take_if(|deadline| self.clock.has_passed(deadline.at));
        over.map(|Deadline { what: reason, .. }| Wakeup::Stop(Stop::Deadline { reason }))
    }

    /// Waits until something has come; what is [ready](Self::ready) then goes before what this gives.
    async fn wait(&mut self, wait: Wait) -> Wakeup {
        if matches!(wait, Wait::No) {
            self.arrived = self.take_reports();
            return Wakeup::Due;
        }
        let due = async {
            match wait {
                Wait::Until(at) => sleep_until(at).await,
                Wait::No | Wait::Forever => std::future::pending().await,
            }
        };
        tokio::select! {
            received = self.reports.recv_many(&mut self.arrived, REPORTS) => match received {
                0 => Wakeup::NoSenders,
                _ => Wakeup::Due,
            },
            () = due => Wakeup::Due,
            () = sleep(HEARTBEAT) => Wakeup::Heartbeat,
            Ok(_) = self.stop.wait_for(|stop| *stop), if !self.heard.stop => Wakeup::Due,
            Ok(_) = self.control.wait_for(Option::is_some), if !self.heard.control => Wakeup::Due,
            Ok(_) = self.leave.wait_for(|leave| *leave), if !self.heard.leave => Wakeup::Due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RequestId;

    /// An wakeups and everything that fills it.
    struct Around {
        wakeups: Wakeups,
        stop: watch::Sender<bool>,
        leave: watch::Sender<bool>,
        control: watch::Sender<Option<Control>>,
        reports: mpsc::Sender<SenderReport>,
    }

    fn around(deadline: Option<Deadline>) -> Around {
        let (stop, stop_out) = watch::channel(false);
        let (leave, leave_out) = watch::channel(false);
        let (control, control_out) = watch::channel(None);
        let (reports, reports_out) = mpsc::channel(8);
        let clock = Clock::start();
        Around {
            wakeups: Wakeups::new(
                clock,
                stop_out,
                leave_out,
                control_out,
                deadline,
                reports_out,
            ),
            stop,
            leave,
            control,
            reports,
        }
    }

    fn cancelled() -> Control {
        Control {
            action: ControlAction::Cancel,
            by: "anna".into(),
            at: Timestamp(0),
            id: "1".into(),
            asker: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_stops_the_push_comes_before_the_reports_and_once() {
        let over = Deadline {
            at: Timestamp(0),
            what: "the hour".into(),
        };
        let mut around = around(Some(over));
        let report = SenderReport::Started(RequestId(1));
        around.reports.try_send(report).unwrap();
        around.stop.send_replace(true);
        around.leave.send_replace(true);
        around.control.send_replace(Some(cancelled()));
        let mut woken = Vec::new();
        for _ in 0..7 {
            woken.push(match around.wakeups.next(Wait::Forever).await {
                Wakeup::Stop(stop) => stop.name(),
                Wakeup::Leave => "leave",
                Wakeup::Reports(reports) => {
                    assert_eq!(reports.len(), 1);
                    "reports"
                }
                Wakeup::Heartbeat => "heartbeat",
                other => panic!("{other:?}"),
            });
        }
        let order = ["signal", "cancelled", "leave", "deadline", "reports"];
        assert_eq!(woken[..5], order);
        assert_eq!(woken[5..], ["heartbeat"; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stops_the_push_ends_a_wait_and_goes_before_the_report_that_came_with_it() {
        let mut around = around(None);
        let (stop, reports) = (around.stop.clone(), around.reports.clone());
        let (first, ()) = tokio::join!(around.wakeups.next(Wait::Forever), async {
            reports
                .try_send(SenderReport::Started(RequestId(1)))
                .unwrap();
            stop.send_replace(true);
        });
        assert!(matches!(first, Wakeup::Stop(Stop::Signal)), "{first:?}");
        let second = around.wakeups.next(Wait::No).await;
        assert!(matches!(second, Wakeup::Reports(_)), "{second:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_moment_or_with_the_senders() {
        let mut around = around(None);
        let begun = Instant::now();
        let soon = Duration::from_millis(300);
        let woken = around.wakeups.next(Wait::Until(begun + soon)).await;
        assert!(matches!(woken, Wakeup::Due), "{woken:?}");
        assert_eq!(begun.elapsed(), soon);
        drop(around.reports);
        let woken = around.wakeups.next(Wait::Forever).await;
        assert!(matches!(woken, Wakeup::NoSenders), "{woken:?}");
    }
}
