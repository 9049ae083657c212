//! What else lowers the rate or the number in flight, and that it is told.

use std::time::Instant;

use super::Controller;

/// What an overload leaves of the rate.
const AFTER_OVERLOAD: f64 = 0.7;
/// The least that a platform which throttles most devices leaves of the rate; at the most it is half.
const LEAST_OF_CROWDED: f64 = 0.125;
/// A rate is told when it has fallen to such a share.
const NOTICEABLE: f64 = 0.9;

impl Controller {
    /// The platform is overloaded, by whatever.
    pub(in crate::throttle) fn overloaded(&mut self, now: Instant) {
        let rate = self.held() * AFTER_OVERLOAD;
        self.hold(rate, self.seconds(now));
    }

    /// The platform takes requests and throttles most of their devices: this share of the rate would be right. Gives the new rate.
    pub(in crate::throttle) fn crowded(&mut self, share: f64, now: Instant) -> f64 {
        let rate = self.held() * share.clamp(LEAST_OF_CROWDED, 0.5);
        self.hold(rate, self.seconds(now));
        self.told = self.rate;
        self.rate
    }

    /// The rate, when it has fallen noticeably since it was told last.
    pub(in crate::throttle) fn lowered(&mut self) -> Option<f64> {
        let rate = self.present();
        if rate < self.told * NOTICEABLE {
            self.told = rate;
            return Some(rate);
        }
        self.told = self.told.max(rate).min(self.ceiling);
        None
    }

    /// Sends no more at a time than the platform takes.
    pub(super) fn limit_in_flight(&mut self, instant: Instant) {
        let now = self.seconds(instant);
        if let Some(most) = self.flights.limit(self.most.found().is_some())
            && self.most.limit(most, now)
        {
            // What was refused says nothing about the rate.
            self.limit = None;
            self.rate = self.present().max(self.start);
            self.forget(now);
        }
    }
}
