//! `fleetpush config show`: the settings of a push, and their sources.

use crate::{
    exit::{Exit, Failure},
    settings::{Origin, Show, Shown, ShownValue},
    ui::{
        format::{Column, Value, writer},
        printer::{OutputError, Printer, unless_closed},
    },
};

const COLUMNS: &[Column] = &[
    Column::shown("setting"),
    Column::shown("value"),
    Column::shown("origin"),
    Column::shown("place"),
];

/// What stands in the place of a secret.
const SECRET: &str = "set, not shown";

/// Prints every setting.
pub(super) fn show(settings: &Show, printer: &Printer) -> Result<Exit, Failure> {
    unless_closed(print(settings, printer))?;
    Ok(Exit::Complete)
}

fn print(settings: &Show, printer: &Printer) -> Result<(), OutputError> {
    let mut writer = writer(settings.format, COLUMNS, printer.stdout());
    for shown in &settings.settings {
        let place = place(shown);
        let value = match &shown.value {
            ShownValue::Unset => Value::None,
            ShownValue::Text(text) => Value::Foreign(text),
            ShownValue::Secret => Value::Own(SECRET.into()),
        };
        writer.row(&[
            Value::Own(shown.name.as_str().into()),
            value,
            Value::own(origin(shown)),
            Value::foreign(place.as_deref()),
        ])?;
    }
    writer.finish()
}

/// The kind of place that the value stands in; none when nobody gives one.
fn origin(shown: &Shown) -> Option<String> {
    Some(match (&shown.origin, &shown.value) {
        (Origin::Default, ShownValue::Unset) => return None,
        (Origin::Default, _) => "default".to_owned(),
        (Origin::ConfigFile { .. }, _) => "file".to_owned(),
        (Origin::Profile { .. }, _) => match &shown.profile {
            Some(name) => format!("profile {name}"),
            None => "profile".to_owned(),
        },
        (Origin::Variable(_), _) => "variable".to_owned(),
        (Origin::Flag, _) => "flag".to_owned(),
    })
}

/// The place itself: a flag, a variable, or a line of the config file.
fn place(shown: &Shown) -> Option<String> {
    match &shown.origin {
        Origin::Default => None,
        Origin::ConfigFile { path, line } | Origin::Profile { path, line } => {
            Some(format!("{}:{line}", path.display()))
        }
        Origin::Variable(name) => Some(name.clone()),
        Origin::Flag => Some(format!("--{}", shown.name)),
    }
}
