//! The summary at the end of a push: what this push did, and the state of the run.
//!
//! As text it goes to stderr, for people. With `--format json` it is one JSON object on stdout, where nothing else is printed.

mod tolerance;

use std::{fmt::Write as _, io::Write as _, time::Duration};

use super::{
    number::{duration, grouped, pace_words, rate},
    printer::{OutputError, Printer},
    report::{PushObject, RunObject, RunReport, SessionObject},
    text::clean,
};
use crate::{
    engine::{RolloutPhase, Stop},
    model::{RunState, SummaryFormat, Tolerance},
    store::SessionTotals,
};

/// The end of a push.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// Where the run stands.
    pub run: RunReport,
    /// How a complete run stands to what `--tolerate` allows; none when it is not complete.
    pub tolerance: Option<Tolerance>,
    /// What this push did; none when there was nothing to do.
    pub session: Option<Session>,
}

/// What one invocation did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session {
    /// Why it ended.
    pub stop: Stop,
    /// How long it took, staging left out.
    pub took: Duration,
    /// Tasks that ended in it.
    pub ended: u64,
    /// Requests that were answered or lost in it.
    pub requests: u64,
    /// Which part of a careful start it ended in.
    pub phase: RolloutPhase,
    /// The requests a second that the platform has been found to take, when it has refused more.
    pub found: Option<f64>,
    /// What it sent, when that is known.
    pub sent: Option<Sent>,
}

/// What one invocation sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// What it came to.
    pub totals: SessionTotals,
    /// How it relates to what was sent before.
    pub part: Part,
}

/// How what was sent relates to what was sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// There was nothing before.
    All,
    /// An earlier push was continued.
    Rest,
    /// What had ended was sent again.
    Again,
}

impl Sent {
    /// `6,018 sent again: 5,880 accepted, 130 failed, 8 in doubt`; nothing when the run's own counts say the same.
    fn words(&self) -> Option<String> {
        let again = match self.part {
            Part::All => return None,
            Part::Rest => "",
            Part::Again => " again",
        };
        let SessionTotals {
            sent,
            accepted,
            failed,
            in_doubt,
            ..
        } = self.totals;
        let mut words = format!(
            "{} sent{again}: {} accepted",
            grouped(sent),
            grouped(accepted)
        );
        for (count, what) in [(failed, "failed"), (in_doubt, "in doubt")] {
            if count > 0 {
                let _ = write!(words, ", {} {what}", grouped(count));
            }
        }
        Some(words)
    }
}

