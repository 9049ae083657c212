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
