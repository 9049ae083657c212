//! Counts what rows send while they are read: a look into a table for most of them, and memory that does not grow with the manifest.

use std::{collections::HashMap, sync::Arc};

use super::{
    calls::{calls, has_bare_value, labels},
    count::{LabelUse, Limits, Met, Names, PayloadUse, Preview, Room, Services},
};
use crate::model::{Payload, Row};

/// Different payloads that are counted each for itself, …
const MOST_PAYLOADS: usize = 10_000;
/// … and their bytes, about; then those that are new go into the counts of services and parameters alone.
const MOST_BYTES: usize = 4 << 20;

const LIMITS: Limits = Limits {
    names: 2000,
    values: 1000,
    all_values: 20_000,
    longest: 256,
};

/// Counts rows.
#[derive(Debug)]
pub(crate) struct Survey {
    rows: u64,
    payloads: Vec<PayloadUse>,
    places: HashMap<Arc<Payload>, usize>,
    /// Places of payloads by their address. Each of them is among `payloads`, so that no other can come to lie there.
    addresses: HashMap<usize, usize>,
    bytes: usize,
    more_payloads: bool,
    services: Services,
    labels: Names,
    not_wire_form: Option<(Met, Box<str>)>,
    bare_value: Option<(Met, Box<str>)>,
    room: Room,
    most_payloads: usize,
}

impl Default for Survey {
    fn default() -> Self {
        Self::within(MOST_PAYLOADS)
    }
}

impl Survey {
    /// Counts so many payloads each for itself.
    fn within(most_payloads: usize) -> Self {
        Self {
            rows: 0,
            payloads: Vec::new(),
            places: HashMap::new(),
            addresses: HashMap::new(),
            bytes: 0,
            more_payloads: false,
            services: Services::default(),
            labels: Names::default(),
            not_wire_form: None,
            bare_value: None,
            room: Room::within(LIMITS),
            most_payloads,
        }
    }

    /// Counts a row.
    pub(crate) fn note(&mut self, row: &Row) {
        self.rows += 1;
        if let Some(text) = &row.labels {
            for (name, value) in labels(text) {
                self.labels.add(&name, &value, 1, row.line, &mut self.room);
            }
        }
        match self.place(row) {
            Some(place) => self.payloads[place].met.add(1, row.line),
            None => self.note_calls(&row.payload, 1, row.line),
        }
    }

    /// Where the row's payload is counted, if it is counted for itself.
    fn place(&mut self, row: &Row) -> Option<usize> {
        let address = Arc::as_ptr(&row.payload).addr();
        if let Some(place) = self.addresses.get(&address) {
            return Some(*place);
        }
        if let Some(place) = self.places.get(&row.payload) {
            return Some(*place);
        }
        let bytes = self.bytes + row.payload.bytes();
        let place = self.payloads.len();
        let fits = place < self.most_payloads && (bytes <= MOST_BYTES || place == 0);
        if !fits || self.more_payloads {
            self.more_payloads = true;
            return None;
        }
        self.bytes = bytes;
        self.payloads.push(PayloadUse {
            payload: Arc::clone(&row.payload),
            met: Met::default(),
            device_key: row.device_key.clone(),
        });
        self.places.insert(Arc::clone(&row.payload), place);
        self.addresses.insert(address, place);
        Some(place)
    }

    /// Counts what rows with this payload call.
    fn note_calls(&mut self, payload: &Payload, rows: u64, line: u64) {
        let Some(calls) = calls(&payload.data) else {
            note_first(&mut self.not_wire_form, &payload.data, rows, line);
            return;
        };
        if has_bare_value(&payload.data) {
            note_first(&mut self.bare_value, &payload.data, rows, line);
        }
        for call in calls {
            let Some(service) = self.services.get(&call.service, &mut self.room) else {
                continue;
            };
            service.met.add(rows, line);
            if call.parameters.is_empty() && !call.is_plain {
                service.bare.add(rows, line);
            }
            for (code, value) in &call.parameters {
                service
                    .parameters
                    .add(code, value, rows, line, &mut self.room);
            }
        }
    }

    /// What was found. `implied` are the labels whose column is called like them.
    pub(crate) fn finish(mut self, implied: &[Box<str>]) -> Preview {
        let mut payloads = std::mem::take(&mut self.payloads);
        for payload in &payloads {
            self.note_calls(&payload.payload, payload.met.rows, payload.met.line);
        }
        payloads.sort_by_key(|payload| (u64::MAX - payload.met.rows, payload.met.line));
        Preview {
            rows: self.rows,
            payloads,
            more_payloads: self.more_payloads,
            services: self.services.finish(),
            labels: self
                .labels
                .finish()
                .map(|(name, met, values)| LabelUse {
                    is_implied: implied.contains(&name),
                    name,
                    met,
                    values,
                })
                .collect(),
            more_names: self.room.is_over,
            not_wire_form: self.not_wire_form,
            bare_value: self.bare_value,
        }
    }
}

