//! What a command's filter flags choose.

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::tz::TimeZone;

use crate::{
    cli::FilterArgs,
    clock,
    exit::Failure,
    manifest::device_list,
    model::{Devices, Moment, TaskFilter, TaskStatus, Timestamp},
    ui::number::counted,
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

/// The device keys that somebody has named one by one.
pub(super) fn named_keys(filter: &TaskFilter) -> BTreeSet<String> {
    filter
        .devices
        .as_ref()
        .map(|devices| devices.keys.clone())
        .unwrap_or_default()
}

/// What to say of device keys that the run does not have; nothing when it has all of them.
pub(super) fn absent_words(absent: &[String], run: &str) -> Option<String> {
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
}
