//! JSON read so that the order of keys and the text of numbers survive, and a key that stands twice is noticed.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A JSON value, looked at one level deep.
#[derive(Debug)]
pub(super) enum Json<'a> {
    Null,
    /// `true` or `false`.
    Bool(&'a str),
    /// A number, as written.
    Number(&'a str),
    /// A string's text.
    String(Cow<'a, str>),
    Array(&'a RawValue),
    Object(&'a RawValue),
}

impl<'a> Json<'a> {
    /// Looks at a value.
    pub(super) fn of(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => Self::Object(raw),
            Some(b'[') => Self::Array(raw),
            Some(b'"') => Self::String(serde_json::from_str::<Text>(text)?.0),
            Some(b't' | b'f') => Self::Bool(text),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(text),
        })
    }
}

/// A string that is borrowed when it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads text as JSON in which no object has a key twice, at any depth.
pub(super) fn parse(text: &str) -> Result<&RawValue, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Unique.deserialize(&mut deserializer)?;
    deserializer.end()?;
    serde_json::from_str(text)
}

/// Whether `text` is JSON; the error says why not.
pub(super) fn check_syntax(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text).map(|_| ())
}

/// The entries of a JSON object, in order.
pub(super) fn entries(raw: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, serde_json::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some((Text(key), value)) = map.next_entry()? {
                entries.push((key, value));
            }
            Ok(entries)
        }
    }
    raw.deserialize_map(Entries)
}

/// The elements of a JSON array.
pub(super) fn elements(raw: &RawValue) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(raw.get())
}

/// Without the blanks between the tokens; everything else stays as written, numbers and escapes too.
///
/// `text` must be JSON.
pub(super) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if quoted {
            out.push(c);
            (quoted, escaped) = match c {
                _ if escaped => (true, false),
                '\\' => (true, true),
                '"' => (false, false),
                _ => (true, false),
            };
        } else if !matches!(c, ' ' | '\t' | '\n' | '\r') {
            out.push(c);
            quoted = c == '"';
        }
    }
    out
}

/// Appends `text` as a JSON string.
pub(super) fn push_string(out: &mut String, text: &str) {
    let plain = |byte| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// An error's text with its place as a person counts it in a cell or a line: the column only.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) if error.line() == 1 => {
            format!("{reason}, character {}", error.column())
        }
        _ => text,
    }
}

/// Refuses a key that stands twice, at any depth; `serde_json` bounds the depth.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(Text(key)) = map.next_key()? {
            map.next_value_seed(Self)?;
            if !seen.insert(key.clone()) {
                return Err(twice(&key));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

fn twice<E: serde::de::Error>(key: &str) -> E {
    E::custom(format_args!("the key `{key}` is twice in one object"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_found_at_any_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"[{"x":{"b":1,"c":2,"b":3}}]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("is twice"), "{error}");
        }
        assert!(parse(r#"[{"a":1},{"a":{"a":2}}]"#).is_ok());
    }

    #[test]
    fn entries_keep_order_and_text() {
        let raw = parse(r#" {"z": 1.0 , "\u00e4":[ 1e5 ]} "#).expect("JSON");
        let entries: Vec<_> = entries(raw)
            .expect("an object")
            .into_iter()
            .map(|(key, raw)| (key.into_owned(), raw.get().to_owned()))
            .collect();
        assert_eq!(
            entries,
            [("z".into(), "1.0".into()), ("ä".into(), "[ 1e5 ]".into())]
        );
    }

    #[test]
    fn compacting_touches_nothing_inside_strings() {
        assert_eq!(
            compact("{ \"a b\" :\t[ 1.0,\r\n 1e5 ], \"\\\" \\\\\" : \" \" }"),
            r#"{"a b":[1.0,1e5],"\" \\":" "}"#
        );
    }

    #[test]
    fn errors_name_the_character() {
        let error = parse(r#"{"a":1 "b"}"#).expect_err("no JSON");
        assert_eq!(describe(&error), "expected `,` or `}`, character 8");
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_crash() {
        assert!(parse(&"[".repeat(1 << 20)).is_err());
        assert!(parse(&format!("{}{}", "[".repeat(4000), "]".repeat(4000))).is_err());
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in any::<String>()) {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).ok(), Some(text));
        }

        #[test]
        fn arbitrary_text_is_read_or_refused(text in "[\\[\\]{}\":,0-9a-z\\\\ ]{0,40}|\\PC*") {
            if let Ok(raw) = parse(&text) {
                let compact = compact(raw.get());
                prop_assert_eq!(
                    serde_json::from_str::<serde_json::Value>(&compact).ok(),
                    serde_json::from_str::<serde_json::Value>(&text).ok()
                );
            }
        }
    }
}