/// Counts rows, and keeps the data of the first.
fn note_first(noted: &mut Option<(Met, Box<str>)>, data: &str, rows: u64, line: u64) {
    let (met, example) = noted.get_or_insert_with(|| (Met::default(), data.into()));
    if met.rows > 0 && line < met.line {
        *example = data.into();
    }
    met.add(rows, line);
}

#[cfg(test)]
mod tests {
    use super::super::Values;
    use super::*;

    fn row(line: u64, data: &str, labels: Option<&str>) -> Row {
        Row {
            line,
            device_key: format!("DK{line}").into(),
            payload: Arc::new(Payload::plain("PK", data)),
            labels: labels.map(Into::into),
        }
    }

    fn preview(survey: Survey, rows: &[Row]) -> Preview {
        let mut survey = survey;
        for row in rows {
            survey.note(row);
        }
        survey.finish(&["site".into()])
    }

    #[test]
    fn rows_are_counted_by_payload_service_and_label() {
        let shared = row(2, r#"[{"setMode":[{"mode":"eco"}]}]"#, None);
        let mut same = shared.clone();
        (same.line, same.labels) = (3, Some(r#"{"site":"Oslo","floor":"2"}"#.into()));
        let found = preview(
            Survey::default(),
            &[
                shared,
                same,
                // The same payload at another address.
                row(
                    4,
                    r#"[{"setMode":[{"mode":"eco"}]}]"#,
                    Some(r#"{"site":"Bergen"}"#),
                ),
                row(5, r#"[{"setMode":[]},{"reboot":[]}]"#, None),
                row(6, r#"{"mode":1}"#, None),
            ],
        );
        let payloads: Vec<_> = found.payloads.iter().map(|payload| payload.met).collect();
        assert_eq!(
            payloads,
            [
                Met { rows: 3, line: 2 },
                Met { rows: 1, line: 5 },
                Met { rows: 1, line: 6 }
            ]
        );
        assert_eq!(*found.payloads[0].device_key, *"DK2");
        let [set_mode, reboot] = &found.services[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            (&*set_mode.code, set_mode.met.rows, set_mode.bare),
            ("setMode", 4, Met { rows: 1, line: 5 })
        );
        assert_eq!(
            set_mode.parameters[0].values,
            Values::These(vec![("eco".into(), Met { rows: 3, line: 2 })])
        );
        assert_eq!(
            (&*reboot.code, reboot.met, reboot.bare),
            ("reboot", Met { rows: 1, line: 5 }, Met { rows: 1, line: 5 })
        );
        let labels: Vec<_> = found
            .labels
            .iter()
            .map(|label| (&*label.name, label.met.rows, label.is_implied))
            .collect();
        assert_eq!(labels, [("site", 2, true), ("floor", 1, false)]);
        assert_eq!(
            found.not_wire_form,
            Some((Met { rows: 1, line: 6 }, r#"{"mode":1}"#.into()))
        );
        assert!(!found.more_payloads && !found.more_names);
    }

    #[test]
    fn beyond_the_bounds_rows_are_still_counted_by_service() {
        let rows: Vec<_> = (2..3002)
            .map(|line| {
                let label = format!(r#"{{"l{line}":"x"}}"#);
                row(
                    line,
                    &format!(r#"[{{"s":[{{"id":"{line}"}},{{"m":"on"}}]}}]"#),
                    Some(&label),
                )
            })
            .collect();
        let found = preview(Survey::within(10), &rows);
        assert_eq!((found.payloads.len(), found.more_payloads), (10, true));
        let service = &found.services[0];
        assert_eq!(
            service.met,
            Met {
                rows: 3000,
                line: 2
            }
        );
        assert_eq!(service.parameters[0].values, Values::Many);
        assert_eq!(service.parameters[0].met.rows, 3000);
        assert_eq!(
            service.parameters[1].values,
            Values::These(vec![(
                "on".into(),
                Met {
                    rows: 3000,
                    line: 2
                }
            )])
        );
        assert!(found.more_names, "3,000 names are too many");
        assert!(found.labels.len() < 2000);
    }

    #[test]
    fn a_payload_of_megabytes_does_not_stay_for_each_row() {
        let rows: Vec<_> = (2..8)
            .map(|line| {
                row(
                    line,
                    &format!(
                        r#"[{{"s":[{{"v":"{}"}}]}}]"#,
                        "x".repeat(3_000_000 + line as usize)
                    ),
                    None,
                )
            })
            .collect();
        let found = preview(Survey::default(), &rows);
        assert_eq!((found.payloads.len(), found.more_payloads), (1, true));
        assert_eq!(found.services[0].met.rows, 6);
        assert_eq!(found.services[0].parameters[0].values, Values::Many);
    }
}
