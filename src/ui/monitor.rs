//! What machines see of a push while it runs: a metrics file for Prometheus, and the service manager.
//!
//! Both get it from the events of the engine and from nowhere else. The engine emits its counts every second even if nothing happens, so
//! there is no timer here: if the engine is stuck, the metrics file becomes old and the watchdog is not reset.

mod file;
mod last_end;
mod listening;
mod metrics;
mod page;
mod service;
mod status;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc::Receiver, task::spawn_blocking};

pub(crate) use self::{
    file::MetricsError,
    listening::{ListenMonitor, listening_words},
};
use self::{
    file::MetricsFile,
    last_end::LastEnd,
    metrics::render,
    service::{Notice, Notices, Service},
    status::{RunStatus, Status},
};
use super::{report::RunReport, text::clean};
use crate::{
    engine::Event,
    model::{Counts, RunState, Timestamp},
};

/// How often the metrics file is written in a push.
const WRITE_EVERY: Duration = Duration::from_secs(15);

/// Tells machines how a push gets on. Clones tell of the same push; the default one tells nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Monitor {
    metrics: Option<Arc<Mutex<Metrics>>>,
    service: Option<Arc<Service>>,
    /// Who paused or cancelled the run.
    stopped_by: Arc<Mutex<Option<String>>>,
}

/// The run that is pushed, as it is told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub name: &'a str,
    /// The manifest as it was named.
    pub manifest: &'a str,
    /// The base URL, or the word `simulator`.
    pub target: &'a str,
    /// Whether the process goes on with another push when this one has ended.
    pub goes_on: bool,
}

#[derive(Debug)]
struct Metrics {
    file: MetricsFile,
    status: Status,
    /// Whether the last write has failed, which is told once.
    failing: bool,
}

impl Monitor {
    /// A monitor that writes this metrics file, if one is named, and tells the service manager, if one wants to know.
    ///
    /// An error means that the file could not be written; nothing of it has been changed.
    pub(crate) fn open(metrics_file: Option<&Path>, now: Timestamp) -> Result<Self, MetricsError> {
        let metrics = metrics_file
            .map(|path| {
                let file = MetricsFile::open(path)?;
                let status = Status::new(now, LastEnd::read(file.content(), now));
                Ok(Arc::new(Mutex::new(Metrics {
                    file,
                    status,
                    failing: false,
                })))
            })
            .transpose()?;
        Ok(Self {
            metrics,
            service: Service::of_process().map(Arc::new),
            stopped_by: Arc::default(),
        })
    }

    /// Follows a push until the channel of its events closes. `counts` is where the run stands at its beginning.
    pub(crate) async fn watch(
        &self,
        about: About<'_>,
        counts: Counts,
        mut events: Receiver<Event>,
        now: impl Fn() -> Timestamp,
    ) {
        let began = now();
        let watchdog = self.service.as_ref().and_then(|service| service.watchdog());
        let goes_on = about.goes_on;
        let mut notices = Notices::new(counts, watchdog, goes_on, began);
        self.notify(vec![Notice::Ready, Notice::Status("pushing".to_owned())])
            .await;
        self.change(|status| status.began(about, counts));
        self.write().await;
        let mut written = began;
        while let Some(event) = events.recv().await {
            let now = now();
            self.change(|status| status.take(&event));
            if written.until(now) >= WRITE_EVERY {
                written = now;
                self.write().await;
            }
            self.notify(notices.after(&event, now)).await;
        }
        // Whoever has said that it stops is ended after a while.
        if !goes_on {
            self.notify(vec![Notice::Stopping]).await;
        }
    }

    /// Tells the service manager that the process lives, and what it waits for, as long as nothing is pushed.
    pub(crate) async fn waits(&self, why: &str) {
        let status = Notice::Status(why.replace('\n', " "));
        self.notify(vec![Notice::Ready, status, Notice::Watchdog])
            .await;
    }

    /// Notes where the run stands after a push, or when there was nothing to push.
    pub(crate) fn set_status(&self, report: &RunReport) {
        let is_stopped = matches!(report.state, RunState::Paused | RunState::Cancelled);
        let words = is_stopped.then(|| clean(&report.state_and_author()).into_owned());
        *lock(&self.stopped_by) = words;
        self.change(|status| {
            status.run = Some(RunStatus {
                name: report.name.clone(),
                manifest: report.manifest.clone(),
                target: report.target.clone(),
                counts: report.counts,
                failed: Some(report.failed_by_class()),
                deliveries: Some(report.deliveries.clone()),
            });
        });
    }

    /// Tells how the command ended: the exit code, and whether it could do its work. Nothing is told afterwards.
    pub(crate) async fn ended(&self, exit: u8, worked: bool, now: Timestamp) {
        self.change(|status| status.ended(exit, now));
        self.write().await;
        let mut notices = Vec::new();
        if worked {
            // A service that ends well without having been ready counts as failed (systemd.service, Type=notify).
            notices.push(Notice::Ready);
        }
        let stopped_by = lock(&self.stopped_by).clone();
        let words = match stopped_by {
            Some(words) => format!("{words}; ended with exit code {exit}"),
            None => format!("ended with exit code {exit}"),
        };
        notices.extend([Notice::Status(words), Notice::Stopping]);
        self.notify(notices).await;
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        if let Some(metrics) = &self.metrics {
            change(&mut lock(metrics).status);
        }
    }

    /// Writes the metrics file. That it cannot be written is no reason to stop a push.
    async fn write(&self) {
        let Some(metrics) = self.metrics.clone() else {
            return;
        };
        let written = spawn_blocking(move || lock(&metrics).write()).await;
        if let Err(error) = written {
            tracing::warn!(%error, "the metrics file was not written");
        }
    }

    async fn notify(&self, notices: Vec<Notice>) {
        if let Some(service) = &self.service {
            service.notify(notices).await;
        }
    }
}

impl Metrics {
    fn write(&mut self) {
        let text = render(&self.status, self.file.label());
        match self.file.write(&text) {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(cause = %error.cause(), "{error}");
            }
            Err(_) => {}
        }
    }
}

fn lock<T>(metrics: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves numbers that are right one by one, which is all that they are for.
    metrics.lock().unwrap_or_else(PoisonError::into_inner)
}
