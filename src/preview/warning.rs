//! Likely mistakes in a manifest that can be sent. They never stop a push: a name or a value is suspicious only in comparison with the
//! others, and may be intended.

use super::{
    alike::{Alike, alike},
    count::{Met, ParameterUse, Preview, ServiceUse},
};

/// Something that looks like a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// Where it stands.
    pub met: Met,
    /// What it is.
    pub kind: WarningKind,
}

/// What looks like a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WarningKind {
    /// `data` is JSON and not the wire form; this is the first.
    NotWireForm { example: Box<str> },
    /// `data` has values without quotes; this is the first.
    BareValue { example: Box<str> },
    /// A service is called without parameters beside columns that are sent nowhere.
    NoParameters {
        service: Box<str>,
        labels: Vec<Box<str>>,
    },
    /// A service may be a slip for one that so many rows call.
    NearService {
        service: Box<str>,
        likelier: Box<str>,
        rows: u64,
    },
    /// A few of a service's rows have no parameters, which the others have.
    RarelyBare { service: Box<str>, of: u64 },
    /// A parameter stands in few of a service's rows, or may be a slip for another one.
    RareParameter {
        service: Box<str>,
        parameter: Box<str>,
        of: u64,
        likelier: Option<Box<str>>,
    },
    /// A value stands in few of the rows that give its parameter.
    RareValue {
        service: Box<str>,
        parameter: Box<str>,
        value: Box<str>,
        of: u64,
        likelier: Option<Box<str>>,
    },
}

impl WarningKind {
    /// Its name for programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NotWireForm { .. } => "not_wire_form",
            Self::BareValue { .. } => "bare_value",
            Self::NoParameters { .. } => "no_parameters",
            Self::NearService { .. } => "near_service",
            Self::RarelyBare { .. } | Self::RareParameter { .. } => "rare_parameter",
            Self::RareValue { .. } => "rare_value",
        }
    }
}

/// Whether what stands in so few of so many rows may be a slip: at most one in fifty, and never many.
fn is_rare(rows: u64, of: u64) -> bool {
    (1..=100).contains(&rows) && rows.saturating_mul(50) <= of
}

/// Whether a name that resembles another is so much rarer that it may be a slip for it.
fn is_slip(alike: Alike, rows: u64, of: u64) -> bool {
    match alike {
        Alike::Case => rows < of,
        Alike::Letter => rows.saturating_mul(10) <= of,
    }
}

/// Everything that looks like a mistake, the weightiest kind first, and of one kind by line.
pub(crate) fn warnings(preview: &Preview) -> Vec<Warning> {
    let services = &preview.services;
    let mut found: Vec<Warning> = not_wire_form(preview)
        .into_iter()
        .chain(bare_value(preview))
        .collect();
    let mut kinds = [
        without_parameters(preview),
        services
            .iter()
            .filter_map(|service| near_service(service, services))
            .collect(),
        services.iter().flat_map(odd_parameters).collect(),
        services.iter().flat_map(odd_values).collect(),
    ];
    for kind in &mut kinds {
        kind.sort_by_key(|warning| warning.met.line);
        found.append(kind);
    }
    found
}

fn not_wire_form(preview: &Preview) -> Option<Warning> {
    let (met, example) = preview.not_wire_form.as_ref()?;
    Some(Warning {
        met: *met,
        kind: WarningKind::NotWireForm {
            example: example.clone(),
        },
    })
}

fn bare_value(preview: &Preview) -> Option<Warning> {
    let (met, example) = preview.bare_value.as_ref()?;
    Some(Warning {
        met: *met,
        kind: WarningKind::BareValue {
            example: example.clone(),
        },
    })
}

