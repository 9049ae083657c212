//! The part that a push takes of what all may send that share its account.

use super::Ceilings;

/// What those who follow take of their parts of the rate that was found: they are not the ones to try whether there is more.
const FOLLOWED: f64 = 0.97;
/// The least that a push sends because another one has found no more, in requests a second.
const LEAST: f64 = 0.5;

/// An equal part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    /// How many pushes share the account.
    pub(crate) of: usize,
    /// This one's part of the rate that another one has found, which it keeps to.
    pub(crate) followed: Option<f64>,
}

impl Part {
    /// Nobody shares it.
    pub(crate) const ALL: Self = Self {
        of: 1,
        followed: None,
    };

    /// The ceilings of one push, where these are those of all together.
    pub(crate) fn ceilings(self, all: Ceilings) -> Ceilings {
        let part = |of: Option<f64>| of.map(|of| of / self.of as f64);
        let followed = self.followed.map(|rate| (rate * FOLLOWED).max(LEAST));
        Ceilings {
            requests: match (part(all.requests), followed) {
                (Some(ceiling), Some(followed)) => Some(ceiling.min(followed)),
                (ceiling, followed) => ceiling.or(followed),
            },
            devices: part(all.devices),
        }
    }
}
