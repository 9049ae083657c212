//! The progress bar of a terminal: indicatif makes its lines, and the screen places them.
//!
//! indicatif pads each line to the full width of a terminal, and one that is made narrower tears such lines. So it draws on a canvas
//! that is as wide as a line may be, and what the screen gets are the rows of that canvas without their padding.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::words::Snapshot;
use crate::ui::text::{cut, width};

/// A bar with fewer columns says nothing.
const SHORTEST: usize = 8;

/// The bar of a push.
pub(super) struct Display {
    bar: ProgressBar,
    canvas: Canvas,
}

impl Display {
    pub(super) fn new() -> Self {
        let canvas = Canvas::default();
        let target = ProgressDrawTarget::term_like(Box::new(canvas.clone()));
        Self {
            bar: ProgressBar::with_draw_target(Some(0), target),
            canvas,
        }
    }

    /// Where the push stands, in lines for a terminal with room for so many columns.
    pub(super) fn lines(&self, snapshot: &Snapshot<'_>, room: usize) -> Vec<String> {
        self.canvas.lock().room = room;
        let position = snapshot.position();
        let has_bar = room > width(&position) + SHORTEST;
        self.bar.set_style(style(has_bar));
        self.bar.set_length(snapshot.counts.tasks);
        self.bar.set_position(snapshot.counts.ended());
        self.bar.set_prefix(cut(&position, room));
        self.bar.set_message(snapshot.details(room).join("\n"));
        // The canvas has what was drawn last; whoever calls decides how often that is shown.
        self.bar.force_draw();
        self.canvas.lock().rows.clone()
    }
}

fn style(has_bar: bool) -> ProgressStyle {
    let template = if has_bar {
        "{wide_bar} {prefix}\n{msg}"
    } else {
        "{prefix}\n{msg}"
    };
    // The templates are constants, and a test draws them; the plain bar is never reached.
    ProgressStyle::with_template(template).map_or_else(
        |_| ProgressStyle::default_bar(),
        |style| style.progress_chars("█▉▊▋▌▍▎▏ "),
    )
}

/// A terminal in memory that knows no more than the last drawing. Clones are the same canvas.
#[derive(Debug, Clone, Default)]
struct Canvas(Arc<Mutex<Drawing>>);

#[derive(Debug, Default)]
struct Drawing {
    room: usize,
    /// What has been written since the last drawing was complete.
    written: String,
    /// The last drawing.
    rows: Vec<String>,
}

impl Drawing {
    /// The rows of what was written: a terminal begins a new one where the one before is full.
    fn rows(&self) -> Vec<String> {
        let mut rows = vec![String::new()];
        let mut columns = 0;
        for character in self.written.chars() {
            let wide = width(character.encode_utf8(&mut [0; 4]));
            if columns + wide > self.room {
                rows.push(String::new());
                columns = 0;
            }
            columns += wide;
            if let Some(row) = rows.last_mut() {
                row.push(character);
            }
        }
        rows.iter().map(|row| row.trim_end().to_owned()).collect()
    }
}

impl Canvas {
    fn lock(&self) -> MutexGuard<'_, Drawing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each drawing begins on an empty canvas, so there is nothing to move to and nothing to clear.
impl TermLike for Canvas {
    fn width(&self) -> u16 {
        u16::try_from(self.lock().room).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        // The screen leaves out what does not fit.
        u16::MAX
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let mut drawing = self.lock();
        let columns = width(text);
        let padding = columns.next_multiple_of(drawing.room.max(1)) - columns;
        drawing.written.push_str(text);
        drawing.written.push_str(&" ".repeat(padding));
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.lock().written.push_str(text);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawing = self.lock();
        drawing.rows = drawing.rows();
        drawing.written.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        engine::RolloutPhase,
        model::Counts,
        ui::{
            bar::{Bar, Size},
            progress::{left::Left, rate::Throughput, words::Halt},
        },
    };

