//! Shows how a push gets on, from the engine's events, until they end.

mod display;
mod left;
mod rate;
mod rollout;
mod words;

use std::time::Duration;

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, MissedTickBehavior, interval_at},
};

use self::{
    display::Display,
    left::{Estimate, Left},
    rate::Window,
    rollout::phase_after,
    words::{Halt, Snapshot, event_words},
};
use super::printer::Printer;
use crate::{
    engine::{Event, Pause, Phase},
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

/// What has been learnt from the events so far.
pub(super) struct Session {
    started: Timestamp,
    counts: Counts,
    found: Option<f64>,
    window: Window,
    estimate: Estimate,
    phase: Phase,
    pause: Option<Pause>,
}

impl Session {
    pub(super) fn new(counts: Counts, started: Timestamp) -> Self {
        Self {
            started,
            counts,
            found: None,
            window: Window::new(started, counts.ended()),
            estimate: Estimate::new(counts),
            phase: Phase::Rest,
            pause: None,
        }
    }

    /// Takes an event in, and says what is to be printed of it.
    pub(super) fn take(&mut self, event: &Event, now: Timestamp) -> Option<String> {
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

    /// Where the push stands, in one line.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let halt = self.halt(now);
        self.snapshot(now, halt.as_ref()).line()
    }

    /// Where the push stands, as the lines of a bar.
    fn block(&self, now: Timestamp, display: &Display, room: usize) -> Vec<String> {
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
                Phase::Canary { .. } => Left::Unknown,
                Phase::Ramp { .. } | Phase::Rest => self.estimate.left(now),
            },
            found: self.found,
        }
    }
}

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
pub async fn watch(
    mut events: Receiver<Event>,
    printer: Printer,
    mode: ProgressMode,
    counts: Counts,
    now: impl Fn() -> Timestamp,
) {
    let mut session = Session::new(counts, now());
    let mode = match mode {
        // A bar needs a terminal that can move its cursor, whoever asks for it.
        ProgressMode::Auto | ProgressMode::Bar if printer.stderr_takes_a_bar() => ProgressMode::Bar,
        ProgressMode::Auto | ProgressMode::Bar => ProgressMode::Lines,
        chosen => chosen,
    };
    let has_bar = mode == ProgressMode::Bar && !printer.is_quiet();
    let screen = printer.screen();
    let display = Display::new();
    let draw = |session: &Session, now| {
        screen.draw(session.block(now, &display, screen.room()));
    };
    if has_bar {
        draw(&session, now());
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
                if let Some(words) = session.take(&event, now()) {
                    printer.say(&words);
                }
                false
            }
            _ = ticks.tick(), if mode != ProgressMode::None => {
                let now = now();
                if mode == ProgressMode::Lines && lines.is_due(session.counts, now) {
                    printer.say(&session.line(now));
                }
                true
            }
        };
        if has_bar && (ticked || drawn.elapsed() >= BAR_APART) {
            draw(&session, now());
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

    #[test]
    fn the_session_counts_from_where_it_began() {
        let mut session = Session::new(counts(400, 0, 0), Timestamp(0));
        let progress = Event::Progress {
            counts: counts(500, 0, 0),
            requests: 1,
            latest_due: Some(Timestamp(300_000)),
            found: None,
        };
        assert_eq!(session.take(&progress, Timestamp(10_000)), None);
        let snapshot = session.snapshot(Timestamp(10_000), None);
        assert_eq!(
            (snapshot.pace.devices * 10.0, snapshot.pace.requests * 10.0),
            (100.0, 1.0)
        );
        assert_eq!(snapshot.elapsed, Duration::from_secs(10));
    }

    #[test]
    fn an_outage_is_told_until_it_is_over() {
        let mut session = Session::new(counts(400, 0, 0), Timestamp(0));
        let paused = |probe_at| {
            Event::Paused(Pause {
                reason: "connection refused".into(),
                probe_at: Timestamp(probe_at),
                give_up_at: Timestamp(1_800_000),
            })
        };
        session.take(&paused(2_000), Timestamp(1_000));
        let block = |session: &Session, now| {
            let display = Display::new();
            session.block(Timestamp(now), &display, 59).join("\n")
        };
        let told = block(&session, 1_000);
        assert!(
            told.contains("40 %), paused\npaused: connection refused\nnext try in 1.0 s,"),
            "{told}"
        );
        assert!(!told.contains(" left"), "{told}");
        assert!(block(&session, 2_500).contains("trying now, gives up in 29 min 58 s"));
        session.take(&paused(8_000), Timestamp(3_000));
        assert!(block(&session, 3_000).contains("next try in 5.0 s"));
        let after = Duration::from_secs(9);
        session.take(&Event::Resumed { after }, Timestamp(10_000));
        assert!(!block(&session, 10_000).contains("paused"));
    }

    #[test]
    fn an_outage_is_no_part_of_the_pace_and_a_canary_promises_nothing() {
        let mut session = Session::new(counts(0, 0, 0), Timestamp(0));
        let mut told = |at: i64, accepted, event: Option<Event>| {
            let progress = Event::Progress {
                counts: counts(accepted, 0, 0),
                requests: 1,
                latest_due: None,
                found: None,
            };
            session.take(&progress, Timestamp(at));
            if let Some(event) = event {
                session.take(&event, Timestamp(at));
            }
            session.snapshot(Timestamp(at), None).left
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
        let resumed = Some(Event::Resumed { after });
        assert_eq!(told(305_000, 300, resumed), Left::Unknown);
        told(306_000, 400, None);
        assert_eq!(told(310_000, 600, None), seconds(8));
        session.phase = Phase::Canary {
            ended: 40,
            devices: 50,
        };
        let left = session.snapshot(Timestamp(310_000), None).left;
        assert_eq!(left, Left::Unknown);
    }

    #[test]
    fn the_bar_fits_a_common_terminal() {
        let mut session = Session::new(counts(0, 0, 0), Timestamp(0));
        for (at, accepted, failed, snoozing) in [(2, 50, 0, 0), (10, 240, 10, 5)] {
            session.take(
                &Event::Progress {
                    counts: counts(accepted, failed, snoozing),
                    requests: 3,
                    latest_due: None,
                    found: Some(38.77),
                },
                Timestamp(at * 1000),
            );
        }
        let block = session.block(Timestamp(10_000), &Display::new(), 59);
        insta::assert_snapshot!(block.join("\n"), @r"
        ███████▏                     250 of 1,000 (25 %), 30 s left
        240 accepted · 10 failed · 5 snoozing · 16 in flight
        25.0 devices/s, 0.30 requests/s of about 38.8
        10 s elapsed
        ");
    }
}
