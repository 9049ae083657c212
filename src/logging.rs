//! Starts the log: which lines are written, in which form, through which writer.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, format::Writer, time::FormatTime},
};

use crate::{
    clock,
    model::LogFormat,
    settings::{Level, Logging},
};

/// The log cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The directives cannot be read.
    #[error("FLEETPUSH_LOG={directives:?} is not a log filter: write for example fleetpush=debug")]
    Directives {
        /// Their text.
        directives: String,
        /// What is wrong with them.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another log is there already.
    #[error("the log was started twice")]
    Twice,
}

/// Starts the log of the process. Lines go to `writer`, which shares the terminal with whatever else is on it.
pub(crate) fn init<W>(logging: &Logging, writer: W) -> Result<(), Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(&logging.level)?)
        .with_timer(ClockTime)
        .with_ansi(logging.colour && io::stderr().is_terminal())
        .with_writer(writer);
    let started = match logging.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| Error::Twice)
}

/// Other crates speak of connections and frames: more than their warnings is only shown to who asks for it by name. What a PostgreSQL server
/// remarks is not ours to say: when it stops, for example, the error of the statement says so with what to do.
fn filter(level: &Level) -> Result<EnvFilter, Error> {
    let directives = match level {
        Level::Errors => "error",
        Level::Warnings => "warn,sqlx::postgres::notice=error",
        Level::Info => "warn,fleetpush=info",
        Level::Debug => "warn,fleetpush=debug",
        Level::Trace => "warn,fleetpush=trace",
        Level::Directives(directives) => directives,
    };
    EnvFilter::builder()
        .parse(directives)
        .map_err(|source| Error::Directives {
            directives: directives.to_owned(),
            source,
        })
}

/// Stamps lines with our clock, in the form of the views.
struct ClockTime;

impl FormatTime for ClockTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", clock::wall_now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged under a filter by us and by another crate.
    fn logged(level: &Level) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter(level).unwrap())
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(log, || {
            tracing::error!("e");
            tracing::warn!("w");
            tracing::info!("i");
            tracing::debug!("d");
            tracing::warn!(target: "hyper", "other w");
            tracing::info!(target: "hyper", "other i");
            tracing::error!(target: "sqlx::postgres::notice", "server e");
            tracing::warn!(target: "sqlx::postgres::notice", "server w");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(_, message)| message.to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn verbosity_concerns_our_own_lines_only() {
        assert_eq!(logged(&Level::Errors), "e, server e");
        assert_eq!(logged(&Level::Warnings), "e, w, other w, server e");
        assert_eq!(logged(&Level::Info), "e, w, i, other w, server e, server w");
        assert_eq!(
            logged(&Level::Debug),
            "e, w, i, d, other w, server e, server w"
        );
        assert_eq!(
            logged(&Level::Directives("info".into())),
            "e, w, i, other w, other i, server e, server w"
        );
    }

    #[test]
    fn bad_directives_are_an_error() {
        let error = filter(&Level::Directives("fleetpush=loud".into())).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("FLEETPUSH_LOG=\"fleetpush=loud\" is not a log filter")
        );
    }
}
