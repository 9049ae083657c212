//! The wire form of a service command: the `data` string of a request (specification, "data format").
//!
//! Scalars are text whatever they were, every element of an array has the id `0`, and order is kept:
//!
//! | parameter | wire form |
//! |---|---|
//! | scalar | `{"code":"value"}` |
//! | array | `{"code":[{"0":"value"},{"0":"value"}]}` |
//! | struct | `{"code":[{"member":"value"},{"member":"value"}]}` |
//! | array of struct | `{"code":[{"0":[{"member":"value"}]},{"0":[{"member":"value"}]}]}` |
//!
//! The specification has no deeper shapes, and none are made up here.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::json::{self, Json};

/// A parameter's value as the manifest gives it.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// A scalar, or text.
    Text(Cow<'a, str>),
    /// An array or object; no object in it has a key twice.
    Json(&'a RawValue),
}

/// Why a value has no wire form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// The place inside the parameter's value: `[2].lo`.
    path: String,
    reason: String,
}

impl Unfit {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
        }
    }

    fn inside(mut self, place: &str) -> Self {
        self.path.insert_str(0, place);
        self
    }

    /// The sentence for a person; `code` is the parameter's.
    pub(super) fn describe(&self, code: &str) -> String {
        format!("`{code}{}` {}", self.path, self.reason)
    }
}

impl From<serde_json::Error> for Unfit {
    fn from(error: serde_json::Error) -> Self {
        Self::new(json::describe(&error))
    }
}

/// One command under construction.
#[derive(Debug)]
pub(super) struct Command {
    out: String,
    first: bool,
}

impl Command {
    /// A command that calls `service`; it may stay without parameters, as services without input do.
    pub(super) fn new(service: &str) -> Self {
        let mut out = String::with_capacity(64);
        out.push_str("[{");
        json::push_string(&mut out, service);
        out.push_str(":[");
        Self { out, first: true }
    }

    /// Adds a parameter.
    pub(super) fn param(&mut self, code: &str, value: &Value<'_>) -> Result<(), Unfit> {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        push_entry(&mut self.out, code, |out| match value {
            Value::Text(text) => {
                json::push_string(out, text);
                Ok(())
            }
            Value::Json(raw) => match Json::of(raw)? {
                Json::Array(array) => push_array(out, array),
                Json::Object(members) => push_struct(out, members),
                scalar => push_scalar(out, &scalar),
            },
        })
    }

    /// The whole wire string.
    pub(super) fn finish(mut self) -> Box<str> {
        self.out.push_str("]}]");
        self.out.into()
    }
}

/// Appends `{"key":…}`.
fn push_entry(
    out: &mut String,
    key: &str,
    value: impl FnOnce(&mut String) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    out.push('{');
    json::push_string(out, key);
    out.push(':');
    value(out)?;
    out.push('}');
    Ok(())
}

/// Appends `[…]` with commas between the items.
fn push_list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut String, T) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    out.push('[');
    for (index, value) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        item(out, value)?;
    }
    out.push(']');
    Ok(())
}

fn push_array(out: &mut String, array: &RawValue) -> Result<(), Unfit> {
    let elements = json::elements(array)?;
    let mut structs = None;
    push_list(
        out,
        elements.into_iter().enumerate(),
        |out, (index, raw)| {
            let element = Json::of(raw)?;
            let is_struct = matches!(element, Json::Object(_));
            let place = format!("[{index}]");
            if *structs.get_or_insert(is_struct) != is_struct {
                return Err(Unfit::new(
                    "mixes scalars and structs in one array, which has no wire form",
                )
                .inside(&place));
            }
            push_entry(out, "0", |out| match element {
                Json::Object(members) => push_struct(out, members),
                scalar => push_scalar(out, &scalar),
            })
            .map_err(|unfit| unfit.inside(&place))
        },
    )
}

