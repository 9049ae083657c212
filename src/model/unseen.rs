//! Characters that nobody sees on a screen, and what they are called.

use std::fmt;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// A character by its code point and, when it has a name that people know, by that: `U+200B (zero width space)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodePoint(pub char);

impl CodePoint {
    /// The first character of `text` that nobody sees, and its place, from 1.
    ///
    /// These are the classes Cc and Cf and the line separators, and what fonts draw as nothing; blanks are not among them.
    pub(crate) fn unseen_in(text: &str) -> Option<(usize, Self)> {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        let mut characters = text.chars().enumerate();
        characters.find_map(|(place, character)| {
            let character = Self(character);
            character.is_unseen().then_some((place + 1, character))
        })
    }

    /// Whether nobody sees it, as [`unseen_in`](Self::unseen_in) has it.
    pub(crate) fn is_unseen(self) -> bool {
        let character = self.0;
        if character.is_ascii() {
            return character.is_ascii_control();
        }
        matches!(
            character.general_category(),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        ) || matches!(
            character,
            // Letters and marks that Unicode wants drawn as nothing (Default_Ignorable_Code_Point).
            '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
        )
    }

    fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            '\0' => "NUL",
            '\t' => "tab",
            '\n' => "line feed",
            '\r' => "carriage return",
            '\u{1b}' => "escape",
            '\u{a0}' => "no-break space",
            '\u{ad}' => "soft hyphen",
            '\u{200b}' => "zero width space",
            '\u{200c}' => "zero width non-joiner",
            '\u{200d}' => "zero width joiner",
            '\u{200e}' => "left-to-right mark",
            '\u{200f}' => "right-to-left mark",
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "mark of direction",
            '\u{2028}' => "line separator",
            '\u{202f}' => "narrow no-break space",
            '\u{2060}' => "word joiner",
            '\u{3000}' => "ideographic space",
            '\u{feff}' => "byte order mark",
            '\u{fffd}' => "replacement character",
            character if character.is_control() => "control character",
            _ => return None,
        })
    }
}

impl fmt::Display for CodePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X}", self.0 as u32)?;
        match self.name() {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_found_with_its_place() {
        for (text, place, shown) in [
            ("DK\0", 3, "U+0000 (NUL)"),
            ("ä\u{200b}1", 2, "U+200B (zero width space)"),
            ("\u{feff}DK1", 1, "U+FEFF (byte order mark)"),
            ("DK1\n2", 4, "U+000A (line feed)"),
            ("DK\u{85}", 3, "U+0085 (control character)"),
            ("a\u{2028}b", 2, "U+2028 (line separator)"),
            ("a\u{e0041}", 2, "U+E0041"),
            ("a\u{3164}", 2, "U+3164"),
            ("1\u{110bd}", 2, "U+110BD"),
        ] {
            let (found, character) = CodePoint::unseen_in(text).expect(text);
            assert_eq!((found, character.to_string()), (place, shown.into()));
        }
        for text in ["", "DK 1~", "ключ", "🔑", "e\u{301}", "北京", "a\u{a0}b"] {
            assert_eq!(CodePoint::unseen_in(text), None, "{text:?}");
        }
    }
}
