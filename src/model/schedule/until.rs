//! `--until`: the end of a push, as a time or as a duration.

use std::{str::FromStr, time::Duration};

use jiff::{
    Zoned,
    civil::{DateTime, Time},
    fmt::friendly::{SpanParser, SpanPrinter},
    tz::TimeZone,
};

use super::{
    Deadline, Hours,
    zone::{from_jiff, moments, shown, split_zone, time_of_day, time_text, zone_suffix, zoned},
};
use crate::model::{OptionError, Timestamp};

/// Until when a push sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// To its end.
    Complete,
    /// For so long after its start.
    For(Duration),
    /// Until a clock next shows this time.
    TimeOfDay {
        time: Time,
        /// Whose clock; the system's when none is named.
        zone: Option<TimeZone>,
    },
    /// Until a clock shows this date and time.
    DateTime {
        time: DateTime,
        /// Whose clock; the system's when none is named.
        zone: Option<TimeZone>,
    },
    Moment(jiff::Timestamp),
}

impl Until {
    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_hours(168);

    /// Whether it is a time of the system's own zone.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::TimeOfDay { zone, .. } | Self::DateTime { zone, .. } => zone.is_none(),
            Self::Complete | Self::For(_) | Self::Moment(_) => false,
        }
    }

    /// What it says of a push that starts at `now`.
    pub(super) fn at(&self, now: Timestamp, local: &TimeZone) -> Hours {
        let (end, zone) = match self {
            Self::Complete => return Hours::Open(None),
            Self::For(duration) => (Some(now.after(*duration)), &TimeZone::UTC),
            Self::TimeOfDay { time, zone } => {
                let zone = zone.as_ref().unwrap_or(local);
                (next(*time, zone, now), zone)
            }
            Self::DateTime { time, zone } => {
                let zone = zone.as_ref().unwrap_or(local);
                let moments = moments(zone, *time);
                let to_come = moments.iter().find(|moment| **moment > now);
                (to_come.or(moments.last()).copied(), zone)
            }
            Self::Moment(moment) => (Some(from_jiff(*moment)), &TimeZone::UTC),
        };
        match end {
            Some(at) if at <= now => Hours::Closed(format!(
                "the end that --until {self} gives is in the past, at {}: nothing has been sent; give a later one",
                shown(at, zone)
            )),
            Some(at) => Hours::Open(Some(Deadline {
                at,
                what: format!("{}, --until {self}", shown(at, zone)),
            })),
            None => Hours::Open(None),
        }
    }
}

/// The next moment at which the clock of `zone` comes to `time`.
fn next(time: Time, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let today = zoned(now, zone).date();
    // Also when the clock is set, or a zone leaves out a day, it comes to every time within three days.
    std::iter::successors(Some(today), |day| day.tomorrow().ok())
        .take(4)
        .flat_map(|day| moments(zone, day.to_datetime(time)))
        .find(|moment| *moment > now)
}

