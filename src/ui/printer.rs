//! Hands out stdout for data and stderr for words.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    sync::Arc,
};

use comfy_table::Table;

use super::{
    monitor::Monitor,
    screen::Screen,
    text::{clean, clean_json},
};
use crate::{clock, model::LogFormat};

/// Bytes that go out at once.
const BUFFER: usize = 64 * 1024;

/// A terminal's width when it does not say.
const DEFAULT_WIDTH: u16 = 80;

/// Why data could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Whoever read stdout has gone, as `head` does: a reason to stop writing, and no failure.
    #[error("stdout was closed")]
    Closed,
    /// Writing failed for another reason.
    #[error("cannot write the output")]
    Io(#[source] io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Io(error)
        }
    }
}

/// The result of writing data, with a reader who has gone taken as success.
pub(crate) fn unless_closed(result: Result<(), OutputError>) -> Result<(), OutputError> {
    match result {
        Err(OutputError::Closed) => Ok(()),
        other => other,
    }
}

/// A terminal's properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Columns.
    pub width: u16,
    /// Whether colours are welcome: not with `NO_COLOR`, and not on a dumb terminal.
    pub colour: bool,
}

/// Where a command prints to.
#[derive(Clone)]
pub(crate) struct Printer {
    stdout: Arc<dyn Fn() -> Box<dyn Write + Send> + Send + Sync>,
    stdout_terminal: Option<Terminal>,
    stderr_takes_bar: bool,
    screen: Screen,
    quiet: bool,
    words: LogFormat,
    monitor: Monitor,
}

impl Printer {
    /// The process's own stdout and stderr. A quiet one says nothing but warnings. Words have the form of the log's lines, which share
    /// stderr with them.
    pub(crate) fn new(quiet: bool, words: LogFormat) -> Self {
        let colour = colour_is_welcome(|name| std::env::var_os(name));
        let stdout_terminal = io::stdout().is_terminal().then(|| Terminal {
            width: terminal_width(),
            colour,
        });
        // Where a program reads along, there is nothing to be drawn.
        let stderr_terminal = io::stderr().is_terminal() && words == LogFormat::Text;
        Self {
            stdout: Arc::new(|| Box::new(io::stdout())),
            stdout_terminal,
            stderr_takes_bar: takes_a_bar(stderr_terminal, |name| std::env::var_os(name)),
            screen: Screen::of_process(stderr_terminal, colour && stderr_terminal),
            quiet,
            words,
            monitor: Monitor::default(),
        }
    }

    /// A printer that keeps what is printed, on a terminal of these properties or on none.
    #[cfg(test)]
    pub(crate) fn captured(terminal: Option<Terminal>) -> (Self, Captured) {
        let captured = Captured::default();
        let out = captured.out.clone();
        let printer = Self {
            stdout: Arc::new(move || Box::new(out.clone())),
            stdout_terminal: terminal,
            stderr_takes_bar: false,
            screen: Screen::new(Box::new(captured.err.clone()), false),
            quiet: false,
            words: LogFormat::Text,
            monitor: Monitor::default(),
        };
        (printer, captured)
    }

    /// A printer to whose stdout nobody listens.
    #[cfg(test)]
    pub(crate) fn closed() -> Self {
        struct ClosedPipe;
        impl Write for ClosedPipe {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        Self {
            stdout: Arc::new(|| Box::new(ClosedPipe)),
            ..Self::captured(None).0
        }
    }

    /// The same printer for a command that this monitor tells of.
    #[must_use]
    pub(crate) fn watched_by(&self, monitor: Monitor) -> Self {
        Self {
            monitor,
            ..self.clone()
        }
    }

    /// What machines are told of the command.
    pub(crate) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// stdout, buffered; flush it at the end to learn whether all was written.
    pub(crate) fn stdout(&self) -> Output {
        Output {
            sink: BufWriter::with_capacity(BUFFER, (self.stdout)()),
            terminal: self.stdout_terminal,
        }
    }

    /// stderr, for the log and the progress.
    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Whether stderr is a terminal on which a bar can be drawn.
    pub(crate) fn stderr_takes_a_bar(&self) -> bool {
        self.stderr_takes_bar
    }

    /// Whether only warnings are said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says something on stderr, unless quiet. Text from outside is made harmless; line breaks in `words` are not kept.
    pub(crate) fn say(&self, words: &str) {
        if !self.quiet {
            self.emit("INFO", &clean(words), words);
        }
    }

    /// Says something on stderr that must be known even when quiet.
    pub(crate) fn warn(&self, words: &str) {
        self.emit("WARN", &format!("warning: {}", clean(words)), words);
    }

    /// Prints a text of several lines on stderr, unless quiet. The caller has made it harmless.
    pub(crate) fn block(&self, lines: &str) {
        if !self.quiet {
            let lines = lines.trim_end_matches('\n');
            self.emit("INFO", lines, lines);
        }
    }

    /// Writes words to stderr as they are for people, or the same as an object like those of the log.
    fn emit(&self, level: &str, text: &str, message: &str) {
        match self.words {
            LogFormat::Text => self.screen.line(text),
            LogFormat::Json => self.screen.line(&json_line(level, message)),
        }
    }
}

impl std::fmt::Debug for Printer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printer")
            .field("stdout_terminal", &self.stdout_terminal)
            .field("screen", &self.screen)
            .field("quiet", &self.quiet)
            .finish_non_exhaustive()
    }
}

