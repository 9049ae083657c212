//! The order holds whatever the world around the push does to it.

use std::collections::BTreeSet;

use super::{arrivals, steps};
use crate::support::{Trouble, agree, troubled};

#[test]
fn order_holds_through_every_trouble_of_the_world() {
    std::thread::scope(|scope| {
        for (store, trouble) in Trouble::with_stores() {
            scope.spawn(move || {
                let (sim, site) =
                    troubled(store, trouble, &steps(100, 4), &["--max-attempts", "50"]);
                let journal = site.journal();
                agree(&journal, &sim);
                assert_eq!(journal.run().accepted, 400, "{trouble:?}");
                assert_eq!(sim.stats().overlaps, 0, "{trouble:?}: two in flight");
                let arrivals = arrivals(&sim);
                assert_eq!(arrivals.len(), 100);
                for (device, steps) in arrivals {
                    assert!(steps.is_sorted(), "{trouble:?} {device}: {steps:?}");
                    let different: BTreeSet<u32> = steps.into_iter().collect();
                    assert_eq!(different, BTreeSet::from([1, 2, 3, 4]), "{device}");
                }
            });
        }
    });
}
