//! The text of a cell as the type that its column asks for. A reason for refusing it says what is wrong and the way out.

use std::fmt::Write as _;

use super::{
    json,
    leftover::{self, Leftover},
};
use crate::model::{CodePoint, Payload};

/// Whether a device or product key can be sent as it stands.
///
/// Keys are text and go out exactly as written: leading zeros survive, and nothing is trimmed, so blanks around a key are refused, and so is
/// what nobody sees in it.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("is empty; fill it in, or delete the row".into());
    }
    check_code(key)
}

/// Whether a key that can be sent is also meant: in a CSV cell and in a flag it may be what an export has made of another. A string of JSONL
/// is taken at its word, which is the way to send a key of this look.
pub(super) fn check_meant(key: &str, way_to_mean_it: &str) -> Result<(), String> {
    match leftover::in_key(key) {
        Some(Leftover { what, way }) => Err(format!(
            "`{}` {what}; {way}; if it is really the key, {way_to_mean_it}",
            shown(key)
        )),
        None => Ok(()),
    }
}

/// Whether a name that the platform knows, of a service or a parameter, can be sent as it stands: it is no free text.
pub(super) fn check_code(code: &str) -> Result<(), String> {
    if code.is_empty() {
        return Err("is empty".into());
    }
    if code.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    check_characters(code)
}

fn check_characters(code: &str) -> Result<(), String> {
    if let Some((place, character)) = CodePoint::unseen_in(code) {
        return Err(format!(
            "\"{}\" has {character}, which is invisible, as character {place}; remove it",
            shown(code)
        ));
    }
    if code.starts_with(char::is_whitespace) || code.ends_with(char::is_whitespace) {
        return Err(format!(
            "\"{}\" has blanks around it; remove them",
            shown(code)
        ));
    }
    let odd = |character: &char| {
        *character == '\u{fffd}' || *character != ' ' && character.is_whitespace()
    };
    match code
        .chars()
        .enumerate()
        .find(|(_, character)| odd(character))
    {
        None => Ok(()),
        Some((place, character)) => {
            let (character, place) = (CodePoint(character), place + 1);
            Err(if character.0 == '\u{fffd}' {
                format!(
                    "\"{}\" has {character} as character {place}: a character was lost in a conversion; export again as UTF-8",
                    shown(code)
                )
            } else {
                format!(
                    "\"{}\" has {character} as character {place}, which looks like a blank; write it again",
                    shown(code)
                )
            })
        }
    }
}

/// Whether a CSV cell is a value that somebody means to send.
pub(super) fn check_value(text: &str) -> Result<(), String> {
    match leftover::in_value(text) {
        Some(reason) => Err(format!("`{text}` {reason}")),
        None => Ok(()),
    }
}

/// Text for a message: what would steer a terminal written out, and not more than a line of it.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut out = String::new();
    for character in text.chars().take(MOST) {
        if CodePoint(character).is_unseen() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    let more = text.chars().count().saturating_sub(MOST);
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, "… and {more} more characters");
    }
    out
}

/// `qos`.
pub(super) fn qos(text: &str) -> Result<i32, String> {
    let (least, most) = (Payload::QOS.start(), Payload::QOS.end());
    text.parse()
        .ok()
        .filter(|level| Payload::QOS.contains(level))
        .ok_or_else(|| {
            format!(
                "\"{}\" is not a whole number from {least} to {most}{}",
                shown(text),
                hint(text)
            )
        })
}

/// `is_cache` and `is_cover`: `true`, `false`, `1` or `0`; spreadsheets write the words in capitals.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        word if word.eq_ignore_ascii_case("true") => Ok(true),
        word if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!(
            "\"{}\" is neither `true` nor `false` (nor `1` or `0`){}",
            shown(text),
            hint(text)
        )),
    }
}

/// What to do about a cell that is nearly what it should be.
fn hint(text: &str) -> &'static str {
    if text.trim() != text {
        "; remove the blanks"
    } else if text.strip_suffix(".0").is_some() {
        "; remove the fraction, which a data frame adds to a column with gaps"
    } else if leftover::in_value(text).is_some() {
        "; leave the cell empty for no value"
    } else {
        ""
    }
}

/// `cache_time`.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(seconds) if seconds >= 0 => Ok(seconds),
        _ => Err(format!(
            "\"{}\" is not a number of seconds, 0 or more{}",
            shown(text),
            match hint(text) {
                "" => "; write whole seconds, such as 3600",
                hint => hint,
            }
        )),
    }
}

/// `extend_para`: a JSON object, without the blanks between its tokens.
pub(super) fn object(text: &str) -> Result<Box<str>, String> {
    let raw = json::parse(text)
        .map_err(|error| format!("is not a JSON object: {}", json::describe(&error)))?;
    if raw.get().starts_with('{') {
        Ok(json::compact(raw.get()).into())
    } else {
        Err("is JSON, but not an object".into())
    }
}