/// A line of a log of JSON objects, with the keys that the log itself uses.
fn json_line(level: &str, message: &str) -> String {
    let line = serde_json::json!({
        "timestamp": clock::wall_now().to_string(),
        "level": level,
        "message": message,
        "target": "fleetpush",
    });
    clean_json(&line.to_string()).into_owned()
}

/// Where a command writes its data: stdout, or a file.
pub(crate) struct Output {
    sink: BufWriter<Box<dyn Write + Send>>,
    terminal: Option<Terminal>,
}

impl Output {
    pub(super) fn to_file(file: Box<dyn Write + Send>) -> Self {
        Self {
            sink: BufWriter::with_capacity(BUFFER, file),
            terminal: None,
        }
    }

    /// The terminal that it is, if it is one.
    pub(crate) fn terminal(&self) -> Option<Terminal> {
        self.terminal
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// Why CSV could not be written.
pub(super) fn csv_failure(error: ::csv::Error) -> OutputError {
    // The crate's own conversion hides the kind, by which a closed pipe is known.
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error.into(),
        other => io::Error::other(format!("{other:?}")).into(),
    }
}

/// The width of the terminal on stdout, in columns.
fn terminal_width() -> u16 {
    Table::new()
        .width()
        .filter(|width| *width > 0)
        .unwrap_or(DEFAULT_WIDTH)
}

/// <https://no-color.org>: any value but the empty one says no.
fn colour_is_welcome(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb(variable)
}

/// Whether stderr can show a bar: it has to be a terminal that moves its cursor.
fn takes_a_bar(is_terminal: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    is_terminal && !is_dumb(variable)
}

/// Whether the terminal says of itself that it can do nothing but print.
fn is_dumb(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    variable("TERM").is_some_and(|value| value == "dumb")
}

/// What a captured printer has printed.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Captured {
    out: Kept,
    err: Kept,
}

#[cfg(test)]
impl Captured {
    pub(crate) fn stdout(&self) -> String {
        self.out.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.err.text()
    }
}

#[cfg(test)]
#[derive(Debug, Clone, Default)]
struct Kept(Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_has_gone_is_told_from_a_failure() {
        let mut stdout = Printer::closed().stdout();
        let closed = writeln!(stdout, "row")
            .and_then(|()| stdout.flush())
            .map_err(OutputError::from);
        assert!(matches!(closed, Err(OutputError::Closed)));
        assert!(unless_closed(closed).is_ok());
        let full = OutputError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(unless_closed(Err(full)).is_err());
    }

    #[test]
    fn words_are_harmless_and_quiet_keeps_warnings() {
        let (mut printer, captured) = Printer::captured(None);
        printer.say("device \u{1b}[2J");
        printer.quiet = true;
        printer.say("nothing");
        printer.block("nothing\n");
        printer.warn("look out");
        assert_eq!(captured.stderr(), "device \\u{1b}[2J\nwarning: look out\n");
        assert_eq!(captured.stdout(), "");
    }

    #[test]
    fn words_are_objects_where_the_log_is_of_objects() {
        let (mut printer, captured) = Printer::captured(None);
        printer.words = LogFormat::Json;
        printer.say("device \u{1b}[2J");
        printer.warn("look out");
        printer.block("run \"night\"\n  tasks 5\n");
        let told: Vec<_> = captured
            .stderr()
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(line["timestamp"].is_string(), "{line}");
                (line["level"].clone(), line["message"].clone())
            })
            .collect();
        assert_eq!(
            told,
            [
                ("INFO".into(), "device \u{1b}[2J".into()),
                ("WARN".into(), "look out".into()),
                ("INFO".into(), "run \"night\"\n  tasks 5".into()),
            ]
        );
        assert!(!captured.stderr().contains('\u{1b}'));
    }

    #[test]
    fn colours_are_left_out_when_unwelcome() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            colour_is_welcome(move |name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            })
        };
        assert!(with(&[]) && with(&[("NO_COLOR", ""), ("TERM", "xterm")]));
        assert!(!with(&[("NO_COLOR", "0")]) && !with(&[("TERM", "dumb")]));
    }

    #[test]
    fn a_bar_is_for_terminals_that_move_their_cursor() {
        let with = |is_terminal, term: &'static str| {
            takes_a_bar(is_terminal, |name| (name == "TERM").then(|| term.into()))
        };
        assert!(with(true, "xterm-256color") && with(true, ""));
        assert!(!with(true, "dumb") && !with(false, "xterm-256color"));
    }
}
