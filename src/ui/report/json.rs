//! A run's report for programs.

use serde_json::{Value, json};

use super::RunReport;
use crate::{
    model::{CanaryVerdict, Class, Timestamp},
    ui::next::suggestions,
};

/// The version of the JSON object. It changes when a key changes its meaning or goes away, not when one is added.
const SCHEMA: u32 = 1;

impl RunReport {
    /// The report as one JSON object; times as the views give them.
    ///
    /// | key | value |
    /// |---|---|
    /// | `schema` | 1 |
    /// | `run` | `number`, `name`, `manifest`, `target`, `database`, `state`, `created_at`, `started_at`, `finished_at`, `paused_by`, `paused_at`, `cancelled_by` |
    /// | `counts` | `tasks`, `accepted`, `failed`, `in_doubt`, `skipped`, `pending`, `snoozing`, `in_flight` |
    /// | `canary` | `devices`, `ended`, `passed`, `verdict`, or null when there is none |
    /// | `endings` | an array of `state`, `class`, `code`, `text`, `tasks` |
    /// | `resends_in_doubt` | sends without a readable reply that were sent again, or will be |
    /// | `sends_again` | an object: other sends that did not settle their task, by class |
    /// | `next_due`, `latest_due` | when the first and the last waiting task become due, or null |
    /// | `next` | an array of commands that may be typed next |
    ///
    /// Of a run that is asked about from outside, also:
    ///
    /// | key | value |
    /// |---|---|
    /// | `alive` | whether a process works on it; null when that cannot be found out |
    /// | `process` | `pid` and `host` (null: this machine) of that process, or null |
    /// | `outage` | `since` when and for what `reason` the push waits for the platform, or null |
    /// | `seconds_left` | about how long it will take, or null |
    /// | `spent_ms` | `staging`, `canary`, `sending`, `paused`: all sessions together |
    /// | `sessions` | how many there are |
    /// | `latency_ms` | `requests`, `p50`, `p95`, `p99`, `worst` of requests that were answered, or null |
    pub(crate) fn json(&self) -> Value {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let endings: Vec<Value> = self
            .endings
            .iter()
            .map(|ending| {
                json!({
                    "state": ending.state.name(),
                    "class": ending.class.map(Class::name),
                    "code": ending.code,
                    "text": ending.text,
                    "tasks": ending.tasks,
                })
            })
            .collect();
        let next: Vec<String> = suggestions(self)
            .into_iter()
            .map(|next| next.command)
            .collect();
        let sends_again: serde_json::Map<String, Value> = self
            .sends_again
            .iter()
            .map(|(class, sends)| (class.name().to_owned(), json!(sends)))
            .collect();
        let mut object = json!({
            "schema": SCHEMA,
            "run": {
                "number": self.number,
                "name": self.name,
                "manifest": self.manifest,
                "target": self.target,
                "database": self.database.to_string_lossy(),
                "state": self.state.name(),
                "created_at": self.created_at.to_string(),
                "started_at": time(self.started_at),
                "finished_at": time(self.finished_at),
                "paused_by": self.paused.as_ref().map(|paused| &paused.by),
                "paused_at": time(self.paused.as_ref().map(|paused| paused.at)),
                "cancelled_by": self.cancelled_by,
            },
            "counts": self.counts,
            "canary": self.canary.map(|canary| json!({
                "devices": canary.devices,
                "ended": canary.ended,
                "passed": canary.verdict == Some(CanaryVerdict::Passed),
                "verdict": canary.verdict.map(CanaryVerdict::name),
            })),
            "endings": endings,
            "resends_in_doubt": self.resends_in_doubt,
            "sends_again": sends_again,
            "next_due": time(self.next_due),
            "latest_due": time(self.latest_due),
            "next": next,
        });
        if let Value::Object(object) = &mut object {
            object.extend(self.standing_json());
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use crate::ui::report::tests::report;

    #[test]
    fn the_object_is_the_documented_one() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&report().json()).unwrap(), @r#"
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
            "fleetpush resolve night-1 --region europe",
            "fleetpush retry night-1 --state in_doubt --region europe"
          ]
        }
        "#);
    }
}
