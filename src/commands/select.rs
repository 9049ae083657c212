//! What a command's filter flags choose.

use std::ops::RangeInclusive;

use anyhow::{Context as _, anyhow};
use jiff::tz::TimeZone;

use crate::{
    cli::FilterArgs,
    clock,
    exit::Failure,
    manifest::device_list,
    model::{DeliveryWord, Devices, Moment, TaskFilter, TaskStatus, Timestamp},
    settings::did_you_mean,
    store::{Unknown, UnknownValue},
    ui::number::{counted, grouped},
};

/// How many keys are shown of those that a run does not have.
const SHOWN: usize = 5;

/// The filter that the flags mean now.
///
/// Fails when the list of devices cannot be read, or when a time speaks of a time zone that nobody knows.
pub(super) fn filter(statuses: Vec<TaskStatus>, args: FilterArgs) -> Result<TaskFilter, Failure> {
    let FilterArgs {
        class,
        code,
        device,
        devices_from,
        product,
        label,
        delivery,
        attempts,
        ended_after,
        ended_before,
    } = args;
    let patterns = (!device.is_empty()).then(|| Devices::of_patterns(device));
    let list = devices_from
        .map(|path| device_list(&path))
        .transpose()
        .map_err(Failure::usage)?;
    let moment = |moment: Option<Moment>| moment.as_ref().map(at).transpose();
    let mut filter = TaskFilter {
        statuses,
        classes: class,
        codes: code,
        devices: match (patterns, list) {
            (Some(patterns), Some(list)) => Some(patterns.among(list)),
            (None, Some(keys)) => Some(Devices {
                keys,
                ..Devices::default()
            }),
            (patterns, None) => patterns,
        },
        products: product,
        deliveries: delivery
            .into_iter()
            .flat_map(DeliveryWord::deliveries)
            .collect(),
        attempts,
        ended_after: moment(ended_after)?,
        ended_before: moment(ended_before)?,
        ..TaskFilter::default()
    };
    for (name, value) in label {
        filter.labels.entry(name).or_default().insert(value);
    }
    Ok(filter)
}

fn at(moment: &Moment) -> Result<Timestamp, Failure> {
    let local = if moment.is_local() {
        TimeZone::try_system()
            .context(
                "the system's time zone is not known: name one after the time, as in '2026-11-23 05:00 Europe/Oslo', or set TZ",
            )
            .map_err(Failure::usage)?
    } else {
        TimeZone::UTC
    };
    Ok(moment.at(clock::wall_now(), &local))
}

/// What is to be said of what a filter names and a run does not have. A label that no task has is a mistake of the command line.
pub(super) fn remarks(unknown: &Unknown, run: &str) -> Result<Vec<String>, Failure> {
    if let Some(label) = unknown.labels.first() {
        return Err(unknown_label(label, &unknown.known_labels, run));
    }
    let mut remarks = Vec::new();
    remarks.extend(absent_words(&unknown.devices, run));
    if !unknown.codes.is_empty() {
        let wanted: Vec<String> = unknown.codes.iter().map(range_words).collect();
        let codes = match &unknown.known_codes[..] {
            [] => "no task of it has a code".to_owned(),
            codes => format!("its codes are {}", listed(codes.iter())),
        };
        remarks.push(format!(
            "run '{run}' has no task with the code {}; {codes}",
            wanted.join(" or ")
        ));
    }
    if !unknown.products.is_empty() {
        let products = match &unknown.known_products[..] {
            [] => "no task of it has a product".to_owned(),
            products => format!("its products are {}", listed(products.iter())),
        };
        remarks.push(format!(
            "run '{run}' has no task of the product {}; {products}",
            unknown.products.join(" or ")
        ));
    }
    Ok(remarks)
}

/// What is to be said of a value that no task has.
pub(super) fn value_remark(unknown: &UnknownValue, run: &str) -> String {
    let UnknownValue {
        label,
        value,
        known,
    } = unknown;
    let hint = did_you_mean(value, known.iter().map(String::as_str));
    format!(
        "no task of run '{run}' has the label {label}={value}{hint}{}",
        if hint.is_empty() {
            format!("; its values are {}", listed(known.iter()))
        } else {
            String::new()
        }
    )
}

