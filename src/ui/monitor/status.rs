//! What is known of a push from outside the engine.

use super::{About, metrics::Kept};
use crate::{
    engine::Event,
    model::{Counts, Timestamp},
};

/// What the metrics tell.
#[derive(Debug, Clone)]
pub(super) struct Status {
    /// When the command was started.
    pub(super) started: Timestamp,
    /// The run, once it is known.
    pub(super) standing: Option<Standing>,
    /// Whether a push is under way.
    pub(super) pushing: bool,
    /// Whether it waits for the platform to answer again.
    pub(super) paused: bool,
    /// How often it began to wait for that.
    pub(super) outages: u64,
    /// Requests answered or lost.
    pub(super) requests: u64,
    /// What earlier commands, and at its end this one, have left.
    pub(super) kept: Kept,
    /// Whether the command has ended, after which nothing changes.
    over: bool,
}

/// A run, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) run: String,
    pub(super) manifest: String,
    pub(super) target: String,
    pub(super) counts: Counts,
}

impl Status {
    pub(super) fn new(started: Timestamp, kept: Kept) -> Self {
        Self {
            started,
            standing: None,
            pushing: false,
            paused: false,
            outages: 0,
            requests: 0,
            kept,
            over: false,
        }
    }

    /// A push of this run begins.
    pub(super) fn began(&mut self, about: About<'_>, counts: Counts) {
        self.pushing = true;
        self.standing = Some(Standing {
            run: about.name.to_owned(),
            manifest: about.manifest.to_owned(),
            target: about.target.to_owned(),
            counts,
        });
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, event: &Event) {
        // A command that was told to leave at once may have ended before its push has noticed.
        if self.over {
            return;
        }
        match event {
            Event::Progress {
                counts, requests, ..
            } => {
                self.requests = *requests;
                if let Some(standing) = &mut self.standing {
                    standing.counts = *counts;
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
        self.kept.exit = Some(exit);
        self.kept.exit_at = Some(now);
        if exit == 0 {
            self.kept.success_at = Some(now);
        }
    }
}
