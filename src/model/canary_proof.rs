//! What a canary has to pass after its replies, before the other devices go.

use std::{fmt::Display, str::FromStr, time::Duration};

use super::{ExpectedAnswer, OptionError, VerifyLevel};

/// How long the platform's evidence is waited for that the devices of a canary got their commands; none when it is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CanaryVerify(Option<Duration>);

impl CanaryVerify {
    /// The others go as soon as the replies are good.
    pub const NONE: Self = Self(None);

    /// The others wait for evidence, at most so long.
    pub fn within(time: Duration) -> Self {
        Self(Some(time))
    }

    /// How long it is waited for.
    pub fn time(self) -> Option<Duration> {
        self.0
    }
}

impl Display for CanaryVerify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(time) => write!(f, "{time:?}"),
        }
    }
}

/// What this push says of the proof of its canary. What it does not say stays as the run has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProofAsked {
    /// Whether evidence is asked for.
    pub(crate) verify: Option<CanaryVerify>,
    /// How far the commands have to have come.
    pub(crate) level: Option<VerifyLevel>,
    /// What their answers have to have; what a push does not say, when there is nothing.
    pub(crate) expected: Vec<ExpectedAnswer>,
    /// The command that decides in the end.
    pub(crate) check: Option<CanaryCheck>,
}

/// A command that decides on the canary; none when an empty one is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryCheck(Option<Box<str>>);

impl CanaryCheck {
    /// The command, for the shell.
    pub fn command(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromStr for CanaryCheck {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "none" => Ok(Self(None)),
            "" => Err(OptionError(
                "write a command for the shell, or none".to_owned(),
            )),
            _ => Ok(Self(Some(text.into()))),
        }
    }
}

/// What the canary of a run has to prove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CanaryProof {
    /// How long evidence is waited for, if it is.
    pub(crate) verify: Option<Duration>,
    /// How far its commands have to have come.
    pub(crate) level: Option<VerifyLevel>,
    /// What their answers have to have.
    pub(crate) expected: Vec<ExpectedAnswer>,
    /// Whether evidence has been found.
    pub(crate) is_proved: bool,
    /// The command that decides in the end, if there is one.
    pub(crate) check: Option<Box<str>>,
    /// Whether it has decided for the canary.
    pub(crate) is_checked: bool,
}

impl CanaryProof {
    /// Whether anything of it is left to be done before the others go.
    pub(crate) fn is_open(&self) -> bool {
        self.evidence().is_some() || self.open_check().is_some()
    }

    /// How long evidence is still to be waited for.
    pub(crate) fn evidence(&self) -> Option<Duration> {
        self.verify.filter(|_| !self.is_proved)
    }

    /// The command that is still to decide.
    pub(crate) fn open_check(&self) -> Option<&str> {
        self.check.as_deref().filter(|_| !self.is_checked)
    }

    /// The same with what a push asks for.
    pub(crate) fn asked(&self, asked: &ProofAsked) -> Self {
        let check = match &asked.check {
            Some(check) => check.0.clone(),
            None => self.check.clone(),
        };
        Self {
            // Another command has not decided yet.
            is_checked: self.is_checked && check == self.check,
            check,
            verify: match asked.verify {
                Some(verify) => verify.time(),
                None => self.verify,
            },
            level: asked.level.or(self.level),
            expected: if asked.expected.is_empty() {
                self.expected.clone()
            } else {
                asked.expected.clone()
            },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_changes_what_it_says_and_nothing_else() {
        let minute = Duration::from_mins(1);
        let asked = |verify, level| ProofAsked {
            verify,
            level,
            expected: Vec::new(),
            check: None,
        };
        let first = CanaryProof::default().asked(&asked(
            Some(CanaryVerify::within(minute)),
            Some(VerifyLevel::Answered),
        ));
        assert!(first.is_open());
        assert_eq!(first.asked(&ProofAsked::default()), first);
        let sent = first.asked(&asked(None, Some(VerifyLevel::Sent)));
        assert_eq!(
            (sent.verify, sent.level),
            (Some(minute), Some(VerifyLevel::Sent))
        );
        assert!(
            !first
                .asked(&asked(Some(CanaryVerify::NONE), None))
                .is_open()
        );
        let proved = CanaryProof {
            is_proved: true,
            ..first
        };
        assert!(!proved.is_open());
    }

    #[test]
    fn a_command_decides_once_and_another_one_again() {
        let asked = |text: &str| ProofAsked {
            check: Some(text.parse().unwrap()),
            ..ProofAsked::default()
        };
        let first = CanaryProof::default().asked(&asked("./look"));
        assert_eq!(first.open_check(), Some("./look"));
        let passed = CanaryProof {
            is_checked: true,
            ..first
        };
        assert!(!passed.asked(&asked("./look")).is_open());
        assert!(!passed.asked(&ProofAsked::default()).is_open());
        assert!(passed.asked(&asked("./look --closer")).is_open());
        assert!(!passed.asked(&asked("none")).is_open());
        assert!(" ".parse::<CanaryCheck>().is_err());
    }
}
