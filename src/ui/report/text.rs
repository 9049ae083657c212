//! A run's report for people.

use std::fmt::Write as _;

use super::{EndingLine, Parts, RunReport, again};
use crate::{
    model::{CanaryStatus, CanaryVerdict, Class, Counts, Delivery, TaskState},
    ui::{
        next::{Suggestion, suggestions},
        number::{counted, grouped},
        text::clean,
    },
};

fn delivery_words(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Unknown => "unknown: no evidence of their delivery",
        Delivery::Queued => "queued: not sent to the device yet",
        Delivery::Sent => "sent to the device",
        Delivery::SendFailed => "send_failed: could not be sent to the device",
        Delivery::Expired => "expired: not sent before their cache time ended",
        Delivery::Answered => "answered by the device",
        Delivery::AnswerFailed => "answer_failed: the answer was not the expected one",
    }
}

/// The columns of a small terminal.
const NARROW: usize = 80;

impl RunReport {
    /// The whole report as a block of lines. `more` are lines that only the caller knows: about duration and rates, for example.
    pub(crate) fn text(&self, more: &[(&str, String)]) -> String {
        let mut out = String::new();
        let mut row = |label: &str, text: &str| {
            let _ = writeln!(out, "{}", format!("  {label:<9} {text}").trim_end());
        };
        row(
            "manifest",
            &format!("{} to {}", clean(&self.manifest), clean(&self.target)),
        );
        row("database", &clean(&self.database.to_string_lossy()));
        if let Some(started) = self.started_at {
            row("started", &started.human());
        }
        if let Some(finished) = self.finished_at {
            row("finished", &finished.human());
        }
        if let Some(canary) = self.canary {
            row("canary", &canary_words(canary));
        }
        if let Some(parts) = &self.parts {
            row("parts", &parts_words(parts));
        }
        for (label, words) in more {
            row(label, &clean(words));
        }
        let head = format!(
            "run {} (number {}): {}\n",
            clean(&self.name),
            self.number,
            self.state_words()
        );
        head + &out + "\n" + &self.counts_text() + &self.next_text()
    }

    fn counts_text(&self) -> String {
        let width = grouped(self.counts.tasks).len();
        let mut out = String::new();
        let mut row = |label: &str, count: u64, remark: &str| {
            let line = format!("  {label:<9} {:>width$}  {remark}", grouped(count));
            let _ = writeln!(out, "{}", line.trim_end());
        };
        row("tasks", self.counts.tasks, "");
        for (state, count) in [
            (TaskState::Accepted, self.counts.accepted),
            (TaskState::Failed, self.counts.failed),
            (TaskState::InDoubt, self.counts.in_doubt),
            (TaskState::Skipped, self.counts.skipped),
        ] {
            row(label(state), count, self.remark(state));
            let endings = self.endings.iter().filter(|ending| ending.state == state);
            let is_told = |ending: &&EndingLine| {
                matches!(state, TaskState::Failed | TaskState::InDoubt)
                    || ending.class == Some(Class::Unchanged)
            };
            for ending in endings.filter(is_told) {
                row("", ending.tasks, &ending.words());
            }
            if state == TaskState::Accepted && self.has_evidence() {
                for (delivery, tasks) in &self.deliveries {
                    row("", *tasks, delivery_words(*delivery));
                }
            }
        }
        row("pending", self.counts.pending, &self.pending_remark());
        out
    }

    /// Whether anything is known of what became of accepted commands.
    pub(crate) fn has_evidence(&self) -> bool {
        let known = |(delivery, _): &(Delivery, u64)| *delivery != Delivery::Unknown;
        self.deliveries.iter().any(known)
    }

