//! The pace: the limit that a platform does not tell is found, kept in the database and begun with, and ceilings are kept to.

use std::time::Duration;

use fleetpush::simulator::{AtFirst, Fault, Limit, Scenario};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Sim, Site, agree, devices, wait_for};

/// Does something with the database.
fn with_database<T>(
    site: &Site,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(async {
            let mut connection = SqliteConnectOptions::new()
                .filename(site.path("push.db"))
                .connect()
                .await?;
            let done = work(&mut connection).await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(done)
        })
        .expect("the database can be used")
}

/// The rates that the database knows, by platform.
fn known(site: &Site) -> Vec<(String, f64)> {
    with_database(site, async |connection| {
        sqlx::query_as("SELECT base_url, rate FROM pace ORDER BY base_url")
            .fetch_all(connection)
            .await
    })
}

/// For how long the one rate that the database knows was measured, in milliseconds.
fn measured_ms(site: &Site) -> i64 {
    with_database(site, async |connection| {
        sqlx::query_scalar("SELECT ifnull(max(span_ms), 0) FROM pace")
            .fetch_one(connection)
            .await
    })
}

/// Lets the database know a rate that was measured for so many seconds, so many days ago.
fn remember(site: &Site, sim: &Sim, rate: f64, seconds: u32, days: u32) {
    with_database(site, async |connection| {
        sqlx::query(
            "INSERT INTO pace (base_url, rate, span_ms, found_at) \
             VALUES (?, ?, ? * 1000, (unixepoch() - ? * 86400) * 1000) \
             ON CONFLICT DO UPDATE SET rate = excluded.rate, span_ms = excluded.span_ms, found_at = excluded.found_at",
        )
        .bind(sim.base_url())
        .bind(rate)
        .bind(seconds)
        .bind(days)
        .execute(connection)
        .await
        .map(drop)
    });
}

fn limited(rate: f64) -> Scenario {
    Scenario {
        rate_limit: Some(rate),
        latency_ms: 5,
        ..Scenario::default()
    }
}

#[test]
fn what_is_told_of_a_hidden_limit_is_kept() {
    let sim = Sim::start(limited(40.0));
    let site = Site::with(&devices(400));
    let args = [
        "run",
        "fleet.csv",
        "--again",
        "--chunk-size",
        "1",
        "--rate",
        "300",
        "--format",
        "json",
    ];
    let ended = site.push(&sim, &args).expect(0);
    agree(&site.journal(), &sim);
    // What is not measured well is neither told nor kept: a busy machine sends in fits, which say little of the limit.
    let told = ended.json()["session"]["found_requests_per_second"].as_f64();
    let kept: Vec<f64> = known(&site).iter().map(|(_, rate)| *rate).collect();
    match (told, kept.as_slice()) {
        (None, []) => {}
        // Text keeps all but the last digit.
        (Some(told), [kept]) => {
            assert!((kept - told).abs() < 1e-6, "{kept}, {told}");
            assert!((20.0..60.0).contains(&told), "{told}");
        }
        _ => panic!("what is told is kept: {told:?}, {kept:?}"),
    }
    assert!(sim.stats().too_many > 0);
}

#[test]
fn a_rate_that_was_measured_for_ten_seconds_of_late_is_begun_with() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    let args = ["run", "fleet.csv", "--again", "-v"];
    site.push(&sim, &args).expect(0);
    for (seconds, days, is_begun_with) in [(60, 1, true), (9, 1, false), (60, 8, false)] {
        remember(&site, &sim, 7.0, seconds, days);
        let ended = site.push(&sim, &args).expect(0);
        let said = ended
            .stderr
            .contains("begins at the rate that an earlier push found");
        assert_eq!(said, is_begun_with, "{seconds} s: {}", ended.stderr);
    }
}

#[test]
fn a_limit_that_is_no_more_is_forgotten_even_when_the_run_is_stopped() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    remember(&site, &sim, 20.0, 60, 0);
    assert_eq!(known(&site).len(), 1);
    site.write("fleet.csv", devices(20_000));
    let args = ["run", "fleet.csv", "--chunk-size", "1", "--rate", "100"];
    let push = site.start(&sim, &args);
    // By then it goes at the ceiling, and nothing has been refused.
    sim.wait_for_requests(700);
    push.signal(rustix::process::Signal::INT);
    push.ended().expect(3);
    assert_eq!(known(&site), []);
}

