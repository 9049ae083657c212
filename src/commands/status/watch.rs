//! `status --watch`: shows a run every second until no process is working on it.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use super::{Look, line, look, text};
use crate::{
    clock,
    exit::{Exit, Failure},
    model::{RowFormat, RunState},
    settings::Status as Settings,
    ui::{
        printer::{OutputError, Printer, unless_closed},
        redraw::{Redraw, Size},
    },
};

/// How long each picture stands at least.
const PAUSE: Duration = Duration::from_secs(1);
/// A look at a large run and its messages may take seconds: the rest after it is so many times as long.
const REST: u32 = 4;

/// Shows a run until it ends.
pub(super) async fn watch(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let mut name = settings.run.clone();
    let mut view = View::new(settings.format, printer);
    loop {
        let began = Instant::now();
        let look = look(&settings, name.as_deref(), printer, clock::wall_now()).await?;
        let rest = PAUSE.max(began.elapsed() * REST);
        // Whatever is pushed next: it is this run that is watched.
        name.get_or_insert_with(|| look.report.name.clone());
        let goes_on = goes_on(&look);
        match view.show(&look, goes_on, printer) {
            Err(OutputError::Closed) => return Ok(Exit::Complete),
            shown => unless_closed(shown)?,
        }
        if !goes_on {
            return Ok(Exit::Complete);
        }
        tokio::time::sleep(rest).await;
    }
}

/// Whether somebody works on the run, or may do so.
fn goes_on(look: &Look) -> bool {
    look.report.state == RunState::Running && look.report.alive() != Some(false)
}

/// How a run is shown again and again.
enum View {
    /// On a terminal: in the same place.
    Terminal(Redraw),
    /// Elsewhere: its first line, whenever that changes, and all of it in the end.
    Lines(String),
    /// For a program: an object each time.
    Objects,
}

impl View {
    fn new(format: RowFormat, printer: &Printer) -> Self {
        match format {
            RowFormat::Table if printer.stdout().terminal().is_some() => {
                Self::Terminal(Redraw::default())
            }
            RowFormat::Table | RowFormat::Csv => Self::Lines(String::new()),
            RowFormat::Jsonl | RowFormat::Json => Self::Objects,
        }
    }

    fn show(&mut self, look: &Look, goes_on: bool, printer: &Printer) -> Result<(), OutputError> {
        let mut out = printer.stdout();
        match self {
            Self::Terminal(redraw) => {
                write!(out, "{}", redraw.frame(&text(look), Size::of_stdout()))?;
            }
            Self::Lines(last) => {
                let text = text(look);
                let first = text.lines().next().unwrap_or_default();
                if !goes_on {
                    write!(out, "{text}")?;
                } else if last != first {
                    writeln!(out, "{first}")?;
                    first.clone_into(last);
                }
            }
            Self::Objects => writeln!(out, "{}", line(look)?)?,
        }
        out.flush()?;
        Ok(())
    }
}
