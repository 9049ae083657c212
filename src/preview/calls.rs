//! Reads the wire form back: which services a `data` string calls, and with which parameters.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One service that is called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    /// Its code.
    pub(super) service: Cow<'a, str>,
    /// Its parameters in their order, with the text of a scalar and the JSON of anything else.
    pub(super) parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Whether it has a value in place of parameters: `[{"key1":"value"}]`, which the specification has too.
    pub(super) is_plain: bool,
}

/// What `data` calls; nothing when it is not the wire form, which is JSON all the same.
pub(super) fn calls(data: &str) -> Option<Vec<Call<'_>>> {
    let objects: Vec<Members<'_>> = serde_json::from_str(data).ok()?;
    let mut calls = Vec::with_capacity(1);
    for Members(services) in objects {
        for (service, value) in services {
            calls.push(call(service, value)?);
        }
    }
    (!calls.is_empty()).then_some(calls)
}

fn call<'a>(service: Cow<'a, str>, value: &'a RawValue) -> Option<Call<'a>> {
    let text = value.get();
    let (parameters, is_plain) = match text.as_bytes().first() {
        Some(b'[') => {
            let members: Vec<Members<'_>> = serde_json::from_str(text).ok()?;
            let parameters = members
                .into_iter()
                .flat_map(|Members(entries)| entries)
                .map(|(code, value)| (code, scalar(value.get())));
            (parameters.collect(), false)
        }
        Some(b'{') | None => return None,
        Some(_) => (Vec::new(), true),
    };
    Some(Call {
        service,
        parameters,
        is_plain,
    })
}

/// Whether a value in this JSON is neither a string nor a list nor an object: `true`, `5` or `null`, which the specification does not have.
pub(super) fn has_bare_value(json: &str) -> bool {
    let (mut in_string, mut is_escaped, mut is_value) = (false, false, false);
    for byte in json.bytes() {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
        } else if !byte.is_ascii_whitespace() {
            if is_value && !matches!(byte, b'"' | b'[' | b'{') {
                return true;
            }
            in_string = byte == b'"';
            is_value = byte == b':';
        }
    }
    false
}

/// The text of a string, and the JSON of anything else.
fn scalar(json: &str) -> Cow<'_, str> {
    match serde_json::from_str::<Text<'_>>(json) {
        Ok(Text(text)) => text,
        Err(_) => Cow::Borrowed(json),
    }
}

/// A string that is borrowed when it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object, in their order.
pub(super) struct Members<'a, V = &'a RawValue>(pub(super) Vec<(Cow<'a, str>, V)>);

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Members<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Members<'de, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(1);
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The labels of a row, from the text of its JSON object. Their values are strings.
pub(super) fn labels(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let members = serde_json::from_str(text);
    let Members(members) = members.unwrap_or_else(|_| Members(Vec::new()));
    members.into_iter().map(|(name, Text(value))| (name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(data: &str) -> Option<String> {
        let calls = calls(data)?;
        let words = calls.iter().map(|call| {
            let parameters = call.parameters.iter();
            let parameters: Vec<_> = parameters
                .map(|(code, value)| format!("{code}={value}"))
                .collect();
            format!(
                "{}({}){}",
                call.service,
                parameters.join(" "),
                if call.is_plain { " plain" } else { "" }
            )
        });
        Some(words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_wire_form_reads_back() {
        for (data, expected) in [
            (r#"[{"fuwu":[{"raw1":"AA"},{"n":1}]}]"#, "fuwu(raw1=AA n=1)"),
            (r#"[{"reboot":[]}]"#, "reboot()"),
            (r#"[{"a":[{"x":"é"}]},{"b":[]}]"#, "a(x=é) b()"),
            (
                r#"[{"s":[{"zones":[{"0":[{"lo":"1"}]}]}]}]"#,
                r#"s(zones=[{"0":[{"lo":"1"}]}])"#,
            ),
            (
                r#"[{"key1":"value"},{"key2":"v"}]"#,
                "key1() plain key2() plain",
            ),
        ] {
            assert_eq!(told(data).as_deref(), Some(expected), "{data}");
        }
    }

    #[test]
    fn other_json_is_not_the_wire_form() {
        for data in [
            r#"{"mode":1}"#,
            r#"[{"setMode":{"mode":"1"}}]"#,
            r#"[{"setMode":["mode"]}]"#,
            "[]",
            "[{}]",
            "[7]",
            "7",
        ] {
            assert_eq!(told(data), None, "{data}");
        }
    }

    #[test]
    fn values_without_quotes_are_seen_at_any_depth_and_only_as_values() {
        for (data, expected) in [
            (r#"[{"s":[{"a":5}]}]"#, true),
            (r#"[{"s":[{"a" : null}]}]"#, true),
            (r#"[{"s":[{"a":"x"},{"b":[{"0":true}]}]}]"#, true),
            (r#"[{"k":-1.5}]"#, true),
            (r#"[{"s":[{"a":"5"},{"b":[{"0":"true"}]}]}]"#, false),
            (r#"[{"s":[{"a:5":"b:\":5"},{"\\":"\\"}]}]"#, false),
            (r#"[{"s":[]}]"#, false),
        ] {
            assert_eq!(has_bare_value(data), expected, "{data}");
        }
    }

    #[test]
    fn labels_read_back() {
        let labels: Vec<_> = labels(r#"{"site":"Oslo","f\"l":"2\n"}"#).collect();
        assert_eq!(
            labels,
            [
                ("site".into(), "Oslo".into()),
                ("f\"l".into(), "2\n".into())
            ]
        );
    }
}
