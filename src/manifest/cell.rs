//! The text of a cell as the type that its column asks for. A reason for refusing it says what is wrong and the way out.

use super::json;
use crate::model::Payload;

/// Whether a device or product key can be sent as it stands.
///
/// Keys are text and go out exactly as written: leading zeros survive, and nothing is trimmed, so blanks around a key are refused.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("is empty".into());
    }
    if key.starts_with(char::is_whitespace) || key.ends_with(char::is_whitespace) {
        return Err(format!("{key:?} has blanks around it; take them away"));
    }
    if is_spreadsheet_float(key) {
        return Err(format!(
            "`{key}` is a number that a spreadsheet has rounded; format the column as text and export again"
        ));
    }
    Ok(())
}

/// `8.6E+14`, `8,6e14`, `9E+14`: what a spreadsheet makes of a long number. Without a fraction the plus sign has to be there,
/// because `9E14` is also a hexadecimal key.
fn is_spreadsheet_float(key: &str) -> bool {
    let Some((mantissa, exponent)) = key.split_once(['e', 'E']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (signed, exponent) = match exponent.strip_prefix('+') {
        Some(exponent) => (true, exponent),
        None => (false, exponent),
    };
    let mantissa_fits = match mantissa.split_once(['.', ',']) {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => signed && digits(mantissa),
    };
    mantissa_fits && digits(exponent)
}

/// `qos`.
pub(super) fn qos(text: &str) -> Result<i32, String> {
    let (least, most) = (Payload::QOS.start(), Payload::QOS.end());
    text.parse()
        .ok()
        .filter(|level| Payload::QOS.contains(level))
        .ok_or_else(|| format!("{text:?} is not a whole number from {least} to {most}"))
}

/// `is_cache` and `is_cover`: `true`, `false`, `1` or `0`; spreadsheets write the words in capitals.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        word if word.eq_ignore_ascii_case("true") => Ok(true),
        word if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!("{text:?} is neither `true` nor `false`")),
    }
}

/// `cache_time`.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(seconds) if seconds >= 0 => Ok(seconds),
        _ => Err(format!("{text:?} is not a number of seconds, 0 or more")),
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
            "is not JSON ({}); a wire string looks like `[{{\"service\":[{{\"code\":\"value\"}}]}}]`",
            json::describe(&error)
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
            "860123456789012",
            "9E14",
            "E14",
            "1E5",
            "8.6",
            "a b",
            "ключ",
            "🔑",
            "\"quoted\"",
            "a\u{0}b",
            "a\nb",
            "1.2.3E+4",
            "E+14",
            "8.6E+",
            "-1",
        ] {
            assert_eq!(check_key(key), Ok(()), "{key:?}");
        }
    }

    #[test]
    fn a_key_that_a_spreadsheet_rounded_is_refused() {
        for key in [
            "8.6E+14",
            "8.6e+14",
            "8,6E+14",
            "8.6E14",
            "9E+14",
            "86E+13",
            "8.60123456789012E+14",
        ] {
            let reason = check_key(key).expect_err(key);
            assert!(reason.contains("spreadsheet"), "{reason}");
        }
    }

    #[test]
    fn blanks_around_a_key_are_refused_and_not_trimmed() {
        for key in [" DK1", "DK1 ", "DK1\t", "\u{a0}DK1", "DK1\n"] {
            assert!(check_key(key).is_err_and(|reason| reason.contains("blanks")));
        }
        assert_eq!(check_key(""), Err("is empty".into()));
    }

    #[test]
    fn numbers_and_flags() {
        assert_eq!((qos("0"), qos("2")), (Ok(0), Ok(2)));
        for text in ["-1", "3", "1.0", "2147483648"] {
            assert_eq!(
                qos(text),
                Err(format!("{text:?} is not a whole number from 0 to 2"))
            );
        }
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
