//! Points in time, as the store keeps them.

use std::time::Duration;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time `pause` later; saturates instead of wrapping.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The time `age` earlier; saturates instead of wrapping.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The time for a person, in UTC and to the second: `2026-11-22 19:02:29 UTC`.
    pub fn human(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            Err(_) => self.to_string(),
        }
    }

    /// How long from `self` until `later`; zero when it has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

impl std::fmt::Display for Timestamp {
    /// UTC text with milliseconds, `2026-11-22T19:02:29.123Z`, as the views print it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_views_do() {
        assert_eq!(
            Timestamp(1_763_838_149_123).to_string(),
            "2025-11-22T19:02:29.123Z"
        );
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn people_read_it_to_the_second() {
        assert_eq!(
            Timestamp(1_763_838_149_923).human(),
            "2025-11-22 19:02:29 UTC"
        );
        assert_eq!(Timestamp(i64::MAX).human(), format!("{} ms", i64::MAX));
    }

    #[test]
    fn a_passed_time_is_no_wait() {
        assert_eq!(Timestamp(5).until(Timestamp(3)), Duration::ZERO);
        assert_eq!(Timestamp(5).after(Duration::MAX), Timestamp(i64::MAX));
    }
}
