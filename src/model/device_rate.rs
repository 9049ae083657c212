//! The ceiling on devices a second.

use std::str::FromStr;

use super::OptionError;

/// A ceiling on devices a second, whatever requests they travel in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeviceRate(Option<f64>);

impl DeviceRate {
    /// No ceiling.
    pub const UNLIMITED: Self = Self(None);
    /// One device in about a quarter of an hour: slower than that is a mistake.
    const LEAST: f64 = 0.001;
    /// Far above what a platform takes, and still a sound divisor for pauses.
    const MOST: f64 = 10_000_000.0;

    /// The ceiling in devices a second, above zero; `None` when there is none.
    pub fn per_second(self) -> Option<f64> {
        self.0
    }
}

impl FromStr for DeviceRate {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        match text.parse::<f64>() {
            Ok(rate) if (Self::LEAST..=Self::MOST).contains(&rate) => Ok(Self(Some(rate))),
            _ => Err(OptionError(format!(
                "write devices a second from {} to {}, for example 500 or 0.5, or the word unlimited",
                Self::LEAST,
                Self::MOST
            ))),
        }
    }
}

impl std::fmt::Display for DeviceRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(rate) => rate.fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_device_rate_is_above_zero_or_unlimited() {
        let rate = |text: &str| text.parse::<DeviceRate>().map(DeviceRate::per_second);
        assert_eq!(rate("500"), Ok(Some(500.0)));
        assert_eq!(rate("unlimited"), Ok(None));
        for text in ["", "0", "-1", "nan", "inf", "500/s", "1e9", "1e-9"] {
            let error = rate(text).unwrap_err().to_string();
            assert!(error.contains("devices a second"), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_device_rate_survives_printing(rate in DeviceRate::LEAST..DeviceRate::MOST) {
            let rate = DeviceRate(Some(rate));
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }
}
