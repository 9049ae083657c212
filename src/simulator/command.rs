//! The body of a `sendServiceData`, read strictly: what the specification does not allow is refused, so that a client's slip is seen
//! here and not by a fleet.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::codes;

/// A command that passes the specification's checks.
#[derive(Debug)]
pub(super) struct Command<'a> {
    pub(super) product_key: Cow<'a, str>,
    pub(super) devices: Vec<DeviceKey<'a>>,
    pub(super) data: Cow<'a, str>,
}

/// A device key, borrowed from the body where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct DeviceKey<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow, default)]
    product_key: Cow<'a, str>,
    #[serde(borrow, default)]
    devices: Vec<DeviceKey<'a>>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(default, rename = "qos", deserialize_with = "not_null")]
    _qos: Option<i32>,
    #[serde(default, rename = "isCache", deserialize_with = "not_null")]
    _is_cache: Option<bool>,
    #[serde(default, rename = "cacheTime", deserialize_with = "not_null")]
    _cache_time: Option<i64>,
    #[serde(default, rename = "isCover", deserialize_with = "not_null")]
    _is_cover: Option<bool>,
    #[serde(default, rename = "extendPara", deserialize_with = "not_null")]
    _extend_para: Option<AnyObject>,
}

/// A field that may be absent, but not null: a client is to leave out what it does not say.
fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<'a> Command<'a> {
    /// Reads a body; the error is the top-level code of the refusal.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, i64> {
        // Serde would read an array as the fields in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(codes::PARAMETER_CHECK);
        }
        let body: Body<'a> = serde_json::from_slice(body).map_err(|_| codes::PARAMETER_CHECK)?;
        if body.product_key.is_empty()
            || body.devices.is_empty()
            || body.devices.iter().any(|device| device.0.is_empty())
        {
            return Err(codes::KEY_EMPTY);
        }
        check_data(&body.data)?;
        Ok(Self {
            product_key: body.product_key,
            devices: body.devices,
            data: body.data,
        })
    }
}

/// Checks `data` against the specification's "data format": a list of objects with one member each, whose value is text or such a list.
fn check_data(data: &str) -> Result<(), i64> {
    if serde_json::from_str::<Items<true>>(data).is_ok() {
        Ok(())
    } else if serde_json::from_str::<IgnoredAny>(data).is_ok() {
        Err(codes::DATA_SHAPE)
    } else {
        Err(codes::DATA_NOT_JSON)
    }
}

/// A list of items. The outermost must have one; one inside may be empty, for a service without input.
struct Items<const NEEDED: bool>;

impl<'de, const NEEDED: bool> Deserialize<'de> for Items<NEEDED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self)
    }
}

impl<'de, const NEEDED: bool> Visitor<'de> for Items<NEEDED> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        let mut any = false;
        while let Some(Item) = items.next_element()? {
            any = true;
        }
        if NEEDED && !any {
            return Err(A::Error::custom("an empty list"));
        }
        Ok(self)
    }
}

/// An object with one member.
struct Item;

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Item {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one member")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let first = members.next_entry::<Cow<'_, str>, Value>()?;
        if first.is_none() || members.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("not exactly one member"));
        }
        Ok(self)
    }
}

/// Text, or a list of items.
struct Value;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list of objects")
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self, A::Error> {
        Items::<false>.visit_seq(items).map(|_| self)
    }
}

