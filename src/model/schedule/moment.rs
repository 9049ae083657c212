//! A moment of the past as people write it: a date, a date with a time, or how long ago.

use std::str::FromStr;

use jiff::{
    Zoned,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use super::zone::{from_jiff, moments, split_zone};
use crate::model::{Age, OptionError, Timestamp};

/// A moment as somebody has written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Age),
    /// When a clock first showed this.
    Clock {
        time: DateTime,
        /// Whose clock; the system's when none is named.
        zone: Option<TimeZone>,
    },
    At(Timestamp),
}

impl Moment {
    /// Whether it is a time of the system's own zone.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Clock { zone: None, .. })
    }

    /// The moment, seen at `now`, where the clocks of zones that are not named show the time of `local`.
    pub fn at(&self, now: Timestamp, local: &TimeZone) -> Timestamp {
        match self {
            Self::Ago(age) => Timestamp(
                now.0
                    .saturating_sub(i64::try_from(age.duration().as_millis()).unwrap_or(i64::MAX)),
            ),
            Self::Clock { time, zone } => {
                let moments = moments(zone.as_ref().unwrap_or(local), *time);
                // Only a time outside the years that clocks know has none.
                moments.first().copied().unwrap_or(Timestamp(i64::MIN))
            }
            Self::At(moment) => *moment,
        }
    }
}

impl FromStr for Moment {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains(':')
            && let Ok(age) = text.parse()
        {
            return Ok(Self::Ago(age));
        }
        let (text, zone) = split_zone(text)?;
        if zone.is_none()
            && let Some(moment) = text
                .parse::<jiff::Timestamp>()
                .ok()
                .or_else(|| Some(text.parse::<Zoned>().ok()?.timestamp()))
        {
            return Ok(Self::At(from_jiff(moment)));
        }
        let has_offset = text.parse::<jiff::Timestamp>().is_ok();
        let time = if text.contains(':') {
            text.parse().ok()
        } else {
            text.parse::<Date>().ok().map(Date::into)
        };
        match time {
            Some(time) if !has_offset => Ok(Self::Clock { time, zone }),
            _ => Err(OptionError(
                "write a date such as 2026-11-23, a date and time such as 2026-11-23T05:00 (each may be followed by a zone such as \
                 Europe/Oslo), a moment such as 2026-11-23T04:00:00Z, or how long ago it was, such as 6h or 2d"
                    .into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As read on 23 November 2026, 12:00 UTC, where the clocks show the time of Oslo.
    fn read(text: &str) -> String {
        let now: jiff::Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let oslo = TimeZone::get("Europe/Oslo").unwrap();
        text.parse::<Moment>()
            .unwrap()
            .at(from_jiff(now), &oslo)
            .to_string()
    }

    #[test]
    fn dates_times_moments_and_ages_are_read() {
        for (text, moment) in [
            ("6h", "2026-11-23T06:00:00.000Z"),
            ("2d", "2026-11-21T12:00:00.000Z"),
            ("2026-11-23", "2026-11-22T23:00:00.000Z"),
            ("2026-11-23 UTC", "2026-11-23T00:00:00.000Z"),
            ("2026-11-23T05:00", "2026-11-23T04:00:00.000Z"),
            ("2026-11-23 05:00", "2026-11-23T04:00:00.000Z"),
            ("2026-11-23 05:00 Asia/Tokyo", "2026-11-22T20:00:00.000Z"),
            ("2026-11-23T05:00:30.123Z", "2026-11-23T05:00:30.123Z"),
            ("2026-11-23T05:00:00+02:00", "2026-11-23T03:00:00.000Z"),
        ] {
            assert_eq!(read(text), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "05:00",
            "11/23/2026",
            "90",
            "-6h",
            "2026-13-01",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_what_names_no_zone_is_local() {
        let is_local = |text: &str| text.parse::<Moment>().unwrap().is_local();
        assert!(is_local("2026-11-23") && is_local("2026-11-23T05:00"));
        assert!(!is_local("6h") && !is_local("2026-11-23 UTC") && !is_local("2026-11-23T05:00Z"));
    }
}
