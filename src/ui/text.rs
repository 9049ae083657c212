//! Makes text from a manifest or the platform safe for a terminal.

use std::{borrow::Cow, fmt::Write as _};

/// The text with every character escaped that could move the cursor, change colours, break the line or reorder what is read.
/// A backslash stays as it is: this is for eyes, not to be read back.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    escape(text, |out, character| {
        let _ = write!(out, "{}", character.escape_default());
    })
}

/// The JSON text with the same characters as `\u` escapes. They can only stand inside strings, so the value does not change.
pub(crate) fn clean_json(json: &str) -> Cow<'_, str> {
    escape(json, |out, character| {
        let _ = write!(out, "\\u{:04x}", character as u32);
    })
}

fn escape(text: &str, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_harmful(character) {
            write(&mut out, character);
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// How many columns a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// The text as far as it fits into so many columns; what is cut is marked.
pub(super) fn cut(text: &str, columns: usize) -> String {
    console::truncate_str(text, columns, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_shown_and_not_obeyed() {
        for (text, shown) in [
            ("DK0001", "DK0001"),
            ("Zürich 北京 \\n", "Zürich 北京 \\n"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("two\nlines\r\t", "two\\nlines\\r\\t"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("abc\u{202e}cba", "abc\\u{202e}cba"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left(text in any::<String>()) {
            prop_assert!(!clean(&text).contains(is_harmful));
        }

        #[test]
        fn cleaned_json_means_the_same(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let cleaned = clean_json(&json);
            prop_assert!(!cleaned.contains(is_harmful));
            prop_assert_eq!(serde_json::from_str::<String>(&cleaned).unwrap(), text);
        }
    }
}
