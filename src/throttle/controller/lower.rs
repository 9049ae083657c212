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

    /// So many share the account now, and so many did before: a limit that was found is another part of what the platform takes.
    pub(crate) fn share_anew(&mut self, before: usize, now: usize, at: Instant) {
        if before != now && self.limit.is_some() {
            let rate = self.held() * before as f64 / now as f64;
            self.hold(rate, self.seconds(at));
        }
    }

    /// Somebody else has found that the platform takes this rate.
    pub(in crate::throttle) fn remember(&mut self, rate: f64, now: Instant) {
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
    pub(super) fn limit_in_flight(&mut self, now: f64) {
        if let Some(most) = self.flights.limit(self.most.before())
            && self.most.limit(most, now)
        {
            // What was refused says nothing about the rate.
            self.limit = None;
            self.rate = self.present().max(self.start);
            self.forget(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, begun, limit, two_at_a_time};

    #[test]
    fn a_rate_that_has_fallen_by_a_tenth_is_told() {
        // The ceiling, the rate told last and the present one; whether it is told, and the one to compare with from then on.
        for (ceiling, told, rate, is_told, then) in [
            (f64::INFINITY, 100.0, 89.9, true, 89.9),
            (f64::INFINITY, 100.0, 90.0, false, 100.0),
            (f64::INFINITY, 100.0, 95.0, false, 100.0),
            (f64::INFINITY, 100.0, 120.0, false, 120.0),
            (95.0, 100.0, 120.0, false, 95.0),
            (80.0, 100.0, 120.0, true, 80.0),
        ] {
            let mut controller = begun(10);
            (controller.ceiling, controller.told, controller.rate) = (ceiling, told, rate);
            let lowered = controller.lowered();
            assert_eq!(lowered, is_told.then_some(then), "{ceiling} {rate}");
            assert_near(controller.told, then);
        }
    }

    #[test]
    fn a_limit_in_flight_takes_the_place_of_one_on_the_rate() {
        // The limit in flight that was known, and the rate; whether that is news, and the rate afterwards.
        for (known, rate, is_news, then) in [
            (None, 20.0, true, 60.0),
            (None, 100.0, true, 100.0),
            (Some(4), 20.0, true, 60.0),
            (Some(2), 20.0, false, 20.0),
        ] {
            let mut controller = begun(10);
            if let Some(known) = known {
                assert!(controller.most.limit(known, 0.0));
            }
            two_at_a_time(&mut controller, 0.0);
            (controller.limit, controller.rate) = (Some(limit(rate, None, None)), rate);
            controller.limit_in_flight(12.0);
            assert_eq!(controller.most.now(12.0), 2, "{known:?}");
            assert_eq!(controller.limit.is_none(), is_news, "{known:?}");
            assert_near(controller.rate, then);
            let bunch_ends = if is_news { 12.0 } else { -1.0 };
            assert_near(controller.bunch_ends, bunch_ends);
        }
    }
}
