//! The clocks of time zones: when they show a time, also in the nights in which they are set.

use jiff::{
    Unit, Zoned,
    civil::{DateTime, Time},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

use crate::model::{OptionError, Timestamp};

/// What stands before the name of a zone, and the zone, when one is named: `05:00 Europe/Oslo`.
pub(super) fn split_zone(text: &str) -> Result<(&str, Option<TimeZone>), OptionError> {
    let named = text
        .rsplit_once(char::is_whitespace)
        .filter(|(_, zone)| zone.starts_with(|first: char| first.is_ascii_alphabetic()));
    let Some((rest, name)) = named else {
        return Ok((text, None));
    };
    // The system's database may be missing, as in a small container, or be there and lack the zone.
    let zone = TimeZone::get(name)
        .or_else(|_| TimeZoneDatabase::bundled().get(name))
        .map_err(|_| {
            OptionError(format!(
                "no time zone is called {name:?}: write a name of the time zone database, for example Europe/Oslo or UTC"
            ))
        })?;
    Ok((rest.trim_end(), Some(zone)))
}

/// A blank and the name of the zone, or nothing.
pub(super) fn zone_suffix(zone: Option<&TimeZone>) -> String {
    zone.and_then(TimeZone::iana_name)
        .map(|name| format!(" {name}"))
        .unwrap_or_default()
}

/// A time of day, `05:00` or `05:00:30`. Not what else the library takes for one, such as a date with a time.
pub(super) fn time_of_day(text: &str) -> Option<Time> {
    let plain = |byte: u8| byte.is_ascii_digit() || byte == b':';
    if !matches!(text.len(), 5 | 8) || !text.bytes().all(plain) {
        return None;
    }
    text.parse().ok()
}

/// A time of day as [`time_of_day`] reads it.
pub(super) fn time_text(time: Time) -> String {
    let format = if time.second() == 0 {
        "%H:%M"
    } else {
        "%H:%M:%S"
    };
    time.strftime(format).to_string()
}

/// The moments at which the clock of `zone` comes to `time`: one as a rule, two when the hour is repeated, and when it is left out, the
/// one at which the clock jumps past it.
pub(super) fn moments(zone: &TimeZone, time: DateTime) -> Vec<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    let kind = ambiguous.offset();
    // Only times outside the years that the library knows have none.
    let (Ok(earlier), Ok(later)) = (ambiguous.earlier(), ambiguous.later()) else {
        return Vec::new();
    };
    match kind {
        AmbiguousOffset::Unambiguous { .. } => vec![from_jiff(earlier)],
        AmbiguousOffset::Fold { .. } => vec![from_jiff(earlier), from_jiff(later)],
        AmbiguousOffset::Gap { .. } => zone
            .following(earlier)
            .take(1)
            .map(|jump| from_jiff(jump.timestamp()))
            .collect(),
    }
}

/// The moment as the clock of `zone` shows it.
pub(super) fn zoned(moment: Timestamp, zone: &TimeZone) -> Zoned {
    jiff::Timestamp::from_millisecond(moment.0)
        .unwrap_or(if moment.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
        .to_zoned(zone.clone())
}

/// The moment for a person, to the second and with its zone: `2026-11-23 05:00 Europe/Oslo`. The offset is told where the clock shows
/// the time twice, and where the zone has no name.
pub(super) fn shown(moment: Timestamp, zone: &TimeZone) -> String {
    let zoned = zoned(moment, zone);
    let zoned = zoned.round(Unit::Second).unwrap_or(zoned);
    let twice = moments(zone, zoned.datetime()).len() > 1;
    let offset = match zone.iana_name() {
        Some(name) if twice => format!("{name} (UTC{})", zoned.strftime("%:z")),
        Some(name) => name.to_owned(),
        None => format!("(UTC{})", zoned.strftime("%:z")),
    };
    format!("{} {} {offset}", zoned.date(), time_text(zoned.time()))
}

pub(super) fn from_jiff(moment: jiff::Timestamp) -> Timestamp {
    Timestamp(moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_the_clock_of_the_zone() {
        let at = |moment: &str, zone: &TimeZone| {
            let moment: jiff::Timestamp = moment.parse().unwrap();
            shown(from_jiff(moment), zone)
        };
        let oslo = TimeZone::get("Europe/Oslo").unwrap();
        let fixed = TimeZone::fixed(jiff::tz::offset(-3));
        for (moment, zone, text) in [
            (
                "2026-11-26T00:00:00Z",
                &TimeZone::UTC,
                "2026-11-26 00:00 UTC",
            ),
            (
                "2026-11-25T23:00:30Z",
                &oslo,
                "2026-11-26 00:00:30 Europe/Oslo",
            ),
            // The hour that comes twice, and the one after it.
            (
                "2026-10-25T00:30:00Z",
                &oslo,
                "2026-10-25 02:30 Europe/Oslo (UTC+02:00)",
            ),
            (
                "2026-10-25T01:30:00Z",
                &oslo,
                "2026-10-25 02:30 Europe/Oslo (UTC+01:00)",
            ),
            (
                "2026-10-25T02:30:00Z",
                &oslo,
                "2026-10-25 03:30 Europe/Oslo",
            ),
            (
                "2026-11-26T00:00:00Z",
                &fixed,
                "2026-11-25 21:00 (UTC-03:00)",
            ),
        ] {
            assert_eq!(at(moment, zone), text);
        }
    }
}