    fn remark(&self, state: TaskState) -> &'static str {
        match state {
            TaskState::Accepted if self.has_evidence() => {
                "accepted by the platform, and by evidence:"
            }
            TaskState::Accepted if self.counts.accepted > 0 => {
                "accepted by the platform, not yet delivered to the device"
            }
            TaskState::Skipped if self.counts.skipped > self.unchanged() => {
                "duplicates or cancelled"
            }
            _ => "",
        }
    }

    /// Tasks that were skipped because their devices had accepted the same last.
    fn unchanged(&self) -> u64 {
        let unchanged = |ending: &&EndingLine| ending.class == Some(Class::Unchanged);
        let endings = self.endings.iter().filter(unchanged);
        endings.map(|ending| ending.tasks).sum()
    }

    fn pending_remark(&self) -> String {
        let Counts {
            pending,
            snoozing,
            in_flight,
            ..
        } = self.counts;
        if pending == 0 {
            return String::new();
        }
        let mut remark = format!(
            "{} snoozing, {} in flight",
            grouped(snoozing),
            grouped(in_flight)
        );
        if let Some(next) = self.next_due {
            let _ = write!(remark, ", next due {}", next.human());
        }
        remark
    }

    fn next_text(&self) -> String {
        let mut out = String::new();
        let again = again::words(&self.sends_again);
        if !again.is_empty() || self.resends_in_doubt > 0 {
            out.push('\n');
        }
        if !again.is_empty() {
            let _ = writeln!(out, "{again}");
        }
        if self.resends_in_doubt > 0 {
            let _ = writeln!(
                out,
                "{} got no readable reply and may reach the device twice",
                counted(self.resends_in_doubt, "send")
            );
        }
        if self.target == "simulator" && self.counts.failed > 0 {
            out.push_str("\nthe simulator lets some devices fail on purpose\n");
        }
        let next = suggestions(self);
        let width = next
            .iter()
            .map(|next| next.command.len())
            .max()
            .unwrap_or(0);
        if !next.is_empty() {
            out.push_str("\nnext:\n");
        }
        // A line that is longer than a small terminal would be broken within a word.
        let is_narrow = |next: &Suggestion| width + next.purpose.len() + "    # ".len() <= NARROW;
        let beside = next.iter().all(is_narrow);
        for Suggestion { command, purpose } in next {
            let command = clean(&command);
            let _ = if beside {
                writeln!(out, "  {command:<width$}  # {purpose}")
            } else {
                writeln!(out, "  # {purpose}\n  {command}")
            };
        }
        out
    }
}

impl EndingLine {
    /// `offline 61002  Device offline`.
    fn words(&self) -> String {
        let mut words = self.class.map_or("", Class::name).to_owned();
        if let Some(code) = self.code {
            let _ = write!(words, " {code}");
        }
        // A task that was never sent has no code to explain it.
        let unsent = match self.class {
            Some(Class::Blocked) => Some("not sent: an earlier task of the device did not succeed"),
            Some(Class::Invalid) => Some("not sent: a bad row of the manifest"),
            Some(Class::Unchanged) => Some("not sent: the device accepted the same payload last"),
            _ => None,
        };
        if let Some(text) = self.text.or(unsent.filter(|_| self.code.is_none())) {
            let _ = write!(words, "  {text}");
        }
        words
    }
}

/// `40 of 50 devices ended`, `50 devices, passed`.
/// How many parts have ended, and who pushes the others.
fn parts_words(parts: &Parts) -> String {
    let mut words = format!(
        "{} of {} complete",
        grouped(parts.complete),
        grouped(parts.all)
    );
    if !parts.workers.is_empty() {
        let workers = counted(parts.workers.len() as u64, "worker");
        let _ = write!(words, ", {workers}: {}", clean(&parts.workers.join(", ")));
    }
    words
}

fn canary_words(canary: CanaryStatus) -> String {
    let devices = counted(canary.devices, "device");
    match canary.verdict {
        None => format!("{} of {devices} ended", grouped(canary.ended)),
        Some(CanaryVerdict::Passed) => format!("{devices}, passed"),
        Some(CanaryVerdict::Failed) => format!("{devices}, did not pass"),
        Some(CanaryVerdict::Overridden) => {
            format!("{devices}, did not pass; the others were sent because of --override-abort")
        }
    }
}

