//! The status of a listener: messages, a metrics file for Prometheus, and the service manager.

use std::path::Path;

use tokio::{sync::mpsc::Receiver, task::spawn_blocking};

use super::{
    file::{MetricsError, MetricsFile},
    last_end::{EXIT, EXIT_AT, LastEnd, SUCCESS_AT},
    page::Page,
    service::{Notice, Service},
};
use crate::{
    engine::{ListenEvent, ListenTotals},
    model::Timestamp,
    ui::{
        number::{bytes, counted, grouped},
        printer::Printer,
        text::clean,
    },
};

/// Milliseconds between two writes of the metrics file, and between two words of the status.
const WRITE_EVERY: u128 = 15_000;
const STATUS_EVERY: u128 = 5_000;

/// Tells people and machines how a listener gets on.
#[derive(Debug)]
pub(crate) struct ListenMonitor {
    queue: String,
    file: Option<MetricsFile>,
    /// Whether the last write has failed, which is told once.
    failing: bool,
    service: Option<Service>,
    status: Status,
}

#[derive(Debug, Clone)]
struct Status {
    started: Timestamp,
    is_connected: bool,
    disconnects: u64,
    backlog: Option<u64>,
    totals: ListenTotals,
    last_end: LastEnd,
}

impl ListenMonitor {
    /// A monitor of a listener to this queue that writes this metrics file, if one is named, and tells the service manager, if one wants
    /// to know.
    pub(crate) fn open(
        queue: &str,
        metrics_file: Option<&Path>,
        now: Timestamp,
    ) -> Result<Self, MetricsError> {
        let file = metrics_file.map(MetricsFile::open).transpose()?;
        let content = file.as_ref().map_or("", MetricsFile::content);
        Ok(Self {
            queue: queue.to_owned(),
            status: Status {
                started: now,
                is_connected: false,
                disconnects: 0,
                backlog: None,
                totals: ListenTotals::default(),
                last_end: LastEnd::read(content, now),
            },
            file,
            failing: false,
            service: Service::of_process(),
        })
    }

    /// Follows a listener until the channel of its events closes.
    pub(crate) async fn watch(
        &mut self,
        mut events: Receiver<ListenEvent>,
        printer: &Printer,
        now: impl Fn() -> Timestamp,
    ) {
        let watchdog = self.service.as_ref().and_then(Service::watchdog);
        let (mut fed, mut told, mut written) = (now(), Timestamp(0), Timestamp(0));
        while let Some(event) = events.recv().await {
            let now = now();
            let mut notices = Vec::new();
            match event {
                ListenEvent::Listening { waiting, bytes } => {
                    self.status.is_connected = true;
                    self.status.backlog = waiting;
                    printer.say(&listening_words(&self.queue, waiting, bytes));
                    notices.push(Notice::Ready);
                    (told, written) = (Timestamp(0), Timestamp(0));
                }
                ListenEvent::Disconnected { reason } => {
                    self.status.is_connected = false;
                    self.status.disconnects += 1;
                    let words = format!("not connected, and connecting again: {}", clean(&reason));
                    printer.warn(&words);
                    (told, written) = (Timestamp(0), Timestamp(0));
                }
                ListenEvent::Warning(words) => printer.warn(&words),
                ListenEvent::Progress(totals) => self.status.totals = totals,
            }
            if told.until(now).as_millis() >= STATUS_EVERY {
                told = now;
                notices.push(Notice::Status(self.words()));
            }
            if let Some(watchdog) = watchdog
                && fed.until(now) >= watchdog / 4
            {
                fed = now;
                notices.push(Notice::Watchdog);
            }
            self.tell(notices).await;
            if written.until(now).as_millis() >= WRITE_EVERY {
                written = now;
                self.write().await;
            }
        }
    }

    /// Tells how the listener ended. Nothing is told afterwards.
    pub(crate) async fn ended(&mut self, exit: u8, now: Timestamp) {
        self.status.is_connected = false;
        self.status.last_end.exit = Some(exit);
        self.status.last_end.exit_at = Some(now);
        if exit == 0 {
            self.status.last_end.success_at = Some(now);
        }
        self.write().await;
        let words = format!("ended with exit code {exit}");
        self.tell(vec![Notice::Status(words), Notice::Stopping])
            .await;
    }

    /// What was taken in, in words.
    pub(crate) fn words(&self) -> String {
        let ListenTotals {
            messages,
            recorded,
            repeated,
            others,
            connections: _,
        } = self.status.totals;
        let state = if self.status.is_connected {
            "listening"
        } else {
            "not connected"
        };
        format!(
            "{state}: {} acknowledged, {} recorded, {} repeated, {} counted only",
            counted(messages, "message"),
            grouped(recorded),
            grouped(repeated),
            grouped(others)
        )
    }

