//! One request is not the platform: something dislikes two devices of a fleet, and the others are not held up.

use std::collections::BTreeMap;

use fleetpush::simulator::Scenario;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tokio::runtime::Runtime;

use crate::support::{Sim, Site, agree, devices, wait_for};

/// A number from the tables, which no view shows.
fn number(site: &Site, sql: &'static str) -> i64 {
    Runtime::new()
        .expect("a runtime can be made")
        .block_on(async {
            let mut connection = SqliteConnectOptions::new()
                .filename(site.path("push.db"))
                .read_only(true)
                .connect()
                .await
                .expect("the database can be opened");
            let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
            connection.close().await.expect("it can be closed");
            number.expect("a number")
        })
}

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

#[test]
fn a_suspect_is_still_one_after_a_crash() {
    const SUSPECTS: &str = "SELECT count(*) FROM bundle WHERE suspect = 1";
    std::thread::scope(|scope| {
        for refusal in [503, 401, 403] {
            scope.spawn(move || {
                let disliking = Scenario {
                    outcasts: BTreeMap::from([("DK00007".to_owned(), refusal)]),
                    ..Scenario::default()
                };
                let sim = Sim::start(Scenario {
                    latency_ms: 60,
                    ..disliking.clone()
                });
                let site = Site::with(&devices(6_000));
                let args = [
                    "run",
                    "fleet.csv",
                    "--chunk-size",
                    "20",
                    "--concurrency",
                    "4",
                    "--max-attempts",
                    "3",
                ];
                let push = site.start(&sim, &args);
                sim.wait_for_requests(5);
                wait_for("the suspect", || {
                    (number(&site, SUSPECTS) > 0).then_some(())
                });
                push.kill();
                assert!(site.journal().run().pending > 20, "others were left");

                sim.play(disliking);
                let logins = sim.stats().logins;
                let ended = site.push(&sim, &args).expect(1);
                assert!(!ended.stderr.contains("paused"), "{}", ended.stderr);
                assert_eq!(sim.stats().logins, logins + 1, "{refusal}");
                let journal = site.journal();
                agree(&journal, &sim);
                assert_eq!((journal.run().accepted, journal.run().failed), (5_999, 1));
                let outcast = &journal.tasks[6];
                assert_eq!(
                    (outcast.device_key.as_str(), outcast.code),
                    ("DK00007", Some(refusal))
                );
                // Its halves were suspects then, and are split without as many refusals again as made the whole one.
                let halves = number(
                    &site,
                    "SELECT count(*) FROM requests WHERE devices = 10 AND http_status >= 400",
                );
                assert!(halves <= 2, "{refusal}: refused {halves} times");
            });
        }
    });
}