/// A label that is in no task of a run, with those that are.
pub(super) fn unknown_label(label: &str, known: &[String], run: &str) -> Failure {
    let hint = did_you_mean(label, known.iter().map(String::as_str));
    let has = match known {
        [] => "its manifest had none".to_owned(),
        names => format!("its labels are {}", listed(names.iter())),
    };
    let join = if hint.is_empty() { ";" } else { "" };
    Failure::usage(anyhow!(
        "no task of run '{run}' has a label '{label}'{hint}{join} {has}"
    ))
}

/// A few of the words, and how many more there are.
pub(super) fn listed<T: ToString>(words: impl ExactSizeIterator<Item = T>) -> String {
    const MOST: usize = 20;
    let more = words.len().saturating_sub(MOST);
    let shown: Vec<String> = words.take(MOST).map(|word| word.to_string()).collect();
    let shown = shown.join(", ");
    if more > 0 {
        format!("{shown} and {} more", grouped(more as u64))
    } else {
        shown
    }
}

fn range_words(range: &RangeInclusive<i64>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

/// What to say of device keys that the run does not have; nothing when it has all of them.
fn absent_words(absent: &[String], run: &str) -> Option<String> {
    let shown = absent[..absent.len().min(SHOWN)].join(", ");
    match absent.len() {
        0 => None,
        1 => Some(format!("the device {shown} is not in run '{run}'")),
        many => Some(format!(
            "{} are not in run '{run}': {shown}{}",
            counted(many as u64, "device"),
            if many > SHOWN { " and others" } else { "" }
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_of_the_absent_are_named() {
        let keys = |n: usize| (1..=n).map(|n| format!("DK{n}")).collect::<Vec<_>>();
        assert_eq!(absent_words(&keys(0), "night"), None);
        assert_eq!(
            absent_words(&keys(1), "night").unwrap(),
            "the device DK1 is not in run 'night'"
        );
        assert_eq!(
            absent_words(&keys(1200), "night").unwrap(),
            "1,200 devices are not in run 'night': DK1, DK2, DK3, DK4, DK5 and others"
        );
    }

    fn failure(unknown: &Unknown) -> String {
        let failure = remarks(unknown, "night").unwrap_err();
        let mut told = Vec::new();
        failure
            .report(crate::model::LogFormat::Text, &mut told)
            .unwrap();
        String::from_utf8(told).unwrap()
    }

    #[test]
    fn what_is_unknown_is_named_with_what_there_is() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let unknown = Unknown {
            codes: vec![61000..=61001, 5..=5],
            known_codes: vec![200, 61002],
            ..Unknown::default()
        };
        assert_eq!(
            remarks(&unknown, "night").unwrap(),
            ["run 'night' has no task with the code 61000-61001 or 5; its codes are 200, 61002"]
        );
        let product = |known: &[&str]| Unknown {
            products: names(&["PK3", "PK4"]),
            known_products: names(known),
            ..Unknown::default()
        };
        for (known, words) in [
            (
                &["PK1", "QX2"][..],
                "run 'night' has no task of the product PK3 or PK4; its products are PK1, QX2",
            ),
            (
                &[],
                "run 'night' has no task of the product PK3 or PK4; no task of it has a product",
            ),
        ] {
            assert_eq!(remarks(&product(known), "night").unwrap(), [words]);
        }
        let label = |known: &[&str]| Unknown {
            labels: names(&["sit"]),
            known_labels: names(known),
            ..Unknown::default()
        };
        for (known, words) in [
            (
                &["site", "rack"][..],
                "no task of run 'night' has a label 'sit'; did you mean site? its labels are site, rack",
            ),
            (
                &["rack"],
                "no task of run 'night' has a label 'sit'; its labels are rack",
            ),
            (
                &[],
                "no task of run 'night' has a label 'sit'; its manifest had none",
            ),
        ] {
            let told = failure(&label(known));
            assert!(told.contains(words), "{told}");
        }
        let value = |value: &str| UnknownValue {
            label: "site".into(),
            value: value.into(),
            known: names(&["Oslo", "Bergen"]),
        };
        assert_eq!(
            value_remark(&value("Olso"), "night"),
            "no task of run 'night' has the label site=Olso; did you mean Oslo?"
        );
        assert_eq!(
            value_remark(&value("X"), "night"),
            "no task of run 'night' has the label site=X; its values are Oslo, Bergen"
        );
        assert_eq!(
            listed((1..23_u32).map(|n| n * 1000)),
            (1..=20)
                .map(|n| (n * 1000).to_string())
                .collect::<Vec<_>>()
                .join(", ")
                + " and 2 more"
        );
    }
}
