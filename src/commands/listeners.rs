//! The listeners of a push: the progress for people, and the monitor for machines. Each has its own channel. The progress has its own
//! thread, so a terminal that nobody reads delays neither the engine nor the monitor.

use std::io;

use tokio::{
    runtime,
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
};

use crate::{
    clock::Clock,
    engine::Event,
    model::{Counts, ProgressMode},
    store::NewRun,
    ui::{monitor::About, printer::Printer, progress},
};

/// Events that may wait for a listener; the engine waits for none of them to be heard.
const EVENTS: usize = 1024;

/// The tasks of those who listen.
pub(super) struct Listeners(JoinSet<()>);

impl Listeners {
    /// Waits until all that was told has been heard. Whoever tells must have ended.
    pub(super) async fn ended(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Starts the listeners to a push of this run, and gives the sender for its events. `counts` is where the run stands at the beginning; after the push of
/// a part the process `goes_on`.
pub(super) fn listen(
    run: &NewRun,
    counts: Counts,
    mode: ProgressMode,
    goes_on: bool,
    clock: Clock,
    printer: &Printer,
) -> io::Result<(Sender<Event>, Listeners)> {
    let (events, heard) = mpsc::channel(EVENTS);
    let (for_people, shown) = mpsc::channel(EVENTS);
    let (for_machines, watched) = mpsc::channel(EVENTS);
    let mut tasks = JoinSet::new();
    tasks.spawn(pass_on(heard, [for_people, for_machines]));
    // A write to a terminal that is stopped (Ctrl-S) stops the thread that makes it. Nothing else runs on this one, its clock included.
    let display = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let progress = progress::watch(shown, printer.clone(), mode, counts, move || clock.now());
    tasks.spawn_blocking(move || display.block_on(progress));
    let (run, monitor) = (run.clone(), printer.monitor().clone());
    tasks.spawn(async move {
        let about = About {
            name: &run.name,
            manifest: &run.manifest,
            target: &run.base_url,
            goes_on,
        };
        monitor
            .watch(about, counts, watched, move || clock.now())
            .await;
    });
    Ok((events, Listeners(tasks)))
}

/// Passes each event on to every listener. As from the engine itself, one that does not keep up misses events.
async fn pass_on<const N: usize>(mut events: Receiver<Event>, listeners: [Sender<Event>; N]) {
    while let Some(event) = events.recv().await {
        for listener in &listeners {
            // The next counts tell more; what is told once has the other half of the channel to itself.
            let counts = matches!(event, Event::Progress { .. } | Event::Measured(_));
            if !counts || 2 * listener.capacity() >= listener.max_capacity() {
                let _ = listener.try_send(event.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_is_stuck_holds_up_no_other_and_hears_the_news_later() {
        let (events, heard) = mpsc::channel(64);
        let (stuck, mut later) = mpsc::channel(8);
        let (lively, mut at_once) = mpsc::channel(64);
        let progress = Event::Progress {
            counts: Counts::default(),
            requests: 0,
            latest_due: None,
            found: None,
        };
        let news = Event::TicketMissing { devices: 1 };
        for _ in 0..20 {
            events.send(progress.clone()).await.unwrap();
        }
        events.send(news.clone()).await.unwrap();
        drop(events);
        pass_on(heard, [stuck, lively]).await;
        let mut count = 0;
        while at_once.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 21);
        let mut last = None;
        while let Some(event) = later.recv().await {
            last = Some(event);
        }
        assert_eq!(last, Some(news));
    }
}
