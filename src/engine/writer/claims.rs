//! Claims and records: what can be claimed, what is claimed and what has come back, and when to start a transaction for them.

use std::time::Duration;

use tokio::time::Instant;

use super::{backlog::Backlog, came_back::CameBack, judge::Judge, outstanding::Outstanding};
use crate::{
    engine::{
        Options,
        feeder::{linger, room},
    },
    model::Timestamp,
};

/// What is claimed, and what is not yet.
#[derive(Debug)]
pub(super) struct Claims {
    chunk_size: u32,
    concurrency: usize,
    pub(super) backlog: Backlog,
    pub(super) outstanding: Outstanding,
    pub(super) came_back: CameBack,
}

impl Claims {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            chunk_size: options.chunk_size,
            concurrency: options.concurrency,
            backlog: Backlog::unknown(),
            outstanding: Outstanding::default(),
            came_back: CameBack::default(),
        }
    }

    /// How many requests to claim now; a claim that `rides` shares the transaction of what is recorded.
    pub(super) fn wanted(&self, judge: &Judge, now: Timestamp, rides: bool) -> usize {
        if !self.backlog.is_claimable(now) {
            return 0;
        }
        let room = room(
            self.concurrency,
            judge.pace.rate(self.chunk_size),
            self.outstanding.unsent(),
            self.outstanding.count(),
            rides,
        );
        judge.platform.allows(now, &self.outstanding, room)
    }

    /// Until when what came back may wait for a claim to share its transaction. Nothing waits in a pause, nor when no claim is to come
    /// since the push `is_stopping`.
    pub(super) fn waits_until(&self, judge: &Judge, is_stopping: bool) -> Option<Instant> {
        let linger = if is_stopping || judge.platform.is_paused() {
            Duration::ZERO
        } else {
            linger(judge.pace.rate(self.chunk_size), self.outstanding.count())
        };
        self.came_back.waits_until(linger)
    }
}
