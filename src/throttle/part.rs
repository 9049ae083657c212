//! The part that a push takes of what all may send that share its account.

use super::Ceilings;
use crate::model::Lead;

/// The least that a push sends because another one has found no more, in requests a second.
const LEAST: f64 = 0.5;

/// An equal part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    /// How many pushes share the account.
    pub(crate) of: usize,
    /// The pace of the one that finds what the platform takes, if that is another one.
    pub(crate) followed: Option<Lead>,
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
        Ceilings {
            requests: match (part(all.requests), self.followed_rate()) {
                (Some(ceiling), Some(followed)) => Some(ceiling.min(followed)),
                (ceiling, followed) => ceiling.or(followed),
            },
            devices: part(all.devices),
        }
    }

    /// The requests in flight of one push.
    pub(crate) fn in_flight(self, all: usize) -> usize {
        let followed = self.followed.and_then(|lead| lead.in_flight);
        all.min(followed.map_or(all, |followed| followed as usize)) / self.of
    }

    /// Its part of the rate that another one has found.
    pub(crate) fn followed_rate(self) -> Option<f64> {
        let rate = self.followed?.rate?;
        Some((rate / self.of as f64).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_part_is_no_more_than_what_was_found_for_it() {
        let all = Ceilings {
            requests: Some(100.0),
            devices: Some(1_000.0),
        };
        let lead = |rate, in_flight| Some(Lead { rate, in_flight });
        for (of, followed, requests, devices, in_flight) in [
            (1, None, 100.0, 1_000.0, 16),
            (4, None, 25.0, 250.0, 4),
            (4, lead(Some(40.0), Some(100)), 10.0, 250.0, 4),
            (4, lead(Some(400.0), Some(8)), 25.0, 250.0, 2),
            (4, lead(None, None), 25.0, 250.0, 4),
            // It is never stopped altogether.
            (4, lead(Some(0.5), Some(1)), 0.5, 250.0, 0),
        ] {
            let part = Part { of, followed };
            let found = part.ceilings(all);
            assert_eq!(
                (found.requests, found.devices, part.in_flight(16)),
                (Some(requests), Some(devices), in_flight),
                "{part:?}"
            );
        }
        let part = Part {
            of: 2,
            followed: lead(Some(40.0), None),
        };
        assert_eq!(part.ceilings(Ceilings::default()).requests, Some(20.0));
    }
}
