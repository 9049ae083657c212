//! What a device's history tells by numeric ids, `dmData`, becomes what a command has: names.
//!
//! The vendor shows the form for a property read and its answer: `["5","6"]` and `[{"id":5,"value":true}]`, members of a struct by their ids,
//! elements of an array with the id 0. The form of a service call is not documented. So a translation is whole only when the model knows
//! every id on the way and every value has a form that is documented; anything else stays as it was told, and proves nothing.

use serde_json::{Value, json};

use super::{
    Element, Service, ThingModel,
    call::{self, Pair, Tree},
    export::text_of,
    kind::{Kind, decimal},
    ttlv,
};

/// The content of an entry by names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    /// In the wire form, as far as it is named.
    pub(crate) data: Value,
    /// Whether all of it is named, so that it can be compared with what was sent.
    pub(crate) is_whole: bool,
}

impl ThingModel {
    /// What `dmData` says, by names.
    pub(crate) fn named(&self, dm_data: &Value) -> Named {
        let mut namer = Namer { is_whole: true };
        let data = match dm_data {
            Value::Array(items) => items
                .iter()
                .map(|item| namer.entry(self, item))
                .collect::<Vec<_>>()
                .into(),
            other => namer.kept(other),
        };
        Named {
            data,
            is_whole: namer.is_whole,
        }
    }

    /// What a binary payload says, by names, where the model explains all of it.
    pub(crate) fn named_payload(&self, payload: &[u8]) -> Option<Value> {
        let named = self.named(&ttlv::read(payload)?);
        named.is_whole.then_some(named.data)
    }

    /// Whether two commands say the same: numbers by their value, raw bytes without case, parameters and members in any order, anything
    /// else as it is written.
    pub(crate) fn is_same(&self, told: &Value, sent: &Value) -> bool {
        let (told_text, sent_text) = (told.to_string(), sent.to_string());
        let (Ok(told_call), Ok(sent_call)) = (call::read(&told_text), call::read(&sent_text))
        else {
            return told == sent;
        };
        told_call.len() == sent_call.len()
            && told_call.iter().zip(&sent_call).all(|(told, sent)| {
                let (Pair(told_code, told), Pair(sent_code, sent)) = (told, sent);
                told_code == sent_code && self.is_same_call(told_code, told, sent)
            })
    }

    fn is_same_call(&self, code: &str, told: &Tree<'_>, sent: &Tree<'_>) -> bool {
        match (self.services.get(code), told, sent) {
            (Some(service), Tree::List(told), Tree::List(sent)) => {
                is_same_set(told, sent, &service.inputs)
            }
            _ => is_same(self.properties.get(code).map(|one| &one.kind), told, sent),
        }
    }

    fn service_of(&self, id: &str) -> Option<(&str, &Service)> {
        let mut services = self.services.iter();
        let (code, service) = services.find(|(_, service)| service.id.as_deref() == Some(id))?;
        Some((code, service))
    }
}

struct Namer {
    is_whole: bool,
}

impl Namer {
    /// What cannot be named stays as it is.
    fn kept(&mut self, value: &Value) -> Value {
        self.is_whole = false;
        value.clone()
    }

    /// An entry of the outermost list: a service with its parameters, or a property with its value or, of a read, without.
    fn entry(&mut self, model: &ThingModel, entry: &Value) -> Value {
        let properties = || model.properties.values();
        if let Some(id) = text_of(Some(entry)) {
            return match by_id(properties(), &id) {
                Some(property) => json!(property.code),
                None => self.kept(entry),
            };
        }
        let Some((id, value)) = item(entry) else {
            return self.kept(entry);
        };
        if let Some((code, service)) = model.service_of(&id) {
            let arguments = match value {
                Value::Null if service.inputs.is_empty() && !service.is_open => json!([]),
                value => self.members(&service.inputs, value),
            };
            return json!({ code: arguments });
        }
        if let Some(property) = by_id(properties(), &id) {
            return json!({ &*property.code: self.value(&property.kind, value) });
        }
        let mut inputs = model.services.values().flat_map(|service| &service.inputs);
        match inputs.find(|input| input.id.as_deref() == Some(&*id)) {
            // It is not told which service was called with it.
            Some(input) => {
                self.is_whole = false;
                json!({ &*input.code: self.value(&input.kind, value) })
            }
            None => self.kept(entry),
        }
    }

