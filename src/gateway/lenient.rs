//! Reads JSON whose fields may have other types than documented.
//!
//! The platform's pages give numbers in examples where tables say `object`, tickets above 2^53, and messages that may be null, text or an
//! object (platform notes, "Numbers in replies"). So a field has no type until the caller asks for one. Fields are borrowed as the text
//! they were written in. A field of an unexpected form is absent, not an error.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer as _,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Characters of a message that are kept: enough for a person, and no way for a reply to bloat the results database.
const MESSAGE_CHARS: usize = 1000;

/// The fields that are read, of whichever object they stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
pub(super) enum Field {
    Code,
    Msg,
    Message,
    Error,
    Data,
    #[serde(rename = "productKey")]
    ProductKey,
    #[serde(rename = "deviceKey")]
    DeviceKey,
    Ticket,
    AccessToken,
    ExpiresIn,
    ExpireIn,
    #[serde(rename = "sendTime")]
    SendTime,
    #[serde(rename = "sendStatus")]
    SendStatus,
    #[serde(rename = "createTime")]
    CreateTime,
    #[serde(rename = "updateTime")]
    UpdateTime,
    Direction,
    Kv,
    #[serde(rename = "msgType")]
    MsgType,
    /// The vendor's sample program reads the other name.
    #[serde(rename = "dmData", alias = "thingModelData")]
    DmData,
    Pages,
    Total,
    #[serde(rename = "pageSize")]
    PageSize,
    #[serde(rename = "deviceName")]
    DeviceName,
    Sn,
    #[serde(rename = "deviceStatus")]
    DeviceStatus,
    #[serde(rename = "isActived")]
    IsActived,
    #[serde(rename = "dataFmt")]
    DataFmt,
    #[serde(rename = "lastConnTime")]
    LastConnTime,
    #[serde(rename = "lastOfflineTime")]
    LastOfflineTime,
    #[serde(rename = "productName")]
    ProductName,
    #[serde(rename = "connectPlatform")]
    ConnectPlatform,
    Type,
    Subtype,
    #[serde(rename = "createdAt")]
    CreatedAt,
    #[serde(rename = "sentAt")]
    SentAt,
    Status,
    Value,
    #[serde(rename = "packetId")]
    PacketId,
    Id,
    #[serde(rename = "queueId")]
    QueueId,
    #[serde(rename = "queueName")]
    QueueName,
    #[serde(rename = "queueStatus")]
    QueueStatus,
    #[serde(rename = "msgNum")]
    MsgNum,
    #[serde(rename = "msgSize")]
    MsgSize,
    #[serde(other)]
    Other,
}

/// Gives each field of a JSON object with its value's text; a repeated field is given each time. False when `json` is not one whole
/// object: what was given until then is then to be forgotten.
pub(super) fn fields<'a>(json: &'a str, each: impl FnMut(Field, &'a str)) -> bool {
    struct Fields<F>(F);

    impl<'de, F: FnMut(Field, &'de str)> Visitor<'de> for Fields<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry::<Field, &RawValue>()? {
                (self.0)(key, value.get());
            }
            Ok(())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer
        .deserialize_map(Fields(each))
        .and_then(|()| deserializer.end())
        .is_ok()
}

/// Gives each item of a JSON array as its text; false when `json` is not one whole array.
pub(super) fn items<'a>(json: &'a str, each: impl FnMut(&'a str)) -> bool {
    struct Items<F>(F);

    impl<'de, F: FnMut(&'de str)> Visitor<'de> for Items<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(item) = seq.next_element::<&RawValue>()? {
                (self.0)(item.get());
            }
            Ok(())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer
        .deserialize_seq(Items(each))
        .and_then(|()| deserializer.end())
        .is_ok()
}

/// A whole number, written as a number or as text.
pub(super) fn integer(value: &str) -> Option<i64> {
    /// Beyond this a float has no unit digit, and a code that came as one is not known.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    let text = unquoted(value)?;
    let digits = text.trim();
    digits.parse().ok().or_else(|| {
        let float: f64 = digits.parse().ok()?;
        (float.fract() == 0.0 && float.abs() < EXACT).then_some(float as i64)
    })
}

