//! What one line of JSONL says: its devices, and what they all get.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use serde_json::value::RawValue;

use crate::model::Payload;

use super::{
    cell,
    column::{Classifier, Column, Field},
    draft::{Draft, Flaw, Place},
    encode::Encoder,
    json::{self, Json},
    labels::Labels,
    wire::Value,
};

/// A line that has been read.
pub(super) struct Line {
    /// The devices; never none, because a line that names no device is a row all the same, and a bad one.
    pub(super) devices: Vec<Device>,
    pub(super) shared: Result<Shared, Wrong>,
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
    pub(super) wrong: Option<Wrong>,
}

/// What is wrong with a line, with the field as the line spells it.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub(super) column: Option<Box<str>>,
    pub(super) reason: Box<str>,
}

impl Line {
    /// A line that nothing can be made of.
    fn bad(wrong: Wrong) -> Self {
        Self {
            devices: vec![Device {
                key: Box::default(),
                wrong: None,
            }],
            shared: Err(wrong),
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
            return Line::bad(Wrong {
                column: None,
                reason: reason.into(),
            });
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
    let shared = shared(&entries, encoder).map_err(|flaw| located(&entries, flaw));
    match (devices(&entries), shared) {
        (Ok(devices), shared) => Line { devices, shared },
        // A misspelt `device_key` is the better thing to say than that there is none.
        (Err(_), Err(wrong)) => Line::bad(wrong),
        (Err(flaw), Ok(_)) => Line::bad(located(&entries, flaw)),
    }
}

type Fields<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

fn object(text: &str) -> Result<Fields<'_>, String> {
    let raw = json::parse(text).map_err(|error| {
        let hint = if error.is_eof() {
            "; a line is one whole JSON object"
        } else {
            ""
        };
        format!("is not JSON: {}{hint}", json::describe(&error))
    })?;
    match json_of(raw)? {
        Json::Object(object) => json::entries(object).map_err(|error| json::describe(&error)),
        Json::Array(_) => Err(
            "is a JSON array; a manifest has one object a line, which `jq -c '.[]'` makes of an array"
                .into(),
        ),
        _ => Err("is JSON, but not an object".into()),
    }
}

fn json_of(raw: &RawValue) -> Result<Json<'_>, String> {
    Json::of(raw).map_err(|error| json::describe(&error))
}

fn devices(entries: &[Entry<'_>]) -> Result<Vec<Device>, Flaw> {
    let find = |field| {
        entries
            .iter()
            .find(|entry| entry.column == Ok(Column::Known(field)) && entry.raw.get() != "null")
    };
    match (find(Field::DeviceKey), find(Field::Devices)) {
        (Some(_), Some(_)) => Err(Flaw::of(
            Field::Devices,
            "`devices` excludes `device_key`: leave one out",
        )),
        (None, None) => Err(Flaw::of(
            Field::DeviceKey,
            "the line names no device: give `device_key` or `devices`",
        )),
        (Some(entry), None) => Ok(vec![device(entry.raw, || entry.name.into())]),
        (None, Some(entry)) => {
            let elements = json::elements(entry.raw)
                .map_err(|_| Flaw::of(Field::Devices, "has to be an array of device keys"))?;
            if elements.is_empty() {
                return Err(Flaw::of(Field::Devices, "is empty"));
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
        wrong: reason.map(|reason| Wrong {
            column: Some(column()),
            reason: reason.into(),
        }),
    }
}

/// A key: text, or a number whose digits are its text.
fn key_text(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    match json_of(raw)? {
        Json::String(text) => Ok(text),
        Json::Number(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text.into()),
        Json::Number(text) => Err(format!(
            "is the number {text}, which may have been rounded; write the key as text"
        )),
        _ => Err("has to be text".into()),
    }
}

fn shared(entries: &[Entry<'_>], encoder: &Encoder) -> Result<Shared, Flaw> {
    let mut row = Reading::default();
    for entry in entries {
        row.field(entry)?;
    }
    Ok(Shared {
        payload: encoder.payload(&row.draft)?.into(),
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
    /// Takes in one field; null is as good as absent, like an empty cell.
    fn field(&mut self, entry: &Entry<'a>) -> Result<(), Flaw> {
        let fail = |reason: &str| Flaw::named(entry.name, reason);
        let column = entry.column.as_ref().map_err(|reason| fail(reason))?;
        let Some(value) = value(entry.raw).map_err(|reason| fail(&reason))? else {
            return Ok(());
        };
        match *column {
            Column::Known(Field::Params) => {
                for (code, value) in members(&value).map_err(fail)? {
                    self.param(code, value)?;
                }
            }
            Column::Known(Field::Labels) => {
                for (name, value) in members(&value).map_err(fail)? {
                    self.label(name, value)?;
                }
            }
            Column::Known(field) => {
                if field == Field::ProductKey {
                    key_text(entry.raw).map_err(|reason| fail(&reason))?;
                }
                if self.draft.set(field, value).is_some() {
                    let known = field.name();
                    return Err(fail(&format!(
                        "`{known}` stands twice in the line, in both spellings; leave one out"
                    )));
                }
            }
            Column::Param(code) => self.param(Cow::Borrowed(code), value)?,
            Column::Label(name) => self.label(Cow::Borrowed(name), value)?,
        }
        Ok(())
    }

    fn param(&mut self, code: Cow<'a, str>, value: Value<'a>) -> Result<(), Flaw> {
        if !self.params_seen.insert(code.clone()) {
            return Err(Flaw::of_param(&code, "the parameter is given twice"));
        }
        self.draft.params.push((code, value));
        Ok(())
    }

    fn label(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), Flaw> {
        match value {
            Value::Text(text) => self.labels.push(&name, &text),
            Value::Json(_) => {
                return Err(Flaw::named(
                    &name,
                    "is no field that fleetpush knows, so it is a label, and a label is text, a number, true or false",
                ));
            }
        }
        if self.labels_seen.contains(&name) {
            return Err(Flaw::named(&name, "the label is given twice"));
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
    const REASON: &str = "has to be an object";
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

/// A flaw with the field as the line spells it.
fn located(entries: &[Entry<'_>], flaw: Flaw) -> Wrong {
    let spelt = |column: Column<'_>| {
        entries
            .iter()
            .find(|entry| entry.column == Ok(column))
            .map(|entry| entry.name.into())
    };
    let column = match flaw.place {
        Place::Row => None,
        Place::Field(field) => {
            Some(spelt(Column::Known(field)).unwrap_or_else(|| field.name().into()))
        }
        Place::Param(code) => {
            Some(spelt(Column::Param(&code)).unwrap_or_else(|| format!("params.{code}").into()))
        }
        Place::Named(name) => Some(name),
    };
    Wrong {
        column,
        reason: flaw.reason.into(),
    }
}
