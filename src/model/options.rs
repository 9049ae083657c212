//! What a person may choose about a push, as words of the domain: read from and printed as the text of the command line.

use std::str::FromStr;

/// Makes an enumeration whose variants are words that a person types.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every choice.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the command line and in files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::OptionError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|choice| choice.name() == text).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|choice| choice.name()).collect();
                    $crate::model::OptionError(format!("write {}", words.join(" or ")))
                })
            }
        }
    };
}
pub(super) use words;

/// The text is none that the option understands; the message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionError(pub(crate) String);

words!(
    /// What follows when a send may or may not have been acted on.
    InDoubt {
        /// Send again: every device gets the command at least once, perhaps twice.
        Resend = "resend",
        /// End the task in doubt: every device gets the command at most once.
        Hold = "hold",
    }
);
words!(
    /// What follows for a device's later tasks when an earlier one has failed or is held in doubt.
    AfterFailure {
        /// They fail unsent, class `blocked`.
        Block = "block",
        /// They are sent all the same.
        Continue = "continue",
    }
);
words!(
    /// The language of the platform's messages (specification, query parameter `language`).
    Language {
        /// Chinese, the platform's own default.
        Cn = "CN",
        /// English.
        En = "EN",
    }
);
words!(
    /// A data centre of the platform.
    Region {
        /// The Chinese data centre.
        China = "china",
        /// The European data centre.
        Europe = "europe",
    }
);

impl Region {
    /// The data centre's base URL (platform notes, "Hosts").
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::China => "https://iot-api.quectelcn.com",
            Self::Europe => "https://iot-api.acceleronix.io",
        }
    }

    /// The data centre of this base URL.
    pub(crate) fn of_base_url(base_url: &str) -> Option<Self> {
        let base_url = base_url.trim().trim_end_matches('/');
        let mut all = Self::ALL.iter().copied();
        all.find(|region| region.base_url().eq_ignore_ascii_case(base_url))
    }

    /// The data centre's message broker ("AMQP Client Integration Guide").
    pub(crate) const fn amqp_url(self) -> &'static str {
        match self {
            Self::China => "amqps://iot-amqp.quectelcn.com:5671/quec-open",
            Self::Europe => "amqps://iot-amqp.acceleronix.io:5671/quec-open",
        }
    }
}

/// A ceiling on requests a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(Option<f64>);

impl Rate {
    /// Of questions to the history, which answers about one device at a time.
    pub const HISTORY: Self = Self(Some(5.0));
    /// No ceiling.
    pub const UNLIMITED: Self = Self(None);
    /// One request in about a quarter of an hour: slower than that is a mistake.
    pub(super) const LEAST: f64 = 0.001;
    /// Far above what a platform takes, and still a sound divisor for pauses.
    pub(super) const MOST: f64 = 100_000.0;

    /// The ceiling in requests a second, above zero; `None` when there is none.
    pub fn per_second(self) -> Option<f64> {
        self.0
    }
}

impl FromStr for Rate {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        match text.parse::<f64>() {
            Ok(rate) if (Self::LEAST..=Self::MOST).contains(&rate) => Ok(Self(Some(rate))),
            _ => Err(OptionError(format!(
                "write requests a second from {} to {}, for example 25 or 0.5, or the word unlimited",
                Self::LEAST,
                Self::MOST
            ))),
        }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(rate) => rate.fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

/// A share of devices, exact to a hundredth of a percent, from 0 % up to but not including 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent {
    hundredths: u16,
}

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self { hundredths: 0 };

    #[cfg(test)]
    pub(super) fn from_hundredths(hundredths: u16) -> Self {
        Self { hundredths }
    }

    /// This share of `whole`, rounded up.
    pub fn of(self, whole: u64) -> u64 {
        // No larger than the whole, so that it fits.
        (u128::from(whole) * u128::from(self.hundredths)).div_ceil(10_000) as u64
    }

    /// Whether `part` of `whole` is less than this share.
    pub fn is_above(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 10_000 < u128::from(whole) * u128::from(self.hundredths)
    }

    /// Whether `part` of `whole` is more than this share. Nothing of nothing is not.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 10_000 > u128::from(whole) * u128::from(self.hundredths)
    }
}

impl FromStr for Percent {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hundredths = || {
            let number = text.strip_suffix('%')?;
            let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
            let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
                return None;
            }
            let fraction = match fraction.len() {
                1 => fraction.parse::<u16>().ok()? * 10,
                2 => fraction.parse().ok()?,
                _ => return None,
            };
            let whole: u16 = whole.parse().ok()?;
            (whole < 100).then_some(whole * 100 + fraction)
        };
        hundredths()
            .map(|hundredths| Self { hundredths })
            .ok_or_else(|| {
                OptionError(format!(
                    "{text:?} is not a share: write a percentage below 100 with at most two decimals, for example 10% or 0.5%"
                ))
            })
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.hundredths / 100, self.hundredths % 100);
        match fraction {
            0 => write!(f, "{whole}%"),
            tenths if tenths % 10 == 0 => write!(f, "{whole}.{}%", tenths / 10),
            hundredths => write!(f, "{whole}.{hundredths:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_printed() {
        for choice in InDoubt::ALL {
            assert_eq!(choice.to_string().parse(), Ok(*choice));
        }
        for choice in Language::ALL {
            assert_eq!(choice.to_string().parse(), Ok(*choice));
        }
        assert_eq!(
            "stop".parse::<AfterFailure>().unwrap_err().to_string(),
            "write block or continue"
        );
    }

    #[test]
    fn a_rate_is_above_zero_or_unlimited() {
        let rate = |text: &str| text.parse::<Rate>().map(Rate::per_second);
        assert_eq!(rate("25"), Ok(Some(25.0)));
        assert_eq!(rate("0.5"), Ok(Some(0.5)));
        assert_eq!(rate("unlimited"), Ok(None));
        for text in [
            "",
            "0",
            "-1",
            "nan",
            "inf",
            "25/s",
            "1e9",
            "Unlimited",
            "1e-9",
        ] {
            assert!(rate(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_a_percentage_below_a_hundred() {
        for share in [
            "100%",
            ".5%",
            "1.%",
            "1.234%",
            "-1%",
            "+1%",
            "%",
            "99999999%",
        ] {
            assert!(share.parse::<Percent>().is_err(), "{share}");
        }
        let share: Percent = "1%".parse().unwrap();
        assert_eq!(
            [1, 99, 100, 101, 10_000].map(|whole| share.of(whole)),
            [1, 1, 1, 2, 100],
            "rounded up"
        );
    }

    proptest! {
        #[test]
        fn every_share_survives_printing(hundredths in 0u16..10_000) {
            let share = Percent { hundredths };
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn every_rate_survives_printing(rate in Rate::LEAST..Rate::MOST) {
            prop_assert_eq!(Rate(Some(rate)).to_string().parse(), Ok(Rate(Some(rate))));
        }
    }
}
