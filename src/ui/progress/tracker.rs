//! What is known of a push, from its events: for a person's screen and for the service manager's line.

use super::{
    display::Display,
    left::{Estimate, Left},
    rate::RateWindow,
    rollout::phase_after,
    words::{Halt, Snapshot, event_words},
};
use crate::{
    engine::{Event, Pause, RolloutPhase},
    model::{Counts, Timestamp},
};

/// What has been learnt from the events so far.
pub(in crate::ui) struct Tracker {
    started: Timestamp,
    counts: Counts,
    found: Option<f64>,
    window: RateWindow,
    estimate: Estimate,
    phase: RolloutPhase,
    pause: Option<Pause>,
}

impl Tracker {
    pub(in crate::ui) fn new(counts: Counts, started: Timestamp) -> Self {
        Self {
            started,
            counts,
            found: None,
            window: RateWindow::new(started, counts.ended()),
            estimate: Estimate::new(counts),
            phase: RolloutPhase::Rest,
            pause: None,
        }
    }

    /// Takes an event in, and says what is to be printed of it.
    pub(in crate::ui) fn take(&mut self, event: &Event, now: Timestamp) -> Option<String> {
        if let Event::Progress {
            counts,
            requests,
            latest_due,
            found,
        } = *event
        {
            self.counts = counts;
            self.found = found;
            self.window.add(now, counts.ended(), requests);
            if self.pause.is_none() {
                self.estimate.take(now, counts, requests, latest_due);
            }
            return None;
        }
        match event {
            Event::Paused(pause) => self.pause = Some(pause.clone()),
            Event::Resumed { .. } => {
                self.pause = None;
                // An outage says nothing about the pace.
                self.estimate = Estimate::new(self.counts);
            }
            Event::Draining { .. } => self.pause = None,
            _ => {}
        }
        if let Event::Rollout(step) = event {
            self.phase = phase_after(step).unwrap_or(self.phase);
        }
        event_words(event, now)
    }

    /// How many tasks are in which state.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Where the push stands, in one line.
    pub(in crate::ui) fn line(&self, now: Timestamp) -> String {
        let halt = self.halt(now);
        self.snapshot(now, halt.as_ref()).line()
    }

    /// Where the push stands, as the lines of a bar.
    pub(super) fn block(&self, now: Timestamp, display: &Display, room: usize) -> Vec<String> {
        let halt = self.halt(now);
        display.lines(&self.snapshot(now, halt.as_ref()), room)
    }

    fn halt(&self, now: Timestamp) -> Option<Halt> {
        self.pause.as_ref().map(|pause| Halt {
            reason: pause.reason.clone(),
            next: Some(now.until(pause.probe_at)).filter(|next| !next.is_zero()),
            give_up: now.until(pause.give_up_at),
        })
    }