    /// Parameters of a service, or members of a struct.
    fn members(&mut self, elements: &[Element], value: &Value) -> Value {
        let Value::Array(items) = value else {
            return self.kept(value);
        };
        let named = items.iter().map(|entry| {
            let named = item(entry).and_then(|(id, value)| Some((by_id(elements, &id)?, value)));
            match named {
                Some((element, value)) => {
                    json!({ &*element.code: self.value(&element.kind, value) })
                }
                None => self.kept(entry),
            }
        });
        named.collect()
    }

    fn value(&mut self, kind: &Kind, value: &Value) -> Value {
        match (kind, value) {
            (Kind::Struct(members), Value::Array(_)) => self.members(members, value),
            (Kind::Array(_, kind), Value::Array(elements)) => {
                let named = elements.iter().map(|entry| match item(entry) {
                    Some((id, value)) if id == "0" => json!({ "0": self.value(kind, value) }),
                    _ => self.kept(entry),
                });
                named.collect()
            }
            // In which form raw bytes are told is not documented: only hexadecimal digits can be compared.
            (Kind::Raw(_), Value::String(text)) if is_hex(text) => value.clone(),
            (Kind::Raw(_) | Kind::Text(_), Value::Object(_)) => match of_bytes(kind, value) {
                Some(text) => text.into(),
                None => self.kept(value),
            },
            (Kind::Unknown | Kind::Struct(_) | Kind::Array(..) | Kind::Raw(_), _) => {
                self.kept(value)
            }
            (_, Value::String(_)) => value.clone(),
            (_, Value::Bool(_) | Value::Number(_)) => value.to_string().into(),
            (_, Value::Null | Value::Array(_) | Value::Object(_)) => self.kept(value),
        }
    }
}

/// The id and the value of an entry: `{"id":5,"value":true}`.
fn item(entry: &Value) -> Option<(String, &Value)> {
    let members = entry.as_object()?;
    let id = text_of(members.get("id"))?;
    let value = members.get("value");
    (members.len() == 1 + usize::from(value.is_some()))
        .then_some((id, value.unwrap_or(&Value::Null)))
}

fn by_id<'m>(elements: impl IntoIterator<Item = &'m Element>, id: &str) -> Option<&'m Element> {
    let mut elements = elements.into_iter();
    elements.find(|element| element.id.as_deref() == Some(id))
}

