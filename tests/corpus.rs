//! A quick pass of the fuzz targets without a nightly compiler: the seed corpora and what fuzzing has found, as they are and mutated.

use std::{fs, path::Path};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

#[path = "../fuzz/checks.rs"]
mod checks;

/// Mutations of each file.
const MUTATIONS: usize = 150;

#[test]
fn manifests_of_any_bytes_are_read_or_refused() {
    each("manifest", checks::manifest);
}

#[test]
fn replies_of_any_bytes_are_read() {
    each("reply", checks::reply);
}

fn each(corpus: &str, check: fn(&[u8])) {
    let seed = std::env::var("FLEETPUSH_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random());
    announce(seed);
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(corpus);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("the corpus") {
        let bytes = fs::read(entry.expect("a file").path()).expect("a file");
        check(&bytes);
        for _ in 0..MUTATIONS {
            check(&mutated(&bytes, &mut random));
        }
        files += 1;
    }
    assert!(files > 5, "{} has {files} files", folder.display());
}

/// Says what makes a failure happen again; shown when there is one.
#[expect(clippy::print_stdout, reason = "the test harness captures it")]
fn announce(seed: u64) {
    println!("FLEETPUSH_TEST_SEED={seed}");
}

/// The bytes with a few of them changed, taken out, doubled or cut off.
fn mutated(bytes: &[u8], random: &mut impl Rng) -> Vec<u8> {
    const TELLING: &[u8] = b"\"\\,;\t\n\r{}[]:0E+\x00\xff\xef";
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..5) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => {
                let tail = bytes[at..].to_vec();
                bytes.extend(tail);
            }
            _ => bytes.insert(at, TELLING[random.random_range(0..TELLING.len())]),
        }
    }
    bytes
}
