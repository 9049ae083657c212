//! `--repeat-after`: when a push that has ended is made anew.

use std::{str::FromStr, time::Duration};

use jiff::fmt::friendly::{SpanParser, SpanPrinter};

use crate::model::{OptionError, Timestamp};

/// How long after its end a push is made anew, if ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatAfter(Option<Duration>);

impl RepeatAfter {
    /// What has ended stays ended.
    pub const NEVER: Self = Self(None);
    /// Below that it would be no guard against a second start by mistake.
    const LEAST: Duration = Duration::from_secs(1);
    /// A year.
    const MOST: Duration = Duration::from_hours(8_784);

    /// When a push that ended at `finished` is made anew.
    pub fn from(self, finished: Timestamp) -> Option<Timestamp> {
        self.0.map(|pause| finished.after(pause))
    }
}

impl FromStr for RepeatAfter {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self::NEVER);
        }
        SpanParser::new()
            .parse_unsigned_duration(text)
            .ok()
            .filter(|pause| (Self::LEAST..=Self::MOST).contains(pause))
            .map(|pause| Self(Some(pause)))
            .ok_or_else(|| {
                OptionError(
                    "write a duration from 1s to 8784h, for example 12h, or the word never".into(),
                )
            })
    }
}

impl std::fmt::Display for RepeatAfter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(pause) => f.write_str(&SpanPrinter::new().unsigned_duration_to_string(pause)),
            None => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_counts_from_the_end() {
        let after: RepeatAfter = "20h".parse().unwrap();
        assert_eq!(after.from(Timestamp(5)), Some(Timestamp(72_000_005)));
        assert_eq!(RepeatAfter::NEVER.from(Timestamp(5)), None);
    }

    #[test]
    fn what_is_no_pause_is_refused_with_what_to_write() {
        for text in ["", "20", "0s", "-1h", "9000h", "Never", "1d"] {
            let error = text.parse::<RepeatAfter>().unwrap_err().to_string();
            assert!(error.contains("for example 12h"), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn it_survives_printing(seconds in 1u64..31_622_400) {
            let after = RepeatAfter(Some(Duration::from_secs(seconds)));
            prop_assert_eq!(after.to_string().parse(), Ok(after));
        }
    }
}
