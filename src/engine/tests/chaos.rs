//! Everything at once, at random: whatever the platform does, the ledger is right.

use std::time::Duration;

use futures::future::join_all;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::*;
use crate::{engine::Stop, gateway::Outgoing, model::SendResult};

/// A result drawn for a request; the same for the same seed, request and devices.
fn result(random: &mut impl Rng, request: &Outgoing) -> SendResult {
    match random.random_range(0..10) {
        0 => lost(),
        1 => code(50000),
        2 => code(50005),
        _ => {
            let codes: Vec<Option<i64>> = request
                .devices
                .iter()
                .map(|_| match random.random_range(0..20) {
                    0 => None,
                    1 => Some(61002),
                    2 => Some(61005),
                    3 => Some(50000),
                    _ => Some(200),
                })
                .collect();
            let mut codes = codes.into_iter();
            let SendResult::Answered(mut answer) = accepted(request) else {
                unreachable!("a scripted acceptance is an answer")
            };
            for element in &mut answer.elements {
                let code = codes.next().flatten();
                *element = element
                    .take()
                    .filter(|_| code.is_some())
                    .map(|mut element| {
                        element.code = code;
                        element
                    });
            }
            SendResult::Answered(answer)
        }
    }
}

/// The rows of a manifest in which devices come several times, and few payloads.
fn rows(random: &mut impl Rng) -> Vec<(String, String)> {
    (0..random.random_range(1..400))
        .map(|_| {
            let device = random.random_range(0..250);
            let payload = random.random_range(0..4);
            (format!("DK{device:05}"), format!("[{payload}]"))
        })
        .collect()
}

/// A platform that does something else with each request, and the same again for the same seed.
fn script(seed: u64) -> Script {
    Box::new(move |n, request: &Outgoing| {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(n as u64));
        result(&mut random, request)
    })
}

/// A bench of this seed, and the rest of its randomness.
async fn bench(seed: u64) -> (Bench, SmallRng) {
    let mut random = SmallRng::seed_from_u64(seed);
    let rows = rows(&mut random);
    let rows: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let mut bench = Bench::new(&rows, script(seed)).await;
    bench.options.chunk_size = random.random_range(1..40);
    bench.options.concurrency = random.random_range(1..12);
    bench.options.rules.max_attempts = 2;
    if random.random() {
        bench.options.rollout.canary = "30%".parse().unwrap();
    }
    (bench, random)
}

/// Plays with seeds that differ from run to run, or that follow the one in the environment: all of them at once, since they wait more than
/// they work.
async fn with_seeds(n: u64, play: impl AsyncFn(u64)) {
    let first: u64 = std::env::var("FLEETPUSH_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random());
    println!("FLEETPUSH_TEST_SEED={first}");
    join_all((0..n).map(|i| play(first.wrapping_add(i)))).await;
}

async fn nothing_is_left(bench: &Bench) {
    let open = bench
        .query("SELECT line FROM results WHERE state IN ('pending', 'in_flight')")
        .await;
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test]
async fn a_random_platform_leaves_a_right_ledger() {
    with_seeds(8, async |seed| {
        let (bench, _) = bench(seed).await;
        assert_eq!(bench.push().await.0, Stop::Complete);
        nothing_is_left(&bench).await;
    })
    .await;
}

#[tokio::test]
async fn a_push_that_is_killed_at_any_moment_goes_on() {
    with_seeds(6, async |seed| {
        let (bench, mut random) = bench(seed).await;
        let mut ended = None;
        for _ in 0..6 {
            let requests = bench.requests() + random.random_range(0..6);
            let moments = random.random_range(0..200);
            ended = bench
                .push_until(async {
                    while bench.requests() < requests {
                        tokio::task::yield_now().await;
                    }
                    for _ in 0..moments {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
            if ended.is_some() {
                break;
            }
        }
        if ended.is_none() {
            ended = Some(bench.push().await.0);
        }
        assert_eq!(ended, Some(Stop::Complete));
        nothing_is_left(&bench).await;
    })
    .await;
}

#[tokio::test]
async fn a_push_that_is_stopped_at_any_moment_without_patience_goes_on() {
    with_seeds(6, async |seed| {
        let (mut bench, mut random) = bench(seed).await;
        bench.options.drain_timeout = Duration::ZERO;
        for _ in 0..4 {
            let requests = bench.requests() + random.random_range(0..6);
            let stopping = async {
                bench.stop_at(requests).await;
                // The push ends it.
                std::future::pending().await
            };
            let (stop, _) = tokio::select! {
                ended = bench.push() => ended,
                ended = stopping => ended,
            };
            assert!(matches!(stop, Stop::Signal | Stop::Complete), "{stop:?}");
        }
        assert_eq!(bench.push().await.0, Stop::Complete);
        nothing_is_left(&bench).await;
    })
    .await;
}
