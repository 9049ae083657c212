//! A text that is drawn again and again at the same place of a terminal.

use std::fmt::Write as _;

/// Where the cursor stands below what was drawn.
#[derive(Debug, Default)]
pub(crate) struct Redraw {
    /// The rows that the last text took.
    rows: usize,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    /// That of the terminal that stdout is.
    pub(crate) fn of_stdout() -> Self {
        let (height, width) = console::Term::stdout().size();
        Self {
            height: height.into(),
            width: width.into(),
        }
    }
}

impl Redraw {
    /// What to print, so that this text stands where the last one stood. What does not fit is cut off: rows that have left the terminal at
    /// its top could never be drawn over.
    pub(crate) fn frame(&mut self, text: &str, size: Size) -> String {
        let mut out = String::new();
        if self.rows > 0 {
            let _ = write!(out, "\u{1b}[{}A", self.rows);
        }
        out.push_str("\r\u{1b}[J");
        self.rows = 0;
        // The cursor needs a row below.
        let room = size.height.saturating_sub(1).max(1);
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let rows = rows_of(line, size.width);
            let reserve = usize::from(lines.peek().is_some());
            if self.rows + rows + reserve > room {
                out.push_str("…\n");
                self.rows += 1;
                break;
            }
            out.push_str(line);
            out.push('\n');
            self.rows += rows;
        }
        out
    }
}

/// The rows that a line takes.
fn rows_of(line: &str, width: usize) -> usize {
    console::measure_text_width(line)
        .div_ceil(width.max(1))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(frames: &[&str], height: u16, width: u16) -> String {
        let mut parser = vt100::Parser::new(height, width, 100);
        let mut redraw = Redraw::default();
        parser.process(b"$ fleetpush status --watch\r\n");
        for text in frames {
            let size = Size {
                height: height.into(),
                width: width.into(),
            };
            let frame = redraw.frame(text, size);
            parser.process(frame.replace('\n', "\r\n").as_bytes());
        }
        parser.screen().contents()
    }

    #[test]
    fn a_text_takes_the_place_of_the_one_before() {
        assert_eq!(
            screen(&["one\ntwo\nthree", "uno"], 24, 80),
            "$ fleetpush status --watch\nuno"
        );
        // A line that the terminal breaks takes two rows.
        let long = "x".repeat(30);
        assert!(screen(&[&long, "uno"], 24, 20).ends_with("--watch\nuno"));
        assert!(!screen(&[&long, "uno"], 24, 20).contains('x'));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_never_piles_up() {
        let tall = (0..50)
            .map(|n| format!("line {n}"))
            .collect::<Vec<_>>()
            .join("\n");
        let shown = screen(&[&tall, &tall, &tall], 6, 40);
        assert_eq!(shown, "line 0\nline 1\nline 2\nline 3\n…");
    }
}