/// A name or an id: text, or a number exactly as it was written. Null, true, false, arrays and objects are none, and neither is empty text.
pub(super) fn id(value: &str) -> Option<Cow<'_, str>> {
    unquoted(value).filter(|text| !text.is_empty())
}

/// A message, whatever its type: text as it is, anything but null as the JSON it was written in, clipped.
pub(super) fn message(value: &str) -> Option<Box<str>> {
    let text = match value.as_bytes().first() {
        Some(b'"') => unquoted(value).unwrap_or(Cow::Borrowed(value)),
        Some(b'n') => return None,
        _ => Cow::Borrowed(value),
    };
    clipped(&text)
}

/// A message's text as it is kept, without blanks around it; none when nothing is left.
pub(super) fn clipped(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => Some(format!("{}…", &text[..end]).into()),
        None => (!text.is_empty()).then(|| text.into()),
    }
}

/// The content of a JSON string, or the text of a JSON number.
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' if value.contains('\\') => serde_json::from_str(value).ok().map(Cow::Owned),
        b'"' => Some(Cow::Borrowed(value.trim_matches('"'))),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbers_or_numeric_text() {
        for value in [
            "200",
            "\"200\"",
            "\" 200 \"",
            "200.0",
            "2e2",
            "\"200.0\"",
            "\"\\u0032\\u0030\\u0030\"",
        ] {
            assert_eq!(integer(value), Some(200), "{value}");
        }
        assert_eq!(integer("-1"), Some(-1));
        for value in [
            "null", "true", "{}", "[200]", "\"\"", "\"OK\"", "200.5", "1e300", "\"NaN\"",
            "\"inf\"", "-", "",
        ] {
            assert_eq!(integer(value), None, "{value}");
        }
    }

    #[test]
    fn ids_keep_every_digit() {
        for value in ["1335004867605954561", "\"1335004867605954561\""] {
            assert_eq!(id(value).as_deref(), Some("1335004867605954561"));
        }
        assert_eq!(id("\"a\\\"b\"").as_deref(), Some("a\"b"));
        for value in ["null", "\"\"", "true", "{}", "[1]"] {
            assert_eq!(id(value), None, "{value}");
        }
    }

    #[test]
    fn messages_are_rendered_whatever_they_are() {
        assert_eq!(message("\"OK\"").as_deref(), Some("OK"));
        assert_eq!(
            message("{\"en\":\"OK\"}").as_deref(),
            Some("{\"en\":\"OK\"}")
        );
        assert_eq!(message("17").as_deref(), Some("17"));
        assert_eq!(
            message("\"half a pair: \\ud800\"").as_deref(),
            Some("\"half a pair: \\ud800\"")
        );
        for value in ["null", "\"\"", "\"  \""] {
            assert_eq!(message(value), None, "{value}");
        }
    }

    #[test]
    fn long_messages_are_clipped_between_characters() {
        let long = format!("\"{}\"", "é".repeat(MESSAGE_CHARS + 1));
        let kept = message(&long).unwrap();
        assert_eq!(kept.chars().count(), MESSAGE_CHARS + 1);
        assert!(kept.ends_with("é…"));
        let exact = format!("\"{}\"", "é".repeat(MESSAGE_CHARS));
        assert!(message(&exact).unwrap().ends_with('é'));
    }

    #[test]
    fn only_whole_objects_and_arrays_count() {
        let mut seen = Vec::new();
        assert!(fields(
            " {\"code\": \"1\", \"x\": [2], \"code\":3 } ",
            |key, value| seen.push((key, value))
        ));
        assert_eq!(
            seen,
            [
                (Field::Code, "\"1\""),
                (Field::Other, "[2]"),
                (Field::Code, "3")
            ]
        );
        for json in [
            "",
            "null",
            "[]",
            "{",
            "{\"code\":1",
            "{\"code\":1}}",
            "{\"code\":}",
            "<html>",
        ] {
            assert!(!fields(json, |_, _| {}), "{json}");
        }

        let mut seen = Vec::new();
        assert!(items("[1, {\"a\":[]} ,null]", |item| seen.push(item)));
        assert_eq!(seen, ["1", "{\"a\":[]}", "null"]);
        for json in ["", "{}", "[1", "[1,]", "[1] 2"] {
            assert!(!items(json, |_| {}), "{json}");
        }
    }
}
