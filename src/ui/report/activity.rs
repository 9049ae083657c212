//! Whether a process works on a run, how far it is, and what its sessions spent their time on.

use std::time::Duration;

use super::RunReport;
use crate::{
    model::{Latency, RunState, Timestamp},
    ui::{
        number::{counted, duration, percent},
        text::clean,
    },
};

/// Where a run stands beyond its counts; known to whoever asks for it, not to the push itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RunActivity {
    /// Whether a process works on it; none when that cannot be found out.
    pub alive: Option<bool>,
    /// The process that does.
    pub process: Option<Process>,
    /// Since when it sends nothing, and what the platform said.
    pub paused: Option<(Timestamp, String)>,
    /// How long it will take.
    pub left: Option<TimeLeft>,
    /// What its sessions have spent their time on.
    pub spent: Spent,
    /// How many there are.
    pub sessions: u64,
    /// How long its requests took.
    pub latency: Option<Latency>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub pid: i64,
    /// The machine, when it is another one.
    pub host: Option<String>,
}

/// How long a push will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeLeft {
    /// About so long.
    pub about: Duration,
    /// Whether it may well be longer: throttled devices may put what is left off again.
    pub at_least: bool,
}

/// What the sessions of a run have spent their time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spent {
    /// Reading and staging the manifest.
    pub staging: Duration,
    pub canary: Duration,
    /// Sending, the canary left out.
    pub sending: Duration,
    /// Waiting for a platform that did not answer.
    pub paused: Duration,
}

impl Spent {
    /// How long they pushed.
    pub(crate) fn pushing(&self) -> Duration {
        self.canary + self.sending + self.paused
    }

    /// `16 s sending, 2.0 s staging`; what took no time is left out.
    fn words(&self) -> Option<String> {
        let parts: Vec<String> = [
            (self.staging, "staging"),
            (self.canary, "canary"),
            (self.sending, "sending"),
            (self.paused, "paused"),
        ]
        .into_iter()
        .filter(|(took, _)| *took >= Duration::from_millis(50))
        .map(|(took, what)| format!("{} {what}", duration(took)))
        .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl RunActivity {
    /// What sessions have spent their time on, if anything is known of it.
    pub(crate) fn time_words(&self) -> Option<String> {
        let spent = self.spent.words()?;
        Some(match self.sessions {
            0 | 1 => spent,
            sessions => format!("{spent}, in {}", counted(sessions, "session")),
        })
    }

    /// `p50 12 ms, p95 40 ms, p99 80 ms, worst 412 ms`
    pub(crate) fn latency_words(&self) -> Option<String> {
        self.latency.map(|latency| {
            let words = |took: Duration| {
                if took < Duration::from_secs(10) {
                    format!("{} ms", took.as_millis())
                } else {
                    duration(took)
                }
            };
            format!(
                "p50 {}, p95 {}, p99 {}, worst {}",
                words(latency.p50),
                words(latency.p95),
                words(latency.p99),
                words(latency.worst)
            )
        })
    }
}

impl RunReport {
    /// Whether somebody works on the run, as far as that has been asked and can be found out.
    pub(crate) fn alive(&self) -> Option<bool> {
        self.activity.as_ref().and_then(|activity| activity.alive)
    }

    /// The state in words: `running, pid 1234, 53 %, 28 s left`, `paused since …: …`, `interrupted …`.
    pub(in crate::ui) fn state_words(&self) -> String {
        let name = self.state.name();
        let Some(activity) = self
            .activity
            .as_ref()
            .filter(|_| self.state == RunState::Running)
        else {
            return clean(&self.state_and_author()).into_owned();
        };
        let progress = percent(self.counts.ended(), self.counts.tasks);
        let mut parts = Vec::new();
        match activity.alive {
            Some(false) => {
                return format!("interrupted at {progress}: no process is working on it");
            }
            Some(true) => match &activity.paused {
                Some((since, reason)) => {
                    parts.push(format!("paused since {}: {}", since.human(), clean(reason)));
                }
                None => parts.push(name.to_owned()),
            },
            None => parts.push(name.to_owned()),
        }
        if let Some(Process { pid, host }) = &activity.process {
            let at = host.as_ref().map(|host| format!(" on {}", clean(host)));
            parts.push(format!("pid {pid}{}", at.unwrap_or_default()));
        }
        parts.push(progress);
        if let Some(left) = activity.left.filter(|_| activity.paused.is_none()) {
            let at_least = if left.at_least { "at least " } else { "" };
            parts.push(format!("{at_least}{} left", duration(left.about)));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Counts, ui::report::tests::report};

    fn words(activity: RunActivity) -> String {
        let report = RunReport {
            state: RunState::Running,
            counts: Counts {
                tasks: 1000,
                accepted: 530,
                pending: 470,
                ..Counts::default()
            },
            activity: Some(activity),
            ..report()
        };
        report.state_words()
    }

    fn working() -> RunActivity {
        RunActivity {
            alive: Some(true),
            process: Some(Process {
                pid: 1234,
                host: None,
            }),
            left: Some(TimeLeft {
                about: Duration::from_secs(28),
                at_least: false,
            }),
            ..RunActivity::default()
        }
    }

    #[test]
    fn a_run_is_alive_or_left_behind() {
        let elsewhere = RunActivity {
            process: Some(Process {
                pid: 7,
                host: Some("web-1".into()),
            }),
            left: Some(TimeLeft {
                about: Duration::from_secs(90),
                at_least: true,
            }),
            ..working()
        };
        let paused = RunActivity {
            paused: Some((Timestamp(1_795_374_001_123), "HTTP 503\u{1b}[2J".into())),
            ..working()
        };
        let left_behind = RunActivity {
            alive: Some(false),
            ..RunActivity::default()
        };
        let told = [
            working(),
            elsewhere,
            paused,
            left_behind,
            RunActivity::default(),
        ]
        .map(words);
        insta::assert_snapshot!(told.join("\n"), @r"
        running, pid 1234, 53 %, 28 s left
        running, pid 7 on web-1, 53 %, at least 1 min 30 s left
        paused since 2026-11-22 19:00:01 UTC: HTTP 503\u{1b}[2J, pid 1234, 53 %
        interrupted at 53 %: no process is working on it
        running, 53 %
        ");
        assert_eq!(report().state_words(), "complete");
    }

    #[test]
    fn times_are_told_where_there_are_any() {
        let seconds = Duration::from_secs;
        let activity = RunActivity {
            spent: Spent {
                staging: Duration::from_millis(20),
                canary: seconds(3),
                sending: seconds(70),
                paused: seconds(5),
            },
            sessions: 2,
            latency: Latency::of(&[(12, 95), (40, 4), (30_000, 1)]),
            ..RunActivity::default()
        };
        insta::assert_snapshot!(activity.time_words().unwrap(), @"3.0 s canary, 1 min 10 s sending, 5.0 s paused, in 2 sessions");
        insta::assert_snapshot!(activity.latency_words().unwrap(), @"p50 12 ms, p95 12 ms, p99 40 ms, worst 30 s");
        assert_eq!(RunActivity::default().time_words(), None);
        assert_eq!(RunActivity::default().latency_words(), None);
    }
}
