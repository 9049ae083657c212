//! Bars of one line: the parts of a whole, and a value beside the largest one.

use svg::{Document, Node as _, node::element::Rectangle};

use super::round;
use crate::model::Counts;

/// The length of a whole bar.
const WHOLE: f64 = 1_000.0;
/// What is there has to be seen, however little it is.
const LEAST: f64 = 4.0;

/// The states of tasks as parts of all of them.
pub(super) fn states(counts: &Counts) -> String {
    let parts = [
        ("accepted", counts.accepted),
        ("failed", counts.failed),
        ("in_doubt", counts.in_doubt),
        ("pending", counts.pending),
        ("skipped", counts.skipped),
    ];
    let whole: u64 = parts.iter().map(|(_, number)| number).sum();
    let lengths = parts.map(|(_, number)| length(number, whole));
    // Together they are longer than the whole when some of them had to be made longer.
    let shrink = WHOLE / lengths.iter().sum::<f64>().max(WHOLE);
    let mut bar = empty("states");
    let mut x = 0.0;
    for ((class, _), length) in parts.into_iter().zip(lengths) {
        if length > 0.0 {
            bar.append(part(class, x, length * shrink));
        }
        x += length * shrink;
    }
    bar.to_string()
}

/// A value beside the largest one.
pub(super) fn value(value: u64, largest: u64) -> String {
    let mut bar = empty("value");
    bar.append(part("value", 0.0, length(value, largest)));
    bar.to_string()
}

fn length(part: u64, whole: u64) -> f64 {
    match part {
        0 => 0.0,
        part => (part as f64 / whole.max(1) as f64 * WHOLE).max(LEAST),
    }
}

fn empty(class: &str) -> Document {
    Document::new()
        .set("viewBox", (0, 0, WHOLE as u32, 10))
        .set("preserveAspectRatio", "none")
        .set("class", class)
        .set("aria-hidden", "true")
}

fn part(class: &str, x: f64, length: f64) -> Rectangle {
    Rectangle::new()
        .set("class", class)
        .set("x", round(x))
        .set("width", round(length))
        .set("height", 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_little_is_seen_and_no_bar_is_too_long() {
        let bar = states(&Counts {
            tasks: 1_000_002,
            accepted: 1_000_000,
            failed: 1,
            in_doubt: 1,
            ..Counts::default()
        });
        assert_eq!(bar.matches("<rect").count(), 3);
        assert!(
            bar.contains(r#"class="failed" height="10" width="4" x="992.1""#),
            "{bar}"
        );
        assert!(
            bar.contains(r#"class="in_doubt" height="10" width="4" x="996""#),
            "{bar}"
        );
        assert_eq!(states(&Counts::default()).matches("<rect").count(), 0);
        assert!(value(3, 3).contains(r#"width="1000""#));
        assert!(value(0, 3).contains(r#"width="0""#));
    }
}
