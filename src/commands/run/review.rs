//! The last check of a new run: its likely mistakes, and at a terminal the plan and a question.

use std::io::{self, IsTerminal as _};

use anyhow::anyhow;

use super::super::{
    confirm::confirm,
    interrupt::Interrupt,
    odd,
    phases::{Phases, time},
};
use crate::{
    exit::Failure,
    preview::Preview,
    settings::Run as Settings,
    store::{NewRun, Plan, Stager},
    ui::{
        number::{counted, grouped},
        preview::lines,
        printer::Printer,
        text::clean,
    },
};

/// Above so many devices somebody at a terminal is asked.
const ASK_ABOVE: u64 = 1000;

/// A look at a new run.
pub(super) struct Review<'a> {
    pub(super) settings: &'a Settings,
    pub(super) about: &'a NewRun,
    pub(super) interrupt: &'a Interrupt,
    pub(super) printer: &'a Printer,
}

impl Review<'_> {
    /// Warns of what is odd, and lets the run go on unless somebody who is asked does not want it.
    pub(super) async fn agree(
        &self,
        stager: &mut Stager<'_>,
        preview: &Preview,
    ) -> Result<(), Failure> {
        let push = &self.settings.push;
        let asks = self.asks(preview);
        // A look at all tasks costs as much as a tenth of staging them, and is left out where nobody needs it.
        let has_own =
            preview.more_payloads || preview.payloads.len() as u64 * 10 >= preview.rows * 9;
        let plan = if asks || has_own {
            Some(stager.plan(push.pace.chunk_size).await?)
        } else {
            None
        };
        let sent = preview.rows - stager.duplicates() - stager.unchanged() - stager.held_back();
        let phases = self.phases(sent, plan.as_ref());
        let pace = (sent, push.pace.device_rate.per_second());
        let payloads = plan.as_ref().map_or(0, |plan| plan.payloads);
        for warning in odd::warnings(preview, payloads, &phases, pace) {
            self.printer.warn(&warning.words(&self.about.manifest));
        }
        match plan {
            Some(plan) if asks && plan.devices > ASK_ABOVE => {
                self.ask(stager, preview, &plan, &phases).await
            }
            _ => Ok(()),
        }
    }

    /// Whether there is somebody to ask, and reason to.
    fn asks(&self, preview: &Preview) -> bool {
        // A question that goes to a file would be waited on for ever.
        !self.settings.yes
            && preview.rows > ASK_ABOVE
            && io::stdin().is_terminal()
            && io::stderr().is_terminal()
    }

    /// The phases, as far as they are known before the canary is chosen.
    fn phases(&self, sent: u64, plan: Option<&Plan>) -> Phases {
        let push = &self.settings.push;
        Phases {
            canary: None,
            canary_is_all: false,
            ramp: push.rollout.ramp.steps(),
            rate: push.pace.rate.per_second(),
            tasks: sent,
            requests: plan.map_or(0, |plan| plan.requests),
        }
    }

    async fn ask(
        &self,
        stager: &Stager<'_>,
        preview: &Preview,
        plan: &Plan,
        phases: &Phases,
    ) -> Result<(), Failure> {
        let push = &self.settings.push;
        let sent = phases.tasks;
        let noun = if plan.devices == preview.rows {
            "device"
        } else {
            "row"
        };
        let mut text = vec![
            format!("{} goes to {}", self.about.manifest, self.about.base_url),
            format!("  devices   {}", grouped(plan.devices)),
            format!("  products  {}", grouped(plan.products)),
            format!("  payloads  {}", grouped(plan.payloads)),
        ];
        for (what, count) in [
            ("skipped", stager.duplicates()),
            ("unchanged", stager.unchanged()),
            ("invalid", stager.invalid_rows()),
        ] {
            if count > 0 {
                text.push(format!("  {what:<9} {}", grouped(count)));
            }
        }
        text.extend(lines(preview, noun));
        text.push(format!(
            "  requests  {} of at most {} devices",
            grouped(plan.requests),
            push.pace.chunk_size
        ));
        if let Some(path) = &push.rollout.canary_devices {
            text.push(format!(
                "  canary    the devices of {} first",
                path.display()
            ));
        }
        let canary = push.rollout.canary.of(plan.devices);
        if canary > 0 {
            text.push(format!("  canary    {} first", counted(canary, "device")));
        }
        let pace = (sent, push.pace.device_rate.per_second());
        let following = sent.saturating_sub(plan.devices);
        text.push(format!("  time      {}", time(phases, pace, following)));
        for line in text {
            self.printer.block(&clean(&line));
        }
        let question = format!(
            "send to {}? (--yes does not ask)",
            counted(plan.devices, "device")
        );
        let answer = tokio::select! {
            answer = confirm(question) => answer?,
            // Whoever called sees the signal.
            () = self.interrupt.stopped() => None,
        };
        match answer {
            Some(true) => Ok(()),
            Some(false) | None => Err(Failure::usage(anyhow!(
                "not confirmed; nothing has been staged or sent"
            ))),
        }
    }
}
