//! How a device fares in one run compared with an earlier one.

use super::options::words;

words!(
    /// What has become of a device from an earlier run to a later one. To fail is to end failed or in doubt.
    Change {
        /// It fails in the later run and did not in the earlier one.
        NewlyFailing = "newly_failing",
        /// It fails in both.
        StillFailing = "still_failing",
        /// It failed in the earlier run, and the later one accepted all that it had for it.
        Recovered = "recovered",
        /// It failed in the earlier run, and in the later one something for it has not ended, or was skipped.
        NotEnded = "not_ended",
        /// Only the later run has it.
        New = "new",
        /// Only the earlier run has it.
        Gone = "gone",
    }
);

impl Change {
    /// The words for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::NewlyFailing => "newly failing",
            Self::StillFailing => "still failing",
            Self::Recovered => "recovered",
            Self::NotEnded => "failed before and not ended now",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }

    /// Its number in a database.
    pub(crate) fn number(self) -> i64 {
        Self::ALL
            .iter()
            .position(|one| *one == self)
            .map_or(0, |place| place as i64)
    }

    /// The change of this number.
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number)
            .ok()
            .and_then(|place| Self::ALL.get(place))
            .copied()
    }

    /// Whether what is shown of it is the task of the later run.
    pub fn is_of_later(self) -> bool {
        matches!(self, Self::NewlyFailing | Self::StillFailing | Self::New)
    }
}
