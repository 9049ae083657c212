//! stderr, shared by messages, log and progress bar, so that none of them interrupts another.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

use super::{
    bar::{Bar, Size},
    non_blocking::{NonBlockingWriter, Written},
};

/// A handle of stderr. Clones are the same screen; while a bar stands on it, it is taken away for each line that is written.
///
/// It is also the writer of the log: `tracing_subscriber::fmt().with_writer(screen)`.
#[derive(Clone)]
pub(crate) struct Screen {
    shared: Arc<Mutex<Shared>>,
    colour: bool,
}

struct Shared {
    sink: Box<dyn Write + Send>,
    /// Tells when what the sink was given has been written, if it writes aside.
    written: Option<Written>,
    bar: Bar,
    size: SizeOf,
}

/// Tells the terminal's size at the moment.
type SizeOf = Arc<dyn Fn() -> Size + Send + Sync>;

/// What a terminal has that does not say.
const COMMON: Size = Size {
    rows: 24,
    columns: 80,
};

impl Screen {
    pub(super) fn new(sink: Box<dyn Write + Send>, colour: bool) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                sink,
                written: None,
                bar: Bar::default(),
                size: Arc::new(size_of_stderr),
            })),
            colour,
        }
    }

    /// The process's stderr. What is no terminal is written to aside: it may be a pipe that nobody reads. A terminal is not, since a bar
    /// on it has to know when a line has been written.
    pub(super) fn of_process(terminal: bool, colour: bool) -> Self {
        if !terminal && let Ok((writer, written)) = NonBlockingWriter::new(io::stderr()) {
            let screen = Self::new(Box::new(writer), colour);
            screen.lock().written = Some(written);
            return screen;
        }
        Self::new(Box::new(io::stderr()), colour)
    }

    /// Waits until what was written has left the process, as long as somebody takes it. Nothing can be written afterwards.
    pub(crate) fn finish(&self) {
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
    #[cfg(test)]
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// Writes one line above the bar. A stderr that cannot be written to is nothing that could be told anywhere, so it is passed over.
    pub(crate) fn line(&self, text: &str) {
        let _ = self.write(format!("{text}\n").as_bytes());
    }

    /// How wide a line of the bar may be.
    pub(super) fn room(&self) -> usize {
        let size = Arc::clone(&self.lock().size);
        size().room()
    }

    /// Shows these lines below everything else, in place of those before; no lines take the bar away.
    pub(super) fn draw(&self, lines: Vec<String>) {
        let mut shared = self.lock();
        let size = (shared.size)();
        let drawing = shared.bar.draw(lines, size);
        // As with a line: a terminal that cannot be written to is nothing that could be told anywhere.
        let _ = shared.put(drawing.as_bytes());
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut shared = self.lock();
        let size = (shared.size)();
        // In one piece, so that the bar does not flicker.
        let mut all = shared.bar.erase(size).into_bytes();
        all.extend_from_slice(bytes);
        all.extend(shared.bar.restore(size).into_bytes());
        shared.put(&all)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        // A panic elsewhere must not take away the screen that is to tell of it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        self.sink.flush()
    }
}

fn size_of_stderr() -> Size {
    let (rows, columns) = console::Term::stderr()
        .size_checked()
        .filter(|(rows, columns)| *rows > 0 && *columns > 0)
        .unwrap_or((COMMON.rows, COMMON.columns));
    Size { rows, columns }
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
pub(crate) struct ScreenWriter(Screen);

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

    #[test]
    fn the_bar_is_away_while_a_line_is_written() {
        let (printer, captured) = Printer::captured(None);
        let screen = printer.screen();
        screen.draw(vec!["3 of 10".into(), "3 accepted".into()]);
        screen.line("a log line");
        let shown = |bytes: &str| {
            let mut terminal = vt100::Parser::new(24, 80, 0);
            // What a terminal makes of the end of a line.
            terminal.process(bytes.replace('\n', "\r\n").as_bytes());
            terminal.screen().contents().trim_end().to_owned()
        };
        assert_eq!(shown(&captured.stderr()), "a log line\n3 of 10\n3 accepted");
        screen.draw(Vec::new());
        assert_eq!(shown(&captured.stderr()), "a log line");
    }
}
