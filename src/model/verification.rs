//! What `verify` is to find out, and what it may find.

use std::{fmt::Display, str::FromStr};

use super::{Delivery, OptionError, options::words, threshold::Bound};

words!(
    /// How far every accepted command has to have come.
    VerifyLevel {
        /// The platform has sent it to the device.
        Sent = "sent",
        /// The device has answered it.
        Answered = "answered",
    }
);

impl VerifyLevel {
    /// The values that are enough.
    pub(crate) fn reached(self) -> &'static [Delivery] {
        match self {
            Self::Sent => &[Delivery::Sent, Delivery::Answered],
            Self::Answered => &[Delivery::Answered],
        }
    }
}

/// Which accepted commands are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// All, or a sample where there are many.
    Usual,
    /// All, however many.
    All,
    /// So many.
    Tasks(u64),
}

impl FromStr for Sampling {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        match text.parse() {
            Ok(tasks) if tasks > 0 => Ok(Self::Tasks(tasks)),
            _ => Err(OptionError(
                "write all, or how many devices, as in 400".to_owned(),
            )),
        }
    }
}

words!(
    /// What accepted commands are counted as when they have not come as far as they have to.
    CountedDelivery {
        /// The platform could not send them.
        SendFailed = "send_failed",
        /// Unknown, queued or expired.
        Unconfirmed = "unconfirmed",
        /// Sent, and not answered. Counts where the level is `answered`.
        Unanswered = "unanswered",
        /// Answered otherwise than expected.
        AnswerFailed = "answer_failed",
    }
);

impl CountedDelivery {
    /// What a command counts as that has not come as far as it has to.
    pub(crate) fn of(delivery: Delivery) -> Self {
        match delivery {
            Delivery::SendFailed => Self::SendFailed,
            Delivery::AnswerFailed => Self::AnswerFailed,
            _ if delivery.is_unconfirmed() => Self::Unconfirmed,
            _ => Self::Unanswered,
        }
    }
}

/// How many commands the platform refused to tell of that have not come as far as they have to. One that is known to have failed is none of
/// them, since that is evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Untold {
    unconfirmed: u64,
    unanswered: u64,
}

impl Untold {
    /// One more, of which this much is known.
    pub(crate) fn add(&mut self, known: Delivery) {
        match CountedDelivery::of(known) {
            CountedDelivery::Unconfirmed => self.unconfirmed += 1,
            CountedDelivery::Unanswered => self.unanswered += 1,
            CountedDelivery::SendFailed | CountedDelivery::AnswerFailed => {}
        }
    }

    /// How many of them count as this, of `part` commands that do.
    pub(crate) fn of(self, counted: CountedDelivery, part: u64) -> u64 {
        let untold = match counted {
            CountedDelivery::Unconfirmed => self.unconfirmed,
            CountedDelivery::Unanswered => self.unanswered,
            CountedDelivery::SendFailed | CountedDelivery::AnswerFailed => 0,
        };
        untold.min(part)
    }
}

/// One condition of `--tolerate`: up to `send_failed>1%` or `unconfirmed>50` it is tolerated, or below `send_failed<1%`, as other limits of a
/// push are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryLimit {
    /// What is counted.
    pub counted: CountedDelivery,
    bound: Bound,
    /// Whether the bound itself is too many.
    is_below: bool,
}

impl DeliveryLimit {
    /// Whether `part` of `whole` commands are too many.
    pub(crate) fn is_exceeded(self, part: u64, whole: u64) -> bool {
        match (self.bound, self.is_below) {
            (_, true) if part == 0 => false,
            (Bound::Share(share), true) => !share.is_above(part, whole),
            (Bound::Tasks(tasks), true) => part >= tasks,
            (Bound::Share(share), false) => share.is_exceeded_by(part, whole),
            (Bound::Tasks(tasks), false) => part > tasks,
        }
    }
}

impl FromStr for DeliveryLimit {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sign = text.find(['<', '>']).ok_or_else(|| {
            OptionError(format!(
                "{text:?} is no condition: write for example send_failed>1%"
            ))
        })?;
        let (counted, bound) = text.split_at(sign);
        let word = counted.trim();
        let counted = word.parse().map_err(|error| {
            OptionError(format!("{word:?} is nothing that is counted: {error}"))
        })?;
        Ok(Self {
            counted,
            bound: bound[1..].trim().parse()?,
            is_below: bound.starts_with('<'),
        })
    }
}

impl Display for DeliveryLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.is_below { '<' } else { '>' };
        write!(f, "{}{sign}{}", self.counted, self.bound)
    }
}

/// What `verify` tolerates: all conditions, set apart by semicolons.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryTolerance(pub Vec<DeliveryLimit>);

impl FromStr for DeliveryTolerance {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let limits = text.split(';').map(|limit| limit.trim().parse());
        limits.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerance_is_read_as_thresholds_are() {
        let tolerance: DeliveryTolerance = "send_failed>1%; unconfirmed>50".parse().unwrap();
        let shown: Vec<String> = tolerance.0.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["send_failed>1%", "unconfirmed>50"]);
        let [share, number] = tolerance.0[..] else {
            panic!("two")
        };
        assert!(!share.is_exceeded(1, 100) && share.is_exceeded(2, 100));
        assert!(!number.is_exceeded(50, 60) && number.is_exceeded(51, 60));
        let below: DeliveryTolerance = "send_failed<1%;unconfirmed<3".parse().unwrap();
        let [share, number] = below.0[..] else {
            panic!("two")
        };
        assert!(
            !share.is_exceeded(0, 10) && share.is_exceeded(1, 100) && !share.is_exceeded(1, 101)
        );
        assert!(!number.is_exceeded(2, 9) && number.is_exceeded(3, 9));
        assert_eq!(share.to_string(), "send_failed<1%");
        for (wrong, words) in [
            ("", "no condition"),
            ("send_failed=1%", "no condition"),
            ("failed>1%", "send_failed or unconfirmed or unanswered"),
            ("unconfirmed>few", "neither a share nor a number"),
        ] {
            let error = wrong.parse::<DeliveryTolerance>().unwrap_err().to_string();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_sample_is_all_or_a_number() {
        assert_eq!("all".parse(), Ok(Sampling::All));
        assert_eq!("400".parse(), Ok(Sampling::Tasks(400)));
        for wrong in ["", "0", "-1", "some", "10%"] {
            assert!(wrong.parse::<Sampling>().is_err(), "{wrong}");
        }
    }
}
