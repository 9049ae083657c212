//! `--window`: the hours of the day in which a push may send.

use std::str::FromStr;

use jiff::{ToSpan, civil::Time, tz::TimeZone};

use super::{
    Deadline, Hours,
    zone::{from_jiff, moments, shown, split_zone, time_of_day, time_text, zone_suffix, zoned},
};
use crate::model::{OptionError, Timestamp};

/// The hours in which a push may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendWindow {
    /// At any time.
    Always,
    /// In some hours of each day.
    Daily(DailyWindow),
}

/// Hours of each day, over midnight when the second time is the earlier one.
///
/// It is open whenever the clock of its zone shows a time in it. So in a night in which the clock is set it opens or closes when the
/// clock jumps past its edge, and opens twice when the clock goes back over it; a window within the hour that is left out does not open
/// that night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyWindow {
    /// It is open from this time on …
    from: Time,
    /// … and closed from this one on; never the same.
    to: Time,
    /// Whose clock; the system's when none is named.
    zone: Option<TimeZone>,
}

impl SendWindow {
    /// Whether it means the clock of the system's own zone.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Daily(window) if window.zone.is_none())
    }

    /// What it says of a push that starts at `now`.
    pub(super) fn at(&self, now: Timestamp, local: &TimeZone) -> Hours {
        let Self::Daily(window) = self else {
            return Hours::Open(None);
        };
        let zone = window.zone.as_ref().unwrap_or(local);
        let change = window.next_change(zone, now);
        match (window.is_open(zone, now), change) {
            (true, Some(at)) => Hours::Open(Some(Deadline {
                at,
                what: format!("{}, --window {window}", shown(at, zone)),
            })),
            (true, None) => Hours::Open(None),
            (false, change) => Hours::Closed(format!(
                "the window {window} is closed: nothing has been sent; it opens {}",
                change.map_or("no more".to_owned(), |at| format!("at {}", shown(at, zone)))
            )),
        }
    }
}

impl DailyWindow {
    fn is_open(&self, zone: &TimeZone, moment: Timestamp) -> bool {
        let time = zoned(moment, zone).time();
        if self.from < self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        }
    }

    /// The next moment after `now` at which it opens, if it is closed, or closes, if it is open.
    fn next_change(&self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let is_open = self.is_open(zone, now);
        let here = zoned(now, zone);
        let today = here.date();
        // It can change only when the clock comes to an edge, or is set.
        let edges = std::iter::successors(Some(today), |day| day.tomorrow().ok())
            .take(Self::DAYS)
            .flat_map(|day| [self.from, self.to].map(|edge| day.to_datetime(edge)))
            .flat_map(|edge| moments(zone, edge));
        let horizon = here.checked_add((Self::DAYS as i64).days()).ok()?;
        let jumps = zone
            .following(here.timestamp())
            .map(|jump| jump.timestamp())
            .take_while(|jump| *jump < horizon.timestamp())
            .map(from_jiff);
        edges
            .chain(jumps)
            .filter(|moment| *moment > now && self.is_open(zone, *moment) != is_open)
            .min()
    }

    /// A window changes each day, but for a night whose clock jumps over it, and a day that a zone leaves out.
    const DAYS: usize = 5;
}

impl FromStr for SendWindow {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "always" {
            return Ok(Self::Always);
        }
        let (hours, zone) = split_zone(text)?;
        let times = hours.split_once('-').and_then(|(from, to)| {
            let to = match to.trim() {
                "24:00" => "00:00",
                to => to,
            };
            Some((time_of_day(from.trim())?, time_of_day(to)?))
        });
        match times {
            Some((from, to)) if from == to => Err(OptionError(format!(
                "the window opens and closes at {}: write two different times, or the word always",
                time_text(from)
            ))),
            Some((from, to)) => Ok(Self::Daily(DailyWindow { from, to, zone })),
            None => Err(OptionError(
                "write two times of day and perhaps a zone, for example 22:00-05:00 or '22:00-05:00 Europe/Oslo', or the word always"
                    .into(),
            )),
        }
    }
}

impl std::fmt::Display for SendWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Daily(window) => window.fmt(f),
        }
    }
}

