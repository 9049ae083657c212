//! What a manifest would send, in words.

use super::number::{counted, grouped};
use crate::{
    model::Payload,
    preview::{Met, PayloadUse, Preview, Values, Warning, WarningKind},
};

/// Services, parameters or labels that are listed.
const MOST_NAMES: usize = 20;
/// Different payloads that are all listed; …
const MOST_PAYLOADS: usize = 8;
/// … of more, so many of the most frequent …
const FREQUENT: usize = 5;
/// … and so many of the rarest.
const RARE: usize = 3;
/// Characters of a name, a value or data in a sentence.
const SHORT: usize = 60;
/// Characters of an example.
const LONG: usize = 400;

/// The text, or its beginning.
fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!(
            "{}… ({} characters)",
            &text[..end],
            grouped(text.chars().count() as u64)
        ),
        None => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", beginning(text, SHORT))
}

/// `mode (3 values)`; a value that never changes is shown.
fn with_values(name: &str, values: &Values) -> String {
    let words = match values.known() {
        Some([(value, _)]) => format!("always {}", quoted(value)),
        Some(values) => counted(values.len() as u64, "value"),
        None => "many values".to_owned(),
    };
    format!("{} ({words})", beginning(name, SHORT))
}

/// Lines behind a heading, of which the first stands beside it.
fn under(heading: &str, lines: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    let headings = std::iter::once(heading).chain(std::iter::repeat(""));
    headings
        .zip(lines)
        .map(|(heading, line)| format!("  {heading:<9} {line}"))
}

/// Lines of which not all are given.
fn limited(lines: impl ExactSizeIterator<Item = String>, or_more: bool) -> Vec<String> {
    let more = lines.len().saturating_sub(MOST_NAMES);
    let mut lines: Vec<String> = lines.take(MOST_NAMES).collect();
    if more > 0 || or_more {
        lines.push(format!(
            "and {}{}",
            if or_more { "more than " } else { "" },
            counted(more.max(1) as u64, "other")
        ));
    }
    lines
}

/// Services, labels and payloads, for the report of `check`; `noun` is what is counted, `device` when each has one row.
pub(crate) fn lines(preview: &Preview, noun: &str) -> Vec<String> {
    let services = preview.services.iter().map(|service| {
        let parameters = service.parameters.iter().take(MOST_NAMES);
        let mut parameters: Vec<String> = parameters
            .map(|parameter| with_values(&parameter.code, &parameter.values))
            .collect();
        let more = service.parameters.len().saturating_sub(MOST_NAMES);
        if more > 0 {
            parameters.push(format!("{} more", grouped(more as u64)));
        }
        let what = if parameters.is_empty() {
            "no parameters".to_owned()
        } else {
            parameters.join(", ")
        };
        format!(
            "{}: {}, {what}",
            beginning(&service.code, SHORT),
            counted(service.met.rows, noun)
        )
    });
    let labels = preview.labels.iter();
    let labels = labels.map(|label| with_values(&label.name, &label.values));
    let mut lines: Vec<String> = under("services", limited(services, preview.more_names)).collect();
    lines.extend(under("labels", limited(labels, false)));
    lines.extend(under("sends", payloads(preview, noun)));
    lines
}

/// Each payload with its rows and its data as it goes out; of many, the most frequent and the rarest.
fn payloads(preview: &Preview, noun: &str) -> Vec<String> {
    let all = &preview.payloads;
    let of_several = all.first().is_some_and(|first| {
        all.iter()
            .any(|other| other.payload.product_key != first.payload.product_key)
    });
    let line = |payload: &PayloadUse| {
        let product = if of_several {
            format!(" of product {}", payload.payload.product_key)
        } else {
            String::new()
        };
        format!(
            "to {}{product}, first {} in line {}: {}{}",
            counted(payload.met.rows, noun),
            payload.device_key,
            grouped(payload.met.line),
            beginning(&payload.payload.data, LONG),
            options(&payload.payload)
        )
    };
    if all.len() <= MOST_PAYLOADS && !preview.more_payloads {
        return all.iter().map(line).collect();
    }
    let (rare, left_out) = if preview.more_payloads {
        // The rarest are not known.
        (all.len(), "more than ")
    } else {
        (all.len() - RARE, "")
    };
    let more = grouped((rare - FREQUENT.min(rare)).max(1) as u64);
    let mut lines: Vec<String> = all.iter().take(FREQUENT).map(line).collect();
    lines.push(format!("… {left_out}{more} other payloads"));
    lines.extend(all[rare..].iter().map(line));
    lines
}