impl FromStr for Until {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self::Complete);
        }
        // A duration may be written with colons as well, `05:00:30`, but here that is a time.
        let duration = SpanParser::new().parse_unsigned_duration(text);
        if let (false, Ok(duration)) = (text.contains(':'), duration) {
            if !(Self::LEAST..=Self::MOST).contains(&duration) {
                return Err(OptionError("write a duration from 1s to 168h".into()));
            }
            return Ok(Self::For(duration));
        }
        let (text, zone) = split_zone(text)?;
        if let Some(time) = time_of_day(text) {
            return Ok(Self::TimeOfDay { time, zone });
        }
        // A date alone would leave open which end of the day is meant.
        if text.contains(':') {
            if zone.is_none()
                && let Some(moment) = text
                    .parse()
                    .ok()
                    .or_else(|| Some(text.parse::<Zoned>().ok()?.timestamp()))
            {
                return Ok(Self::Moment(moment));
            }
            let has_offset = text.parse::<jiff::Timestamp>().is_ok();
            if let (false, Ok(time)) = (has_offset, text.parse()) {
                return Ok(Self::DateTime { time, zone });
            }
        }
        Err(OptionError(
            "write a time of day such as 05:00, a date and time such as 2026-11-23T05:00 (each may be followed by a zone such as \
             Europe/Oslo), a moment such as 2026-11-23T05:00:00+01:00, a duration such as 6h, or the word never"
                .into(),
        ))
    }
}

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Complete => f.write_str("never"),
            Self::For(duration) => {
                f.write_str(&SpanPrinter::new().unsigned_duration_to_string(duration))
            }
            Self::TimeOfDay { time, zone } => {
                write!(f, "{}{}", time_text(*time), zone_suffix(zone.as_ref()))
            }
            Self::DateTime { time, zone } => write!(f, "{time}{}", zone_suffix(zone.as_ref())),
            Self::Moment(moment) => moment.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, now: &str, local: &str) -> Hours {
        let now: jiff::Timestamp = now.parse().unwrap();
        let local = TimeZone::get(local).unwrap();
        text.parse::<Until>()
            .unwrap()
            .at(Timestamp(now.as_millisecond()), &local)
    }

    fn end(text: &str, now: &str, local: &str) -> String {
        match at(text, now, local) {
            Hours::Open(Some(Deadline { at, .. })) => at.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_form_has_its_end() {
        let now = "2026-11-22T21:00:00Z";
        for (text, expected) in [
            ("6h", "2026-11-23T03:00:00.000Z"),
            ("90m", "2026-11-22T22:30:00.000Z"),
            ("05:00", "2026-11-23T04:00:00.000Z"),
            ("22:30", "2026-11-22T21:30:00.000Z"),
            ("05:00:30 UTC", "2026-11-23T05:00:30.000Z"),
            ("05:00 America/New_York", "2026-11-23T10:00:00.000Z"),
            ("2026-11-23T05:00", "2026-11-23T04:00:00.000Z"),
            ("2026-11-23 05:00", "2026-11-23T04:00:00.000Z"),
            ("2026-11-23T05:00:00+01:00", "2026-11-23T04:00:00.000Z"),
            ("2026-11-23T05:00:00Z", "2026-11-23T05:00:00.000Z"),
            ("2026-11-23T05:00[Asia/Kolkata]", "2026-11-22T23:30:00.000Z"),
        ] {
            assert_eq!(end(text, now, "Europe/Oslo"), expected, "{text}");
        }
        assert_eq!(at("never", now, "UTC"), Hours::Open(None));
    }

    #[test]
    fn an_end_that_has_passed_closes() {
        assert_eq!(
            at("2026-11-23T05:00 Asia/Tokyo", "2026-11-22T20:00:00Z", "UTC"),
            Hours::Closed(
                "the end that --until 2026-11-23T05:00:00 Asia/Tokyo gives is in the past, at \
                 2026-11-23 05:00 Asia/Tokyo: nothing has been sent; give a later one"
                    .into()
            )
        );
    }

    #[test]
    fn a_time_that_has_just_come_is_tomorrows() {
        assert_eq!(
            end("05:00", "2026-11-22T05:00:00Z", "UTC"),
            "2026-11-23T05:00:00.000Z"
        );
    }

    #[test]
    fn the_clock_jumps_past_a_time_that_a_spring_night_leaves_out() {
        // At 01:00 UTC Oslo's clock goes from 02:00 to 03:00.
        assert_eq!(
            end("02:30", "2026-03-28T22:00:00Z", "Europe/Oslo"),
            "2026-03-29T01:00:00.000Z"
        );
        assert_eq!(
            end("2026-03-29T02:30", "2026-03-28T22:00:00Z", "Europe/Oslo"),
            "2026-03-29T01:00:00.000Z"
        );
    }

    #[test]
    fn a_time_that_an_autumn_night_repeats_comes_twice() {
        // At 01:00 UTC Oslo's clock goes from 03:00 back to 02:00.
        for (now, expected) in [
            ("2026-10-24T22:00:00Z", "2026-10-25T00:30:00.000Z"),
            ("2026-10-25T00:45:00Z", "2026-10-25T01:30:00.000Z"),
            ("2026-10-25T01:45:00Z", "2026-10-26T01:30:00.000Z"),
        ] {
            assert_eq!(end("02:30", now, "Europe/Oslo"), expected, "{now}");
        }
        assert_eq!(
            end("2026-10-25T02:30", "2026-10-25T00:45:00Z", "Europe/Oslo"),
            "2026-10-25T01:30:00.000Z"
        );
    }

    #[test]
    fn a_day_that_a_zone_leaves_out_is_passed_over() {
        // Samoa went from 29 to 31 December 2011.
        assert_eq!(
            end("12:00", "2011-12-30T09:00:00Z", "Pacific/Apia"),
            "2011-12-30T10:00:00.000Z"
        );
        assert_eq!(
            end("12:00", "2011-12-30T10:00:00Z", "Pacific/Apia"),
            "2011-12-30T22:00:00.000Z"
        );
    }

    #[test]
    fn every_form_survives_printing() {
        for text in [
            "never",
            "6h",
            "1h 30m",
            "05:00",
            "05:00:30",
            "05:00 Europe/Oslo",
            "2026-11-23T05:00:00",
            "2026-11-23T05:00:00 Europe/Oslo",
            "2026-11-23T05:00:00Z",
        ] {
            let until: Until = text.parse().unwrap();
            assert_eq!(until.to_string(), text);
        }
        let lower: Until = "05:00 europe/oslo".parse().unwrap();
        assert_eq!(lower.to_string(), "05:00 Europe/Oslo");
    }

    #[test]
    fn what_is_no_end_is_refused_with_what_to_write() {
        for text in [
            "",
            "5",
            "05",
            "5:00",
            "25:00",
            "05:00:",
            "tomorrow",
            "2026-11-23",
            "0s",
            "169h",
            "-1h",
            "2026-11-23T05:00Z UTC",
            "2026-02-30T05:00",
        ] {
            let error = text.parse::<Until>().unwrap_err().to_string();
            assert!(error.contains("write "), "{text:?}: {error}");
        }
        assert_eq!(
            "05:00 Europe/Olso"
                .parse::<Until>()
                .unwrap_err()
                .to_string(),
            "no time zone is called \"Europe/Olso\": write a name of the time zone database, for example Europe/Oslo or UTC"
        );
    }
}