/// `data` as text: the wire string, which goes out unchanged. The platform would answer 71027 to what is not JSON at all.
pub(super) fn wire_string(text: &str) -> Result<Box<str>, String> {
    json::check_syntax(text).map_err(|error| {
        format!(
            "is not JSON ({}); a wire string looks like `[{{\"service\":[{{\"code\":\"value\"}}]}}]`{}",
            json::describe(&error),
            if text.contains('\'') {
                ", with double quotes"
            } else if text.starts_with(['[', '{']) && !text.contains('"') {
                "; in CSV put it in quotes and double the quotes inside it"
            } else {
                ""
            }
        )
    })?;
    if text.trim_start().starts_with(['[', '{']) {
        Ok(text.into())
    } else {
        Err(
            "is a bare value; a wire string looks like `[{\"service\":[{\"code\":\"value\"}]}]`"
                .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text() {
        for key in [
            "DK00001",
            "000123",
            "9E14",
            "a b",
            "ключ",
            "🔑",
            "\"quoted\"",
            "e\u{301}",
        ] {
            assert_eq!(check_key(key), Ok(()), "{key:?}");
        }
        assert!(check_key("").is_err_and(|reason| reason.starts_with("is empty")));
        assert_eq!(check_code(""), Err("is empty".into()));
        assert_eq!(
            check_meant("8.6E+14", "write it twice"),
            Err("`8.6E+14` is a number that a spreadsheet has rounded; format the column as text and export again; if it is really the key, write it twice".into())
        );
        assert_eq!(check_meant("9E14", ""), Ok(()));
    }

    #[test]
    fn blanks_and_what_nobody_sees_are_refused_and_not_trimmed() {
        for (key, expected) in [
            (" DK1", "\" DK1\" has blanks around it"),
            ("DK1 ", "has blanks around it"),
            ("\u{a0}DK1", "has blanks around it"),
            ("DK\u{a0}1", "has U+00A0 (no-break space) as character 3"),
            (
                "DK1\t",
                "\"DK1\\t\" has U+0009 (tab), which is invisible, as character 4",
            ),
            (
                "D\nK",
                "has U+000A (line feed), which is invisible, as character 2",
            ),
            (
                "\0\0",
                "\"\\u{0}\\u{0}\" has U+0000 (NUL), which is invisible, as character 1",
            ),
            (
                "D\u{200b}",
                "\"D\\u{200b}\" has U+200B (zero width space), which",
            ),
            (
                "D\u{fffd}",
                "has U+FFFD (replacement character) as character 2: a character was lost",
            ),
        ] {
            let reason = check_key(key).expect_err(key);
            assert!(reason.contains(expected), "{key:?}: {reason}");
        }
        let long = format!("{}\0", "k".repeat(10_000));
        assert!(
            check_key(&long)
                .is_err_and(|reason| reason.len() < 200 && reason.contains("… and 9941 more"))
        );
    }

    #[test]
    fn numbers_and_flags() {
        assert_eq!((qos("0"), qos("2")), (Ok(0), Ok(2)));
        for text in ["-1", "3", "1.0", "2147483648"] {
            assert_eq!(
                qos(text),
                Err(format!(
                    "{text:?} is not a whole number from 0 to 2{}",
                    hint(text)
                ))
            );
        }
        assert!(hint("1.0").contains("data frame") && hint(" 1").contains("blanks"));
        assert_eq!(seconds("0"), Ok(0));
        assert!(seconds("-1").is_err());
        assert!(seconds("10m").is_err());
        for (text, value) in [("TRUE", true), ("False", false), ("1", true), ("0", false)] {
            assert_eq!(flag(text), Ok(value));
        }
        assert!(flag("yes").is_err());
    }

    #[test]
    fn extend_para_is_a_compact_object() {
        assert_eq!(
            object(r#" { "a" : 1.0, "b": "x y" } "#).as_deref(),
            Ok(r#"{"a":1.0,"b":"x y"}"#)
        );
        for text in ["[1]", "1", "{", r#"{"a":1,"a":2}"#] {
            assert!(object(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wire_string_goes_out_unchanged() {
        for text in [
            r#"[{"key1":"value1"},{"key2":"value2"}]"#,
            r#" [ {"a" : 1.0} ] "#,
            r#"{"a":1}"#,
        ] {
            assert_eq!(wire_string(text).as_deref(), Ok(text));
        }
        for text in ["AA", "5", "\"x\"", "[{\"a\":1}", ""] {
            assert!(wire_string(text).is_err(), "{text}");
        }
    }
}
