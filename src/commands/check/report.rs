//! The result of `check`, as lines and as JSON.

use std::sync::Arc;

use serde_json::{Value, json, value::RawValue};

use super::super::{
    odd::Odd,
    phases::{Phases, time},
    run::{Does, Prospect},
};
use crate::{
    gateway,
    journal::inventory::{Findings, Mismatch},
    model::RunState,
    preview::{Preview, Values},
    store::{NewRun, Plan, Staged},
    ui::{number::grouped, preview},
};

/// Payloads that the JSON has.
const MOST_PAYLOADS: usize = 100;

/// What has been found.
pub(super) struct Report {
    pub(super) about: NewRun,
    pub(super) staged: Staged,
    pub(super) preview: Preview,
    pub(super) plan: Plan,
    pub(super) phases: Phases,
    pub(super) chunk_size: u32,
    /// Tasks that are sent, at most so many a second.
    pub(super) pace: (u64, Option<f64>),
    pub(super) warnings: Vec<Odd>,
    /// What the platform's device list says against rows, when it was asked.
    pub(super) findings: Option<Findings>,
    /// What `run` would do with this database.
    pub(super) prospect: Option<(String, Prospect)>,
}

impl Report {
    /// The lines for a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let staged = &self.staged;
        let refuses = self
            .prospect
            .as_ref()
            .is_some_and(|(_, prospect)| matches!(prospect.does, Does::Refuse(_)));
        let can = if refuses {
            "is valid, but run would fail"
        } else {
            "can be pushed"
        };
        let mut lines = vec![
            format!("{} {can}", self.about.manifest),
            format!("  rows      {}", grouped(staged.run.tasks)),
            format!("  devices   {}", grouped(self.plan.devices)),
            format!("  products  {}", grouped(self.plan.products)),
            format!("  payloads  {}", grouped(self.plan.payloads)),
            format!(
                "  skipped   {} (same payload as the device's previous row)",
                grouped(staged.duplicates)
            ),
            format!("  invalid   {}", grouped(staged.invalid)),
        ];
        if staged.unchanged > 0 {
            lines.push(format!(
                "  unchanged {} (the device accepted the same payload last)",
                grouped(staged.unchanged)
            ));
        }
        if let Some(findings) = &self.findings {
            let told: Vec<String> = Mismatch::ALL
                .into_iter()
                .filter(|kind| findings.count(*kind) > 0)
                .map(|kind| format!("{} {}", grouped(findings.count(kind)), kind.words()))
                .collect();
            lines.push(if told.is_empty() {
                "  inventory no row has a problem".to_owned()
            } else {
                format!("  inventory {}", told.join(", "))
            });
        }
        // When no device has a second row, rows are devices.
        let noun = if self.plan.devices == self.preview.rows {
            "device"
        } else {
            "row"
        };
        lines.extend(preview::lines(&self.preview, noun));
        lines.push(format!(
            "  requests  {} of at most {} devices",
            grouped(self.phases.all_requests()),
            self.chunk_size
        ));
        for (index, phase) in self.phases.lines().into_iter().enumerate() {
            let label = if index == 0 { "phases" } else { "" };
            lines.push(format!("  {label:<9} {phase}"));
        }
        lines.push(format!("  time      {}", self.time()));
        if let Some((path, prospect)) = &self.prospect {
            let missing = if prospect.has_database {
                ""
            } else {
                " (does not exist yet)"
            };
            lines.push(format!("  database  {path}{missing}"));
            for (index, line) in prospect.words.lines().enumerate() {
                let label = if index == 0 { "run would" } else { "" };
                lines.push(format!("  {label:<9} {line}"));
            }
        }
        lines
    }

    /// Tasks that wait for an earlier one of their device.
    fn following(&self) -> u64 {
        self.pace.0.saturating_sub(self.plan.devices)
    }

    fn time(&self) -> String {
        time(&self.phases, self.pace, self.following())
    }

    /// The same for a program: docs/manifest.md names each field.
    pub(super) fn json(&self) -> Value {
        let Self {
            about,
            staged,
            preview,
            plan,
            phases,
            chunk_size,
            pace: _,
            warnings,
            findings,
            prospect,
        } = self;
        let services: Vec<Value> = preview
            .services
            .iter()
            .map(|service| {
                let parameters = service.parameters.iter().map(|parameter| {
                    json!({
                        "parameter": parameter.code,
                        "rows": parameter.met.rows,
                        "line": parameter.met.line,
                        "values": values(&parameter.values),
                    })
                });
                json!({
                    "service": service.code,
                    "rows": service.met.rows,
                    "line": service.met.line,
                    "rows_without_parameters": service.bare.rows,
                    "parameters": parameters.collect::<Vec<_>>(),
                })
            })
            .collect();
        let labels = preview.labels.iter().map(|label| {
            json!({
                "label": label.name,
                "rows": label.met.rows,
                "values": values(&label.values),
            })
        });
        let sends = preview.payloads.iter().take(MOST_PAYLOADS).map(|payload| {
            let example = gateway::example(Arc::clone(&payload.payload), &payload.device_key);
            json!({
                "rows": payload.met.rows,
                "line": payload.met.line,
                "device_key": payload.device_key,
                "request": example.and_then(|text| RawValue::from_string(text).ok()),
            })
        });
        let warnings = warnings.iter().map(|warning| {
            json!({
                "kind": warning.kind,
                "line": warning.line,
                "rows": warning.rows,
                "message": warning.message,
            })
        });
        let run = prospect.as_ref().map(|(path, prospect)| {
            json!({
                "database": path,
                "database_exists": prospect.has_database,
                "would": prospect.does.name(),
                "run": prospect.run,
                "state": prospect.state.map(RunState::name),
                "pending": prospect.pending,
                "message": prospect.words,
            })
        });
        let inventory = findings.as_ref().map(|findings| {
            let counts =
                Mismatch::ALL.map(|kind| (kind.name().to_owned(), json!(findings.count(kind))));
            Value::Object(counts.into_iter().collect())
        });
        json!({
            "manifest": about.manifest,
            "manifest_sha256": about.manifest_sha256,
            "rows": staged.run.tasks,
            "devices": plan.devices,
            "products": plan.products,
            "payloads": plan.payloads,
            "skipped": staged.duplicates,
            "unchanged": staged.unchanged,
            "invalid": staged.invalid,
            "chunk_size": chunk_size,
            "requests": phases.all_requests(),
            "phases": phases.lines(),
            "least_seconds": phases.least_time().map(|time| time.as_secs_f64()),
            "time": self.time(),
            "services": services,
            "labels": labels.collect::<Vec<_>>(),
            "sends": sends.collect::<Vec<_>>(),
            "sends_are_all": !preview.more_payloads && preview.payloads.len() <= MOST_PAYLOADS,
            "warnings": warnings.collect::<Vec<_>>(),
            "run": run,
            "inventory": inventory,
        })
    }
}

/// How many different values there are, when they are not too many to count.
fn values(values: &Values) -> Option<usize> {
    values.known().map(<[_]>::len)
}
