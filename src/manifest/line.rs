//! What one line of JSONL says: its devices, and what they all get.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use serde_json::value::RawValue;

use crate::model::{Payload, RowError};

use super::{
    cell,
    column::{Classifier, Column, Field},
    draft::{CellError, CellErrors, Draft, Place},
    encode::Encoder,
    json::{self, Json},
    labels::Labels,
    wire::Value,
};

/// A line that has been read.
pub(super) struct Line {
    /// The devices; never none, because a line that names no device is a row all the same, and a bad one.
    pub(super) devices: Vec<Device>,
    pub(super) shared: Result<Shared, Vec<RowError>>,
}

/// What every device of a line gets.
pub(super) struct Shared {
    pub(super) payload: Arc<Payload>,
    pub(super) labels: Option<Box<str>>,
}

/// One device of a line.
pub(super) struct Device {
    /// The key as far as it could be read.
    pub(super) key: Box<str>,
    /// What is wrong with it.
    pub(super) error: Option<RowError>,
}

impl Line {
    /// A line that nothing can be made of.
    fn bad(errors: Vec<RowError>) -> Self {
        Self {
            devices: vec![Device {
                key: Box::default(),
                error: None,
            }],
            shared: Err(errors),
        }
    }
}

/// One field of a line.
struct Entry<'a> {
    name: &'a str,
    /// What it stands for, or why that cannot be told.
    column: Result<Column<'a>, String>,
    raw: &'a RawValue,
}

/// Reads a line that is not blank.
pub(super) fn read(text: &str, encoder: &Encoder, names: &mut Classifier) -> Line {
    let fields = match object(text) {
        Ok(fields) => fields,
        Err(reason) => {
            return Line::bad(vec![RowError {
                column: None,
                reason: reason.into(),
            }]);
        }
    };
    let entries: Vec<_> = fields
        .iter()
        .map(|(name, raw)| Entry {
            name,
            column: names.classify(name),
            raw,
        })
        .collect();
    let mut errors = CellErrors::default();
    let devices = devices(&entries);
    let shared = shared(&entries, encoder, &mut errors);
    let mut errors: Vec<_> = errors
        .into_iter()
        .map(|error| located(&entries, error))
        .collect();
    match devices {
        Ok(devices) => Line {
            devices,
            shared: shared.ok_or(errors),
        },
        Err(error) => {
            // A misspelt `device_key` is the better thing to say than that there is none.
            let is_told = |error: &RowError| {
                error.reason.contains("`device_key`") || error.reason.contains("`devices`")
            };
            if !errors.iter().any(is_told) {
                errors.insert(0, located(&entries, error));
            }
            Line::bad(errors)
        }
    }
}

type Fields<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

fn object(text: &str) -> Result<Fields<'_>, String> {
    let raw = json::parse(text).map_err(|error| {
        format!(
            "is not JSON: {}{}",
            json::describe(&error),
            json_hint(text, &error)
        )
    })?;
    match json_of(raw)? {
        Json::Object(object) => json::entries(object).map_err(|error| json::describe(&error)),
        Json::Array(_) => Err(
            "is a JSON array; a manifest has one object a line, which `jq -c '.[]'` makes of an array"
                .into(),
        ),
        _ => Err(
            "is JSON, but not an object; a line is one object, such as `{\"device_key\":\"DK1\"}`".into(),
        ),
    }
}

/// What is probably wrong with a line that is not JSON, and what to do.
fn json_hint(text: &str, error: &serde_json::Error) -> &'static str {
    let is_json = |text: &str| json::check_syntax(text).is_ok();
    let has_word = |word: &str| {
        text.split(|c: char| !c.is_ascii_alphabetic())
            .any(|other| other == word)
    };
    if !text.starts_with('{') {
        "; a line is one object, such as `{\"device_key\":\"DK1\"}`; a list of keys is a CSV with the header `device_key`"
    } else if error.is_eof() {
        "; a line is one whole JSON object"
    } else if text.strip_suffix(',').is_some_and(is_json) {
        "; remove the comma at the end of the line"
    } else if text.starts_with("{'") {
        "; JSON takes double quotes"
    } else if error.to_string().starts_with("trailing characters") {
        "; a line is one object alone"
    } else if ["NaN", "Infinity", "None", "True", "False", "undefined"]
        .into_iter()
        .any(has_word)
    {
        "; JSON has no `NaN` and no `None`: leave the field out or write `null`, `true` or `false`"
    } else {
        ""
    }
}