fn push_struct(out: &mut String, members: &RawValue) -> Result<(), Unfit> {
    push_list(out, json::entries(members)?, |out, (name, raw)| {
        push_entry(out, &name, |out| push_scalar(out, &Json::of(raw)?))
            .map_err(|unfit| unfit.inside(&format!(".{name}")))
    })
}

fn push_scalar(out: &mut String, scalar: &Json<'_>) -> Result<(), Unfit> {
    match scalar {
        Json::Bool(text) | Json::Number(text) => json::push_string(out, text),
        Json::String(text) => json::push_string(out, text),
        Json::Null => {
            return Err(Unfit::new(
                "is null, which has no wire form; leave it out or give it a value",
            ));
        }
        Json::Array(_) | Json::Object(_) => {
            return Err(Unfit::new(
                "is nested deeper than the platform's format goes; write the wire string in `data` instead",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Map, Value as Tree};

    use super::*;

    /// The wire string of `service` with the parameters of a JSON object.
    fn encode(service: &str, params: &str) -> Result<String, String> {
        let raw = json::parse(params).expect("test input is JSON");
        let mut command = Command::new(service);
        for (code, raw) in json::entries(raw).expect("test input is an object") {
            let value = match Json::of(raw).expect("test input is JSON") {
                Json::String(text) => Value::Text(text),
                Json::Bool(text) | Json::Number(text) => Value::Text(text.into()),
                _ => Value::Json(raw),
            };
            command
                .param(&code, &value)
                .map_err(|unfit| unfit.describe(&code))?;
        }
        Ok(command.finish().into())
    }

    /// The text of the specification, which escapes it as a JSON string.
    fn specified(escaped: &str) -> String {
        serde_json::from_str(&format!("\"{escaped}\"")).expect("a JSON string")
    }

    #[test]
    fn every_shape_is_the_specifications_own_text() {
        for (service, params, escaped) in [
            (
                "key",
                r#"{"key1":"value1","key2":"value2","key3":"value3"}"#,
                r#"[{\"key\":[{\"key1\":\"value1\"},{\"key2\":\"value2\"},{\"key3\":\"value3\"}]}]"#,
            ),
            // The specification has `{\"0":\"value1\"}` here: a backslash is lost in print.
            (
                "key",
                r#"{"key1":["value1","value1"]}"#,
                r#"[{\"key\":[{\"key1\":[{\"0\":\"value1\"},{\"0\":\"value1\"}]}]}]"#,
            ),
            (
                "key",
                r#"{"key1":{"key2":"value2","key3":"value3"}}"#,
                r#"[{\"key\":[{\"key1\":[{\"key2\":\"value2\"},{\"key3\":\"value3\"}]}]}]"#,
            ),
            (
                "key",
                r#"{"key1":[{"key2":"value2"},{"key3":"value3"}]}"#,
                r#"[{\"key\":[{\"key1\":[{\"0\":[{\"key2\":\"value2\"}]},{\"0\":[{\"key3\":\"value3\"}]}]}]}]"#,
            ),
            (
                "fuwu",
                r#"{"raw1":"AA"}"#,
                r#"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]"#,
            ),
        ] {
            assert_eq!(encode(service, params), Ok(specified(escaped)));
        }
    }

    #[test]
    fn the_design_example_holds() {
        assert_eq!(
            encode(
                "fuwu",
                r#"{"raw1":"AA","limits":[1,2],"cfg":{"a":true},"zones":[{"lo":1}]}"#
            )
            .as_deref(),
            Ok(
                r#"[{"fuwu":[{"raw1":"AA"},{"limits":[{"0":"1"},{"0":"2"}]},{"cfg":[{"a":"true"}]},{"zones":[{"0":[{"lo":"1"}]}]}]}]"#
            )
        );
    }

    #[test]
    fn the_order_of_keys_and_the_text_of_numbers_are_kept() {
        assert_eq!(
            encode(
                "s",
                r#"{"z":1.0,"a":1e5,"m":[12345678901234567890,-0.10],"b":{"y":1E+2,"x":false}}"#
            )
            .as_deref(),
            Ok(
                r#"[{"s":[{"z":"1.0"},{"a":"1e5"},{"m":[{"0":"12345678901234567890"},{"0":"-0.10"}]},{"b":[{"y":"1E+2"},{"x":"false"}]}]}]"#
            )
        );
    }

    #[test]
    fn a_service_may_have_no_parameters_and_a_parameter_no_elements() {
        assert_eq!(encode("reboot", "{}").as_deref(), Ok(r#"[{"reboot":[]}]"#));
        assert_eq!(
            encode("s", r#"{"a":[],"b":{}}"#).as_deref(),
            Ok(r#"[{"s":[{"a":[]},{"b":[]}]}]"#)
        );
    }

    #[test]
    fn shapes_that_the_specification_lacks_are_refused_with_their_path() {
        for (params, path) in [
            (r#"{"a":[[1]]}"#, "`a[0]` is nested"),
            (r#"{"a":{"b":{"c":1}}}"#, "`a.b` is nested"),
            (r#"{"a":[1,2,{"b":1}]}"#, "`a[2]` mixes"),
            (r#"{"a":[{"b":1},{"b":[1]}]}"#, "`a[1].b` is nested"),
            (r#"{"a":[1,null]}"#, "`a[1]` is null"),
            (r#"{"a":{"b":null}}"#, "`a.b` is null"),
        ] {
            let reason = encode("s", params).expect_err(params);
            assert!(reason.starts_with(path), "{reason}");
        }
    }

    /// Reads a wire string back; the inverse of the encoder, except that an empty array and an empty struct look the same.
    fn decode(wire: &str) -> (String, Map<String, Tree>) {
        let tree: Tree = serde_json::from_str(wire).expect("JSON");
        let (service, params) = entry(&tree[0]);
        let params = items(params)
            .iter()
            .map(|param| {
                let (code, value) = entry(param);
                (code, decode_value(value))
            })
            .collect();
        (service, params)
    }

    fn decode_value(value: &Tree) -> Tree {
        let Tree::Array(items) = value else {
            return value.clone();
        };
        let mut entries = items.iter().map(entry);
        if entries.clone().all(|(key, _)| key == "0") {
            Tree::Array(entries.map(|(_, value)| decode_value(value)).collect())
        } else {
            assert!(entries.all(|(_, value)| value.is_string()));
            Tree::Object(
                items
                    .iter()
                    .map(entry)
                    .map(|(key, value)| (key, value.clone()))
                    .collect(),
            )
        }
    }

    fn entry(tree: &Tree) -> (String, &Tree) {
        let object = tree.as_object().expect("an object");
        assert_eq!(object.len(), 1);
        let (key, value) = object.iter().next().expect("one entry");
        (key.clone(), value)
    }

    fn items(tree: &Tree) -> &Vec<Tree> {
        tree.as_array().expect("an array")
    }

    fn scalar() -> impl Strategy<Value = Tree> {
        any::<String>().prop_map(Tree::from)
    }

    fn object(size: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Tree> {
        // A struct whose members are all called "0" is an array to the platform as well.
        vec(("a[a-z]{0,6}|a\\PC{1,4}", scalar()), size).prop_map(|members| {
            let members: Map<_, _> = members.into_iter().collect();
            Tree::Object(members)
        })
    }

    fn value() -> impl Strategy<Value = Tree> {
        prop_oneof![
            scalar(),
            vec(scalar(), 0..4).prop_map(Tree::Array),
            object(1..4),
            vec(object(1..3), 1..3).prop_map(Tree::Array),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(
            service in any::<String>(),
            params in vec((any::<String>(), value()), 0..6),
        ) {
            let params: Map<_, _> = params.into_iter().collect();
            let wire = encode(&service, &Tree::Object(params.clone()).to_string());
            let wire = wire.map_err(TestCaseError::fail)?;
            let (decoded_service, decoded) = decode(&wire);
            prop_assert_eq!(decoded_service, service);
            prop_assert!(decoded.iter().eq(params.iter()), "{decoded:?}");
        }
    }
}
