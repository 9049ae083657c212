//! When a push may send: `--until`, `--window`, and what the two come to at one moment. Pure arithmetic on a zone's clock; the only thing
//! read is the time zone database, when a zone is named.

mod moment;
mod repeat;
mod until;
mod window;
mod zone;

use jiff::tz::TimeZone;

pub(crate) use moment::Moment;
pub(crate) use repeat::RepeatAfter;
pub(crate) use until::Until;
pub(crate) use window::SendWindow;

use super::Timestamp;

/// When a push may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// `--until`
    pub(crate) until: Until,
    /// `--window`
    pub(crate) window: SendWindow,
}

/// What a schedule says of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hours {
    /// A push may begin, and must send nothing from the deadline on, if there is one.
    Open(Option<Deadline>),
    /// Nothing may be sent; the text says why, and when something may be.
    Closed(String),
}

/// The time from which on nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// The time.
    pub(crate) at: Timestamp,
    /// The time and where it comes from, for a person: `2026-11-23 05:00 Europe/Oslo, --window 22:00-05:00 Europe/Oslo`.
    pub(crate) what: String,
}

impl Schedule {
    /// Whether it speaks of the system's time zone.
    pub(crate) fn is_local(&self) -> bool {
        self.until.is_local() || self.window.is_local()
    }

    /// What holds at `now`, where the clocks of zones that are not named show the time of `local`.
    pub(crate) fn at(&self, now: Timestamp, local: &TimeZone) -> Hours {
        let window = self.window.at(now, local);
        let until = self.until.at(now, local);
        match (window, until) {
            (closed @ Hours::Closed(_), _) | (_, closed @ Hours::Closed(_)) => closed,
            (Hours::Open(window), Hours::Open(until)) => {
                let ends = [window, until].into_iter().flatten();
                Hours::Open(ends.min_by_key(|end| end.at))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(until: &str, window: &str, now: &str) -> Hours {
        let schedule = Schedule {
            until: until.parse().unwrap(),
            window: window.parse().unwrap(),
        };
        let now: jiff::Timestamp = now.parse().unwrap();
        schedule.at(Timestamp(now.as_millisecond()), &TimeZone::UTC)
    }

    fn end(hours: Hours) -> String {
        match hours {
            Hours::Open(Some(deadline)) => deadline.at.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_earlier_end_counts() {
        let at = "2026-11-22T23:00:00Z";
        assert_eq!(
            end(hours("2h", "22:00-05:00", at)),
            "2026-11-23T01:00:00.000Z"
        );
        assert_eq!(
            end(hours("04:59", "22:00-05:00", at)),
            "2026-11-23T04:59:00.000Z"
        );
        assert_eq!(
            end(hours("05:01", "22:00-05:00", at)),
            "2026-11-23T05:00:00.000Z"
        );
        assert_eq!(end(hours("6h", "always", at)), "2026-11-23T05:00:00.000Z");
        assert_eq!(hours("never", "always", at), Hours::Open(None));
    }

    #[test]
    fn either_can_close() {
        let at = "2026-11-22T12:00:00Z";
        assert!(matches!(hours("6h", "22:00-05:00", at), Hours::Closed(_)));
        assert!(matches!(
            hours("2026-11-22T12:00:00Z", "always", at),
            Hours::Closed(_)
        ));
    }

    #[test]
    fn only_what_names_no_zone_is_local() {
        let is_local = |until: &str, window: &str| {
            Schedule {
                until: until.parse().unwrap(),
                window: window.parse().unwrap(),
            }
            .is_local()
        };
        assert!(!is_local("6h", "always"));
        assert!(!is_local("2026-11-22T12:00:00Z", "22:00-05:00 UTC"));
        assert!(!is_local("05:00 Europe/Oslo", "always"));
        assert!(is_local("05:00", "always"));
        assert!(is_local("2026-11-22T12:00", "always"));
        assert!(is_local("never", "22:00-05:00"));
    }
}
