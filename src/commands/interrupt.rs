//! Signals: the first one asks for an orderly stop, the second one for a stop without waiting for replies, the third one ends the process.

use std::time::Duration;

use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
};

use crate::{exit::Failure, ui::printer::Printer};

/// The signals that ask to stop: each of them would end a process that does not listen for it, and leave what is under way in doubt.
const ASKING: [(Signal, &str); 7] = [
    (Signal::INT, "SIGINT"),
    (Signal::TERM, "SIGTERM"),
    (Signal::HUP, "SIGHUP"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::USR2, "SIGUSR2"),
    // The processor time of `ulimit -t` is used up; the limit that kills comes later.
    (Signal::XCPU, "SIGXCPU"),
];

/// How long the work may take to leave after the second signal: the books are closed and the summary is printed.
const LEAVING: Duration = Duration::from_millis(1500);

/// How often a signal has asked to stop.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    stop: watch::Receiver<bool>,
    leave: watch::Receiver<bool>,
    end: watch::Receiver<bool>,
}

impl Interrupt {
    /// Listens for the signals that ask to stop from now on.
    pub(super) fn listen(printer: &Printer) -> Result<Self, Failure> {
        let (stop_sender, stop) = watch::channel(false);
        let (leave_sender, leave) = watch::channel(false);
        let (end_sender, end) = watch::channel(false);
        let (heard_by, mut heard) = mpsc::channel(ASKING.len());
        for (asking, name) in ASKING {
            // Whoever starts a process with `nohup` wants it to outlive the terminal.
            if asking == Signal::HUP && is_ignored(asking) {
                continue;
            }
            let mut signals =
                signal(SignalKind::from_raw(asking.as_raw())).map_err(Failure::usage)?;
            let heard_by = heard_by.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if heard_by.send(name).await.is_err() {
                        break;
                    }
                }
            });
        }
        let printer = printer.clone();
        tokio::spawn(async move {
            for asked in [&stop_sender, &leave_sender, &end_sender] {
                let Some(name) = heard.recv().await else {
                    return;
                };
                if !*stop_sender.borrow() {
                    let words = format!(
                        "{name}: stopping after the requests in flight; a second signal stops at once"
                    );
                    let printer = printer.clone();
                    // A terminal that is stopped would stop whatever else runs on this thread. The words come before what they lead to.
                    let _ = spawn_blocking(move || printer.say(&words)).await;
                }
                asked.send_replace(true);
            }
        });
        Ok(Self { stop, leave, end })
    }

    /// Becomes true with the first signal.
    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// The same, that also stops when something else does. It ends with the guard.
    pub(super) fn or(
        &self,
        other: impl Future<Output = ()> + Send + 'static,
    ) -> (Self, JoinSet<()>) {
        let (sender, stop) = watch::channel(self.is_stopped());
        let signal = self.stop.clone();
        let mut guard = JoinSet::new();
        guard.spawn(async move {
            tokio::select! {
                () = wait(signal) => {}
                () = other => {}
            }
            sender.send_replace(true);
            // Who waits for a signal must not take the end of this for the end of all signals.
            sender.closed().await;
        });
        let both = Self {
            stop,
            leave: self.leave.clone(),
            end: self.end.clone(),
        };
        (both, guard)
    }

    /// Becomes true with the second signal.
    pub(super) fn leave(&self) -> watch::Receiver<bool> {
        self.leave.clone()
    }

    /// Whether somebody has asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits so long; true as soon as somebody has asked to stop.
    pub(super) async fn stopped_within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.stopped()).await.is_ok()
    }

    /// Waits for the first signal.
    pub(super) async fn stopped(&self) {
        wait(self.stop.clone()).await;
    }

    /// Waits until the work must be left as it is: some time after the second signal, or with the third one.
    pub(super) async fn ended(&self) {
        wait(self.leave.clone()).await;
        tokio::select! {
            () = wait(self.end.clone()) => {}
            () = tokio::time::sleep(LEAVING) => {}
        }
    }
}

async fn wait(mut signal: watch::Receiver<bool>) {
    if signal.wait_for(|asked| *asked).await.is_err() {
        // Nobody listens for signals any more, so none will come.
        std::future::pending::<()>().await;
    }
}

/// Has a file that grows beyond its limit (`ulimit -f`) fail like a full disk, instead of ending the process.
pub(super) fn survive_file_limits() -> Result<(), Failure> {
    // A handler stays when nobody waits for its signal.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))
        .map(drop)
        .map_err(Failure::usage)
}

/// Whether the process was started with this signal ignored. Only Linux tells.
fn is_ignored(signal: Signal) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return false;
    };
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}