impl std::fmt::Display for DailyWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, to) = (time_text(self.from), time_text(self.to));
        write!(f, "{from}-{to}{}", zone_suffix(self.zone.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn moment(text: &str) -> Timestamp {
        from_jiff(text.parse().unwrap())
    }

    /// Whether the window is open at `now`, and when that changes, in Oslo.
    fn oslo(window: &str, now: &str) -> (bool, String) {
        let SendWindow::Daily(window) = window.parse().unwrap() else {
            panic!("{window}");
        };
        let zone = TimeZone::get("Europe/Oslo").unwrap();
        let now = moment(now);
        let change = window.next_change(&zone, now).unwrap();
        (window.is_open(&zone, now), change.to_string())
    }

    #[track_caller]
    fn check(window: &str, now: &str, is_open: bool, change: &str) {
        assert_eq!(
            oslo(window, now),
            (is_open, format!("{change}.000Z")),
            "{window} at {now}"
        );
    }

    #[test]
    fn it_opens_and_closes_every_day() {
        check(
            "22:00-05:00",
            "2026-11-22T20:59:59Z",
            false,
            "2026-11-22T21:00:00",
        );
        check(
            "22:00-05:00",
            "2026-11-22T21:00:00Z",
            true,
            "2026-11-23T04:00:00",
        );
        check(
            "22:00-05:00",
            "2026-11-23T03:59:59Z",
            true,
            "2026-11-23T04:00:00",
        );
        check(
            "22:00-05:00",
            "2026-11-23T04:00:00Z",
            false,
            "2026-11-23T21:00:00",
        );
        check(
            "09:00-17:00",
            "2026-11-23T16:00:00Z",
            false,
            "2026-11-24T08:00:00",
        );
        check(
            "18:00-24:00",
            "2026-11-23T22:00:00Z",
            true,
            "2026-11-23T23:00:00",
        );
    }

    #[test]
    fn a_spring_night_has_an_hour_less() {
        // At 01:00 UTC Oslo's clock goes from 02:00 to 03:00.
        check(
            "22:00-05:00",
            "2026-03-28T21:00:00Z",
            true,
            "2026-03-29T03:00:00",
        );
        // An edge in the hour that is left out is where the clock jumps.
        check(
            "22:00-02:30",
            "2026-03-28T21:00:00Z",
            true,
            "2026-03-29T01:00:00",
        );
        check(
            "02:30-05:00",
            "2026-03-29T00:59:59Z",
            false,
            "2026-03-29T01:00:00",
        );
        // All of it in that hour: not this night.
        check(
            "02:10-02:50",
            "2026-03-29T00:30:00Z",
            false,
            "2026-03-30T00:10:00",
        );
    }

    #[test]
    fn an_autumn_night_has_an_hour_more() {
        // At 01:00 UTC Oslo's clock goes from 03:00 back to 02:00.
        check(
            "22:00-05:00",
            "2026-10-24T20:00:00Z",
            true,
            "2026-10-25T04:00:00",
        );
        // What the clock shows twice is open, or closed, twice.
        check(
            "22:00-02:30",
            "2026-10-24T20:00:00Z",
            true,
            "2026-10-25T00:30:00",
        );
        check(
            "22:00-02:30",
            "2026-10-25T00:30:00Z",
            false,
            "2026-10-25T01:00:00",
        );
        check(
            "22:00-02:30",
            "2026-10-25T01:00:00Z",
            true,
            "2026-10-25T01:30:00",
        );
        check(
            "02:30-05:00",
            "2026-10-25T00:30:00Z",
            true,
            "2026-10-25T01:00:00",
        );
        check(
            "02:30-05:00",
            "2026-10-25T01:00:00Z",
            false,
            "2026-10-25T01:30:00",
        );
        check(
            "02:30-05:00",
            "2026-10-25T01:30:00Z",
            true,
            "2026-10-25T04:00:00",
        );
    }

    #[test]
    fn what_is_closed_tells_when_it_opens() {
        let window: SendWindow = "22:00-05:00 Europe/Oslo".parse().unwrap();
        assert_eq!(
            window.at(moment("2026-03-28T12:00:00Z"), &TimeZone::UTC),
            Hours::Closed(
                "the window 22:00-05:00 Europe/Oslo is closed: nothing has been sent; it opens at \
                 2026-03-28 22:00 Europe/Oslo"
                    .into()
            )
        );
    }

    #[test]
    fn it_prints_as_it_is_written() {
        for text in [
            "always",
            "22:00-05:00",
            "22:00:30-05:00",
            "09:00-17:00 Europe/Oslo",
            "00:00-06:00 UTC",
        ] {
            assert_eq!(text.parse::<SendWindow>().unwrap().to_string(), text);
        }
        let lenient: SendWindow = "18:00 - 24:00  europe/oslo".parse().unwrap();
        assert_eq!(lenient.to_string(), "18:00-00:00 Europe/Oslo");
    }

    #[test]
    fn what_is_no_window_is_refused_with_what_to_write() {
        for text in [
            "",
            "22:00",
            "22-5",
            "22:00-",
            "22:00-25:00",
            "05:00-05:00",
            "00:00-24:00",
            "22:00-05:00 Oslo",
            "22:00/05:00",
            "2026-11-22T22:00-05:00",
        ] {
            let error = text.parse::<SendWindow>().unwrap_err().to_string();
            assert!(error.contains("write "), "{text:?}: {error}");
        }
    }

    /// Zones, and hours before their clocks are set: by an hour, by half of one, for a month of fasting.
    const NIGHTS: &[(&str, &str)] = &[
        ("Europe/Oslo", "2026-03-28T22:00:00Z"),
        ("Europe/Oslo", "2026-10-24T22:00:00Z"),
        ("America/New_York", "2026-03-08T04:00:00Z"),
        ("America/New_York", "2026-11-01T03:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T12:30:00Z"),
        ("Africa/Casablanca", "2026-02-14T23:00:00Z"),
        ("Asia/Kolkata", "2026-06-01T18:30:00Z"),
    ];

    /// A quarter of an hour of the day, often one of those in which clocks are set.
    fn edge() -> impl Strategy<Value = Time> {
        prop_oneof![0i8..16, 0i8..96]
            .prop_map(|quarter| Time::constant(quarter / 4, quarter % 4 * 15, 0, 0))
    }

    proptest! {
        /// The clock on the wall is the measure, minute by minute.
        #[test]
        fn the_next_change_is_where_the_clock_shows_it(
            from in edge(),
            to in edge(),
            (name, start) in prop::sample::select(NIGHTS),
            minutes in 0i64..480,
        ) {
            prop_assume!(from != to);
            let window = DailyWindow { from, to, zone: None };
            let zone = TimeZone::get(name).unwrap();
            let now = Timestamp(moment(start).0 + minutes * MINUTE);
            let is_open = window.is_open(&zone, now);
            let expected = (1..4 * 1440)
                .map(|minute| Timestamp(now.0 + minute * MINUTE))
                .find(|moment| window.is_open(&zone, *moment) != is_open);
            prop_assert_eq!(window.next_change(&zone, now), expected);
        }
    }
}
