//! How long ago something was, in units that a person counts it in.

use std::{str::FromStr, time::Duration};

use jiff::{Span, SpanRelativeTo, fmt::friendly::SpanPrinter};

use super::OptionError;

/// An age, of days as a rule: `90d`, `12w`, `36h`. A day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(Duration);

const DAY: u64 = 24 * 60 * 60;

impl Age {
    /// A century: what is older than that has no time that a clock could have given.
    const MOST: Duration = Duration::from_secs(36_500 * DAY);

    /// So many days.
    pub(crate) const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * DAY))
    }

    /// The age as a length of time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Age {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.parse::<f64>().is_ok() {
            return Err(OptionError(format!(
                "add a unit, for example {text}d or {text}h"
            )));
        }
        text.parse::<Span>()
            .ok()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
            .and_then(|age| Duration::try_from(age).ok())
            .filter(|age| *age <= Self::MOST)
            .map(Self)
            .ok_or_else(|| {
                OptionError(
                    "write an age of at most 36500 days, for example 90d, 12w or 36h".to_owned(),
                )
            })
    }
}

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        if seconds > 0 && seconds.is_multiple_of(DAY) && self.0.subsec_nanos() == 0 {
            write!(f, "{}d", seconds / DAY)
        } else {
            f.write_str(&SpanPrinter::new().unsigned_duration_to_string(&self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ages_are_told_in_days_weeks_and_hours() {
        let hours = |text: &str| text.parse::<Age>().unwrap().duration().as_secs() / 3600;
        assert_eq!(hours("90d"), 90 * 24);
        assert_eq!(hours("2w"), 14 * 24);
        assert_eq!(hours("1d 12h"), 36);
        assert_eq!(hours("0s"), 0);
        for text in [
            "", "90", "-1d", "2 months", "1y", "soon", "36501d", "1d ago",
        ] {
            assert!(text.parse::<Age>().is_err(), "{text:?}");
        }
        assert_eq!(
            "90".parse::<Age>().unwrap_err().to_string(),
            "add a unit, for example 90d or 90h"
        );
    }

    proptest! {
        #[test]
        fn an_age_survives_printing(days in 0_u64..36_500, seconds in 0_u64..DAY, whole: bool) {
            let age = Age(Duration::from_secs(days * DAY + if whole { 0 } else { seconds }));
            prop_assert_eq!(age.to_string().parse::<Age>(), Ok(age));
        }
    }
}
