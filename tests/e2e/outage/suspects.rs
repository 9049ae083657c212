//! One request is not the platform: something dislikes two devices of a fleet, and the others are not held up.

use std::collections::BTreeMap;

use fleetpush::simulator::Scenario;

use crate::support::{Sim, Site, agree, devices};

#[test]
fn two_devices_that_something_dislikes_hold_up_nobody() {
    std::thread::scope(|scope| {
        for refusal in [503, 429, 70000, 401, 403, 61007, 502, 50000] {
            scope.spawn(move || {
                let outcasts = ["DK00007", "DK01500"];
                let sim = Sim::start(Scenario {
                    outcasts: BTreeMap::from(outcasts.map(|key| (key.to_owned(), refusal))),
                    ..Scenario::default()
                });
                let site = Site::with(&devices(2000));
                let args = [
                    "run",
                    "fleet.csv",
                    "--chunk-size",
                    "20",
                    "--max-attempts",
                    "4",
                    "--max-snooze",
                    "3s",
                ];
                site.push(&sim, &args).expect(1);
                let journal = site.journal();
                agree(&journal, &sim);
                for task in &journal.tasks {
                    let is_outcast = outcasts.contains(&task.device_key.as_str());
                    assert_eq!(task.state != "accepted", is_outcast, "{refusal}: {task:?}");
                    if is_outcast {
                        assert_eq!(task.code, Some(refusal));
                    }
                }
                let stats = sim.stats();
                assert!(stats.logins <= 12, "{refusal}: {} logins", stats.logins);
                // A hundred requests, and for each of the two so many refusals and halves.
                assert!(stats.requests <= 100 + 2 * 30, "{refusal}: {stats:?}");
                // The run stays complete.
                site.push(&sim, &args).expect(1);
                assert_eq!(sim.stats().requests, stats.requests);
            });
        }
    });
}
