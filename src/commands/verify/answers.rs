//! Compares the answers of devices with the expected ones.

use super::{Lent, Work};
use crate::{
    exit::Failure,
    gateway::HistoryClient,
    journal::{answer, delivery},
    model::{Proof, TaskId},
    store::Run,
};

/// Answers that are judged at a time.
const PAGE: u32 = 2_000;

impl<H: HistoryClient> Work<'_, H> {
    /// How evidence goes with what is known.
    pub(super) fn fold(&self) -> fn(Option<Proof>, Proof) -> Proof {
        if self.settings.expected.is_empty() {
            delivery::fold_unjudged
        } else {
            delivery::fold
        }
    }

    /// Judges the answer that a proof has before it is recorded.
    pub(super) fn judge(&self, proof: &mut Proof) {
        answer::judge(proof, &self.settings.expected);
    }

    /// Judges all answers of the run that are kept, also those that another expectation has judged. Without an expectation they stay as
    /// they are.
    pub(super) async fn judge_answers(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
    ) -> Result<(), Failure> {
        let expected = &self.settings.expected;
        if expected.is_empty() || self.settings.dry_run {
            return Ok(());
        }
        let mut after = (TaskId(0), 0);
        loop {
            let Some(mut store) = lent.take().await? else {
                return Ok(());
            };
            let answers = store.kept_answers(run, after, PAGE).await?;
            let changed: Vec<_> = answers
                .iter()
                .map(|kept| (kept, answer::judged(kept.answer.as_deref(), expected)))
                .filter(|(kept, delivery)| kept.delivery != *delivery)
                .map(|(kept, delivery)| (kept.task, kept.attempt, delivery))
                .collect();
            if !changed.is_empty() {
                store.judge_answers(run, &changed).await?;
            }
            lent.give_back(store).await?;
            match answers.last() {
                Some(last) => after = (last.task, last.attempt),
                None => return Ok(()),
            }
        }
    }
}
