//! A terminal on which a typed ^C does no harm to the bar.

use std::io;

use indicatif::TermLike;

/// A terminal whose cursor rests at the beginning of the bar's last line.
///
/// A bar is drawn to the right edge of its last line. What the terminal then echoes of a key, as `^C`, lands on the line below, and the
/// bar, which reckons from its last line, leaves its first one behind when it is taken away.
#[derive(Debug)]
pub(super) struct EchoProof<T>(pub(super) T);

impl<T: TermLike> TermLike for EchoProof<T> {
    fn width(&self) -> u16 {
        self.0.width()
    }

    fn height(&self) -> u16 {
        self.0.height()
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    /// Each drawing ends with this.
    fn flush(&self) -> io::Result<()> {
        self.0.write_str("\r")?;
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, ProgressBar, ProgressDrawTarget, ProgressStyle};

    use super::*;

    #[test]
    fn nothing_stays_of_a_bar_on_which_a_key_was_echoed() {
        let screen = InMemoryTerm::new(10, 40);
        let target = ProgressDrawTarget::term_like(Box::new(EchoProof(screen.clone())));
        let style = ProgressStyle::with_template("{wide_bar} {prefix}\n{msg}").unwrap();
        let bar = ProgressBar::with_draw_target(Some(10), target).with_style(style);
        bar.set_prefix("5 of 10");
        bar.set_message("5 accepted\n1.0 devices/s");
        bar.tick();
        assert_eq!(
            screen.contents().lines().count(),
            3,
            "{}",
            screen.contents()
        );
        screen.write_str("^C").unwrap();
        bar.suspend(|| screen.write_line("stopping").unwrap());
        bar.finish_and_clear();
        assert_eq!(screen.contents(), "stopping");
    }
}
