//! What else lowers the rate or the number in flight, and that it is told.

use std::time::Instant;

use super::{Controller, Finder};

/// What an overload leaves of the rate.
const AFTER_OVERLOAD: f64 = 0.7;
/// The least that a platform which throttles most devices leaves of the rate; at the most it is half.
const LEAST_OF_CROWDED: f64 = 0.125;
/// A rate is told when it has fallen to such a share.
const NOTICEABLE: f64 = 0.9;
/// After the finder has lowered the rate, nothing is sent for so many intervals of the new one.
const REST_INTERVALS: f64 = 2.0;

impl Controller {
    /// The platform is overloaded, by whatever.
    pub(in crate::throttle) fn overloaded(&mut self, now: Instant) {
        if self.finder.is_some() {
            self.lower(now, |finder| finder.overloaded(now));
            return;
        }
        let rate = self.held() * AFTER_OVERLOAD;
        self.hold(rate, self.seconds(now));
    }

    /// The platform takes requests and throttles most of their devices: this share of the rate would be right. Gives the new rate.
    pub(in crate::throttle) fn crowded(&mut self, share: f64, now: Instant) -> f64 {
        if self.finder.is_some() {
            self.lower(now, |finder| Some(finder.crowded(share, now)));
            self.told = self.rate().unwrap_or(f64::INFINITY);
            return self.told;
        }
        let rate = self.held() * share.clamp(LEAST_OF_CROWDED, 0.5);
        self.hold(rate, self.seconds(now));
        self.told = self.rate;
        self.rate
    }

    /// Tells the finder something that may lower the rate, and then rests: the platform has no room at that moment, whatever the rate.
    pub(super) fn lower(&mut self, now: Instant, tell: impl FnOnce(&mut Finder) -> Option<f64>) {
        let Some(finder) = &mut self.finder else {
            return;
        };
        let before = finder.rate();
        self.finder_told = tell(finder);
        let after = finder.rate();
        if let Some(after) = after
            && before.is_none_or(|before| after < before)
        {
            let rest = self.seconds(now) + REST_INTERVALS / after;
            self.asked_until = self.asked_until.max(rest);
        }
    }

    /// The rate, when it has fallen noticeably since it was told last.
    pub(in crate::throttle) fn lowered(&mut self) -> Option<f64> {
        if self.finder.is_some() {
            return self.finder_told.take();
        }
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
        if let Some(most) = self.flights.limit()
            && most < self.most
        {
            self.most = most;
            // What was refused says nothing about the rate.
            self.limit = None;
            self.rate = self.present().max(self.start);
            if self.finder.is_some() {
                self.finder = Some(Finder::new(self.bounded(), None, instant));
            }
            self.forget(now);
        }
    }
}
