//! The values of a command as a history tells them: by the numeric ids of the thing model, as JSON (`dmData`) and as the binary payload.
//!
//! This is the platform's side, by the export's JSON as it stands. It shares nothing with the reader, so that the two can be held against
//! one another.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The two forms of one command.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct EncodedCommand {
    /// `dmData`, as JSON.
    pub(super) dm_data: Value,
    /// `data`, before it is Base64.
    pub(super) payload: Vec<u8>,
}

impl EncodedCommand {
    /// A command, `data` as it was sent. What is no command of the model is told by an id that the model does not have, as bytes.
    pub(super) fn of(model: &Value, data: &str) -> Self {
        let model = model.get("data").unwrap_or(model);
        let mut told = Self::default();
        let call: Value = serde_json::from_str(data).unwrap_or_default();
        let mut entries = Vec::new();
        for (code, value) in pairs(&call) {
            let known = by_code(&model["services"], code).map(|service| (service, true));
            let known = known.or_else(|| Some((by_code(&model["properties"], code)?, false)));
            let Some((definition, is_service)) = known else {
                let stranger = json!({"id": UNKNOWN, "dataType": "RAW"});
                let text = value.to_string();
                let hex = text.bytes().fold(String::new(), |mut hex, byte| {
                    // A string takes all.
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                entries.push(told.entry(&stranger, &json!(hex)));
                continue;
            };
            if is_service {
                let inputs: Vec<Value> = inputs(model, definition);
                let service =
                    json!({"id": definition["id"], "dataType": "STRUCT", "specs": inputs});
                entries.push(told.entry(&service, value));
            } else {
                entries.push(told.entry(definition, value));
            }
        }
        told.dm_data = entries.into();
        told
    }

    /// What a device says when it answers, or reports, nothing in particular: its first property is true.
    pub(super) fn report() -> Self {
        let mut told = Self::default();
        let entry = told.entry(&json!({"id": 1, "dataType": "BOOL"}), &json!("true"));
        told.dm_data = json!([entry]);
        told
    }

    /// Writes one value to the payload, and gives it as JSON.
    fn entry(&mut self, definition: &Value, value: &Value) -> Value {
        let id = number_of(&definition["id"]);
        let specs = &definition["specs"];
        let text = || {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let told = match definition["dataType"].as_str().unwrap_or_default() {
            "STRUCT" => {
                let members = pairs(value);
                self.head(id, 4);
                self.count(members.len());
                let members = members.into_iter().map(|(code, value)| {
                    let stranger = json!({"id": UNKNOWN, "dataType": "TEXT"});
                    self.entry(by_code(specs, code).unwrap_or(&stranger), value)
                });
                members.collect()
            }
            "ARRAY" => {
                let elements = pairs(value);
                let inner =
                    json!({"id": 0, "dataType": specs["dataType"], "specs": specs["specs"]});
                self.head(id, 4);
                self.count(elements.len());
                let elements = elements
                    .into_iter()
                    .map(|(_, value)| self.entry(&inner, value));
                elements.collect()
            }
            "BOOL" => {
                let is_true = text() == "true";
                self.head(id, u16::from(is_true));
                json!(is_true)
            }
            "INT" | "FLOAT" | "DOUBLE" | "ENUM" | "DATE" if as_number(&text()).is_some() => {
                self.head(id, 2);
                self.payload.extend(as_number(&text()).unwrap_or_default());
                json!(text())
            }
            "RAW" => {
                let hex = text();
                let digits: Vec<char> = hex.chars().collect();
                let bytes: Vec<u8> = digits
                    .chunks(2)
                    .filter_map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).ok())
                    .collect();
                self.bytes(id, &bytes);
                // No page shows raw bytes in `dmData`; Base64 is as likely as anything.
                json!(base64::Engine::encode(
                    &base64::prelude::BASE64_STANDARD,
                    &bytes
                ))
            }
            _ => {
                self.bytes(id, text().as_bytes());
                json!(text())
            }
        };
        json!({"id": id, "value": told})
    }

    fn head(&mut self, id: u16, kind: u16) {
        self.payload.extend(((id << 3) | kind).to_be_bytes());
    }

    fn count(&mut self, n: usize) {
        let count = u16::try_from(n).unwrap_or(u16::MAX);
        self.payload.extend(count.to_be_bytes());
    }

    fn bytes(&mut self, id: u16, bytes: &[u8]) {
        self.head(id, 3);
        self.count(bytes.len());
        self.payload.extend(bytes);
    }
}

/// An id that no model has.
const UNKNOWN: u16 = 8000;

/// A decimal number: its sign, decimals and length in one byte, then the number without its point.
fn as_number(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let magnitude: u64 = format!("{whole}{fraction}").parse().ok()?;
    let decimals = u8::try_from(fraction.len()).ok().filter(|n| *n < 16)?;
    let bytes = magnitude.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let kept = bytes.get(first..)?;
    let sign = if digits.len() < text.len() { 0x80 } else { 0 };
    let head = sign | (decimals << 3) | u8::try_from(kept.len() - 1).ok()?;
    Some([&[head], kept].concat())
}

/// A service's parameters; one may be a property.
pub(super) fn inputs(model: &Value, service: &Value) -> Vec<Value> {
    let inputs = service["inputData"].as_array().into_iter().flatten();
    let inputs = inputs.map(|input| {
        let id = input["$ref"].as_str().and_then(|at| at.rsplit('/').next());
        let properties = || model["properties"].as_array().into_iter().flatten();
        id.and_then(|id| properties().find(|one| number_of(&one["id"]).to_string() == id))
            .unwrap_or(input)
            .clone()
    });
    inputs.collect()
}

/// The entry of a list that has this code.
pub(super) fn by_code<'m>(list: &'m Value, code: &str) -> Option<&'m Value> {
    list.as_array()?.iter().find(|entry| entry["code"] == code)
}

/// The members of objects that have one each.
pub(super) fn pairs(list: &Value) -> Vec<(&str, &Value)> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(Value::as_object)
        .flatten()
        .map(|(code, value)| (code.as_str(), value))
        .collect()
}

/// Ids are numbers or strings.
fn number_of(id: &Value) -> u16 {
    let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    text.parse().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = include_str!("../../samples/thing-model.json");

    #[test]
    fn a_call_is_told_by_ids() {
        let model: Value = serde_json::from_str(MODEL).unwrap();
        let told = EncodedCommand::of(&model, r#"[{"setMode":[{"mode":"1"},{"target":"20.5"}]}]"#);
        assert_eq!(
            told.dm_data,
            json!([{"id": 20, "value": [{"id": 21, "value": "1"}, {"id": 22, "value": "20.5"}]}])
        );
        assert_eq!(
            told.payload,
            [0, 0xa4, 0, 2, 0, 0xaa, 0, 1, 0, 0xb2, 0x08, 0xcd]
        );
        let stranger = EncodedCommand::of(&model, r#"[{"nobody":[{"raw1":"AA"}]}]"#);
        assert_eq!(stranger.dm_data[0]["id"], UNKNOWN);
        assert_eq!(EncodedCommand::of(&model, "no JSON").dm_data, json!([]));
    }

    #[test]
    fn numbers_have_a_sign_decimals_and_no_zeros_before_them() {
        for (text, bytes) in [
            ("20", &[0x00, 0x14][..]),
            ("-25.6", &[0x89, 0x01, 0x00]),
            ("0", &[0, 0]),
        ] {
            assert_eq!(as_number(text).as_deref(), Some(bytes));
        }
        assert_eq!(as_number("1e3"), None);
    }
}