#[test]
fn a_rate_that_a_push_has_measured_is_begun_with_by_the_next_one() {
    let sim = Sim::start(Scenario {
        limit: Some("token-bucket:40,burst=4".parse().expect("a limit")),
        latency_ms: 10,
        ..Scenario::default()
    });
    let site = Site::with(&devices(5000));
    let args = ["run", "fleet.csv", "--chunk-size", "1", "--rate", "400"];
    let push = site.start(&sim, &args);
    // Kept as soon as it has been about the same for ten seconds.
    let mut requests = 0;
    wait_for("a rate to begin with", || {
        requests += 20;
        sim.wait_for_requests(requests);
        (measured_ms(&site) >= 10_000).then_some(())
    });
    push.signal(rustix::process::Signal::INT);
    push.ended().expect(3);
    agree(&site.journal(), &sim);
    let [(_, rate)] = known(&site)[..] else {
        panic!("one rate is kept");
    };
    assert!((36.0..44.0).contains(&rate), "{rate}");
    site.write("other.csv", devices(5));
    let ended = site.push(&sim, &["run", "other.csv", "-v"]).expect(0);
    let said = ended
        .stderr
        .lines()
        .find_map(|line| line.split_once("begins at the rate that an earlier push found rate="));
    let begun_with: f64 = said.map_or("", |(_, rate)| rate).parse().expect("a rate");
    // Text keeps all but the last digit.
    assert!((begun_with - rate).abs() < 1e-6, "{begun_with}, {rate}");
}

#[test]
fn a_limit_on_requests_in_flight_is_found_and_told() {
    let limited = Scenario {
        limit: Some("in-flight:8".parse().expect("a limit")),
        latency_ms: 100,
        ..Scenario::default()
    };
    let sim = Sim::start(limited.clone());
    let site = Site::with(&devices(5000));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "1",
        "--rate",
        "unlimited",
        "--progress",
        "lines",
    ];
    let push = site.start(&sim, &args);
    wait_for("a limit in flight", || {
        push.stderr()
            .contains("the platform takes at most 8 requests in flight")
            .then_some(())
    });
    assert!(sim.stats().too_many > 0);
    // The rest need not take its time.
    sim.play(Scenario {
        latency_ms: 0,
        ..limited
    });
    push.ended().expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(sim.deliveries().len(), 5000);
}

#[test]
fn a_concurrency_that_holds_up_the_rate_is_told_once() {
    let sim = Sim::start(Scenario {
        latency_ms: 400,
        ..Scenario::default()
    });
    let site = Site::with(&devices(60));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "1",
        "--concurrency",
        "2",
        "--progress",
        "lines",
    ];
    let ended = site.push(&sim, &args).expect(0);
    let said = ended
        .stderr
        .matches("--concurrency limits the rate")
        .count();
    assert_eq!(said, 1, "{}", ended.stderr);
}

#[test]
fn a_window_that_refuses_with_503_until_it_is_over_is_no_outage() {
    for retry_after in ["no", "yes"] {
        let limit = format!("sliding-window:40,window=1s,refuse=503,retry-after={retry_after}");
        let sim = Sim::start(Scenario {
            limit: Some(limit.parse().expect("a limit")),
            latency_ms: 20,
            ..Scenario::default()
        });
        let site = Site::with(&devices(200));
        let args = [
            "run",
            "fleet.csv",
            "--chunk-size",
            "1",
            "--rate",
            "400",
            "--progress",
            "lines",
        ];
        let ended = site.push(&sim, &args).expect(0);
        agree(&site.journal(), &sim);
        assert!(sim.stats().too_many > 0, "{:?}", sim.stats());
        assert!(!ended.stderr.contains("paused"), "{}", ended.stderr);
    }
}

#[test]
fn refusals_whatever_the_rate_do_not_drive_it_down() {
    let sim = Sim::start(Scenario {
        faults: [(Fault::TooManyRequests, 0.1)].into(),
        latency_ms: 5,
        ..Scenario::default()
    });
    let site = Site::with(&devices(500));
    let args = ["run", "fleet.csv", "--chunk-size", "1", "--rate", "200"];
    site.push(&sim, &args).expect(0);
    agree(&site.journal(), &sim);
    assert!(sim.stats().faults[&Fault::TooManyRequests] > 20);
    // Lowered for each of them, it would be the least there is.
    let known = known(&site);
    assert!(known.iter().all(|(_, rate)| *rate > 10.0), "{known:?}");
}

