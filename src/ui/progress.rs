//! Shows how a push gets on, from the engine's events, until they end.

mod echo;
mod rate;
mod rollout;
mod words;

use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, MissedTickBehavior, interval_at},
};

use self::{
    echo::EchoProof,
    rate::Window,
    rollout::phase_after,
    words::{Snapshot, event_words},
};
use super::printer::Printer;
use crate::{
    engine::{Event, Phase},
    model::{Counts, ProgressMode, Timestamp},
};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a line is written when nothing has changed, as in an outage: a sign of life, and no flood in a log.
const SAME_LINE_EVERY: Duration = Duration::from_mins(1);

/// How often the bar is brought up to date when nothing happens: its clock goes on.
const BAR_EVERY: Duration = Duration::from_secs(1);

/// How often a bar is drawn anew at most.
const DRAWN_PER_SECOND: u8 = 20;

/// What has been learnt from the events so far.
pub(super) struct Session {
    started: Timestamp,
    counts: Counts,
    latest_due: Option<Timestamp>,
    found: Option<f64>,
    window: Window,
    phase: Phase,
}

impl Session {
    pub(super) fn new(counts: Counts, started: Timestamp) -> Self {
        Self {
            started,
            counts,
            latest_due: None,
            found: None,
            window: Window::new(started, counts.ended()),
            phase: Phase::Rest,
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
            self.latest_due = latest_due;
            self.found = found;
            self.window.add(now, counts.ended(), requests);
            return None;
        }
        if let Event::Rollout(step) = event {
            self.phase = phase_after(step).unwrap_or(self.phase);
        }
        event_words(event, now)
    }

    /// Where the push stands, in one line.
    pub(super) fn line(&self, now: Timestamp) -> String {
        self.snapshot(now).line()
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            counts: self.counts,
            elapsed: self.started.until(now),
            pace: self.window.pace(now),
            phase: self.phase,
            latest_due: self.latest_due.map(|due| now.until(due)),
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
        ProgressMode::Auto if printer.stderr_is_terminal() => ProgressMode::Bar,
        ProgressMode::Auto => ProgressMode::Lines,
        chosen => chosen,
    };
    let bar =
        (mode == ProgressMode::Bar && !printer.is_quiet()).then(|| new_bar(draw_target(&printer)));
    if let Some(bar) = &bar {
        update(bar, &session.snapshot(now()));
        printer.screen().show(bar.clone());
    }
    let every = if bar.is_some() { BAR_EVERY } else { LINE_EVERY };
    let mut lines = Lines::default();
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                if let Some(words) = session.take(&event, now()) {
                    printer.say(&words);
                }
            }
            _ = ticks.tick(), if mode != ProgressMode::None => {
                let now = now();
                if mode == ProgressMode::Lines && lines.is_due(session.counts, now) {
                    printer.say(&session.line(now));
                }
            }
        }
        if let Some(bar) = &bar {
            update(bar, &session.snapshot(now()));
        }
    }
    printer.screen().clear();
}

/// stderr when it is a terminal; elsewhere nothing is drawn.
fn draw_target(printer: &Printer) -> ProgressDrawTarget {
    if printer.stderr_is_terminal() {
        let terminal = EchoProof(Term::buffered_stderr());
        ProgressDrawTarget::term_like_with_hz(Box::new(terminal), DRAWN_PER_SECOND)
    } else {
        ProgressDrawTarget::hidden()
    }
}

fn new_bar(target: ProgressDrawTarget) -> ProgressBar {
    // The template is a constant, and a test draws it; the plain bar is never reached.
    let style = ProgressStyle::with_template("{wide_bar} {prefix}\n{msg}").map_or_else(
        |_| ProgressStyle::default_bar(),
        |style| style.progress_chars("█▉▊▋▌▍▎▏ "),
    );
    ProgressBar::with_draw_target(Some(0), target).with_style(style)
}

fn update(bar: &ProgressBar, snapshot: &Snapshot) {
    bar.set_length(snapshot.counts.tasks);
    bar.set_prefix(snapshot.position());
    bar.set_message(format!("{}\n{}", snapshot.standings(), snapshot.paces()));
    bar.set_position(snapshot.counts.ended());
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

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
        resumed: the platform answers again, after 20 s
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
        let snapshot = session.snapshot(Timestamp(10_000));
        assert_eq!(
            (snapshot.pace.devices * 10.0, snapshot.pace.requests * 10.0),
            (100.0, 1.0)
        );
        assert_eq!(
            (snapshot.elapsed, snapshot.latest_due),
            (Duration::from_secs(10), Some(Duration::from_secs(290)))
        );
    }

    #[test]
    fn the_bar_fits_a_common_terminal() {
        let term = InMemoryTerm::new(5, 80);
        let bar = new_bar(ProgressDrawTarget::term_like(Box::new(term.clone())));
        let mut session = Session::new(counts(0, 0, 0), Timestamp(0));
        session.take(
            &Event::Progress {
                counts: counts(240, 10, 5),
                requests: 3,
                latest_due: None,
                found: Some(38.77),
            },
            Timestamp(10_000),
        );
        update(&bar, &session.snapshot(Timestamp(10_000)));
        bar.force_draw();
        insta::assert_snapshot!(term.contents(), @r"
        ████████████▎                                     250 of 1,000 (25 %), 30 s left
        240 accepted · 10 failed · 5 snoozing · 16 in flight
        25.0 devices/s, 0.30 requests/s of about 38.8 · 10 s elapsed
        ");
    }
}