/// What goes out beside the data: ` with qos 2, isCache true, cacheTime 360`.
fn options(payload: &Payload) -> String {
    let words = [
        payload.qos.map(|qos| format!("qos {qos}")),
        payload.is_cache.map(|cache| format!("isCache {cache}")),
        payload.cache_time.map(|time| format!("cacheTime {time}")),
        payload.is_cover.map(|cover| format!("isCover {cover}")),
        payload
            .extend_para
            .as_deref()
            .map(|text| format!("extendPara {}", beginning(text, SHORT))),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(" with {}", words.join(", "))
    }
}

/// What is odd and what to do: lower case, no full stop.
pub(crate) fn message(warning: &Warning) -> String {
    let Warning { met, kind } = warning;
    let here = |met: &Met| counted(met.rows, "row");
    let of = |of: u64| format!("{} of {}", grouped(met.rows), counted(of, "row"));
    let meant = |likelier: &Option<Box<str>>| {
        likelier.as_ref().map_or_else(String::new, |likelier| {
            format!("; is it misspelled for {}?", quoted(likelier))
        })
    };
    match kind {
        WarningKind::NotWireForm { example } => format!(
            "the data {} calls no service ({}), and is sent unchanged; the platform's form is \
             [{{\"service\":[{{\"parameter\":\"value\"}}]}}], which the columns service and param.<code> make",
            quoted(example),
            here(met)
        ),
        WarningKind::BareValue { example } => format!(
            "the data {} has a value without quotes ({}), and is sent unchanged; the documentation has strings only, such as \"5\" or \"true\", and \
             does not say whether the platform takes others",
            quoted(example),
            here(met)
        ),
        WarningKind::NoParameters { service, labels } => {
            let example = labels.first().map_or("", |label| label);
            let named: Vec<String> = labels.iter().take(5).map(|label| quoted(label)).collect();
            let more = match labels.len() - named.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let (columns, are, each) = if labels.len() == 1 {
                ("column", "is a label, which is", "it is")
            } else {
                ("columns", "are labels, which are", "one is")
            };
            format!(
                "the service {} is called without parameters ({}), and the {columns} {}{more} {are} not sent; if {each} a \
                 parameter, call the column param.{example}, or else label.{example}",
                quoted(service),
                here(met),
                named.join(", "),
            )
        }
        WarningKind::NearService {
            service,
            likelier,
            rows,
        } => format!(
            "{} call{} the service {}, and {} call {}; is it misspelled?",
            here(met),
            if met.rows == 1 { "s" } else { "" },
            quoted(service),
            grouped(*rows),
            quoted(likelier)
        ),
        WarningKind::RarelyBare { service, of: all } => format!(
            "the service {} has no parameters in {}",
            quoted(service),
            of(*all)
        ),
        WarningKind::RareParameter {
            service,
            parameter,
            of: all,
            likelier,
        } => format!(
            "the parameter {} of {} is in {}{}",
            quoted(parameter),
            quoted(service),
            of(*all),
            meant(likelier)
        ),
        WarningKind::RareValue {
            service,
            parameter,
            value,
            of: all,
            likelier,
        } => format!(
            "the value {} of {} is in {}{}",
            quoted(value),
            quoted(&format!("{service}.{parameter}")),
            of(*all),
            meant(likelier)
        ),
    }
}

