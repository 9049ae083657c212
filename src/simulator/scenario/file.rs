//! Where scenarios come from: a file, and a change of another one.

use std::path::Path;

use super::{Scenario, ScenarioError};
use crate::files;

/// Far above any scenario; a wrong path must not fill the memory.
const LARGEST: u64 = 1 << 20;
/// The same for a thing model.
const LARGEST_MODEL: u64 = 16 << 20;

impl Scenario {
    /// Reads a scenario from a file: JSON if its name ends in `.json`, else TOML.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text = read(path, LARGEST)?;
        let parsed = if path.extension().is_some_and(|end| end == "json") {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            toml::from_str(&text).map_err(|error| error.to_string())
        };
        let scenario: Self = parsed.map_err(|reason| ScenarioError::Malformed {
            path: path.display().to_string(),
            reason: reason.trim_end().to_owned(),
        })?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// Reads the export of a thing model, for [`Scenario::thing_model`].
    pub fn read_thing_model(path: &Path) -> Result<serde_json::Value, ScenarioError> {
        let text = read(path, LARGEST_MODEL)?;
        serde_json::from_str(&text).map_err(|error| ScenarioError::Malformed {
            path: path.display().to_string(),
            reason: format!("its thing model is not JSON: {error}"),
        })
    }

    /// This scenario with a part of it replaced, as RFC 7396 (JSON merge patch) says: objects are merged, `null` brings back the default.
    pub fn changed(&self, change: serde_json::Value) -> Result<Self, ScenarioError> {
        let mut value = serde_json::to_value(self).map_err(ScenarioError::Change)?;
        // Serde would read an array as the fields in their order.
        let mut change: serde_json::Map<_, _> =
            serde_json::from_value(change).map_err(ScenarioError::Change)?;
        // Serde would find the field twice, under its older name and under its own.
        if let Some(quirks) = change.shift_remove("oddities") {
            change.entry("quirks").or_insert(quirks);
        }
        merge(&mut value, serde_json::Value::Object(change));
        let scenario: Self = serde_json::from_value(value).map_err(ScenarioError::Change)?;
        scenario.validate()?;
        Ok(scenario)
    }
}

fn read(path: &Path, most: u64) -> Result<String, ScenarioError> {
    files::read_small(path, most).map_err(|source| ScenarioError::Unreadable {
        path: path.display().to_string(),
        source,
    })
}

/// RFC 7396, section 2.
fn merge(target: &mut serde_json::Value, patch: serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    let Some(members) = target.as_object_mut() else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            members.shift_remove(&name);
        } else {
            merge(
                members.entry(name).or_insert(serde_json::Value::Null),
                value,
            );
        }
    }
}