fn json_of(raw: &RawValue) -> Result<Json<'_>, String> {
    Json::of(raw).map_err(|error| json::describe(&error))
}

fn devices(entries: &[Entry<'_>]) -> Result<Vec<Device>, CellError> {
    let find = |field| {
        entries
            .iter()
            .find(|entry| entry.column == Ok(Column::Known(field)) && entry.raw.get() != "null")
    };
    match (find(Field::DeviceKey), find(Field::Devices)) {
        (Some(_), Some(_)) => Err(CellError::of(
            Field::Devices,
            "`devices` excludes `device_key`: remove one",
        )),
        (None, None) => Err(CellError::of(
            Field::DeviceKey,
            "the line names no device: give `device_key` or `devices`",
        )),
        (Some(entry), None) => Ok(vec![device(entry.raw, || entry.name.into())]),
        (None, Some(entry)) => {
            let elements = json::elements(entry.raw).map_err(|_| {
                CellError::of(
                    Field::Devices,
                    "has to be an array of device keys, such as `[\"DK1\",\"DK2\"]`",
                )
            })?;
            if elements.is_empty() {
                return Err(CellError::of(
                    Field::Devices,
                    "is empty; name at least one device",
                ));
            }
            let devices = elements.into_iter().enumerate();
            Ok(devices
                .map(|(place, raw)| device(raw, || format!("{}[{place}]", entry.name).into()))
                .collect())
        }
    }
}

fn device(raw: &RawValue, column: impl FnOnce() -> Box<str>) -> Device {
    let (key, reason) = match key_text(raw) {
        Ok(key) => {
            let reason = cell::check_key(&key).err();
            (key.into(), reason)
        }
        Err(reason) => (Box::default(), Some(reason)),
    };
    Device {
        key,
        error: reason.map(|reason| RowError {
            column: Some(column()),
            reason: reason.into(),
        }),
    }
}

/// A key: text, or a number whose digits are its text. Of a number beyond 2^53 nobody can tell whether the program that wrote it has rounded
/// it, as most do.
fn key_text(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    const LARGEST_EXACT: u64 = (1 << 53) - 1;
    match json_of(raw)? {
        Json::String(text) => Ok(text),
        Json::Number(text)
            if text.bytes().all(|byte| byte.is_ascii_digit())
                && text
                    .parse()
                    .is_ok_and(|number: u64| number <= LARGEST_EXACT) =>
        {
            Ok(text.into())
        }
        Json::Number(text) => Err(format!(
            "is the number {text}, which may have been rounded; write the key as text, in quotes"
        )),
        _ => Err("has to be text".into()),
    }
}

/// What every device of a line gets; nothing when anything is wrong with it, which is then among `errors`.
fn shared(entries: &[Entry<'_>], encoder: &Encoder, errors: &mut CellErrors) -> Option<Shared> {
    let mut row = Reading::default();
    for entry in entries {
        row.field(entry, errors);
    }
    let payload = encoder.payload(&row.draft, errors)?;
    Some(Shared {
        payload: payload.into(),
        labels: row.labels.finish(),
    })
}

/// A line half read.
#[derive(Default)]
struct Reading<'a> {
    draft: Draft<'a>,
    labels: Labels,
    params_seen: HashSet<Cow<'a, str>>,
    labels_seen: HashSet<Cow<'a, str>>,
}

impl<'a> Reading<'a> {
    /// Takes in one field; null is as good as absent, like an empty cell. A field that cannot be read keeps its place.
    fn field(&mut self, entry: &Entry<'a>, errors: &mut CellErrors) {
        let fail = |reason: &str| CellError::named(entry.name, reason);
        let Some(column) = errors.keep(entry.column.as_ref().map_err(|reason| fail(reason))) else {
            return;
        };
        let value = value(entry.raw).map_err(|reason| fail(&reason));
        let Some(value) = errors.keep(value).flatten() else {
            return;
        };
        match *column {
            Column::Known(Field::Params) => {
                for (code, value) in errors
                    .keep(members(&value).map_err(fail))
                    .unwrap_or_default()
                {
                    errors.keep(self.param(code, value));
                }
            }
            Column::Known(Field::Labels) => {
                for (name, value) in errors
                    .keep(members(&value).map_err(fail))
                    .unwrap_or_default()
                {
                    errors.keep(self.label(name, value));
                }
            }
            Column::Known(field) => {
                let text = match field {
                    Field::ProductKey => key_text(entry.raw).map(drop),
                    _ => Ok(()),
                };
                let value = match errors.keep(text.map_err(|reason| fail(&reason))) {
                    Some(()) => value,
                    // One reason is enough.
                    None => Value::Text(Cow::Borrowed("unreadable")),
                };
                if self.draft.set(field, value).is_some() {
                    let known = field.name();
                    errors.push(fail(&format!(
                        "`{known}` is twice in the line, in both spellings; remove one"
                    )));
                }
            }
            Column::Param(code) => {
                errors.keep(self.param(Cow::Borrowed(code), value));
            }
            Column::Label(name) => {
                errors.keep(self.label(Cow::Borrowed(name), value));
            }
        }
    }

    fn param(&mut self, code: Cow<'a, str>, value: Value<'a>) -> Result<(), CellError> {
        if !self.params_seen.insert(code.clone()) {
            return Err(CellError::of_param(&code, "the parameter is given twice"));
        }
        self.draft.params.push((code, value));
        Ok(())
    }

    fn label(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), CellError> {
        match value {
            Value::Text(text) => self.labels.push(&name, &text),
            Value::Json(_) => {
                return Err(CellError::named(
                    &name,
                    "is not a field that fleetpush knows, so it is a label, and a label is text, a number, true or false; leave it out or write it as text",
                ));
            }
        }
        if self.labels_seen.contains(&name) {
            return Err(CellError::named(&name, "the label is given twice"));
        }
        self.labels_seen.insert(name);
        Ok(())
    }
}

/// The value of a field; nothing for null.
fn value(raw: &RawValue) -> Result<Option<Value<'_>>, String> {
    Ok(match json_of(raw)? {
        Json::Null => None,
        Json::Bool(text) | Json::Number(text) => Some(Value::Text(Cow::Borrowed(text))),
        Json::String(text) => Some(Value::Text(text)),
        Json::Array(raw) | Json::Object(raw) => Some(Value::Json(raw)),
    })
}

