//! What a canary has to pass after its replies, before the other devices go.

use std::{fmt::Display, time::Duration};

use super::VerifyLevel;

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
}

/// What the canary of a run has to prove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CanaryProof {
    /// How long evidence is waited for, if it is.
    pub(crate) verify: Option<Duration>,
    /// How far its commands have to have come.
    pub(crate) level: Option<VerifyLevel>,
    /// Whether evidence has been found.
    pub(crate) is_proved: bool,
}

impl CanaryProof {
    /// Whether anything of it is left to be done before the others go.
    pub(crate) fn is_open(&self) -> bool {
        self.verify.is_some() && !self.is_proved
    }

    /// The same with what a push asks for.
    pub(crate) fn asked(&self, asked: &ProofAsked) -> Self {
        Self {
            verify: match asked.verify {
                Some(verify) => verify.time(),
                None => self.verify,
            },
            level: asked.level.or(self.level),
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
        let asked = |verify, level| ProofAsked { verify, level };
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
}
