//! Shows the progress of a push from the events of the engine, until they end.

mod display;
mod left;
mod rate;
mod rollout;
pub(super) mod tracker;
mod words;

use std::time::Duration;

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, MissedTickBehavior, interval_at},
};

use self::{display::Display, tracker::Tracker};
use super::printer::Printer;
use crate::{
    engine::Event,
    model::{Counts, ProgressMode, Timestamp},
};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a line is written when nothing has changed, as in an outage: a sign of life, and no flood in a log.
const SAME_LINE_EVERY: Duration = Duration::from_mins(1);

/// How often the bar is brought up to date when nothing happens: its clock goes on.
const BAR_EVERY: Duration = Duration::from_secs(1);

/// A bar is drawn anew after this at the earliest.
const BAR_APART: Duration = Duration::from_millis(50);

/// Which lines are worth writing.
#[derive(Default)]
struct Lines {
    last: Option<(Counts, Timestamp)>,
}

impl Lines {
    /// Whether these counts are to be written now; if so, they are taken for written.
    fn is_due(&mut self, counts: Counts, now: Timestamp) -> bool {
        let same = self
            .last
            .is_some_and(|(told, at)| told == counts && at.until(now) < SAME_LINE_EVERY);
        if !same {
            self.last = Some((counts, now));
        }
        !same
    }
}

/// Shows events until their channel closes. `counts` is where the run stands at the beginning: rates are of this push alone.
pub(crate) async fn watch(
    mut events: Receiver<Event>,
    printer: Printer,
    mode: ProgressMode,
    counts: Counts,
    now: impl Fn() -> Timestamp,
) {
    let mut tracker = Tracker::new(counts, now());
    let mode = match mode {
        // A bar needs a terminal that can move its cursor, whoever asks for it.
        ProgressMode::Auto | ProgressMode::Bar if printer.stderr_takes_a_bar() => ProgressMode::Bar,
        ProgressMode::Auto | ProgressMode::Bar => ProgressMode::Lines,
        chosen => chosen,
    };
    let has_bar = mode == ProgressMode::Bar && !printer.is_quiet();
    let screen = printer.screen();
    let display = Display::new();
    let draw = |tracker: &Tracker, now| {
        screen.draw(tracker.block(now, &display, screen.room()));
    };
    if has_bar {
        draw(&tracker, now());
    }
    let every = if has_bar { BAR_EVERY } else { LINE_EVERY };
    let mut lines = Lines::default();
    let mut drawn = Instant::now();
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ticked = tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                if let Some(words) = tracker.take(&event, now()) {
                    printer.say(&words);
                }
                false
            }
            _ = ticks.tick(), if mode != ProgressMode::None => {
                let now = now();
                if mode == ProgressMode::Lines && lines.is_due(tracker.counts(), now) {
                    printer.say(&tracker.line(now));
                }
                true
            }
        };
        if has_bar && (ticked || drawn.elapsed() >= BAR_APART) {
            draw(&tracker, now());
            drawn = Instant::now();
        }
    }
    if has_bar {
        screen.draw(Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Pause;

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

    #[tokio::test]
    async fn events_of_the_whole_push_are_told_and_the_watch_ends_with_the_channel() {
        let (printer, captured) = Printer::captured(None);
        let (sender, events) = tokio::sync::mpsc::channel(8);
        for event in [
            Event::Progress {
                counts: counts(10, 1, 2),
                requests: 1,
                latest_due: None,
                found: None,
            },
            Event::Paused(Pause {
                reason: "connection refused".into(),
                probe_at: Timestamp(2_000),
                give_up_at: Timestamp(1_800_000),
            }),
            Event::Resumed {
                what: "requests are answered again",
                after: Duration::from_secs(20),
            },
        ] {
            sender.send(event).await.unwrap();
        }
        drop(sender);
        watch(
            events,
            printer,
            ProgressMode::None,
            Counts::default(),
            || Timestamp(0),
        )
        .await;
        insta::assert_snapshot!(captured.stderr(), @r"
        paused: connection refused; next try in 2.0 s, gives up in 30 min 00 s
        resumed: requests are answered again, after 20 s
        ");
    }

    #[test]
    fn a_line_that_says_nothing_new_is_written_once_a_minute() {
        let mut lines = Lines::default();
        let standing = counts(10, 0, 0);
        let due: Vec<i64> = (0..=130)
            .step_by(5)
            .filter(|second| lines.is_due(standing, Timestamp(second * 1000)))
            .collect();
        assert_eq!(due, [0, 60, 120]);
        assert!(lines.is_due(counts(11, 0, 0), Timestamp(131_000)));
    }
}