/// Services that are called without parameters while columns that are sent nowhere stand beside them.
fn without_parameters(preview: &Preview) -> Vec<Warning> {
    // Who has written one parameter knows how.
    let has_parameters = |service: &ServiceUse| !service.parameters.is_empty();
    if preview.services.iter().any(has_parameters) {
        return Vec::new();
    }
    let labels = preview.labels.iter();
    let labels: Vec<_> = labels
        .filter(|label| label.is_implied)
        .map(|label| label.name.clone())
        .collect();
    if labels.is_empty() {
        return Vec::new();
    }
    let services = preview.services.iter();
    services
        .filter(|service| service.bare.rows > 0 && service.bare.rows == service.met.rows)
        .map(|service| Warning {
            met: service.bare,
            kind: WarningKind::NoParameters {
                service: service.code.clone(),
                labels: labels.clone(),
            },
        })
        .collect()
}

fn near_service(service: &ServiceUse, services: &[ServiceUse]) -> Option<Warning> {
    let likelier = services.iter().find(|other| {
        alike(&service.code, &other.code)
            .is_some_and(|alike| is_slip(alike, service.met.rows, other.met.rows))
    })?;
    Some(Warning {
        met: service.met,
        kind: WarningKind::NearService {
            service: service.code.clone(),
            likelier: likelier.code.clone(),
            rows: likelier.met.rows,
        },
    })
}

/// Parameters of a service that may be a slip, and rows that lack all of them.
fn odd_parameters(service: &ServiceUse) -> Vec<Warning> {
    let of = service.met.rows;
    let bare = is_rare(service.bare.rows, of).then(|| Warning {
        met: service.bare,
        kind: WarningKind::RarelyBare {
            service: service.code.clone(),
            of,
        },
    });
    let parameters = &service.parameters;
    let odd = parameters.iter().filter_map(|parameter| {
        let met = parameter.met;
        let likelier = parameters.iter().find(|other| {
            // What stands in one row with the other is no slip for it.
            met.rows + other.met.rows <= of
                && alike(&parameter.code, &other.code)
                    .is_some_and(|alike| is_slip(alike, met.rows, other.met.rows))
        });
        (likelier.is_some() || is_rare(met.rows, of)).then(|| Warning {
            met,
            kind: WarningKind::RareParameter {
                service: service.code.clone(),
                parameter: parameter.code.clone(),
                of,
                likelier: likelier.map(|other| other.code.clone()),
            },
        })
    });
    bare.into_iter().chain(odd).collect()
}

/// A value that stands in very few rows is odd when its parameter has no more values than this, …
const MOST_VALUES: usize = 20;
/// … at most so many of them are that rare, …
const MOST_ODD: usize = 3;
/// … and at most so many are usual: then they are chosen from a few. Serial numbers and texts of one's own are not.
const USUAL_TEXTS: usize = 10;
/// The same for numbers, which otherwise are measured and not chosen.
const USUAL_NUMBERS: usize = 3;

fn odd_values(service: &ServiceUse) -> Vec<Warning> {
    let parameters = service.parameters.iter();
    parameters
        .flat_map(|parameter| odd_values_of(service, parameter))
        .collect()
}

fn odd_values_of(service: &ServiceUse, parameter: &ParameterUse) -> Vec<Warning> {
    let of = parameter.met.rows;
    let values = parameter.values.known().unwrap_or_default();
    let (odd, usual): (Vec<_>, Vec<_>) = values.iter().partition(|(_, met)| is_rare(met.rows, of));
    let are_numbers = usual.iter().all(|(value, _)| value.parse::<f64>().is_ok());
    let most_usual = if are_numbers {
        USUAL_NUMBERS
    } else {
        USUAL_TEXTS
    };
    let are_chosen = values.len() <= MOST_VALUES
        && odd.len() <= MOST_ODD
        && (1..=most_usual).contains(&usual.len());
    if !are_chosen {
        return Vec::new();
    }
    let warning = |(value, met): &(Box<str>, Met)| {
        let likelier = usual
            .iter()
            .find(|(other, _)| alike(value, other).is_some());
        Warning {
            met: *met,
            kind: WarningKind::RareValue {
                service: service.code.clone(),
                parameter: parameter.code.clone(),
                value: value.clone(),
                of,
                likelier: likelier.map(|(other, _)| other.clone()),
            },
        }
    };
    odd.into_iter().map(warning).collect()
}

