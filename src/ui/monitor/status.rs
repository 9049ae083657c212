//! The state of a push that the engine does not report.

use std::collections::BTreeMap;

use super::{About, last_end::LastEnd};
use crate::{
    engine::{Event, Traffic},
    model::{Class, Counts, Delivery, Timestamp},
};

/// What the metrics tell.
#[derive(Debug, Clone)]
pub(super) struct Status {
    /// When the command was started.
    pub(super) started: Timestamp,
    /// The run, once it is known.
    pub(super) run: Option<RunStatus>,
    /// Whether a push is under way.
    pub(super) pushing: bool,
    /// Whether it waits for the platform to answer again.
    pub(super) paused: bool,
    /// How often it began to wait for that.
    pub(super) outages: u64,
    /// What requests came to, those that were answered and those that were lost.
    pub(super) traffic: Traffic,
    /// The requests a second that may be sent at present.
    pub(super) rate_limit: Option<f64>,
    /// The requests a second that the platform has been found to take.
    pub(super) rate_found: Option<f64>,
    /// What earlier commands, and at its end this one, have left.
    pub(super) last_end: LastEnd,
    /// Whether the command has ended, after which nothing changes.
    over: bool,
}

/// A run, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct RunStatus {
    pub(super) name: String,
    pub(super) manifest: String,
    pub(super) target: String,
    pub(super) counts: Counts,
    /// Failed tasks by class, once they are known.
    pub(super) failed: Option<BTreeMap<Class, u64>>,
    /// Accepted tasks by what became of their commands, once that has been counted.
    pub(super) deliveries: Option<Vec<(Delivery, u64)>>,
}

impl Status {
    pub(super) fn new(started: Timestamp, last_end: LastEnd) -> Self {
        Self {
            started,
            run: None,
            pushing: false,
            paused: false,
            outages: 0,
            traffic: Traffic::default(),
            rate_limit: None,
            rate_found: None,
            last_end,
            over: false,
        }
    }

    /// A push of this run begins.
    pub(super) fn began(&mut self, about: About<'_>, counts: Counts) {
        self.pushing = true;
        self.run = Some(RunStatus {
            name: about.name.to_owned(),
            manifest: about.manifest.to_owned(),
            target: about.target.to_owned(),
            counts,
            failed: None,
            deliveries: None,
        });
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, event: &Event) {
        // A command that was told to leave at once may have ended before its push has noticed.
        if self.over {
            return;
        }
        match event {
            Event::Progress { counts, found, .. } => {
                self.rate_found = *found;
                if let Some(run) = &mut self.run {
                    run.counts = *counts;
                }
            }
            Event::Measured(now) => {
                self.traffic.clone_from(&now.traffic);
                self.rate_limit = now.rate_limit;
                if let Some(run) = &mut self.run {
                    run.failed = Some(now.failed.clone());
                }
            }
            Event::Paused(_) => {
                self.outages += u64::from(!self.paused);
                self.paused = true;
            }
            Event::Resumed { .. } => self.paused = false,
            _ => {}
        }
    }

    /// The command has ended.
    pub(super) fn ended(&mut self, exit: u8, now: Timestamp) {
        self.over = true;
        self.pushing = false;
        self.paused = false;
        self.rate_limit = None;
        self.last_end.exit = Some(exit);
        self.last_end.exit_at = Some(now);
        if exit == 0 {
            self.last_end.success_at = Some(now);
        }
    }
}
