//! Whatever the platform says, a push goes on.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    Ceilings,
    controller::{Controller, Wait},
    play::CONCURRENCY,
};

fn ceilings(requests: Option<f64>) -> Ceilings {
    Ceilings {
        requests,
        devices: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever a platform says: the next request may go in a while that has an end, no ceiling is exceeded, and the rate has a floor.
    #[test]
    fn no_answers_stop_a_push_for_ever(
        ceiling in prop::option::of(0.1_f64..500.0),
        answers in prop::collection::vec((0_u8..4, prop::option::of(0_u64..=300), 0_u64..2000), 1..100),
    ) {
        let mut now = Instant::now();
        let mut controller = Controller::new(ceilings(ceiling), CONCURRENCY, None, now);
        for (said, hold, latency) in answers {
            let mut waits = 0;
            let ticket = loop {
                match controller.take(1, now) {
                    Ok(ticket) => break ticket,
                    Err(Wait::Until(due)) => {
                        prop_assert!(due > now);
                        prop_assert!(due - now <= Duration::from_secs(301), "{:?}", due - now);
                        now = due;
                        waits += 1;
                        prop_assert!(waits < 5, "it is not due when it says");
                    }
                    Err(Wait::InFlight) => prop_assert!(false, "nothing is in flight"),
                }
            };
            now += Duration::from_millis(latency);
            controller.returned(ticket, now);
            match said {
                0 => controller.accepted(ticket, now),
                1 => controller.silent(ticket, now),
                _ => controller.refused(ticket, hold.map(Duration::from_secs), now),
            }
            let rate = controller.rate().unwrap_or(f64::INFINITY);
            prop_assert!(rate >= ceiling.unwrap_or(0.5).min(0.5) - 1e-9, "{rate}");
            prop_assert!(ceiling.is_none_or(|ceiling| rate <= ceiling + 1e-9), "{rate}");
        }
    }
}
