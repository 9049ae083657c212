//! Any bytes as a manifest. `cargo +nightly fuzz run manifest`
#![no_main]

#[allow(dead_code, reason = "the other target's check")]
#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::manifest(bytes));
