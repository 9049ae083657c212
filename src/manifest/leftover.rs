//! What spreadsheets, data frames and databases leave behind in an export in the place of a text: nobody means it to be sent.

/// What a key looks like that an export has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leftover {
    /// What it is: `is …`.
    pub(super) what: &'static str,
    /// How to get the key back.
    pub(super) way: &'static str,
}

/// What a key has been turned into.
pub(super) fn in_key(key: &str) -> Option<Leftover> {
    // Nearly every key is none of it, and its first character shows that of most.
    match key.as_bytes() {
        [b'0'..=b'9', rest @ ..] if rest.iter().any(|byte| !byte.is_ascii_digit()) => {}
        [
            b'#' | b'=' | b'\'' | b'\\' | b'<' | b'(' | b'[' | b'N' | b'n' | b'U' | b'u',
            ..,
        ] => {}
        _ => return None,
    }
    let (what, way) = if is_spreadsheet_float(key) {
        (
            "is a number that a spreadsheet has rounded",
            "format the column as text and export again",
        )
    } else if is_whole_float(key) {
        (
            "is a number with a fraction, as a data frame writes a column with gaps",
            "read the column as text (`dtype=str`) and export again",
        )
    } else if is_spreadsheet_error(key) {
        (
            "is an error of a spreadsheet",
            "correct the cell and export again",
        )
    } else if is_missing(key) || is_missing_key(key) {
        (
            "stands for a missing value in a data frame or a database",
            "fill in the key or delete the row",
        )
    } else if key.starts_with("=\"") && key.ends_with('"') {
        ("is a formula of a spreadsheet", "write the text alone")
    } else if is_marked_as_text(key) {
        (
            "has the apostrophe with which a spreadsheet marks text",
            "remove it",
        )
    } else {
        return None;
    };
    Some(Leftover { what, way })
}

/// What a value has been turned into; the reason says how to send it anyway, since a value may look so on purpose.
pub(super) fn in_value(text: &str) -> Option<&'static str> {
    if is_spreadsheet_error(text) {
        Some(
            "is an error of a spreadsheet; correct the cell, or, to send exactly this text, write the row in JSONL or its wire string in `data`",
        )
    } else if is_missing(text) {
        Some(
            "stands for a missing value in a data frame or a database; leave the cell empty, or, to send exactly this text, write the row in JSONL or its wire string in `data`",
        )
    } else {
        None
    }
}

/// Words that stand for no key in whatever case, and may be a value.
fn is_missing_key(key: &str) -> bool {
    ["nan", "none", "null", "na", "n/a", "undefined"]
        .iter()
        .any(|word| key.eq_ignore_ascii_case(word))
}

/// `'860123456789012`.
fn is_marked_as_text(key: &str) -> bool {
    key.strip_prefix('\'').is_some_and(digits)
}

/// As the exports write it, letter by letter: `none` and `null` are values, `None` and `NULL` are what Python and SQL say for nothing.
fn is_missing(text: &str) -> bool {
    text.len() <= 9
        && matches!(
            text,
            "nan"
                | "NaN"
                | "NAN"
                | "NaT"
                | "<NA>"
                | "None"
                | "NULL"
                | "\\N"
                | "(null)"
                | "(NULL)"
                | "[null]"
                | "[NULL]"
                | "<null>"
                | "<NULL>"
                | "undefined"
        )
}

/// `#REF!`, `#DIV/0!`, `#NAME?`, in any language, and `#####` of a column that is too narrow.
fn is_spreadsheet_error(text: &str) -> bool {
    let Some(word) = text.strip_prefix('#') else {
        return false;
    };
    let named = word.strip_suffix(['!', '?']).is_some_and(|name| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_uppercase() || c.is_ascii_digit() || matches!(c, '/' | '_'))
    });
    named
        || matches!(word, "N/A" | "NV" | "N/D" | "N/B" | "NA" | "GETTING_DATA")
        || word.len() >= 2 && word.bytes().all(|byte| byte == b'#')
}

/// `8.6E+14`, `8,6e14`, `9E+14`: what a spreadsheet makes of a long number. Without a fraction the plus sign has to be there,
/// because `9E14` is also a hexadecimal key.
fn is_spreadsheet_float(key: &str) -> bool {
    let Some((mantissa, exponent)) = key.split_once(['e', 'E']) else {
        return false;
    };
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

/// `860123456789012.0`, `860123456789012,00`.
fn is_whole_float(key: &str) -> bool {
    let whole = key.trim_end_matches('0');
    whole.len() < key.len() && whole.strip_suffix(['.', ',']).is_some_and(digits)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_become_of_a_key_is_named() {
        for (keys, expected) in [
            (
                &[
                    "8.6E+14",
                    "8.6e+14",
                    "8,6E+14",
                    "8.6E14",
                    "9E+14",
                    "86E+13",
                    "8.60123456789012E+14",
                ][..],
                "a spreadsheet has rounded",
            ),
            (&["860123456789012.0", "860,00", "0.0"], "`dtype=str`"),
            (
                &[
                    "#REF!", "#N/A", "#NAME?", "#DIV/0!", "#BEZUG!", "#NV", "######",
                ],
                "an error of a spreadsheet",
            ),
            (
                &["nan", "NaN", "<NA>", "None", "NULL", "\\N", "N/A", "null"],
                "a missing value",
            ),
            (&["=\"0012\""], "a formula"),
            (&["'0012"], "the apostrophe"),
        ] {
            for key in keys {
                let Leftover { what, way } = in_key(key).expect(key);
                let reason = format!("{what}; {way}");
                assert!(reason.contains(expected), "{key}: {reason}");
            }
        }
    }

    #[test]
    fn keys_of_odd_forms_are_keys() {
        for key in [
            "860123456789012",
            "9E14",
            "E14",
            "1E5",
            "8.6",
            "10.01",
            "1.2.3E+4",
            "E+14",
            "8.6E+",
            ".0",
            "1.2.0",
            "-1",
            "#1",
            "#",
            "##",
            "#a!",
            "nano",
            "=cmd|' /C calc'!A0",
            "'x",
            "Nancy",
        ] {
            assert_eq!(in_key(key), None, "{key}");
        }
    }

    #[test]
    fn a_value_may_be_more_than_a_key() {
        for value in ["#REF!", "#N/A", "NaN", "<NA>", "NULL", "\\N", "None"] {
            let reason = in_value(value).expect(value);
            assert!(
                reason.contains("JSONL") && reason.contains("`data`"),
                "{reason}"
            );
        }
        for value in [
            "8.6E+14", "1.0", "none", "null", "NA", "N/A", "#1", "#ffcc00", "# off",
        ] {
            assert_eq!(in_value(value), None, "{value}");
        }
    }
}
