//! How the process ends: the exit codes, and the error that carries one.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{clock, model::LogFormat};

/// The exit codes. They tell the state of the run, also when this invocation sent nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every task is accepted, apart from duplicates and what `--tolerate` allows; or a query has been answered.
    Complete = 0,
    /// The run has ended, and some tasks failed or are in doubt; or it was cancelled.
    Failures = 1,
    /// The usage, the configuration or the manifest is wrong.
    Usage = 2,
    /// The run stopped before its end: a signal, a deadline, an outage, the pause after a canary. Run it again to continue.
    Stopped = 3,
    /// A threshold aborted the run, and it stays so until `--override-abort`.
    Aborted = 4,
    /// Credentials, permission, certificate or endpoint are refused.
    Refused = 5,
    /// The results database failed.
    Database = 6,
    /// Another process owns the results database.
    Locked = 7,
}

impl Exit {
    /// The exit of a command whose output came to `written`: its own when the reader had enough (a closed pipe) or got everything.
    pub fn after_output(self, written: io::Result<()>) -> Result<Self, Failure> {
        match written {
            Ok(()) => Ok(self),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(self),
            Err(error) => Err(Failure::usage(
                anyhow::Error::new(error).context("cannot write to the standard output"),
            )),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// Bad usage, configuration or manifest, or a machine that cannot do what is asked.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// Credentials, permission, certificate or endpoint are refused.
    pub fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Refused, error)
    }

    /// Something that passes stands in the way: the same command again, later, goes on.
    pub fn stopped(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Stopped, error)
    }

    /// The results database failed.
    pub fn database(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Database, error)
    }

    /// Another process owns the results database.
    pub fn locked(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Locked, error)
    }

    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    /// The error that it was made of, if it is of this type.
    pub(crate) fn downcast<E: std::error::Error + Send + Sync + 'static>(self) -> Result<E, Self> {
        let exit = self.exit;
        let downcast = self.error.downcast();
        downcast.map_err(|error| Self { exit, error })
    }

    /// The exit code that says so.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong and what caused it, in one line.
    pub fn message(&self) -> String {
        format!("{:#}", self.error)
    }

    /// Writes the error and what caused it, in the form of the log's lines.
    pub fn report(&self, form: LogFormat, out: impl Write) -> io::Result<()> {
        match form {
            LogFormat::Text => self.report_text(out),
            LogFormat::Json => self.report_json(out),
        }
    }

    /// One object with the keys of the log's lines, and `causes` and `exit_code`.
    fn report_json(&self, mut out: impl Write) -> io::Result<()> {
        let mut causes: Vec<String> = self.error.chain().map(ToString::to_string).collect();
        // Some libraries repeat what caused an error in its own text.
        causes.dedup_by(|cause, above| above.contains(cause.as_str()));
        let message = causes.remove(0);
        let line = serde_json::json!({
            "timestamp": clock::wall_now().to_string(),
            "level": "ERROR",
            "message": message,
            "causes": causes,
            "exit_code": self.exit as u8,
            "target": "fleetpush",
        });
        writeln!(out, "{line}")
    }

    /// Lines for people. A message may have several, but none of them can pass for another message or steer the terminal.
    fn report_text(&self, mut out: impl Write) -> io::Result<()> {
        let mut told = String::new();
        for (depth, cause) in self.error.chain().enumerate() {
            let lead = if depth == 0 { "error" } else { "  caused by" };
            let text = cause.to_string();
            // Some libraries repeat what caused an error in its own text.
            if depth > 0 && told.contains(&text) {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                if number == 0 {
                    writeln!(out, "{lead}: {}", harmless(line))?;
                } else {
                    writeln!(out, "    {}", harmless(line))?;
                }
            }
            told = text;
        }
        Ok(())
    }
}

/// The line with its control characters written out, those that turn the direction of text included.
fn harmless(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for character in line.chars() {
        let steers = character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn report(failure: &Failure) -> String {
        let mut out = Vec::new();
        failure.report(LogFormat::Text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes = [
            Exit::Complete,
            Exit::Failures,
            Exit::Usage,
            Exit::Stopped,
            Exit::Aborted,
            Exit::Refused,
            Exit::Database,
            Exit::Locked,
        ];
        assert_eq!(codes.map(|exit| exit as u8), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_report_tells_every_cause() {
        let failure = Failure::database(anyhow!("disk full").context("cannot open runs.db"));
        assert_eq!(
            report(&failure),
            "error: cannot open runs.db\n  caused by: disk full\n"
        );
        let repeating = Failure::usage(anyhow!("end of file").context("cut: end of file"));
        assert_eq!(report(&repeating), "error: cut: end of file\n");
        assert_eq!(failure.exit(), Exit::Database);
    }

    #[test]
    fn a_report_neither_steers_the_terminal_nor_forges_a_line() {
        let failure = Failure::usage(anyhow!("line 7: \u{1b}[2J\u{202e}\nerror: all is well"));
        assert_eq!(
            report(&failure),
            "error: line 7: \\u{1b}[2J\\u{202e}\n    error: all is well\n"
        );
    }

    #[test]
    fn a_report_for_programs_is_one_line() {
        let failure = Failure::database(anyhow!("disk full").context("cannot open\nruns.db"));
        let mut out = Vec::new();
        failure.report(LogFormat::Json, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "cannot open\nruns.db");
        assert_eq!(line["causes"], serde_json::json!(["disk full"]));
        assert_eq!(line["exit_code"], 6);
        let repeating = Failure::usage(anyhow!("end of file").context("cut: end of file"));
        let mut out = Vec::new();
        repeating.report(LogFormat::Json, &mut out).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["causes"], serde_json::json!([]));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = || Err(io::ErrorKind::BrokenPipe.into());
        assert_eq!(
            Exit::Failures.after_output(closed()).unwrap(),
            Exit::Failures
        );
        let full = Exit::Complete.after_output(Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(full.unwrap_err().exit(), Exit::Usage);
    }
}
