//! Signals: the first one asks for an orderly stop, the second one leaves at once.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::spawn_blocking,
};

use crate::{exit::Failure, ui::printer::Printer};

/// How often a signal has asked to stop.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    stop: watch::Receiver<bool>,
    leave: watch::Receiver<bool>,
}

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on.
    pub(super) fn listen(printer: &Printer) -> Result<Self, Failure> {
        let (stop_sender, stop) = watch::channel(false);
        let (leave_sender, leave) = watch::channel(false);
        let listen = |kind| signal(kind).map_err(Failure::usage);
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hang_up = listen(SignalKind::hangup())?;
        let printer = printer.clone();
        tokio::spawn(async move {
            for asked in [&stop_sender, &leave_sender] {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                    _ = hang_up.recv() => "SIGHUP",
                };
                if !*stop_sender.borrow() {
                    let words = format!("{name}: stopping in good order; once more leaves at once");
                    let printer = printer.clone();
                    // A terminal that is stopped would stop whatever else runs on this thread. The words come before what they lead to.
                    let _ = spawn_blocking(move || printer.say(&words)).await;
                }
                asked.send_replace(true);
            }
        });
        Ok(Self { stop, leave })
    }

    /// Becomes true with the first signal.
    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Waits for the first signal.
    pub(super) async fn stopped(&self) {
        wait(self.stop.clone()).await;
    }

    /// Waits for the second signal.
    pub(super) async fn left(&self) {
        wait(self.leave.clone()).await;
    }
}

async fn wait(mut signal: watch::Receiver<bool>) {
    if signal.wait_for(|asked| *asked).await.is_err() {
        // Nobody listens for signals any more, so none will come.
        std::future::pending::<()>().await;
    }
}