    async fn tell(&self, notices: Vec<Notice>) {
        if let Some(service) = &self.service {
            service.notify(notices).await;
        }
    }

    /// Writes the metrics file. That it cannot be written is no reason to stop.
    async fn write(&mut self) {
        let Some(file) = self.file.take() else { return };
        let text = render(&self.status, file.label(), &self.queue);
        let written = spawn_blocking(move || {
            let written = file.write(&text);
            (file, written)
        })
        .await;
        match written {
            Ok((file, written)) => {
                self.file = Some(file);
                if let Err(error) = &written
                    && !self.failing
                {
                    tracing::warn!(cause = %error.cause(), "{error}");
                }
                self.failing = written.is_err();
            }
            Err(error) => tracing::warn!(%error, "the metrics file was not written"),
        }
    }
}

/// That a queue is listened to, and what waits in it.
pub(crate) fn listening_words(queue: &str, waiting: Option<u64>, size: Option<u64>) -> String {
    let waiting = match (waiting, size) {
        (None, _) => "how many messages wait is not known".to_owned(),
        (Some(waiting), None) => format!("{} wait", counted(waiting, "message")),
        (Some(waiting), Some(size)) => {
            format!("{} wait ({})", counted(waiting, "message"), bytes(size))
        }
    };
    format!("listening to {queue}; {waiting}")
}

/// The whole file.
fn render(status: &Status, push: &str, queue: &str) -> String {
    let mut page = Page::new(push);
    let totals = status.totals;
    page.gauge(
        "fleetpush_listen_info",
        "The queue that is listened to.",
        &[(&[("queue", queue)], "1".to_owned())],
    );
    page.plain(
        "fleetpush_listen_connected",
        "Whether the queue was consumed when this file was written.",
        Some(u8::from(status.is_connected)),
    );
    page.plain(
        "fleetpush_listen_backlog",
        "Messages that waited in the queue when it was last connected to.",
        status.backlog,
    );
    for (name, help, count) in [
        (
            "fleetpush_listen_messages_total",
            "Messages that were acknowledged since the start.",
            totals.messages,
        ),
        (
            "fleetpush_listen_recorded_total",
            "Messages about commands that were new.",
            totals.recorded,
        ),
        (
            "fleetpush_listen_repeated_total",
            "Messages about commands that had been recorded before.",
            totals.repeated,
        ),
        (
            "fleetpush_listen_other_total",
            "Messages that were counted by type and not kept.",
            totals.others,
        ),
        (
            "fleetpush_listen_disconnects_total",
            "How often the connection was lost since the start.",
            status.disconnects,
        ),
    ] {
        page.counter(name, help, count);
    }
    let seconds = |Timestamp(at): Timestamp| format!("{:.3}", at as f64 / 1000.0);
    page.plain(
        "fleetpush_start_timestamp_seconds",
        "When the last command was started.",
        Some(seconds(status.started)),
    );
    let last_end = &status.last_end;
    page.plain(
        EXIT,
        "The exit code of the last command that has ended.",
        last_end.exit,
    );
    page.plain(
        EXIT_AT,
        "When the last command that has ended did so.",
        last_end.exit_at.map(seconds),
    );
    page.plain(
        SUCCESS_AT,
        "When a command last ended with exit code 0.",
        last_end.success_at.map(seconds),
    );
    page.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_waits_as_far_as_it_is_known() {
        assert_eq!(
            listening_words("a.1.q", Some(1234), Some(56_000)),
            "listening to a.1.q; 1,234 messages wait (56 kB)"
        );
        assert_eq!(
            listening_words("a.1.q", Some(1), None),
            "listening to a.1.q; 1 message wait"
        );
        assert_eq!(
            listening_words("a.1.q", None, Some(1)),
            "listening to a.1.q; how many messages wait is not known"
        );
    }

    #[test]
    fn the_metrics_are_those_of_a_listener() {
        let status = Status {
            started: Timestamp(1_763_838_149_123),
            is_connected: true,
            disconnects: 2,
            backlog: Some(7),
            totals: ListenTotals {
                messages: 10,
                recorded: 6,
                repeated: 1,
                others: 3,
                connections: 3,
            },
            last_end: LastEnd::default(),
        };
        let text = render(&status, "listen", "a.1.fleet");
        for line in [
            "fleetpush_listen_info{push=\"listen\",queue=\"a.1.fleet\"} 1",
            "fleetpush_listen_connected{push=\"listen\"} 1",
            "fleetpush_listen_backlog{push=\"listen\"} 7",
            "fleetpush_listen_messages_total{push=\"listen\"} 10",
            "fleetpush_listen_disconnects_total{push=\"listen\"} 2",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "no {line} in\n{text}"
            );
        }
        assert!(!text.contains("fleetpush_success"), "it has not ended yet");
    }
}