#[test]
fn the_ceiling_on_requests_is_kept_to_by_those_that_are_sent_again_too() {
    let sim = Sim::start(Scenario {
        faults: [(Fault::TooManyRequests, 0.5)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(20));
    let args = ["run", "fleet.csv", "--chunk-size", "1", "--rate", "20"];
    site.push(&sim, &args).expect(0);
    let deliveries = sim.deliveries();
    let requests = sim.stats().requests;
    assert!(requests > 20, "some were sent again: {requests}");
    // A twentieth of a second apart at least. The refused ones at the end are not seen here, and the first may be late on a busy machine.
    let took = deliveries[19].at_ms - deliveries[0].at_ms;
    assert!(took >= 500, "{took} ms");
}

#[test]
fn the_ceiling_on_devices_is_kept_to() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(100));
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "10",
            "--device-rate",
            "100",
        ],
    )
    .expect(0);
    let deliveries = sim.deliveries();
    assert_eq!(deliveries.len(), 100);
    // Ten requests, a tenth of a second apart; the first may be late on a busy machine. Without the ceiling it is milliseconds.
    let took = deliveries[99].at_ms - deliveries[0].at_ms;
    assert!(took >= 500, "{took} ms");
}

#[test]
fn devices_that_are_mostly_throttled_at_first_lower_the_rate() {
    let throttled = |share| Scenario {
        frequency_at_first: AtFirst { share, sends: 1 },
        ..Scenario::default()
    };
    for (share, lowered) in [(0.8, true), (0.2, false)] {
        let sim = Sim::start(throttled(share));
        let site = Site::with(&devices(500));
        let ended = site.push(&sim, &["run", "fleet.csv", "--progress", "lines"]);
        let ended = ended.expect(0);
        agree(&site.journal(), &sim);
        let said = ended.stderr.contains("rate lowered to");
        assert_eq!(said, lowered, "{share}: {}", ended.stderr);
    }
}

#[test]
fn devices_that_are_throttled_when_they_are_sent_to_again_do_not_lower_the_rate() {
    let sim = Sim::start(Scenario {
        frequency_at_first: AtFirst {
            share: 0.3,
            sends: 2,
        },
        ..Scenario::default()
    });
    let site = Site::with(&devices(1000));
    let ended = site.push(&sim, &["run", "fleet.csv", "--progress", "lines"]);
    let ended = ended.expect(0);
    agree(&site.journal(), &sim);
    // Half of these are second sends, in which no device was accepted: more than it takes of first ones.
    let refused = sim.stats().refused_devices[&61007];
    assert!(refused > 500, "{refused}");
    assert!(
        !ended.stderr.contains("rate lowered to"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_device_that_wanted_a_pause_is_not_sent_its_next_task_at_once() {
    let sim = Sim::start(Scenario {
        frequency_limit: Some(Limit {
            messages: 1,
            window_ms: 1500,
        }),
        ..Scenario::default()
    });
    let mut manifest = String::from("device_key,product_key,service,param.raw1\n");
    for device in 0..20 {
        for payload in ["AA", "BB", "CC"] {
            manifest += &["DK", &device.to_string(), ",PK0001,fuwu,", payload, "\n"].concat();
        }
    }
    let site = Site::with(&manifest);
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    agree(&site.journal(), &sim);
    // One refusal tells of the limit; the third task does without. A slow push may spare even that.
    assert!((1..=20).contains(&sim.stats().refused_devices[&61007]));
    let of_one: Vec<i64> = sim
        .deliveries()
        .iter()
        .filter(|delivery| delivery.device_key == "DK7")
        .map(|delivery| delivery.at_ms)
        .collect();
    let pauses: Vec<Duration> = of_one
        .windows(2)
        .map(|pair| Duration::from_millis((pair[1] - pair[0]).unsigned_abs()))
        .collect();
    assert!(
        pauses.iter().all(|pause| *pause >= Duration::from_secs(2)),
        "{pauses:?}"
    );
}

#[test]
fn a_throttle_of_whole_requests_pauses_each_as_it_is() {
    for code in [61006, 61007] {
        let sim = Sim::start(Scenario {
            refuse_code: Some(code),
            ..Scenario::default()
        });
        let site = Site::with(&devices(300));
        let push = site.start(&sim, &["run", "fleet.csv", "--chunk-size", "100"]);
        // All three requests have been refused, and one of them again if the code lets it be sent again soon.
        sim.wait_for_requests(if code == 61007 { 4 } else { 3 });
        sim.play(Scenario::default());
        if code == 61006 {
            // A quota is waited for much longer than a test may take.
            push.signal(rustix::process::Signal::INT);
            push.ended().expect(3);
            assert_eq!(sim.stats().requests, 3);
            continue;
        }
        push.ended().expect(0);
        agree(&site.journal(), &sim);
        // Sent one by one, the devices would be hundreds of requests.
        let stats = sim.stats();
        assert!(stats.requests <= 12, "{code}: {stats:?}");
    }
}