    fn snapshot(accepted: u64, tasks: u64) -> Snapshot<'static> {
        Snapshot {
            counts: Counts {
                tasks,
                accepted,
                pending: tasks - accepted,
                in_flight: 1_600,
                in_doubt: 0,
                ..Counts::default()
            },
            elapsed: Duration::from_secs(100),
            pace: Throughput {
                devices: 2500.0,
                requests: 25.0,
            },
            phase: RolloutPhase::Rest,
            pause: None,
            left: Left::About(Duration::from_secs_f64((tasks - accepted) as f64 / 2500.0)),
            found: Some(38.77),
        }
    }

    fn first(accepted: u64, tasks: u64, room: usize) -> String {
        Display::new().lines(&snapshot(accepted, tasks), room)[0].clone()
    }

    #[test]
    fn the_bar_takes_the_room_that_is_left() {
        insta::assert_snapshot!(Display::new().lines(&snapshot(250_000, 1_000_000), 59).join("\n"), @r"
        ███▌           250,000 of 1,000,000 (25 %), 5 min 00 s left
        250,000 accepted · 0 failed · 0 snoozing · 1,600 in flight
        2,500 devices/s, 25.0 requests/s of about 38.8
        1 min 40 s elapsed
        ");
        assert_eq!(
            first(0, 1000, 59).trim_start(),
            "0 of 1,000 (0 %), 0.4 s left"
        );
        let full = first(1000, 1000, 59);
        assert!(full.starts_with("██") && !full.contains("█  "), "{full}");
        assert!(first(0, 0, 59).starts_with("███"), "nothing to do is done");
        assert_eq!(width(&first(999, 1000, 59)), 59);
    }

    #[test]
    fn every_line_fits_the_room_and_a_narrow_one_has_no_bar() {
        let halt = Halt {
            reason: "HTTP 503 from https://iot.example: 服务不可用，请稍后再试，谢谢您的理解与支持，再见再见".into(),
            next: None,
            give_up: Duration::from_mins(30),
        };
        let display = Display::new();
        for room in [1, 2, 10, 19, 40, 49, 50, 51, 52, 59] {
            for pause in [None, Some(&halt)] {
                let snapshot = Snapshot {
                    pause,
                    ..snapshot(250_000, 1_000_000)
                };
                let lines = display.lines(&snapshot, room);
                assert_eq!(lines.len(), 1 + snapshot.details(room).len(), "{lines:?}");
                for line in &lines {
                    assert!(width(line) <= room, "{room}: {line}");
                    assert_eq!(line, line.trim_end());
                }
                assert_eq!(lines[1..], snapshot.details(room));
            }
        }
        assert_eq!(
            first(250_000, 1_000_000, 40),
            "250,000 of 1,000,000 (25 %), 5 min 00 s…"
        );
    }

    #[test]
    fn a_terminal_of_changing_width_has_one_bar_and_no_torn_lines() {
        let mut terminal = vt100::Parser::new(24, 80, 100);
        let mut bar = Bar::default();
        let display = Display::new();
        terminal.process(b"run 'night' continues\r\n");
        for columns in [80, 200, 60, 80, 61, 100, 60] {
            terminal.screen_mut().set_size(24, columns);
            let size = Size { rows: 24, columns };
            for accepted in [250_000, 250_100] {
                let lines = display.lines(&snapshot(accepted, 1_000_000), size.room());
                terminal.process(bar.draw(lines, size).as_bytes());
            }
            let shown = terminal.screen().contents();
            let lines: Vec<&str> = shown.trim_end().lines().collect();
            assert_eq!(lines.len(), 5, "at {columns}:\n{shown}");
            assert_eq!(lines[0], "run 'night' continues");
            assert!(lines[1].starts_with("███▌ "), "at {columns}:\n{shown}");
            assert!(
                lines[1].ends_with(" 5 min 00 s left"),
                "at {columns}:
{shown}"
            );
            assert_eq!(lines[4], "1 min 40 s elapsed");
        }
    }
}