/// The members of `params` or `labels`, without those that are null.
fn members<'a>(value: &Value<'a>) -> Result<Vec<(Cow<'a, str>, Value<'a>)>, &'static str> {
    const REASON: &str = "has to be an object, such as `{\"name\":\"value\"}`";
    let Value::Json(raw) = *value else {
        return Err(REASON);
    };
    json::entries(raw)
        .map_err(|_| REASON)?
        .into_iter()
        .filter_map(|(name, raw)| {
            let value = self::value(raw).map_err(|_| REASON).transpose()?;
            Some(value.map(|value| (name, value)))
        })
        .collect()
}

/// An error with the field as the line spells it.
fn located(entries: &[Entry<'_>], error: CellError) -> RowError {
    let spelt = |column: Column<'_>| {
        entries
            .iter()
            .find(|entry| entry.column == Ok(column))
            .map(|entry| entry.name.into())
    };
    let column = match error.place {
        Place::Row => None,
        Place::Field(field) => {
            Some(spelt(Column::Known(field)).unwrap_or_else(|| field.name().into()))
        }
        Place::Param(code) => {
            Some(spelt(Column::Param(&code)).unwrap_or_else(|| format!("params.{code}").into()))
        }
        Place::Named(name) => Some(name),
    };
    RowError {
        column,
        reason: error.reason.into(),
    }
}