/// The fewest rows of which it is worth a word that each has a payload of its own.
const FEWEST_OWN: u64 = 100;

/// Whether about each row has a payload of its own, so that no two share a request; then the parameters that make it so, if any are known,
/// as `service.parameter`.
pub(crate) fn own_payloads(preview: &Preview, payloads: u64) -> Option<Vec<String>> {
    let is_most = |part: u64, of: u64| part.saturating_mul(10) >= of.saturating_mul(9);
    if preview.rows < FEWEST_OWN || !is_most(payloads, preview.rows) {
        return None;
    }
    let causes = preview.services.iter().flat_map(|service| {
        let parameters = service.parameters.iter().filter(|parameter| {
            let values = parameter.values.known();
            values.is_none_or(|values| is_most(values.len() as u64, parameter.met.rows))
        });
        parameters.map(|parameter| format!("{}.{}", service.code, parameter.code))
    });
    Some(causes.collect())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::{
        manifest::{Defaults, Entry, Manifest},
        preview::Survey,
    };

    /// What is found in a manifest.
    fn preview(text: &str) -> Preview {
        let manifest = Manifest::from_reader("test", text.as_bytes(), Defaults::default()).unwrap();
        let mut rows = manifest.rows().unwrap();
        let mut survey = Survey::default();
        for entry in &mut rows {
            let Entry::Row(row) = entry.unwrap() else {
                panic!("a bad row");
            };
            survey.note(&row);
        }
        survey.finish(&rows.implied_labels())
    }

    /// Each warning: its line, its rows and what is odd.
    fn told(text: &str) -> String {
        let mut words = String::new();
        for Warning { met, kind } in warnings(&preview(text)) {
            writeln!(words, "{} {}x {kind:?}", met.line, met.rows).unwrap();
        }
        words
    }

    /// Rows of a service with two parameters, of which some are others.
    fn csv(count: usize, other: impl Fn(usize) -> Option<&'static str>) -> String {
        let mut text = String::from("device_key,product_key,service,param.mode,param.target\n");
        for number in 2..count + 2 {
            let usual = format!("setMode,{},21", ["eco", "boost"][number % 2]);
            let rest = other(number).map_or(usual, ToOwned::to_owned);
            writeln!(text, "DK{number},PK1,{rest}").unwrap();
        }
        text
    }

    #[test]
    fn a_forgotten_prefix_is_told_by_the_columns_it_left() {
        insta::assert_snapshot!(told("device_key,product_key,service,mode,target\nDK1,PK1,setMode,eco,21\nDK2,PK1,setMode,,\n"), @r#"2 2x NoParameters { service: "setMode", labels: ["mode", "target"] }"#);
        insta::assert_snapshot!(told("{\"device_key\":\"DK1\",\"product_key\":\"PK1\",\"service\":\"setMode\",\"mode\":\"eco\"}\n"), @r#"1 1x NoParameters { service: "setMode", labels: ["mode"] }"#);
        for meant in [
            "device_key,product_key,service,label.site\nDK1,PK1,reboot,Oslo\n",
            "device_key,product_key,service\nDK1,PK1,reboot\n",
            "device_key,product_key,service,param.mode,site\nDK1,PK1,setMode,eco,Oslo\n",
            "device_key,product_key,service,param.mode,site\nDK1,PK1,setMode,eco,Oslo\nDK2,PK1,reboot,,Oslo\n",
            "{\"device_key\":\"DK1\",\"product_key\":\"PK1\",\"service\":\"reboot\",\"labels\":{\"site\":\"Oslo\"}}\n",
        ] {
            assert_eq!(told(meant), "", "{meant}");
        }
    }

    #[test]
    fn a_misspelled_service_is_told() {
        let text = csv(30, |number| (number == 7).then_some("setmode,eco,21"));
        insta::assert_snapshot!(told(&text), @r#"7 1x NearService { service: "setmode", likelier: "setMode", rows: 29 }"#);
        let text = csv(30, |number| (number == 7).then_some("setMod,eco,21"));
        insta::assert_snapshot!(told(&text), @r#"7 1x NearService { service: "setMod", likelier: "setMode", rows: 29 }"#);
        // As many as the other: two services.
        let text = csv(30, |number| (number % 2 == 0).then_some("setNode,eco,21"));
        assert_eq!(told(&text), "");
    }

    #[test]
    fn a_value_in_very_few_rows_is_told_with_its_line() {
        let text = csv(2000, |number| match number {
            77 => Some("setMode,boots,21"),
            600 | 601 => Some("setMode,eco,2000"),
            _ => None,
        });
        insta::assert_snapshot!(told(&text), @r#"
        77 1x RareValue { service: "setMode", parameter: "mode", value: "boots", of: 2000, likelier: Some("boost") }
        600 2x RareValue { service: "setMode", parameter: "target", value: "2000", of: 2000, likelier: None }
        "#);
    }

    #[test]
    fn a_misspelled_parameter_is_told_with_its_line() {
        let mut text = String::new();
        for line in 1..=200 {
            let name = if line == 120 { "tagret" } else { "target" };
            writeln!(text, r#"{{"device_key":"DK{line}","product_key":"PK1","service":"setMode","params":{{"{name}":21,"limit1":1,"limit2":2}}}}"#).unwrap();
        }
        insta::assert_snapshot!(told(&text), @r#"120 1x RareParameter { service: "setMode", parameter: "tagret", of: 200, likelier: Some("target") }"#);
        let text = csv(100, |number| match number {
            50 => Some("setMode,,"),
            60 => Some("setMode,eco,"),
            _ => None,
        });
        insta::assert_snapshot!(told(&text), @r#"50 1x RarelyBare { service: "setMode", of: 100 }"#);
    }

    #[test]
    fn serial_numbers_measurements_and_small_manifests_are_no_mistakes() {
        let mut text = String::from(
            "device_key,product_key,service,param.id,param.temperature,param.name,param.zone\n",
        );
        for number in 0..3000_u32 {
            // A bell of temperatures, whose ends are rare; a name each; ids in a row; zones that become rarer and rarer.
            let bell = (0..8).map(|bit| number >> bit & 1).sum::<u32>() + number % 7;
            let zone = number.leading_zeros();
            writeln!(
                text,
                "DK{number},PK1,set,{number},{bell},name {number},z{zone}"
            )
            .unwrap();
        }
        assert_eq!(told(&text), "");
        assert_eq!(
            told(&csv(40, |number| (number == 7).then_some("setMode,off,21"))),
            ""
        );
    }

    #[test]
    fn json_that_calls_nothing_is_told() {
        insta::assert_snapshot!(told("device_key,product_key,data\nDK1,PK1,\"{\"\"mode\"\":1}\"\n"), @r#"2 1x NotWireForm { example: "{\"mode\":1}" }"#);
        assert_eq!(
            told("device_key,product_key,data\nDK1,PK1,\"[{\"\"s\"\":[]}]\"\n"),
            ""
        );
    }

    #[test]
    fn a_payload_for_each_row_is_told_with_what_differs() {
        let mut text = String::from("device_key,product_key,service,param.clock,param.mode\n");
        for number in 0..150 {
            writeln!(text, "DK{number},PK1,set,{},eco", 1_000 + number).unwrap();
        }
        let found = preview(&text);
        assert_eq!(
            own_payloads(&found, 150),
            Some(vec!["set.clock".to_owned()])
        );
        assert_eq!(own_payloads(&found, 100), None);
        assert_eq!(own_payloads(&preview(&csv(50, |_| None)), 50), None);
    }
}
