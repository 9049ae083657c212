//! Who is chosen for a canary: spread over the products, the same for the same seed, and as many as were asked for.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sqlx::Row as _;
use tempfile::TempDir;

use crate::{
    journal::{CanaryAsked, Choice, Journal},
    model::{AfterFailure, BadRow, Payload, ProofAsked, Row, RowError, Timestamp},
    store::{NewRun, Store},
};

const NOW: Timestamp = Timestamp(1_000);

/// A store with a run of these rows: a product, a device and the data.
async fn staged(folder: &TempDir, rows: impl Iterator<Item = (String, String, String)>) -> Store {
    staged_with_invalid(folder, rows, 0).await
}

/// The same, with so many bad rows beside them.
async fn staged_with_invalid(
    folder: &TempDir,
    rows: impl Iterator<Item = (String, String, String)>,
    invalid: u64,
) -> Store {
    let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
    let about = NewRun {
        name: "test".into(),
        manifest: "test.csv".into(),
        manifest_sha256: "0".repeat(64),
        defaults: "{}".into(),
        base_url: "simulator".into(),
        manifest_path: None,
        identity: "1".repeat(64),
    };
    let mut stager = store.stage(&about, 100, NOW).await.unwrap();
    let rows = (2..)
        .zip(rows)
        .map(|(line, (product, device, data))| Row {
            line,
            device_key: device.into(),
            payload: Payload::plain(product, data).into(),
            labels: None,
        })
        .collect();
    stager.rows(rows).await.unwrap();
    let bad: Vec<BadRow> = (0..invalid)
        .map(|n| BadRow {
            line: 1_000_000 + n,
            device_key: "".into(),
            errors: vec![RowError {
                column: None,
                reason: "bad".into(),
            }],
        })
        .collect();
    stager.invalid(&bad, NOW).await.unwrap();
    stager.finish(NOW).await.unwrap();
    store
}

/// Rows of products with so many devices each, and one payload for each product.
fn products(sizes: &[(&str, usize)]) -> impl Iterator<Item = (String, String, String)> {
    let sizes: Vec<(String, usize)> = sizes
        .iter()
        .map(|(product, devices)| ((*product).to_owned(), *devices))
        .collect();
    sizes.into_iter().flat_map(|(product, devices)| {
        (0..devices).map(move |n| {
            (
                product.clone(),
                format!("{product}-{n:05}"),
                "[1]".to_owned(),
            )
        })
    })
}

async fn choose(store: &mut Store, canary: &str, seed: u64) -> Choice {
    let run = store.run_by_name("test").await.unwrap().unwrap();
    let mut journal = Journal::open(store, run, AfterFailure::Block)
        .await
        .unwrap();
    journal
        .choose_canary(
            CanaryAsked {
                canary: canary.parse().unwrap(),
                devices: None,
                pause: false,
                proof: &ProofAsked::default(),
            },
            seed,
            NOW,
        )
        .await
        .unwrap()
}

/// The chosen devices with their products.
async fn chosen(store: &mut Store) -> Vec<(String, String)> {
    sqlx::query(
        "SELECT p.product_key, t.device_key FROM due AS d JOIN task AS t ON t.id = d.task_id JOIN payload AS p ON p.id = d.payload_id \
         WHERE t.held = 1 ORDER BY t.id",
    )
    .fetch_all(&mut store.connection)
    .await
    .unwrap()
    .iter()
    .map(|row| (row.get(0), row.get(1)))
    .collect()
}

async fn by_product(store: &mut Store) -> BTreeMap<String, usize> {
    let mut sums = BTreeMap::new();
    for (product, _) in chosen(store).await {
        *sums.entry(product).or_default() += 1;
    }
    sums
}

#[tokio::test]
async fn every_product_gives_one_and_the_large_ones_more() {
    let sizes = [("A", 900), ("B", 90), ("C", 9), ("D", 1)];
    for (canary, expected) in [
        ("20", vec![("A", 16), ("B", 2), ("C", 1), ("D", 1)]),
        ("4", vec![("A", 1), ("B", 1), ("C", 1), ("D", 1)]),
        ("2", vec![("A", 1), ("B", 1)]),
        ("10%", vec![("A", 89), ("B", 9), ("C", 1), ("D", 1)]),
    ] {
        let folder = TempDir::new().unwrap();
        let mut store = staged(&folder, products(&sizes)).await;
        choose(&mut store, canary, 7).await;
        let chosen = by_product(&mut store).await;
        let chosen: Vec<(&str, usize)> = chosen.iter().map(|(key, n)| (key.as_str(), *n)).collect();
        assert_eq!(chosen, expected, "{canary}");
    }
}

#[tokio::test]
async fn a_seed_chooses_the_same_devices_each_time() {
    let mut choices = Vec::new();
    for seed in [1, 1, 2] {
        let folder = TempDir::new().unwrap();
        let mut store = staged(&folder, products(&[("A", 500), ("B", 500)])).await;
        choose(&mut store, "10", seed).await;
        choices.push(chosen(&mut store).await);
    }
    assert_eq!(choices[0], choices[1]);
    assert_ne!(choices[0], choices[2]);
}

