//! The words of the progress: numbers in, text out.

use std::time::Duration;

use super::{
    left::Left,
    rate::Throughput,
    rollout::{phase_words, step_words},
};
use crate::{
    engine::{Event, RolloutPhase},
    model::{Counts, Timestamp},
    ui::{
        number::{counted, duration, grouped, percent, rate},
        text::{clean, cut, width},
    },
};

/// An outage, as it stands at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Halt {
    /// What the platform or the network said.
    pub(super) reason: String,
    /// Until the next try; none while it is under way.
    pub(super) next: Option<Duration>,
    /// Until the push gives up.
    pub(super) give_up: Duration,
}

impl Halt {
    /// `next try in 4.0 s, gives up in 30 min 00 s`.
    fn plan(&self) -> String {
        let next = self.next.map_or_else(
            || "trying now".to_owned(),
            |next| format!("next try in {}", duration(next)),
        );
        format!("{next}, gives up in {}", duration(self.give_up))
    }
}

/// Where a push stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Snapshot<'a> {
    pub(super) counts: Counts,
    /// Since the session began.
    pub(super) elapsed: Duration,
    pub(super) pace: Throughput,
    pub(super) phase: RolloutPhase,
    /// Why nothing is sent, in an outage.
    pub(super) pause: Option<&'a Halt>,
    pub(super) left: Left,
    /// The requests a second that the platform has been found to take.
    pub(super) found: Option<f64>,
}

impl Snapshot<'_> {
    /// A line of its own, for where there is no bar.
    pub(super) fn line(&self) -> String {
        let pause = self.pause.map_or_else(String::new, |halt| {
            format!(": {}; {}", halt.reason, halt.plan())
        });
        format!(
            "{}{pause} · {} · {}",
            self.position(),
            self.standings().join(" · "),
            self.paces().join(" · ")
        )
    }

    /// What stands below the bar on a terminal with room for so many columns.
    pub(super) fn details(&self, room: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(halt) = self.pause {
            lines.push(format!("paused: {}", clean(&halt.reason)));
            lines.push(halt.plan());
        }
        lines.extend(flowing(self.standings(), room));
        lines.extend(flowing(self.paces(), room));
        lines.iter().map(|line| cut(line, room)).collect()
    }

    /// `250 of 1,000 (25 %), 3 min 05 s left`.
    pub(super) fn position(&self) -> String {
        let Counts { tasks, .. } = self.counts;
        let ended = self.counts.ended();
        let left = match (self.pause, self.left) {
            (Some(_), _) => "paused".to_owned(),
            (None, Left::AtLeast(left)) => format!("at least {} left", duration(left)),
            (None, Left::About(left)) => format!("{} left", duration(left)),
            (None, Left::Unknown) => "time left unknown".to_owned(),
        };
        format!(
            "{} of {} ({}), {left}",
            grouped(ended),
            grouped(tasks),
            percent(ended, tasks)
        )
    }

    /// `240 accepted · 10 failed · 5 snoozing · 16 in flight`.
    fn standings(&self) -> Vec<String> {
        let Counts {
            accepted,
            failed,
            in_doubt,
            snoozing,
            in_flight,
            ..
        } = self.counts;
        let mut parts = vec![
            format!("{} accepted", grouped(accepted)),
            format!("{} failed", grouped(failed)),
        ];
        if in_doubt > 0 {
            parts.push(format!("{} in doubt", grouped(in_doubt)));
        }
        parts.push(format!("{} snoozing", grouped(snoozing)));
        parts.push(format!("{} in flight", grouped(in_flight)));
        parts
    }

    /// `25.0 devices/s, 0.30 requests/s · 10 s elapsed`, and the phase of a careful start; with a rate that was found,
    /// `0.30 requests/s of about 38.8`.
    fn paces(&self) -> Vec<String> {
        let Throughput { devices, requests } = self.pace;
        let found = self
            .found
            .map_or_else(String::new, |found| format!(" of about {}", rate(found)));
        let mut parts = vec![
            format!(
                "{} devices/s, {} requests/s{found}",
                rate(devices),
                rate(requests)
            ),
            format!("{} elapsed", duration(self.elapsed)),
        ];
        parts.extend(phase_words(self.phase));
        parts
    }
}

