//! The bar: a block of lines at the bottom of a terminal, drawn in place of the one before.

use super::text::width;

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: u16,
    pub(super) columns: u16,
}

/// No line is wider, whatever the terminal: one that is made narrower, as far as this, has nothing to wrap.
const WIDEST: usize = 59;

impl Size {
    /// How wide a line may be. The last column stays free, since a terminal wraps when it is written to.
    pub(super) fn room(self) -> usize {
        usize::from(self.columns).saturating_sub(1).clamp(1, WIDEST)
    }
}

/// The block that stands on the terminal. The cursor rests at the beginning of its last line, so that what the terminal echoes of a key,
/// as `^C`, stays within it.
#[derive(Debug, Default)]
pub(super) struct Bar {
    lines: Vec<String>,
}

impl Bar {
    /// What has to be written to show these lines in place of those before.
    pub(super) fn draw(&mut self, lines: Vec<String>, size: Size) -> String {
        let mut out = self.erase(size);
        // One row is left to what else is written.
        let most = usize::from(size.rows).saturating_sub(1).max(1);
        self.lines = lines;
        self.lines.truncate(most);
        out.push_str(&self.lines.join("\r\n"));
        out.push('\r');
        out
    }

    /// What has to be written to take the lines away, so that others can be written in their place; they are still known.
    pub(super) fn erase(&self, size: Size) -> String {
        let Some((last, above)) = self.lines.split_last() else {
            return String::new();
        };
        // A terminal that has become narrower than a line has wrapped it.
        let columns = usize::from(size.columns).max(1);
        let rows = |line: &String| width(line).div_ceil(columns).max(1);
        // From the last line upwards, and each row by itself: some terminals keep what `ESC[J` clears in what can be scrolled back, when
        // it is the whole screen.
        let rows_above = above.iter().map(rows).sum();
        let mut out = String::from(if rows_above == 0 && rows(last) == 1 {
            "\r\x1b[2K"
        } else {
            "\r\x1b[J"
        });
        out.push_str(&"\x1b[A\x1b[2K".repeat(rows_above));
        out
    }

    /// What has to be written to show the lines again after [`Self::erase`].
    pub(super) fn restore(&mut self, size: Size) -> String {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return String::new();
        }
        self.draw(lines, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that shows what is written to it.
    struct Screen {
        terminal: vt100::Parser,
        bar: Bar,
    }

    impl Screen {
        fn new(rows: u16, columns: u16) -> Self {
            Self {
                terminal: vt100::Parser::new(rows, columns, 100),
                bar: Bar::default(),
            }
        }

        fn size(&self) -> Size {
            let (rows, columns) = self.terminal.screen().size();
            Size { rows, columns }
        }

        fn resize(&mut self, columns: u16) {
            let rows = self.size().rows;
            self.terminal.screen_mut().set_size(rows, columns);
        }

        fn draw(&mut self, text: &str) {
            let room = self.size().room();
            let lines = text
                .lines()
                .map(|line| line.chars().take(room).collect())
                .collect();
            let bytes = self.bar.draw(lines, self.size());
            self.terminal.process(bytes.as_bytes());
        }

        fn say(&mut self, words: &str) {
            let mut bytes = self.bar.erase(self.size());
            bytes += words;
            bytes += "\r\n";
            bytes += &self.bar.restore(self.size());
            self.terminal.process(bytes.as_bytes());
        }

        fn shown(&self) -> String {
            self.terminal.screen().contents().trim_end().to_owned()
        }
    }

    #[test]
    fn each_drawing_takes_the_place_of_the_one_before() {
        let mut screen = Screen::new(10, 80);
        screen.say("before");
        screen.draw("one\ntwo\nthree");
        assert_eq!(screen.shown(), "before\none\ntwo\nthree");
        screen.draw("ONE\nTWO");
        assert_eq!(screen.shown(), "before\nONE\nTWO");
        screen.say("between");
        assert_eq!(screen.shown(), "before\nbetween\nONE\nTWO");
        screen.draw("1\n2\n3\n4");
        assert_eq!(screen.shown(), "before\nbetween\n1\n2\n3\n4");
        screen.draw("");
        assert_eq!(screen.shown(), "before\nbetween");
    }

    #[test]
    fn a_terminal_of_changing_width_has_one_bar_and_no_torn_lines() {
        let mut screen = Screen::new(24, 80);
        let block = format!("{}\n{}\n10 s elapsed", "█".repeat(200), "x".repeat(200));
        screen.say("run 'night' continues");
        for columns in [80, 200, 60, 80, 61, 100, 60] {
            screen.resize(columns);
            screen.draw(&block);
            screen.draw(&block);
            let shown = screen.shown();
            let lines: Vec<&str> = shown.lines().collect();
            assert_eq!(lines.len(), 4, "at {columns}:\n{shown}");
            assert_eq!(lines[0], "run 'night' continues");
            assert_eq!(lines[1].chars().count(), 59, "at {columns}");
            assert_eq!(lines[3], "10 s elapsed");
        }
    }

    #[test]
    fn a_narrow_terminal_has_short_lines() {
        let mut screen = Screen::new(24, 20);
        screen.draw(&"x".repeat(200));
        screen.draw(&"y".repeat(200));
        assert_eq!(screen.shown(), "y".repeat(19));
    }

    #[test]
    fn nothing_stays_of_a_bar_on_which_a_key_was_echoed() {
        let mut screen = Screen::new(10, 40);
        screen.draw("5 of 10\n5 accepted\n1.0 devices/s");
        screen.terminal.process(b"^C");
        screen.say("stopping");
        screen.draw("");
        assert_eq!(screen.shown(), "stopping");
    }

    #[test]
    fn a_bar_at_the_bottom_of_the_screen_scrolls_with_what_is_said() {
        let mut screen = Screen::new(5, 80);
        screen.draw("one\ntwo\nthree");
        for word in ["a", "b", "c", "d", "e", "f"] {
            screen.say(word);
            screen.draw("one\ntwo\nthree");
        }
        assert_eq!(screen.shown(), "e\nf\none\ntwo\nthree");
    }

    #[test]
    fn the_whole_screen_is_never_cleared_at_once() {
        let mut bar = Bar::default();
        let size = Size {
            rows: 24,
            columns: 80,
        };
        bar.draw(vec!["one".into(), "two".into(), "three".into()], size);
        // From below the first row, so that no terminal takes it for the screen.
        assert_eq!(bar.erase(size), "\r\x1b[J\x1b[A\x1b[2K\x1b[A\x1b[2K");
        bar.draw(vec!["one".into()], size);
        assert_eq!(bar.erase(size), "\r\x1b[2K");
    }

    #[test]
    fn a_low_terminal_keeps_the_first_lines() {
        let mut screen = Screen::new(3, 80);
        screen.draw("one\ntwo\nthree\nfour");
        screen.draw("ONE\ntwo\nthree\nfour");
        assert_eq!(screen.shown(), "ONE\ntwo");
    }
}