    fn snapshot<'a>(&self, now: Timestamp, pause: Option<&'a Halt>) -> Snapshot<'a> {
        Snapshot {
            counts: self.counts,
            elapsed: self.started.until(now),
            pace: self.window.pace(now),
            phase: self.phase,
            pause,
            left: match self.phase {
                // How long the rest takes is open as long as the canary goes.
                RolloutPhase::Canary { .. } => Left::Unknown,
                RolloutPhase::Ramp { .. } | RolloutPhase::Rest => self.estimate.left(now),
            },
            found: self.found,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counts(accepted: u64, failed: u64, snoozing: u64) -> Counts {
        Counts {
            tasks: 1000,
            accepted,
            failed,
            pending: 1000 - accepted - failed,
            snoozing,
            in_flight: 16,
            ..Counts::default()
        }
    }

    #[test]
    fn the_tracker_counts_from_where_it_began() {
        let mut tracker = Tracker::new(counts(400, 0, 0), Timestamp(0));
        let progress = Event::Progress {
            counts: counts(500, 0, 0),
            requests: 1,
            latest_due: Some(Timestamp(300_000)),
            found: None,
        };
        assert_eq!(tracker.take(&progress, Timestamp(10_000)), None);
        let snapshot = tracker.snapshot(Timestamp(10_000), None);
        assert_eq!(
            (snapshot.pace.devices * 10.0, snapshot.pace.requests * 10.0),
            (100.0, 1.0)
        );
        assert_eq!(snapshot.elapsed, Duration::from_secs(10));
    }

    #[test]
    fn an_outage_is_told_until_it_is_over() {
        let mut tracker = Tracker::new(counts(400, 0, 0), Timestamp(0));
        let paused = |probe_at| {
            Event::Paused(Pause {
                reason: "connection refused".into(),
                probe_at: Timestamp(probe_at),
                give_up_at: Timestamp(1_800_000),
            })
        };
        tracker.take(&paused(2_000), Timestamp(1_000));
        let block = |tracker: &Tracker, now| {
            let display = Display::new();
            tracker.block(Timestamp(now), &display, 59).join("\n")
        };
        let told = block(&tracker, 1_000);
        assert!(
            told.contains("40 %), paused\npaused: connection refused\nnext try in 1.0 s,"),
            "{told}"
        );
        assert!(!told.contains(" left"), "{told}");
        assert!(block(&tracker, 2_500).contains("trying now, gives up in 29 min 58 s"));
        tracker.take(&paused(8_000), Timestamp(3_000));
        assert!(block(&tracker, 3_000).contains("next try in 5.0 s"));
        let after = Duration::from_secs(9);
        tracker.take(
            &Event::Resumed {
                what: "requests are answered again",
                after,
            },
            Timestamp(10_000),
        );
        assert!(!block(&tracker, 10_000).contains("paused"));
    }

    #[test]
    fn an_outage_is_no_part_of_the_pace_and_a_canary_promises_nothing() {
        let mut tracker = Tracker::new(counts(0, 0, 0), Timestamp(0));
        let mut told = |at: i64, accepted, event: Option<Event>| {
            let progress = Event::Progress {
                counts: counts(accepted, 0, 0),
                requests: 1,
                latest_due: None,
                found: None,
            };
            tracker.take(&progress, Timestamp(at));
            if let Some(event) = event {
                tracker.take(&event, Timestamp(at));
            }
            tracker.snapshot(Timestamp(at), None).left
        };
        let seconds = |seconds| Left::About(Duration::from_secs(seconds));
        told(1_000, 100, None);
        assert_eq!(told(3_000, 200, None), Left::Unknown);
        assert_eq!(told(5_000, 300, None), seconds(14));
        told(
            5_000,
            300,
            Some(Event::Paused(Pause {
                reason: "HTTP 503".into(),
                probe_at: Timestamp(6_000),
                give_up_at: Timestamp(1_800_000),
            })),
        );
        told(6_000, 300, None);
        let after = Duration::from_mins(5);
        let resumed = Some(Event::Resumed {
            what: "requests are answered again",
            after,
        });
        assert_eq!(told(305_000, 300, resumed), Left::Unknown);
        told(306_000, 400, None);
        assert_eq!(told(310_000, 600, None), seconds(8));
        tracker.phase = RolloutPhase::Canary {
            ended: 40,
            devices: 50,
        };
        let left = tracker.snapshot(Timestamp(310_000), None).left;
        assert_eq!(left, Left::Unknown);
    }

    #[test]
    fn the_bar_fits_a_common_terminal() {
        let mut tracker = Tracker::new(counts(0, 0, 0), Timestamp(0));
        for (at, accepted, failed, snoozing) in [(2, 50, 0, 0), (10, 240, 10, 5)] {
            tracker.take(
                &Event::Progress {
                    counts: counts(accepted, failed, snoozing),
                    requests: 3,
                    latest_due: None,
                    found: Some(38.77),
                },
                Timestamp(at * 1000),
            );
        }
        let block = tracker.block(Timestamp(10_000), &Display::new(), 59);
        insta::assert_snapshot!(block.join("\n"), @r"
        ███████▏                     250 of 1,000 (25 %), 30 s left
        240 accepted · 10 failed · 5 snoozing · 16 in flight
        25.0 devices/s, 0.30 requests/s of about 38.8
        10 s elapsed
        ");
    }
}