/// The text that bytes of a binary payload stand for.
fn of_bytes(kind: &Kind, value: &Value) -> Option<String> {
    let hex = value.get(ttlv::BYTES)?.as_str()?;
    if matches!(kind, Kind::Raw(_)) {
        return Some(hex.to_owned());
    }
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether two lists have the same codes with the same values, in any order.
fn is_same_set(told: &[Pair<'_>], sent: &[Pair<'_>], elements: &[Element]) -> bool {
    let mut left: Vec<_> = told.iter().collect();
    told.len() == sent.len()
        && sent.iter().all(|Pair(code, sent)| {
            let element = elements.iter().find(|element| *element.code == **code);
            let kind = element.map(|element| &element.kind);
            let same = left
                .iter()
                .position(|Pair(other, told)| other == code && is_same(kind, told, sent));
            same.map(|place| left.swap_remove(place)).is_some()
        })
}

fn is_same(kind: Option<&Kind>, told: &Tree<'_>, sent: &Tree<'_>) -> bool {
    match (kind, told, sent) {
        (Some(Kind::Struct(members)), Tree::List(told), Tree::List(sent)) => {
            is_same_set(told, sent, members)
        }
        (kind, Tree::List(told), Tree::List(sent)) => {
            let inner = match kind {
                Some(Kind::Array(_, kind)) => Some(&**kind),
                _ => None,
            };
            let is_same = |(told, sent): (&Pair<'_>, &Pair<'_>)| {
                told.0 == sent.0 && is_same(inner, &told.1, &sent.1)
            };
            told.len() == sent.len() && told.iter().zip(sent).all(is_same)
        }
        (Some(Kind::Number(_)), Tree::Scalar(told), Tree::Scalar(sent)) => {
            told == sent || decimal(told).is_some_and(|number| decimal(sent) == Some(number))
        }
        (Some(Kind::Raw(_)), Tree::Scalar(told), Tree::Scalar(sent)) => {
            told.eq_ignore_ascii_case(sent)
        }
        (_, told, sent) => told == sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ThingModel {
        let export = json!({
            "services": [
                {"code": "setMode", "id": 22, "inputData": [
                    {"code": "mode", "dataType": "INT", "id": 7, "specs": {}},
                    {"code": "on", "dataType": "BOOL", "id": "8", "specs": []},
                    {"code": "note", "dataType": "TEXT", "id": 9, "specs": {}},
                    {"code": "raw1", "dataType": "RAW", "id": 10, "specs": {}},
                    {"code": "cfg", "dataType": "STRUCT", "id": 11, "specs": [
                        {"code": "lo", "dataType": "DOUBLE", "id": 1, "specs": {}},
                        {"code": "name", "dataType": "TEXT", "id": 2, "specs": {}}]},
                    {"code": "limits", "dataType": "ARRAY", "id": 12, "specs": {"dataType": "INT"}},
                    {"code": "zones", "dataType": "ARRAY", "id": 13, "specs": {"dataType": "STRUCT", "specs": [
                        {"code": "lo", "dataType": "INT", "id": 1, "specs": {}}]}},
                    {"code": "odd", "dataType": "QUATERNION", "id": 14},
                    {"$ref": "#/properties/id/5"}]},
                {"code": "reboot", "id": 23}],
            "properties": [
                {"code": "target", "dataType": "FLOAT", "subType": "RW", "id": 5, "specs": {}},
                {"code": "firmware", "dataType": "TEXT", "subType": "R", "id": 6, "specs": {}}],
        });
        super::super::read(&export.to_string()).unwrap()
    }

    fn whole(dm_data: &Value) -> Value {
        let named = model().named(dm_data);
        assert!(named.is_whole, "{dm_data}: {}", named.data);
        named.data
    }

    fn call(params: &Value) -> Value {
        json!([{"setMode": params}])
    }

    fn dm_call(params: &Value) -> Value {
        json!([{"id": 22, "value": params}])
    }

    #[test]
    fn the_vendors_example_reads_by_name() {
        assert_eq!(whole(&json!(["5", "6"])), json!(["target", "firmware"]));
        assert_eq!(
            whole(&json!([{"id": 5, "value": "21.5"}, {"id": "6", "value": "1.0"}])),
            json!([{"target": "21.5"}, {"firmware": "1.0"}])
        );
    }

    #[test]
    fn a_call_of_every_shape_is_told_in_the_wire_form() {
        let told = dm_call(&json!([
            {"id": 7, "value": "3"},
            {"id": 8, "value": true},
            {"id": 9, "value": "01"},
            {"id": 10, "value": "aB"},
            {"id": 11, "value": [{"id": 1, "value": -1.5}, {"id": 2, "value": "x"}]},
            {"id": 12, "value": [{"id": 0, "value": "1"}, {"id": 0, "value": 2}]},
            {"id": 13, "value": [{"id": 0, "value": [{"id": 1, "value": "4"}]}]},
            {"id": 5, "value": "20"},
        ]));
        let expected = call(&json!([
            {"mode": "3"}, {"on": "true"}, {"note": "01"}, {"raw1": "aB"},
            {"cfg": [{"lo": "-1.5"}, {"name": "x"}]},
            {"limits": [{"0": "1"}, {"0": "2"}]},
            {"zones": [{"0": [{"lo": "4"}]}]},
            {"target": "20"},
        ]));
        assert_eq!(whole(&told), expected);
        for reboot in [
            json!([{"id": 23}]),
            json!([{"id": 23, "value": null}]),
            json!([{"id": 23, "value": []}]),
        ] {
            assert_eq!(whole(&reboot), json!([{"reboot": []}]));
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is_and_proves_nothing() {
        for (told, expected) in [
            // No such id, anywhere.
            (json!(["5", "99"]), json!(["target", "99"])),
            (
                json!([{"id": 99, "value": "1"}]),
                json!([{"id": 99, "value": "1"}]),
            ),
            (
                dm_call(&json!([{"id": 7, "value": "1"}, {"id": 99, "value": "1"}])),
                call(&json!([{"mode": "1"}, {"id": 99, "value": "1"}])),
            ),
            (
                dm_call(&json!([{"id": 11, "value": [{"id": 3, "value": "1"}]}])),
                call(&json!([{"cfg": [{"id": 3, "value": "1"}]}])),
            ),
            // Parameters whose service is not told; a call without the parameters that it may have had; an id that may be a call.
            (json!([{"id": 7, "value": "1"}]), json!([{"mode": "1"}])),
            (json!([{"id": 22}]), json!([{"setMode": null}])),
            (json!(["23"]), json!(["23"])),
            // Values in a form that nobody has documented.
            (
                dm_call(&json!([{"id": 10, "value": "qg=="}])),
                call(&json!([{"raw1": "qg=="}])),
            ),
            (
                dm_call(&json!([{"id": 12, "value": ["1", "2"]}])),
                call(&json!([{"limits": ["1", "2"]}])),
            ),
            (
                dm_call(&json!([{"id": 12, "value": [{"id": 1, "value": "1"}]}])),
                call(&json!([{"limits": [{"id": 1, "value": "1"}]}])),
            ),
            (
                dm_call(&json!([{"id": 14, "value": "1"}])),
                call(&json!([{"odd": "1"}])),
            ),
            (
                dm_call(&json!([{"id": 9, "value": null}])),
                call(&json!([{"note": null}])),
            ),
            // Not this form at all.
            (json!({"5": "1"}), json!({"5": "1"})),
            (json!([{"5": "1"}]), json!([{"5": "1"}])),
            (
                json!([{"id": 5, "value": "1", "unit": "K"}]),
                json!([{"id": 5, "value": "1", "unit": "K"}]),
            ),
        ] {
            let named = model().named(&told);
            assert_eq!((named.data, named.is_whole), (expected, false), "{told}");
        }
    }

    #[test]
    fn a_binary_payload_is_told_by_name_where_all_of_it_is_known() {
        let payload = [
            0, 0xb4, 0, 5, // setMode, five parameters
            0, 0x3a, 0, 3, // mode
            0, 0x41, // on
            0, 0x4b, 0, 2, b'0', b'1', // note
            0, 0x53, 0, 1, 0xab, // raw1
            0, 0x64, 0, 2, 0, 0x02, 0, 1, 0, 0x02, 0, 2, // limits
        ];
        let expected = call(&json!([
            {"mode": "3"}, {"on": "true"}, {"note": "01"}, {"raw1": "AB"}, {"limits": [{"0": "1"}, {"0": "2"}]},
        ]));
        assert_eq!(model().named_payload(&payload), Some(expected));
        // Text that is none, an id that the model lacks, the ids of a read.
        for payload in [
            &[0, 0xb4, 0, 1, 0, 0x4b, 0, 1, 0xff][..],
            &[0, 0xb4, 0, 1, 0, 0x7a, 0, 3],
            &[0, 5, 0, 6],
        ] {
            assert_eq!(model().named_payload(payload), None, "{payload:?}");
        }
    }

    #[test]
    fn values_are_compared_by_their_types() {
        let same = |told: Value, sent: Value| model().is_same(&call(&told), &call(&sent));
        for (told, sent) in [
            (json!([{"mode": "3"}]), json!([{"mode": "03"}])),
            (json!([{"mode": 3}]), json!([{"mode": "3"}])),
            (json!([{"target": "21.5"}]), json!([{"target": "21.50"}])),
            (json!([{"raw1": "aB"}]), json!([{"raw1": "Ab"}])),
            (
                json!([{"on": "true"}, {"mode": "1"}]),
                json!([{"mode": "1"}, {"on": true}]),
            ),
            (
                json!([{"cfg": [{"name": "x"}, {"lo": "1e1"}]}]),
                json!([{"cfg": [{"lo": "10"}, {"name": "x"}]}]),
            ),
            (
                json!([{"limits": [{"0": "1.0"}]}]),
                json!([{"limits": [{"0": "1"}]}]),
            ),
        ] {
            assert!(same(told.clone(), sent.clone()), "{told} {sent}");
        }
        for (told, sent) in [
            // Text that looks like a number is text.
            (json!([{"note": "1"}]), json!([{"note": "01"}])),
            (json!([{"mode": "1"}]), json!([{"mode": "2"}])),
            (json!([{"on": "true"}]), json!([{"on": "false"}])),
            (
                json!([{"mode": "1"}]),
                json!([{"mode": "1"}, {"on": "true"}]),
            ),
            (
                json!([{"limits": [{"0": "1"}, {"0": "2"}]}]),
                json!([{"limits": [{"0": "2"}, {"0": "1"}]}]),
            ),
            (json!([{"cfg": "1"}]), json!([{"cfg": [{"lo": "1"}]}])),
        ] {
            assert!(!same(told.clone(), sent.clone()), "{told} {sent}");
        }
        // What is no call is compared as JSON.
        assert!(model().is_same(&json!(["target"]), &json!(["target"])));
        assert!(!model().is_same(&json!(["target"]), &call(&json!([]))));
        assert!(!model().is_same(&json!([{"reboot": []}]), &call(&json!([]))));
    }
}
