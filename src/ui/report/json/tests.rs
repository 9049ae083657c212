use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::RunObject;
use crate::{
    model::{CanaryVerdict, Class, Delivery, RunState, TaskState},
    ui::report::tests::report,
};

pub(super) fn run_states(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": RunState::ALL.map(RunState::name) })
}

pub(super) fn end_states(_: &mut SchemaGenerator) -> Schema {
    let ended = TaskState::ALL.map(TaskState::name);
    json_schema!({ "enum": ended })
}

pub(super) fn verdicts(_: &mut SchemaGenerator) -> Schema {
    let verdicts = [
        CanaryVerdict::Passed,
        CanaryVerdict::Failed,
        CanaryVerdict::Overridden,
    ];
    let words = verdicts.map(|verdict| json!(verdict.name()));
    let words: Vec<Value> = words.into_iter().chain([Value::Null]).collect();
    json_schema!({ "enum": words })
}

/// Counts by class; a task that has been sent is neither blocked nor invalid, and one in doubt is counted by itself.
pub(super) fn sends_by_class(_: &mut SchemaGenerator) -> Schema {
    let unsent = [Class::Blocked, Class::Invalid, Class::InDoubt];
    let classes = Class::ALL.iter().filter(|class| !unsent.contains(class));
    let count = json!({ "type": "integer", "minimum": 0 });
    let properties: Map<String, Value> = classes
        .map(|class| (class.name().to_owned(), count.clone()))
        .collect();
    json_schema!({ "type": "object", "properties": properties })
}

pub(super) fn tasks_by_delivery(_: &mut SchemaGenerator) -> Schema {
    let count = json!({ "type": "integer", "minimum": 1 });
    let properties: Map<String, Value> = Delivery::ALL
        .iter()
        .map(|delivery| (delivery.name().to_owned(), count.clone()))
        .collect();
    json_schema!({ "type": "object", "properties": properties })
}

/// The schema as the types have it.
fn schema() -> String {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.inline_subschemas = true;
    let schema = settings
        .into_generator()
        .into_root_schema_for::<RunObject>();
    let mut schema = serde_json::to_value(schema).unwrap();
    tidy(&mut schema);
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

/// Leaves out how wide a number is in memory and where a comment's lines end, which are no concern of a reader.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let is_width = |format: &Value| format.is_string() && format != "date-time";
            if members.get("format").is_some_and(is_width) {
                members.shift_remove("format");
            }
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// After a change on purpose: `INSTA_UPDATE=always`, as for a snapshot.
#[test]
fn the_published_schema_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/summary.schema.json");
    let schema = schema();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(path, &schema).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    assert!(
        published == schema,
        "docs/summary.schema.json is another one"
    );
}

#[test]
fn the_object_is_the_documented_one() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&report().object()).unwrap(), @r#"
    {
      "schema": 1,
      "run": {
        "number": 3,
        "name": "night-1",
        "manifest": "night.csv",
        "target": "https://iot-api.acceleronix.io",
        "database": "/data/fleetpush.db",
        "state": "complete",
        "created_at": "2026-11-22T19:00:00.123Z",
        "started_at": "2026-11-22T19:00:01.123Z",
        "finished_at": "2026-11-22T19:03:06.123Z",
        "paused_by": null,
        "paused_at": null,
        "cancelled_by": null
      },
      "counts": {
        "tasks": 12345,
        "accepted": 12000,
        "failed": 301,
        "in_doubt": 4,
        "skipped": 40,
        "pending": 0,
        "snoozing": 0,
        "in_flight": 0
      },
      "canary": null,
      "endings": [
        {
          "state": "accepted",
          "class": "accepted",
          "code": 200,
          "text": "OK",
          "tasks": 12000
        },
        {
          "state": "failed",
          "class": "offline",
          "code": 61002,
          "text": "Device offline",
          "tasks": 300
        },
        {
          "state": "failed",
          "class": "rejected",
          "code": 12,
          "text": null,
          "tasks": 1
        },
        {
          "state": "in_doubt",
          "class": "in_doubt",
          "code": null,
          "text": null,
          "tasks": 4
        },
        {
          "state": "skipped",
          "class": null,
          "code": null,
          "text": null,
          "tasks": 40
        }
      ],
      "delivery": {},
      "resends_in_doubt": 7,
      "sends_again": {
        "frequency": 10,
        "transient": 12
      },
      "next_due": null,
      "latest_due": null,
      "next": [
        "fleetpush results night-1 --state failed,in_doubt",
        "fleetpush retry night-1 --region europe",
        "fleetpush verify night-1 --region europe",
        "fleetpush retry night-1 --state in_doubt --region europe"
      ]
    }
    "#);
}
