//! Any bytes as a reply. `cargo +nightly fuzz run reply`
#![no_main]

#[allow(dead_code, reason = "the other target's check")]
#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::reply(bytes));