/// Any JSON object.
struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for AnyObject {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn code(body: &Value) -> i64 {
        Command::parse(body.to_string().as_bytes())
            .err()
            .unwrap_or(codes::OK)
    }

    fn with(field: &str, value: Value) -> Value {
        let mut body = json!({"productKey": "PK1", "devices": ["D1"], "data": r#"[{"k":"v"}]"#});
        body[field] = value;
        body
    }

    #[test]
    fn the_specifications_example_is_read() {
        let body = r#"{"isCache": true, "data": "[{\"fuwu\":[{\"raw1\":\"AA\"}]}]", "qos": 1, "devices": ["DK00001", "\u4e2d\n"],
            "productKey": "PK0001", "isCover": true, "cacheTime": 360, "extendPara": {"a": [1, {"b": null}]}}"#;
        let command = Command::parse(body.as_bytes()).unwrap();
        assert_eq!(command.product_key, "PK0001");
        assert_eq!(command.data, r#"[{"fuwu":[{"raw1":"AA"}]}]"#);
        let keys: Vec<&str> = command.devices.iter().map(|key| key.0.as_ref()).collect();
        assert_eq!(keys, ["DK00001", "中\n"]);
        assert!(matches!(command.devices[0].0, Cow::Borrowed(_)));
    }

    #[test]
    fn wrong_bodies_are_parameter_errors() {
        let array = r#"["PK1",["D1"],"[{\"k\":\"v\"}]"]"#;
        for body in ["", "{", "[]", "null", "\u{1}", "{}x", array] {
            assert_eq!(
                Command::parse(body.as_bytes()).unwrap_err(),
                50005,
                "{body}"
            );
        }
        for (field, value) in [
            ("productKey", json!(1)),
            ("devices", json!("D1")),
            ("devices", json!([1])),
            ("data", json!([{"k": "v"}])),
            ("data", Value::Null),
            ("qos", json!("1")),
            ("qos", json!(1.5)),
            ("qos", Value::Null),
            ("isCache", json!("true")),
            ("isCover", json!(1)),
            ("cacheTime", json!("360")),
            ("extendPara", json!([])),
            ("extendPara", json!("{}")),
            ("isCached", json!(true)),
        ] {
            assert_eq!(code(&with(field, value.clone())), 50005, "{field}: {value}");
        }
        assert_eq!(
            code(&json!({"productKey": "PK1", "devices": ["D1"]})),
            50005
        );
    }

    #[test]
    fn empty_keys_are_named() {
        for (field, value) in [
            ("productKey", json!("")),
            ("devices", json!([])),
            ("devices", json!(["D1", ""])),
        ] {
            assert_eq!(code(&with(field, value.clone())), 50007, "{field}: {value}");
        }
        assert_eq!(code(&json!({"productKey": "PK1", "data": "[]"})), 50007);
    }

    #[test]
    fn every_documented_shape_of_data_passes() {
        for data in [
            r#"[{"key1":"value"},{"key2":"value"}]"#,
            r#"[{"key":[{"key1":"value1"},{"key2":"value2"},{"key3":"value3"}]}]"#,
            r#"[{"key":[{"key1":[{"0":"value1"},{"0":"value1"}]}]}]"#,
            r#"[{"key":[{"key1":[{"key2":"value2"},{"key3":"value3"}]}]}]"#,
            r#"[{"key":[{"key1":[{"0":[{"key2":"value2"}]},{"0":[{"key3":"value3"}]}]}]}]"#,
            r#"[{"key":[]}]"#,
            r#" [ { "a\"b" : "\u0041" } ] "#,
        ] {
            assert_eq!(code(&with("data", json!(data))), 200, "{data}");
        }
    }

    #[test]
    fn other_data_is_refused_by_kind() {
        for data in [
            "",
            "AA",
            "[{",
            r#"[{"k":"v"}]x"#,
            r#"[{"k":1},"#,
            "{'k':'v'}",
        ] {
            assert_eq!(code(&with("data", json!(data))), 71027, "{data}");
        }
        for data in [
            "[]",
            "{}",
            "null",
            r#""text""#,
            "[1]",
            "[{}]",
            r#"[{"k":1}]"#,
            r#"[{"k":true}]"#,
            r#"[{"k":null}]"#,
            r#"[{"k":{"a":"b"}}]"#,
            r#"[{"k":["a"]}]"#,
            r#"[{"k":[{"a":1.5}]}]"#,
            r#"[{"a":"1","b":"2"}]"#,
        ] {
            assert_eq!(code(&with("data", json!(data))), 71028, "{data}");
        }
    }
}
