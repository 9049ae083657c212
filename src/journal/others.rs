//! What a push has to do with others to its platform: what is not sent to a device now that their runs have too, and the pace that they share.

use std::{collections::HashMap, time::Duration};

use crate::{
    model::{BundleId, Lead, PayloadId, TaskId, Timestamp},
    store::{Common, CommonTask, Due, Gate, LEFT, Member},
};

/// How soon a device is looked at again which is in flight for the other run …
const IN_FLIGHT: Duration = Duration::from_secs(1);
/// … or for which a younger run has something else to send.
const LATER: Duration = Duration::from_secs(5);

/// How often others are told of a pace that has not changed. They follow one that was told within the last half minute.
const TOLD_AGAIN: Duration = Duration::from_secs(5);

/// What a push knows of others to its platform: of the devices that their runs have in common, and of the pace of those who share its account.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// What this claim has to know of other runs.
    pub(super) gate: Gate,
    /// How long a reply takes at most.
    pub(super) reply_time: Duration,
    /// What those who share its account have to know of its pace.
    pub(super) lead: Leading,
    left: Option<Left>,
}

/// The pace that others follow, and what they know of it since when.
#[derive(Debug, Default)]
pub(super) struct Leading {
    present: Option<Lead>,
    told: Option<(Lead, Timestamp)>,
}

impl Leading {
    pub(super) fn set(&mut self, lead: Option<Lead>) {
        self.present = lead;
    }

    /// What they have to be told: another pace, and from time to time that it is the same.
    pub(super) fn take_unsaved(&mut self, now: Timestamp) -> Option<Lead> {
        let lead = self.present?;
        let is_known = self
            .told
            .is_some_and(|(told, at)| told.is_about(&lead) && at.until(now) < TOLD_AGAIN);
        if is_known {
            return None;
        }
        self.told = Some((lead, now));
        Some(lead)
    }
}

/// Tasks that are left to younger runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    tasks: u64,
    /// The device of the first one, and the run that has it too.
    example: (String, String),
}

impl Others {
    /// Takes out of these tasks what is not to be sent now, and gives it as it is due then.
    pub(super) fn set_aside(
        &mut self,
        (payload, bundle): (PayloadId, Option<BundleId>),
        members: &mut Vec<Member>,
        common: &HashMap<TaskId, CommonTask>,
        now: Timestamp,
    ) -> Vec<Due> {
        let mut aside = Vec::new();
        members.retain(|member| {
            let Some(other) = common.get(&member.task) else {
                return true;
            };
            let not_before = match other.why {
                Common::InFlight => now.after(IN_FLIGHT),
                Common::Later => now.after(LATER),
                Common::Stale => {
                    self.leave(&member.device_key, &other.run);
                    LEFT
                }
            };
            aside.push(Due {
                task: member.task,
                payload,
                bundle,
                not_before,
                class: member.class,
                history: member.history,
            });
            false
        });
        aside
    }

    fn leave(&mut self, device_key: &str, run: &str) {
        let left = self.left.get_or_insert_with(|| Left {
            tasks: 0,
            example: (device_key.to_owned(), run.to_owned()),
        });
        left.tasks += 1;
    }

    /// What is left to younger runs, for a person.
    pub(super) fn left(&self) -> Option<String> {
        let Left {
            tasks,
            example: (device, run),
        } = self.left.as_ref()?;
        let tasks = if *tasks == 1 {
            "1 task is".to_owned()
        } else {
            format!("{tasks} tasks are")
        };
        Some(format!(
            "{tasks} older than a command of a newer run for the same device, for example for {device} (run '{run}')"
        ))
    }
}
