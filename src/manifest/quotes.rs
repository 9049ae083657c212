//! Quotes that are wrong: `csv_core` takes them for text, so that more or less is sent than somebody has written.

use memchr::memchr;

/// A quote that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stray {
    /// Text after the quote that ends a field.
    #[error(
        "has text after a closing quote; double a quote that belongs to the text (`\"\"`), and put the whole field in quotes"
    )]
    TextAfter,
    /// A quote inside a field that is marked as some programs mark it.
    #[error("has a quote marked with a backslash; double it instead (`\"\"`)")]
    Backslash,
    /// Blanks before the quote that should begin a field.
    #[error(
        "has blanks before its opening quote, so that blanks and quotes would be sent; remove them, or put the whole field in quotes"
    )]
    BlankBefore,
}

/// The first field of a raw record that has such a quote.
pub(super) fn stray(raw: &[u8], delimiter: u8) -> Option<(usize, Stray)> {
    let first = memchr(b'"', raw)?;
    if are_sound(without_line_end(raw), delimiter, first) {
        return None;
    }
    Fields::new(raw, delimiter)
        .enumerate()
        .find_map(|(place, field)| field.stray(delimiter).map(|stray| (place, stray)))
}

/// Whether all quotes are surely right, from the first one on. This goes from quote to quote, and looks at no field without one: most
/// records are sound, and this is asked of each of them.
fn are_sound(raw: &[u8], delimiter: u8, first: usize) -> bool {
    let mut quote = first;
    loop {
        let before = quote.checked_sub(1).map(|before| raw[before]);
        let end = if before.is_none_or(|byte| byte == delimiter) {
            let end = quote + closing(&raw[quote..]);
            if raw.get(end).is_some_and(|byte| *byte != delimiter) {
                return false;
            }
            end
        } else if matches!(before, Some(b' ' | b'\t')) {
            return false;
        } else {
            // A quote inside the text of a field that has none around it, and so are those after it in the field.
            memchr(delimiter, &raw[quote..]).map_or(raw.len(), |end| quote + end)
        };
        match memchr(b'"', &raw[end..]) {
            Some(next) => quote = end + next,
            None => return true,
        }
    }
}

/// Whether a field of a raw record is in quotes.
pub(super) fn is_quoted(raw: &[u8], delimiter: u8, place: usize) -> bool {
    Fields::new(raw, delimiter)
        .nth(place)
        .is_some_and(|field| field.raw.starts_with(b"\""))
}

/// The raw fields of a record, with their quotes.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

/// A raw field.
struct Field<'a> {
    /// From its beginning to the delimiter or the end of the record.
    raw: &'a [u8],
    /// Where the quoted part ends, behind the closing quote; 0 when there is none.
    quoted: usize,
}

impl<'a> Fields<'a> {
    fn new(raw: &'a [u8], delimiter: u8) -> Self {
        Self {
            rest: Some(without_line_end(raw)),
            delimiter,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = self.rest?;
        let quoted = if rest.starts_with(b"\"") {
            closing(rest)
        } else {
            0
        };
        let end = memchr(self.delimiter, &rest[quoted..]).map(|at| quoted + at);
        self.rest = end.map(|end| &rest[end + 1..]);
        Some(Field {
            raw: &rest[..end.unwrap_or(rest.len())],
            quoted,
        })
    }
}

/// Where a quoted text ends, behind its closing quote.
fn closing(text: &[u8]) -> usize {
    let mut at = 1;
    // Byte by byte, since doubled quotes stand close together.
    while let Some(quote) = text[at..].iter().position(|byte| *byte == b'"') {
        at += quote + 1;
        if text.get(at) != Some(&b'"') {
            return at;
        }
        at += 1;
    }
    text.len()
}

impl Field<'_> {
    fn stray(&self, delimiter: u8) -> Option<Stray> {
        if self.quoted > 0 {
            return if self.quoted == self.raw.len() {
                None
            } else if self.raw[..self.quoted].ends_with(b"\\\"") {
                Some(Stray::Backslash)
            } else {
                Some(Stray::TextAfter)
            };
        }
        let blanks = self
            .raw
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t') && **byte != delimiter)
            .count();
        (blanks > 0 && self.raw.get(blanks) == Some(&b'"')).then_some(Stray::BlankBefore)
    }
}

fn without_line_end(raw: &[u8]) -> &[u8] {
    let line = raw.strip_suffix(b"\n").unwrap_or(raw);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wrong_quote_is_found_with_its_field() {
        for (raw, expected) in [
            ("D1, \"a\"\n", Some((1, Stray::BlankBefore))),
            ("D1,\"say \"hi\" there\"\n", Some((1, Stray::TextAfter))),
            ("D1,\"5\" pipe\"", Some((1, Stray::TextAfter))),
            (
                "D1,\"say \\\"hi\\\" there\"\r\n",
                Some((1, Stray::Backslash)),
            ),
            ("a,\"b\" ,c", Some((1, Stray::TextAfter))),
            ("\"a\",\"b\"x,\"c\"", Some((1, Stray::TextAfter))),
            ("D1,say \"hi\"\n", None),
            ("D1,5\" pipe,x", None),
            ("\"a \"\"b\"\"\",\"\",\"\"\"\"\r\n", None),
            ("\"a,\nb\",c\n", None),
            ("\"ends \\\"\n", None),
            ("a, b,", None),
            ("", None),
        ] {
            assert_eq!(stray(raw.as_bytes(), b','), expected, "{raw:?}");
        }
        assert_eq!(stray(b"a\t\"b\"\tc", b'\t'), None);
    }

    proptest! {
        #[test]
        fn what_is_quickly_found_sound_is(raw in "[a\", ;\t\\\\]{0,20}\r?\n?") {
            for delimiter in *b",;\t" {
                let slow = Fields::new(raw.as_bytes(), delimiter)
                    .enumerate()
                    .find_map(|(place, field)| field.stray(delimiter).map(|stray| (place, stray)));
                prop_assert_eq!(stray(raw.as_bytes(), delimiter), slow);
            }
        }
    }

    #[test]
    fn a_field_in_quotes_is_known() {
        let raw = b"a,\"b,c\", \"d\",\"\"\n";
        let quoted: Vec<bool> = (0..6).map(|place| is_quoted(raw, b',', place)).collect();
        assert_eq!(quoted, [false, true, false, true, false, false]);
    }
}
