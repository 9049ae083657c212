//! Everything at once, at random: whatever the platform does, the ledger is right.

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::*;
use crate::{engine::Stop, gateway::Outgoing, model::Fate};

/// A fate drawn for a request; the same for the same seed, request and devices.
fn fate(random: &mut impl Rng, request: &Outgoing) -> Fate {
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
            let Fate::Answered(mut answer) = accepted(request) else {
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
            Fate::Answered(answer)
        }
    }
}

#[tokio::test]
async fn a_random_platform_leaves_a_right_ledger() {
    let first_seed: u64 = std::env::var("FLEETPUSH_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random());
    for seed in (0..8).map(|i| first_seed.wrapping_add(i)) {
        println!("FLEETPUSH_TEST_SEED={seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let rows: Vec<(String, String)> = (0..random.random_range(1..400))
            .map(|_| {
                let device = random.random_range(0..250);
                let payload = random.random_range(0..4);
                (format!("DK{device:05}"), format!("[{payload}]"))
            })
            .collect();
        let rows: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let script: Script = Box::new(move |n, request: &Outgoing| {
            let mut random = SmallRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(n as u64));
            fate(&mut random, request)
        });
        let mut bench = Bench::new(&rows, script).await;
        bench.options.chunk_size = random.random_range(1..40);
        bench.options.concurrency = random.random_range(1..12);
        bench.options.rules.max_attempts = 2;
        assert_eq!(bench.push().await.0, Stop::Complete);
        let open = bench
            .query("SELECT line FROM results WHERE state IN ('pending', 'in_flight')")
            .await;
        assert!(open.is_empty(), "{open:?}");
    }
}
