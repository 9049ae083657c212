//! stderr, shared by words, log and progress bar, so that none of them is printed into another.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use indicatif::ProgressBar;
use tracing_subscriber::fmt::MakeWriter;

use super::aside::{Aside, Written};

/// A handle of stderr. Clones are the same screen; while a bar stands on it, it is taken away for each line that is written.
///
/// It is also the writer of the log: `tracing_subscriber::fmt().with_writer(screen)`.
#[derive(Clone)]
pub struct Screen {
    shared: Arc<Mutex<Shared>>,
    colour: bool,
}

struct Shared {
    sink: Box<dyn Write + Send>,
    /// Tells when what the sink was given has been written, if it writes aside.
    written: Option<Written>,
    bar: Option<ProgressBar>,
}

impl Screen {
    pub(super) fn new(sink: Box<dyn Write + Send>, colour: bool) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                sink,
                written: None,
                bar: None,
            })),
            colour,
        }
    }

    /// The process's stderr. What is no terminal is written to aside: it may be a pipe that nobody reads. A terminal is not, since a bar
    /// on it has to know when a line has been written.
    pub(super) fn of_process(terminal: bool, colour: bool) -> Self {
        if !terminal && let Ok((aside, written)) = Aside::new(io::stderr()) {
            let screen = Self::new(Box::new(aside), colour);
            screen.lock().written = Some(written);
            return screen;
        }
        Self::new(Box::new(io::stderr()), colour)
    }

    /// Waits until what was written has left the process, as long as somebody takes it. Nothing can be written afterwards.
    pub fn finish(&self) {
        let (sink, written) = {
            let mut shared = self.lock();
            let sink = std::mem::replace(&mut shared.sink, Box::new(io::sink()));
            (sink, shared.written.take())
        };
        drop(sink);
        if let Some(written) = written {
            written.wait();
        }
    }

    /// Whether the log may use colours.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// Writes one line above the bar. A stderr that cannot be written to is nothing that could be told anywhere, so it is passed over.
    pub fn line(&self, text: &str) {
        let _ = self.write(format!("{text}\n").as_bytes());
    }

    /// Puts a bar on the screen.
    pub(super) fn show(&self, bar: ProgressBar) {
        self.lock().bar = Some(bar);
    }

    /// Takes the bar away for good.
    pub(super) fn clear(&self) {
        if let Some(bar) = self.lock().bar.take() {
            bar.finish_and_clear();
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut shared = self.lock();
        let Shared { sink, bar, .. } = &mut *shared;
        let mut write = || {
            sink.write_all(bytes)?;
            sink.flush()
        };
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        // A panic elsewhere must not take away the screen that is to tell of it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen")
            .field("colour", &self.colour)
            .finish_non_exhaustive()
    }
}

/// Writes what it is given at once: the log's formatter hands over whole lines.
#[derive(Debug)]
pub struct ScreenWriter(Screen);

impl Write for ScreenWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An error would make the log's own report of it panic, and with it the push, when a terminal has been closed.
        let _ = self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Screen {
    type Writer = ScreenWriter;

    fn make_writer(&self) -> Self::Writer {
        ScreenWriter(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, ProgressDrawTarget, ProgressStyle};

    use super::*;
    use crate::ui::printer::Printer;

    #[test]
    fn log_lines_and_words_reach_the_same_screen_in_order() {
        let (printer, captured) = Printer::captured(None);
        let screen = printer.screen().clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(screen.clone())
            .with_ansi(screen.colour())
            .without_time()
            .with_target(false)
            .finish();
        screen.line("before");
        tracing::subscriber::with_default(subscriber, || tracing::warn!(devices = 3, "no ticket"));
        screen.line("after");
        assert_eq!(
            captured.stderr(),
            "before\n WARN no ticket devices=3\nafter\n"
        );
    }

    /// Looks at the terminal whenever something is written.
    struct Watch(InMemoryTerm, Arc<Mutex<Vec<String>>>);
    impl Write for Watch {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.lock().unwrap().push(self.0.contents());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_is_away_while_a_line_is_written() {
        let term = InMemoryTerm::new(5, 40);
        let bar = ProgressBar::with_draw_target(
            Some(10),
            ProgressDrawTarget::term_like(Box::new(term.clone())),
        )
        .with_style(ProgressStyle::with_template("{pos} of {len}").unwrap());
        bar.set_position(3);
        bar.force_draw();
        assert_eq!(term.contents(), "3 of 10");

        let seen = Arc::new(Mutex::new(Vec::new()));
        let screen = Screen::new(Box::new(Watch(term.clone(), Arc::clone(&seen))), false);
        screen.show(bar);
        screen.line("a log line");
        assert_eq!(*seen.lock().unwrap(), [""], "the bar stood in the way");
        assert_eq!(term.contents(), "3 of 10", "the bar did not come back");
        screen.clear();
        assert_eq!(term.contents(), "");
    }
}