/// The state in words.
pub(in crate::ui) fn label(state: TaskState) -> &'static str {
    match state {
        TaskState::InDoubt => "in doubt",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{RunState, Timestamp},
        ui::report::tests::report,
    };

    #[test]
    fn a_complete_run_is_told_whole() {
        insta::assert_snapshot!(report().text(&[("pace", "3 min 05 s".into())]), @r"
        run night-1 (number 3): complete
          manifest  night.csv to https://iot-api.acceleronix.io
          database  /data/fleetpush.db
          started   2026-11-22 19:00:01 UTC
          finished  2026-11-22 19:03:06 UTC
          pace      3 min 05 s

          tasks     12,345
          accepted  12,000  accepted by the platform, not yet delivered to the device
          failed       301
                       300  offline 61002  Device offline
                         1  rejected 12
          in doubt       4
                         4  in_doubt
          skipped       40  duplicates or cancelled
          pending        0

        10 sends were throttled and 12 temporarily refused: sent again after a pause
        7 sends got no readable reply and may reach the device twice

        next:
          # see what failed or is in doubt, and why
          fleetpush results night-1 --state failed,in_doubt
          # send again what may succeed now
          fleetpush retry night-1 --region europe
          # look for the tasks in doubt in the devices' histories
          fleetpush verify night-1 --region europe
          # send the tasks in doubt again
          fleetpush retry night-1 --state in_doubt --region europe
        ");
    }

    #[test]
    fn parts_are_told_with_their_workers() {
        let line = |complete, workers: &[&str]| {
            let workers = workers.iter().map(ToString::to_string).collect();
            let parts = Some(Parts {
                all: 9,
                complete,
                workers,
            });
            let text = RunReport { parts, ..report() }.text(&[]);
            text.lines()
                .find(|line| line.contains("parts"))
                .map(ToOwned::to_owned)
        };
        assert_eq!(
            line(3, &["pid 7 on host a", "pid 7 on host b"]).as_deref(),
            Some("  parts     3 of 9 complete, 2 workers: pid 7 on host a, pid 7 on host b")
        );
        assert_eq!(line(9, &[]).as_deref(), Some("  parts     9 of 9 complete"));
    }

    #[test]
    fn a_canary_is_told_until_it_has_passed_and_after() {
        let line = |ended, verdict| {
            let canary = Some(CanaryStatus {
                devices: 50,
                ended,
                verdict,
            });
            let text = RunReport { canary, ..report() }.text(&[]);
            text.lines()
                .find(|line| line.contains("canary"))
                .unwrap()
                .to_owned()
        };
        assert_eq!(line(40, None), "  canary    40 of 50 devices ended");
        for (verdict, words) in [
            (CanaryVerdict::Passed, "passed"),
            (CanaryVerdict::Failed, "did not pass"),
            (
                CanaryVerdict::Overridden,
                "did not pass; the others were sent because of --override-abort",
            ),
        ] {
            let told = line(50, Some(verdict));
            assert_eq!(told, format!("  canary    50 devices, {words}"));
        }
    }

    #[test]
    fn delivery_is_told_once_there_is_evidence() {
        let of = |deliveries: &[(Delivery, u64)]| {
            let deliveries = deliveries.to_vec();
            RunReport {
                deliveries,
                ..report()
            }
            .text(&[])
        };
        let nothing = of(&[(Delivery::Unknown, 5)]);
        assert!(
            nothing.contains("not yet delivered to the device"),
            "{nothing}"
        );
        let told = of(&[(Delivery::Unknown, 3), (Delivery::SendFailed, 2)]);
        for line in [
            "accepted by the platform, and by evidence:",
            "3  unknown: no evidence of their delivery",
            "2  send_failed: could not be sent to the device",
        ] {
            assert!(told.contains(line), "{told}");
        }
        assert!(!told.contains("not yet delivered"), "{told}");
    }

    #[test]
    fn a_run_under_way_tells_what_it_waits_for() {
        let report = RunReport {
            name: "esc\u{1b}[2J".into(),
            state: RunState::Running,
            finished_at: None,
            counts: Counts {
                tasks: 10,
                accepted: 2,
                pending: 8,
                snoozing: 3,
                in_flight: 4,
                ..Counts::default()
            },
            endings: Vec::new(),
            resends_in_doubt: 0,
            sends_again: Vec::new(),
            next_due: Some(Timestamp(1_795_374_200_000)),
            latest_due: Some(Timestamp(1_795_374_300_000)),
            ..report()
        };
        insta::assert_snapshot!(report.text(&[]), @r"
        run esc\u{1b}[2J (number 3): running
          manifest  night.csv to https://iot-api.acceleronix.io
          database  /data/fleetpush.db
          started   2026-11-22 19:00:01 UTC

          tasks     10
          accepted   2  accepted by the platform, not yet delivered to the device
          failed     0
          in doubt   0
          skipped    0
          pending    8  3 snoozing, 4 in flight, next due 2026-11-22 19:03:20 UTC

        next:
          # continue, if no push of it is under way
          fleetpush resume 'esc\u{1b}[2J' --region europe
        ");
    }
}