impl Summary {
    /// Prints the summary. A reader of stdout who has gone is told as [`OutputError::Closed`].
    pub(crate) fn print(
        &self,
        printer: &Printer,
        format: SummaryFormat,
    ) -> Result<(), OutputError> {
        match format {
            SummaryFormat::Text => printer.block(&self.text()),
            SummaryFormat::Json => {
                let mut out = printer.stdout();
                writeln!(out, "{}", self.object().line()?)?;
                out.flush()?;
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        let tolerance = self
            .tolerance
            .as_ref()
            .map_or_else(String::new, tolerance::text);
        let Some(session) = &self.session else {
            let why = match self.run.state {
                RunState::Aborted => "nothing is sent, because the run is aborted".to_owned(),
                RunState::Paused => {
                    format!(
                        "nothing is sent, because the run is {}",
                        clean(&self.run.state_and_author())
                    )
                }
                _ => "nothing to send".to_owned(),
            };
            return format!("{why}\n\n{}{tolerance}", self.run.text(&[]));
        };
        let (devices, requests) = session.rates();
        // Over a moment a rate is an accident.
        let mut pace = if session.took < Duration::from_secs(1) {
            duration(session.took)
        } else {
            pace_words(session.took, devices, Some(requests))
        };
        if let RolloutPhase::Ramp { ceiling } = session.phase {
            let _ = write!(pace, ", ramp at {} requests/s", rate(ceiling));
        }
        if let Some(found) = session.found {
            let _ = write!(pace, "; the platform takes about {}", rate(found));
        }
        let sent = session.sent.and_then(|sent| sent.words());
        let mut more = vec![("pace", pace)];
        more.extend(sent.map(|sent| ("this push", sent)));
        let mut text = self.run.text(&more) + &tolerance;
        if let Some((what, reason)) = stop_words(&session.stop) {
            text = format!(
                "{what}{}{}\n\n{text}",
                if reason.is_empty() { "" } else { ": " },
                clean(reason)
            );
        }
        text
    }

    /// The same for programs.
    fn object(&self) -> RunObject {
        let mut object = self.run.object();
        object.push = Some(PushObject {
            tolerance: self.tolerance.as_ref().and_then(tolerance::object),
            session: self.session.as_ref().map(Session::object),
        });
        object
    }
}

impl Session {
    fn object(&self) -> SessionObject {
        let (devices, requests) = self.rates();
        SessionObject {
            stop: self.stop.name(),
            reason: self.stop.reason().map(str::to_owned),
            phase: match self.phase {
                RolloutPhase::Canary { .. } => "canary",
                RolloutPhase::Ramp { .. } => "ramp",
                RolloutPhase::Rest => "rest",
            },
            seconds: self.took.as_secs_f64(),
            ended: self.ended,
            sent: self.sent.map(|sent| sent.totals.sent),
            accepted: self.sent.map(|sent| sent.totals.accepted),
            failed: self.sent.map(|sent| sent.totals.failed),
            in_doubt: self.sent.map(|sent| sent.totals.in_doubt),
            requests: self.requests,
            devices_per_second: devices,
            requests_per_second: requests,
            found_requests_per_second: self.found,
        }
    }

    /// Devices and requests a second.
    fn rates(&self) -> (f64, f64) {
        let seconds = self.took.as_secs_f64().max(0.001);
        (self.ended as f64 / seconds, self.requests as f64 / seconds)
    }
}

/// What happened, and what was said of it, when the push did not come to its end.
fn stop_words(stop: &Stop) -> Option<(&'static str, &str)> {
    match stop {
        // Each of these is told where the next part is taken.
        Stop::Complete | Stop::Divide | Stop::Elsewhere => None,
        Stop::Signal => Some(("stopped on request; nothing is lost", "")),
        Stop::Paused { reason } => Some(("paused", reason)),
        Stop::Cancelled { reason } => Some(("cancelled", reason)),
        Stop::Deadline { reason } => Some((
            "stopped at the end of its time; the next start continues",
            reason,
        )),
        Stop::Outage { reason } => {
            Some(("stopped, because no request succeeded for too long", reason))
        }
        Stop::Canary { went } => Some((
            "stopped after the canary so that you can look; the same command continues",
            went,
        )),
        Stop::Unproved { reason } => Some((
            "stopped, because the canary's commands cannot be verified now",
            reason,
        )),
        Stop::Overtaken { reason } => Some((
            "stopped, because newer runs have commands for the devices that are left",
            reason,
        )),
        Stop::Aborted { reason } => Some(("aborted, because too many tasks failed", reason)),
        Stop::Refused { reason } => Some(("stopped until this is corrected", reason)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ui::report::tests::report;

    fn summary(stop: Stop) -> Summary {
        Summary {
            run: report(),
            tolerance: None,
            session: Some(Session {
                phase: RolloutPhase::Rest,
                stop,
                took: Duration::from_secs(50),
                ended: 12_345,
                requests: 125,
                found: None,
                sent: None,
            }),
        }
    }

    fn printed(summary: &Summary, format: SummaryFormat) -> (String, String) {
        let (printer, captured) = Printer::captured(None);
        summary.print(&printer, format).unwrap();
        (captured.stdout(), captured.stderr())
    }

    #[test]
    fn text_goes_to_stderr() {
        let (out, err) = printed(&summary(Stop::Complete), SummaryFormat::Text);
        assert_eq!(out, "");
        insta::assert_snapshot!(err, @r"
        run night-1 (number 3): complete
          manifest  night.csv to https://iot-api.acceleronix.io
          database  /data/fleetpush.db
          started   2026-11-22 19:00:01 UTC
          finished  2026-11-22 19:03:06 UTC
          pace      50 s, 247 devices/s, 2.50 requests/s

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
    fn a_moment_has_no_rate() {
        let mut summary = summary(Stop::Complete);
        summary.session.as_mut().unwrap().took = Duration::from_millis(400);
        let (_, text) = printed(&summary, SummaryFormat::Text);
        assert!(text.contains("pace      0.4 s\n"), "{text}");
    }

    #[test]
    fn what_a_retry_did_is_told_apart_from_the_run() {
        let words = |part| {
            let totals = SessionTotals {
                sent: 6_018,
                accepted: 5_880,
                failed: 130,
                in_doubt: 8,
                requests: 61,
            };
            let mut summary = summary(Stop::Complete);
            summary.session.as_mut().unwrap().sent = Some(Sent { totals, part });
            let (_, text) = printed(&summary, SummaryFormat::Text);
            let line = text.lines().find(|line| line.contains("this push"));
            line.map(|line| line.trim().to_owned())
        };
        assert_eq!(
            words(Part::Again).as_deref(),
            Some("this push 6,018 sent again: 5,880 accepted, 130 failed, 8 in doubt")
        );
        assert_eq!(
            words(Part::Rest).as_deref(),
            Some("this push 6,018 sent: 5,880 accepted, 130 failed, 8 in doubt")
        );
        assert_eq!(words(Part::All), None, "the counts of the run say the same");
    }

    #[test]
    fn the_rate_that_was_found_is_told() {
        let mut summary = summary(Stop::Complete);
        summary.session.as_mut().unwrap().found = Some(38.77);
        let (_, text) = printed(&summary, SummaryFormat::Text);
        let pace = "50 s, 247 devices/s, 2.50 requests/s; the platform takes about 38.8\n";
        assert!(text.contains(pace), "{text}");
        let (json, _) = printed(&summary, SummaryFormat::Json);
        assert!(
            json.contains(r#""found_requests_per_second":38.77"#),
            "{json}"
        );
    }

    #[test]
    fn every_stop_is_explained() {
        let first_lines: Vec<String> = [
            Stop::Signal,
            Stop::Paused {
                reason: "by anna at 2026-11-23 05:00:01 UTC".into(),
            },
            Stop::Cancelled {
                reason: "by anna at 2026-11-23 05:00:01 UTC".into(),
            },
            Stop::Deadline {
                reason: "2026-11-23 05:00 UTC, --until 6h".into(),
            },
            Stop::Outage {
                reason: "connection refused".into(),
            },
            Stop::Canary {
                went: "canary of 50 devices: 48 accepted, 2 offline".into(),
            },
            Stop::Aborted {
                reason: "501 of 1,000 failed\u{1b}[2J".into(),
            },
            Stop::Refused {
                reason: "https://iot.example refuses the login: no such key (code 90047)".into(),
            },
        ]
        .into_iter()
        .map(|stop| {
            let mut summary = summary(stop);
            summary.run.state = RunState::Stopped;
            printed(&summary, SummaryFormat::Text)
                .1
                .lines()
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
        insta::assert_snapshot!(first_lines.join("\n"), @r"
        stopped on request; nothing is lost
        paused: by anna at 2026-11-23 05:00:01 UTC
        cancelled: by anna at 2026-11-23 05:00:01 UTC
        stopped at the end of its time; the next start continues: 2026-11-23 05:00 UTC, --until 6h
        stopped, because no request succeeded for too long: connection refused
        stopped after the canary so that you can look; the same command continues: canary of 50 devices: 48 accepted, 2 offline
        aborted, because too many tasks failed: 501 of 1,000 failed\u{1b}[2J
        stopped until this is corrected: https://iot.example refuses the login: no such key (code 90047)
        ");
    }

    #[test]
    fn a_push_that_had_nothing_to_do_says_so() {
        let idle = Summary {
            run: report(),
            tolerance: None,
            session: None,
        };
        assert!(
            printed(&idle, SummaryFormat::Text)
                .1
                .starts_with("nothing to send\n\nrun night-1")
        );
        // Here there is something to send.
        let mut aborted = idle.clone();
        aborted.run.state = RunState::Aborted;
        assert!(
            printed(&aborted, SummaryFormat::Text)
                .1
                .starts_with("nothing is sent, because the run is aborted\n\nrun night-1")
        );
        let (out, _) = printed(&idle, SummaryFormat::Json);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&out).unwrap()["session"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn json_is_one_line_on_stdout() {
        let (out, err) = printed(
            &summary(Stop::Outage {
                reason: "HTTP 503".into(),
            }),
            SummaryFormat::Json,
        );
        assert_eq!((out.lines().count(), err.as_str()), (1, ""));
        let object: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&object["schema"], &object["counts"]["failed"]),
            (&json!(1), &json!(301))
        );
        insta::assert_snapshot!(object["session"].to_string(), @r#"{"stop":"outage","reason":"HTTP 503","phase":"rest","seconds":50.0,"ended":12345,"sent":null,"accepted":null,"failed":null,"in_doubt":null,"requests":125,"devices_per_second":246.9,"requests_per_second":2.5,"found_requests_per_second":null}"#);
    }
}