/// That each row, or about each, has a payload of its own, and what that costs.
pub(crate) fn own_payloads(
    rows: u64,
    payloads: u64,
    requests: u64,
    time: &str,
    causes: &[String],
) -> String {
    let whose = if payloads == rows {
        "each row has its own payload".to_owned()
    } else {
        format!("{} rows have {} payloads", grouped(rows), grouped(payloads))
    };
    let cause = match causes {
        [] => String::new(),
        causes => {
            let named: Vec<String> = causes.iter().take(3).map(|name| quoted(name)).collect();
            format!("; what differs is {}", named.join(", "))
        }
    };
    format!("{whose}: {}, {time}{cause}", counted(requests, "request"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        model::Row,
        preview::{Survey, warnings},
    };

    fn preview(rows: &[(&str, Option<&str>)]) -> Preview {
        let mut survey = Survey::default();
        for ((data, labels), line) in rows.iter().zip(2..) {
            survey.note(&Row {
                line,
                device_key: format!("DK{line}").into(),
                payload: Arc::new(Payload {
                    product_key: "PK1".into(),
                    data: (*data).into(),
                    qos: (line == 2).then_some(2),
                    is_cache: None,
                    cache_time: None,
                    is_cover: None,
                    extend_para: None,
                }),
                labels: labels.map(Into::into),
            });
        }
        survey.finish(&["site".into()])
    }

    #[test]
    fn all_that_goes_out_is_listed() {
        let found = preview(&[
            (
                r#"[{"set":[{"mode":"eco"},{"t":"21"}]}]"#,
                Some(r#"{"site":"Oslo"}"#),
            ),
            (
                r#"[{"set":[{"mode":"eco"},{"t":"21"}]}]"#,
                Some(r#"{"site":"Bergen"}"#),
            ),
            (r#"[{"reboot":[]}]"#, None),
        ]);
        insta::assert_snapshot!(lines(&found, "device").join("\n"), @r#"
        services  set: 2 devices, mode (always `eco`), t (always `21`)
                  reboot: 1 device, no parameters
        labels    site (2 values)
        sends     to 1 device, first DK2 in line 2: [{"set":[{"mode":"eco"},{"t":"21"}]}] with qos 2
                  to 1 device, first DK3 in line 3: [{"set":[{"mode":"eco"},{"t":"21"}]}]
                  to 1 device, first DK4 in line 4: [{"reboot":[]}]
        "#);
        let many: Vec<String> = (0..40)
            .map(|number| format!(r#"[{{"set":[{{"n":"{}"}}]}}]"#, number % 13))
            .collect();
        let many: Vec<(&str, Option<&str>)> =
            many.iter().map(|data| (data.as_str(), None)).collect();
        insta::assert_snapshot!(lines(&preview(&many), "row").join("\n"), @r#"
        services  set: 40 rows, n (13 values)
        sends     to 3 rows, first DK3 in line 3: [{"set":[{"n":"1"}]}]
                  to 3 rows, first DK4 in line 4: [{"set":[{"n":"2"}]}]
                  to 3 rows, first DK5 in line 5: [{"set":[{"n":"3"}]}]
                  to 3 rows, first DK6 in line 6: [{"set":[{"n":"4"}]}]
                  to 3 rows, first DK7 in line 7: [{"set":[{"n":"5"}]}]
                  … 6 other payloads
                  to 3 rows, first DK14 in line 14: [{"set":[{"n":"12"}]}]
                  to 3 rows, first DK15 in line 15: [{"set":[{"n":"0"}]}]
                  to 1 row, first DK2 in line 2: [{"set":[{"n":"0"}]}] with qos 2
        "#);
    }

    #[test]
    fn columns_that_are_sent_nowhere_are_named() {
        let told: Vec<String> = [r#"{"site":"Oslo"}"#, r#"{"site":"Oslo","mode":"eco"}"#]
            .iter()
            .map(|labels| {
                let mut survey = Survey::default();
                let row = preview(&[(r#"[{"set":[]}]"#, Some(labels))]);
                let payload = Arc::clone(&row.payloads[0].payload);
                survey.note(&Row {
                    line: 2,
                    device_key: "DK2".into(),
                    payload,
                    labels: Some((*labels).into()),
                });
                let found = survey.finish(&["site".into(), "mode".into()]);
                message(&warnings(&found)[0])
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        the service `set` is called without parameters (1 row), and the column `site` is a label, which is not sent; if it is a parameter, call the column param.site, or else label.site
        the service `set` is called without parameters (1 row), and the columns `site`, `mode` are labels, which are not sent; if one is a parameter, call the column param.site, or else label.site
        ");
    }

    #[test]
    fn what_is_odd_is_said_with_a_way_out() {
        let mut rows = vec![(r#"[{"set":[{"mode":"eco"}]}]"#, None); 200];
        rows[7] = (r#"[{"set":[{"mode":"eko"}]}]"#, None);
        rows[17] = (r#"[{"set":[{"mode":"echo"}]}]"#, None);
        rows[27] = (r#"[{"set":[{"mod":"eco"}]}]"#, None);
        rows[37] = (r#"[{"Set":[{"mode":"eco"}]}]"#, None);
        rows[47] = (r#"[{"set":[]}]"#, None);
        rows[57] = (r#"[{"reboot":[]}]"#, Some(r#"{"site":"Oslo"}"#));
        rows[67] = (r#"{"mode":1}"#, None);
        let told: Vec<String> = warnings(&preview(&rows))
            .iter()
            .map(|warning| format!("{}: {}", warning.met.line, message(warning)))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        69: the data `{"mode":1}` calls no service (1 row), and is sent unchanged; the platform's form is [{"service":[{"parameter":"value"}]}], which the columns service and param.<code> make
        39: 1 row calls the service `Set`, and 197 call `set`; is it misspelled?
        29: the parameter `mod` of `set` is in 1 of 197 rows; is it misspelled for `mode`?
        49: the service `set` has no parameters in 1 of 197 rows
        9: the value `eko` of `set.mode` is in 1 of 195 rows; is it misspelled for `eco`?
        19: the value `echo` of `set.mode` is in 1 of 195 rows; is it misspelled for `eco`?
        "#);
        insta::assert_snapshot!(own_payloads(2000, 2000, 2000, "at least 80 s at 25 requests a second", &["set.t".to_owned()]), @"each row has its own payload: 2,000 requests, at least 80 s at 25 requests a second; what differs is `set.t`");
    }
}
