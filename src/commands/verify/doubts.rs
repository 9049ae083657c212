//! Tasks in doubt: decided by the messages in the inbox first, then by the history of their devices.

use super::{Lent, Messages, Sum, Work, rows};
use crate::{
    commands::repeat::repeat,
    engine::{Resolved, Stop, adopt, ask_about_doubts, doubt_by_messages, next_doubts},
    exit::Failure,
    gateway::HistoryClient,
    model::{InDoubtTask, TaskId},
    store::Run,
    ui::{format::RowWriter, number::counted, printer::unless_closed},
};

impl<H: HistoryClient> Work<'_, H> {
    /// Decides the tasks in doubt that messages decide; the others are left for the history.
    pub(super) async fn doubts_by_messages(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        messages: &mut Messages,
        sum: &mut Sum,
        rows: &mut dyn RowWriter,
    ) -> Result<Option<Stop>, Failure> {
        // What would be decided and is not recorded is decided with the others.
        if self.settings.dry_run {
            return Ok(None);
        }
        let mut after = TaskId(0);
        loop {
            let Some(mut store) = lent.take().await? else {
                return Ok(Some(Stop::Signal));
            };
            let doubts = next_doubts(&mut store, run, after).await?;
            let Some(last) = doubts.last() else {
                lent.give_back(store).await?;
                return Ok(None);
            };
            after = last.task;
            let (mut resolved, _) = self.decided(messages, doubts).await?;
            self.judge_all(&mut resolved);
            let adopted = adopt(&mut store, run, &resolved, self.clock.now()).await?;
            lent.give_back(store).await?;
            sum.asked += resolved.len() as u64;
            sum.adopted += adopted.accepted;
            sum.blocked += adopted.blocked;
            Self::show(&resolved, false, rows)?;
        }
    }

    /// Decides what messages decide, and gives what is left.
    async fn decided(
        &self,
        messages: &mut Messages,
        doubts: Vec<InDoubtTask>,
    ) -> Result<(Vec<Resolved>, Vec<InDoubtTask>), Failure> {
        let (mut resolved, mut left) = (Vec::new(), Vec::new());
        for doubt in doubts {
            match doubt_by_messages(&mut messages.inbox, &doubt, self.settings.tolerance).await? {
                Some(one) => resolved.push(one),
                None => left.push(doubt),
            }
        }
        Ok((resolved, left))
    }

    /// Asks about all tasks in doubt. Gives what has stopped it.
    pub(super) async fn doubts(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        messages: Option<&mut Messages>,
        sum: &mut Sum,
        rows: &mut dyn RowWriter,
    ) -> Result<Option<Stop>, Failure> {
        let dry_run = self.settings.dry_run;
        let mut messages = messages;
        let mut after = TaskId(0);
        loop {
            let Some(mut store) = lent.take().await? else {
                return Ok(Some(Stop::Signal));
            };
            let doubts = next_doubts(&mut store, run, after).await?;
            lent.give_back(store).await?;
            let Some(last) = doubts.last() else {
                return Ok(None);
            };
            after = last.task;
            let (decided, doubts) = match messages.as_deref_mut() {
                Some(messages) => self.decided(messages, doubts).await?,
                None => (Vec::new(), doubts),
            };
            let (asked, stop) = ask_about_doubts(&self.asker, doubts, || self.clock.now()).await;
            let mut resolved = decided;
            resolved.extend(asked);
            resolved.sort_by_key(|one| one.doubt.task);
            self.judge_all(&mut resolved);
            sum.asked += resolved.len() as u64;
            if dry_run {
                let adopted = resolved.iter().filter(|one| one.is_adopted());
                sum.adopted += adopted.count() as u64;
            } else {
                let Some(mut store) = lent.take().await? else {
                    return Ok(Some(Stop::Signal));
                };
                let adopted = adopt(&mut store, run, &resolved, self.clock.now()).await?;
                lent.give_back(store).await?;
                sum.adopted += adopted.accepted;
                sum.blocked += adopted.blocked;
            }
            Self::show(&resolved, dry_run, rows)?;
            if stop.is_some() {
                return Ok(stop);
            }
        }
    }

    /// Judges the answers of commands that were in doubt.
    fn judge_all(&self, resolved: &mut [Resolved]) {
        for proof in resolved.iter_mut().filter_map(|one| one.proof.as_mut()) {
            self.judge(proof);
        }
    }

    fn show(resolved: &[Resolved], dry_run: bool, rows: &mut dyn RowWriter) -> Result<(), Failure> {
        // A reader who has gone is no reason to stop: what is found is recorded all the same.
        let shown = resolved
            .iter()
            .try_for_each(|one| rows::doubt(one, dry_run, rows));
        Ok(unless_closed(shown)?)
    }

    pub(super) fn tell_doubts(&self, run: &Run, sum: &Sum, waiting: u64) {
        let name = &run.about.name;
        let printer = self.printer;
        printer.say(&format!(
            "run '{name}': {}",
            told(sum, self.settings.dry_run)
        ));
        let next = repeat(&self.settings.database);
        if sum.blocked > 0 {
            printer.say(&format!(
                "blocked by them, and failed as before: {}; to send: {}",
                counted(sum.blocked, "task"),
                next.command("retry", name, &run.about.base_url, " --class blocked")
            ));
        }
        if waiting > 0 {
            printer.say(&format!(
                "not asked about, because they are still to be sent again after a send in doubt: {}; to continue: {}",
                counted(waiting, "task"),
                next.command("resume", name, &run.about.base_url, "")
            ));
        }
    }
}

fn told(sum: &Sum, dry_run: bool) -> String {
    if sum.asked == 0 {
        return "no task is in doubt".to_owned();
    }
    let left = sum.asked - sum.adopted;
    let asked = counted(sum.asked, "task");
    if dry_run {
        format!(
            "{asked} in doubt; {} would be accepted, {left} would stay in doubt",
            sum.adopted
        )
    } else {
        format!(
            "asked about {asked} in doubt; {} accepted now, {left} still in doubt",
            sum.adopted
        )
    }
}
