//! Notifies the service manager that the push has begun, how far it is, that it is alive, and that it ends (`sd_notify(3)`).

use std::{
    ffi::OsStr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    engine::Event,
    model::{Counts, Timestamp},
    ui::progress::tracker::Tracker,
};

/// How often the words of the status change in a push that goes on quietly.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// How long a manager may take to take a message. One that takes longer is told nothing more: a push does not wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something that a service manager is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// What was to be started is under way.
    Ready,
    /// How it gets on, for a person.
    Status(String),
    /// It is alive.
    Watchdog,
    /// It is about to end.
    Stopping,
}

impl Notice {
    fn state(&self) -> NotifyState<'_> {
        match self {
            Self::Ready => NotifyState::Ready,
            Self::Status(words) => NotifyState::Status(words),
            Self::Watchdog => NotifyState::Watchdog,
            Self::Stopping => NotifyState::Stopping,
        }
    }
}

/// The service manager that has started this process.
#[derive(Debug)]
pub(super) struct Service {
    watchdog: Option<Duration>,
    deaf: AtomicBool,
}

impl Service {
    /// The manager, if there is one that wants to be told.
    pub(super) fn of_process() -> Option<Self> {
        let socket = std::env::var_os("NOTIFY_SOCKET");
        socket
            .as_deref()
            .is_some_and(|socket| socket != OsStr::new(""))
            .then(|| Self {
                watchdog: sd_notify::watchdog_enabled(),
                deaf: AtomicBool::new(false),
            })
    }

    /// How long it waits for a sign of life before it ends the process, if it does.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Tells it these, in one message.
    pub(super) async fn notify(&self, notices: Vec<Notice>) {
        if notices.is_empty() || self.deaf.load(Ordering::Relaxed) {
            return;
        }
        let told = spawn_blocking(move || {
            let states: Vec<NotifyState<'_>> = notices.iter().map(Notice::state).collect();
            sd_notify::notify(&states)
        });
        let problem = match timeout(PATIENCE, told).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it takes no message".to_owned(),
        };
        self.deaf.store(true, Ordering::Relaxed);
        tracing::warn!(
            problem,
            "the service manager that NOTIFY_SOCKET names does not receive the status of the push"
        );
    }
}

/// What follows from events for the service manager.
pub(super) struct Notices {
    tracker: Tracker,
    /// The words of an outage that lasts.
    paused: Option<String>,
    watchdog: Option<Duration>,
    /// Whether a drain is not the end of the process.
    goes_on: bool,
    told: Timestamp,
    fed: Timestamp,
}

impl Notices {
    pub(super) fn new(
        counts: Counts,
        watchdog: Option<Duration>,
        goes_on: bool,
        now: Timestamp,
    ) -> Self {
        Self {
            goes_on,
            tracker: Tracker::new(counts, now),
            paused: None,
            watchdog,
            told: now,
            fed: now,
        }
    }

    /// What to tell after an event. Every event is a sign of life; a quarter of the watchdog's time is often enough.
    pub(super) fn after(&mut self, event: &Event, now: Timestamp) -> Vec<Notice> {
        let mut notices = Vec::new();
        let words = self.tracker.take(event, now);
        match event {
            Event::Paused(_) => self.paused.clone_from(&words),
            Event::Resumed { .. } => self.paused = None,
            Event::Draining { .. } if !self.goes_on => notices.push(Notice::Stopping),
            _ => {}
        }
        if words.is_some() || self.told.until(now) >= STATUS_EVERY {
            self.told = now;
            let line = || self.tracker.line(now);
            let words = words.or_else(|| self.paused.clone()).unwrap_or_else(line);
            notices.push(Notice::Status(words.replace('\n', " ")));
        }
        if let Some(watchdog) = self.watchdog
            && self.fed.until(now) >= watchdog / 4
        {
            self.fed = now;
            notices.push(Notice::Watchdog);
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Pause;

    const WATCHDOG: Option<Duration> = Some(Duration::from_secs(40));

    fn progress(accepted: u64) -> Event {
        Event::Progress {
            counts: Counts {
                tasks: 100,
                accepted,
                pending: 100 - accepted,
                ..Counts::default()
            },
            requests: accepted,
            latest_due: None,
            found: None,
        }
    }

    fn notices() -> Notices {
        Notices::new(Counts::default(), WATCHDOG, false, Timestamp(0))
    }

    #[test]
    fn signs_of_life_follow_the_engine_and_are_few() {
        let mut notices = notices();
        let fed = (0..120)
            .filter(|second| {
                let told = notices.after(&progress(*second as u64 / 2), Timestamp(second * 1000));
                told.contains(&Notice::Watchdog)
            })
            .count();
        assert_eq!(fed, 11, "every ten seconds, while events come");
    }

    #[test]
    fn an_outage_stays_in_the_status_until_it_is_over() {
        let mut notices = notices();
        let mut status = |event: &Event, second: i64| {
            let told = notices.after(event, Timestamp(second * 1000));
            told.into_iter().find_map(|notice| match notice {
                Notice::Status(words) => Some(words),
                _ => None,
            })
        };
        assert_eq!(status(&progress(1), 1), None, "too soon");
        let pause = Event::Paused(Pause {
            reason: "HTTP 503".into(),
            probe_at: Timestamp(4_000),
            give_up_at: Timestamp(60_000),
        });
        let paused = status(&pause, 2).unwrap();
        assert!(paused.starts_with("paused: HTTP 503"), "{paused}");
        assert_eq!(status(&progress(1), 8).as_ref(), Some(&paused));
        let resumed = Event::Resumed {
            what: "requests are answered again",
            after: Duration::from_secs(7),
        };
        assert!(status(&resumed, 9).unwrap().starts_with("resumed"));
        let words = status(&progress(50), 15).unwrap();
        assert!(words.starts_with("50 of 100 (50 %)"), "{words}");
    }

    #[test]
    fn a_drain_is_the_beginning_of_the_end() {
        let drain = Event::Draining {
            requests: 3,
            timeout: Duration::from_secs(30),
        };
        let told = notices().after(&drain, Timestamp(1_000));
        assert_eq!(told[0], Notice::Stopping);
        // A worker goes on with another part.
        let mut worker = Notices::new(Counts::default(), WATCHDOG, true, Timestamp(0));
        let told = worker.after(&drain, Timestamp(1_000));
        assert!(!told.contains(&Notice::Stopping), "{told:?}");
    }
}
