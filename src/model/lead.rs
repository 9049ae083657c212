//! The pace at which all may go that share an account.

/// What one push goes at, and finds out for those who share its account with it; for all of them together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lead {
    /// Requests a second; `None` when nothing limits them.
    pub(crate) rate: Option<f64>,
    /// Requests in flight; `None` when nothing limits them.
    pub(crate) in_flight: Option<u32>,
}

/// A rate is another one when it is off by more than this share.
const SAME: f64 = 0.02;

impl Lead {
    /// Whether those who follow need not know the difference.
    pub(crate) fn is_about(&self, other: &Self) -> bool {
        let is_same_rate = match (self.rate, other.rate) {
            (Some(rate), Some(other)) => (rate / other - 1.0).abs() <= SAME,
            (rate, other) => rate == other,
        };
        is_same_rate && self.in_flight == other.in_flight
    }
}
