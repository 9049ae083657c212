//! How what has ended steers the push: too much of it aborts, a canary that is over is judged, and acceptances let the rate rise.

use super::Writer;
use crate::{
    engine::{Event, RolloutStep, Stop, rollout::CanaryDecision},
    model::Timestamp,
    policy::{self, Ended, Sample},
    store::StoreError,
};

impl Writer<'_, '_> {
    /// What has ended, as far as it counts towards thresholds.
    fn counted(&self) -> Vec<Ended> {
        self.journal
            .tally()
            .map(|(key, n)| (key.state, key.class, self.excused.counted(&key, n)))
            .collect()
    }

    /// Aborts the push when too much of it has gone wrong.
    pub(super) fn abort_if_crossed(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let crossed = policy::crossed(&self.options.abort_if, &self.counted(), Sample::Fleet);
        if let Some(reason) = crossed {
            self.begin_stop(Stop::Aborted { reason });
        }
    }

    /// Gets on with the rollout: ends the canary when all its devices have ended, and lets the rate rise.
    pub(super) async fn advance_rollout(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if let Some(canary) = self.journal.canary() {
            if let Some(step) = self.rollout.canary_progress(canary) {
                self.emit(Event::Rollout(step));
            }
            if canary.left == 0 && self.stopping.is_none() {
                let counted = self.counted();
                match self
                    .rollout
                    .judge(canary, self.options, self.journal, &counted)
                {
                    CanaryDecision::Stop(why) => self.begin_stop(why),
                    CanaryDecision::GoOn { went, verdict } => {
                        self.journal.end_canary(verdict, now).await?;
                        self.journal.defer_throttled(now).await?;
                        self.more = true;
                        let steps = [RolloutStep::CanaryOver { went, verdict }]
                            .into_iter()
                            .chain(self.rollout.first_step(self.journal));
                        self.pending_events.extend(steps.map(Event::Rollout));
                    }
                }
            }
        }
        if let Some(step) = self.rollout.rise(self.journal) {
            self.pace.set_ceiling(self.rollout.ceiling());
            self.pending_events.push(Event::Rollout(step));
        }
        Ok(())
    }
}