/// The parts with dots between them, in as many lines as they need.
fn flowing(parts: Vec<String>, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if width(line) + 3 + width(&part) <= room => {
                line.push_str(" · ");
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

/// What is said of an event that concerns the push as a whole.
pub(super) fn event_words(event: &Event, now: Timestamp) -> Option<String> {
    Some(match event {
        Event::Progress { .. } | Event::Measured(_) => return None,
        Event::Paused(pause) => format!(
            "paused: {}; next try in {}, gives up in {}",
            pause.reason,
            duration(now.until(pause.probe_at)),
            duration(now.until(pause.give_up_at))
        ),
        Event::Resumed { what, after } => {
            format!("resumed: {what}, after {}", duration(*after))
        }
        Event::RateLowered { rate: lowered } => {
            format!(
                "too many requests for the platform: rate lowered to {} requests/s",
                rate(*lowered)
            )
        }
        Event::RateShared { pushes: 1 } => {
            "the other pushes to this platform have ended: --rate and --concurrency hold in full again".to_owned()
        }
        Event::RateShared { pushes } => format!(
            "{pushes} pushes send to this platform with the same account: each uses its part of --rate and --concurrency"
        ),
        Event::InFlightLimited { requests } => {
            let requests = u64::try_from(*requests).unwrap_or(u64::MAX);
            format!(
                "the platform takes at most {} in flight: no more are sent at a time",
                counted(requests, "request")
            )
        }
        Event::HeldUp {
            requests,
            rate: held_up,
        } => {
            let requests = u64::try_from(*requests).unwrap_or(u64::MAX);
            format!(
                "--concurrency limits the rate to about {} requests/s: with {} in flight, the replies take too long for more; a larger \
                 --concurrency may allow more",
                rate(*held_up),
                counted(requests, "request")
            )
        }
        Event::ChunkSizeLowered { devices } => {
            format!(
                "the platform takes no more devices in one request: lowered to {}",
                counted(u64::from(*devices), "device")
            )
        }
        Event::PayloadEnded { code, what } => {
            format!(
                "the platform refuses {what} with code {code}: its other tasks fail unsent (see fleetpush codes {code})"
            )
        }
        Event::TicketMissing { devices } => {
            format!(
                "the platform accepted {} without giving a ticket",
                counted(u64::from(*devices), "command")
            )
        }
        Event::Rollout(step) => return step_words(step),
        Event::Draining { requests, timeout } => format!(
            "stopping: waiting up to {} for {} in flight",
            duration(*timeout),
            counted(u64::from(*requests), "request")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Pause;

    fn snapshot() -> Snapshot<'static> {
        Snapshot {
            counts: Counts {
                tasks: 1_000_000,
                accepted: 240_000,
                failed: 9_000,
                skipped: 1_000,
                pending: 750_000,
                snoozing: 56,
                in_flight: 1_600,
                in_doubt: 0,
            },
            elapsed: Duration::from_secs(100),
            pace: Throughput {
                devices: 2500.0,
                requests: 25.0,
            },
            phase: RolloutPhase::Rest,
            pause: None,
            left: Left::About(Duration::from_mins(5)),
            found: None,
        }
    }

    #[test]
    fn a_line_tells_everything() {
        insta::assert_snapshot!(snapshot().line(), @"250,000 of 1,000,000 (25 %), 5 min 00 s left · 240,000 accepted · 9,000 failed · 56 snoozing · 1,600 in flight · 2,500 devices/s, 25.0 requests/s · 1 min 40 s elapsed");
        let troubled = Snapshot {
            counts: Counts {
                in_doubt: 3,
                ..snapshot().counts
            },
            pace: Throughput::default(),
            left: Left::Unknown,
            ..snapshot()
        };
        insta::assert_snapshot!(troubled.line(), @"250,003 of 1,000,000 (25 %), time left unknown · 240,000 accepted · 9,000 failed · 3 in doubt · 56 snoozing · 1,600 in flight · 0.00 devices/s, 0.00 requests/s · 1 min 40 s elapsed");
    }

    #[test]
    fn the_time_left_is_told_as_surely_as_it_is_known() {
        let position = |left| Snapshot { left, ..snapshot() }.position();
        let minute = Duration::from_mins(1);
        for (left, expected) in [
            (Left::Unknown, ", time left unknown"),
            (Left::About(minute), "), 1 min 00 s left"),
            (Left::AtLeast(minute), ", at least 1 min 00 s left"),
        ] {
            let position = position(left);
            assert!(position.ends_with(expected), "{position}");
        }
    }

    #[test]
    fn in_an_outage_the_pause_is_told_and_no_time_left() {
        let mut halt = Halt {
            reason: "HTTP 503 from https://iot.example\u{1b}[2J".into(),
            next: Some(Duration::from_secs(4)),
            give_up: Duration::from_mins(30),
        };
        let block = |halt: &Halt| {
            let snapshot = Snapshot {
                pause: Some(halt),
                ..snapshot()
            };
            snapshot.details(59).join("\n")
        };
        insta::assert_snapshot!(block(&halt), @r"
        paused: HTTP 503 from https://iot.example\u{1b}[2J
        next try in 4.0 s, gives up in 30 min 00 s
        240,000 accepted · 9,000 failed · 56 snoozing
        1,600 in flight
        2,500 devices/s, 25.0 requests/s · 1 min 40 s elapsed
        ");
        halt.next = None;
        assert!(block(&halt).contains("trying now, gives up in 30 min 00 s"));
    }

    #[test]
    fn the_details_fit_their_room() {
        let all = Snapshot {
            counts: Counts {
                in_doubt: 12_345,
                ..snapshot().counts
            },
            phase: RolloutPhase::Canary {
                ended: 40,
                devices: 50,
            },
            found: Some(38.77),
            ..snapshot()
        };
        for room in [1, 10, 19, 40, 59, 79] {
            for line in all.details(room) {
                assert!(width(&line) <= room, "{room}: {line}");
            }
        }
        insta::assert_snapshot!(all.details(59).join("\n"), @r"
        240,000 accepted · 9,000 failed · 12,345 in doubt
        56 snoozing · 1,600 in flight
        2,500 devices/s, 25.0 requests/s of about 38.8
        1 min 40 s elapsed · canary: 40 of 50 devices ended
        ");
    }

    #[test]
    fn each_event_of_the_whole_push_has_its_line() {
        let now = Timestamp(10_000);
        let events = [
            Event::Paused(Pause {
                reason: "HTTP 503".into(),
                probe_at: Timestamp(14_000),
                give_up_at: Timestamp(1_810_000),
            }),
            Event::Resumed {
                what: "requests are answered again",
                after: Duration::from_secs(75),
            },
            Event::RateLowered { rate: 12.5 },
            Event::ChunkSizeLowered { devices: 50 },
            Event::PayloadEnded {
                code: 70091,
                what: "payload 3 of product PK0001".into(),
            },
            Event::TicketMissing { devices: 1 },
            Event::Draining {
                requests: 16,
                timeout: Duration::from_secs(30),
            },
        ];
        let lines: Vec<_> = events
            .iter()
            .filter_map(|event| event_words(event, now))
            .collect();
        assert_eq!(lines.len(), events.len());
        insta::assert_snapshot!(lines.join("\n"), @r"
        paused: HTTP 503; next try in 4.0 s, gives up in 30 min 00 s
        resumed: requests are answered again, after 1 min 15 s
        too many requests for the platform: rate lowered to 12.5 requests/s
        the platform takes no more devices in one request: lowered to 50 devices
        the platform refuses payload 3 of product PK0001 with code 70091: its other tasks fail unsent (see fleetpush codes 70091)
        the platform accepted 1 command without giving a ticket
        stopping: waiting up to 30 s for 16 requests in flight
        ");
    }
}