#[tokio::test]
async fn a_large_run_is_drawn_from_and_not_read_through() {
    // More tasks than parts, and most of them held back, so that too few are drawn: then again, from finer parts.
    let folder = TempDir::new().unwrap();
    let sizes = [("A", 1600), ("B", 400)];
    let mut store = staged_with_invalid(&folder, products(&sizes), 18_000).await;
    choose(&mut store, "1500", 1).await;
    let of = by_product(&mut store).await;
    assert_eq!(of["A"] + of["B"], 1500);
    let folder = TempDir::new().unwrap();
    let mut store = staged(&folder, products(&[("A", 16_000), ("B", 4000)])).await;
    choose(&mut store, "50", 1).await;
    assert_eq!(
        by_product(&mut store).await,
        BTreeMap::from([("A".to_owned(), 40), ("B".to_owned(), 10)])
    );
}

#[tokio::test]
async fn a_product_of_a_single_device_is_met_in_a_large_run() {
    let mut choices = Vec::new();
    for seed in [1, 1, 2] {
        let folder = TempDir::new().unwrap();
        let sizes = [("A", 9000), ("B", 1), ("C", 15_000), ("D", 2), ("E", 1000)];
        let mut store = staged(&folder, products(&sizes)).await;
        choose(&mut store, "50", seed).await;
        let of = by_product(&mut store).await;
        assert_eq!(of.values().sum::<usize>(), 50);
        assert_eq!((of["B"], of["D"]), (1, 1), "{of:?}");
        assert!(of["A"] >= 15 && of["C"] >= 25, "{of:?}");
        choices.push(chosen(&mut store).await);
    }
    assert_eq!(choices[0], choices[1]);
    assert_ne!(choices[0], choices[2]);
}

#[tokio::test]
async fn a_small_canary_of_a_large_run_takes_the_largest_products() {
    let folder = TempDir::new().unwrap();
    // More products than the draw can meet, and fewer of several devices than are wanted.
    let small: Vec<String> = (0..600).map(|n| format!("S{n}")).collect();
    let mut sizes = vec![("A", 12_000), ("B", 12_000), ("C", 40), ("D", 30)];
    sizes.extend(small.iter().map(|product| (product.as_str(), 1)));
    let mut store = staged(&folder, products(&sizes)).await;
    choose(&mut store, "700", 1).await;
    let of = by_product(&mut store).await;
    assert_eq!(of.len(), 604, "every product: {of:?}");
    assert_eq!(of.values().sum::<usize>(), 700);
    let folder = TempDir::new().unwrap();
    let mut store = staged(&folder, products(&sizes)).await;
    choose(&mut store, "4", 1).await;
    let of = by_product(&mut store).await;
    assert_eq!(of.keys().collect::<Vec<_>>(), ["A", "B", "C", "D"]);
}

#[tokio::test]
async fn a_product_of_which_nothing_is_to_be_sent_first_is_not_met() {
    let folder = TempDir::new().unwrap();
    let twice = products(&[("A", 12_000), ("B", 1)]).chain(products(&[("B", 1)]));
    let mut store = staged(&folder, twice).await;
    choose(&mut store, "10", 1).await;
    assert_eq!(by_product(&mut store).await["B"], 1, "and once");
}

#[tokio::test]
async fn a_choice_is_made_once() {
    let folder = TempDir::new().unwrap();
    let mut store = staged(&folder, products(&[("A", 100)])).await;
    let first = choose(&mut store, "10", 1).await;
    let before = chosen(&mut store).await;
    let Choice::Chosen(open) = first else {
        panic!("{first:?}")
    };
    for (canary, seed) in [("50", 2), ("none", 3)] {
        assert_eq!(choose(&mut store, canary, seed).await, Choice::Open(open));
    }
    assert_eq!(chosen(&mut store).await, before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn as_many_devices_as_asked_for_whatever_the_layout(
        rows in prop::collection::vec((0_u8..3, 0_u8..60, 0_u8..4), 2..300), share in 0.01_f64..0.99, seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut devices: Vec<(u8, u8)> = rows.iter().map(|(product, device, _)| (*product, *device)).collect();
            devices.sort_unstable();
            devices.dedup();
            let wanted = ((devices.len() as f64 * share).ceil() as usize).min(devices.len());
            let folder = TempDir::new().unwrap();
            let rows = rows.iter().map(|(product, device, data)| (format!("P{product}"), format!("D{device}"), format!("[{data}]")));
            let mut store = staged(&folder, rows).await;
            let choice = choose(&mut store, &wanted.to_string(), seed).await;
            if wanted == devices.len() {
                assert_eq!(choice, Choice::WholeFleet { devices: wanted as u64 });
                return;
            }
            assert!(matches!(choice, Choice::Chosen(open) if open.devices == wanted as u64), "{choice:?}");
            let mut chosen = chosen(&mut store).await;
            assert_eq!(chosen.len(), wanted);
            chosen.dedup();
            assert_eq!(chosen.len(), wanted, "no device twice");
            let products = |keys: &mut dyn Iterator<Item = String>| keys.collect::<std::collections::BTreeSet<_>>().len();
            let all = products(&mut devices.iter().map(|(product, _)| format!("P{product}")));
            assert_eq!(products(&mut chosen.into_iter().map(|(product, _)| product)), all.min(wanted));
        });
    }
}
