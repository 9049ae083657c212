//! What the benchmarks share: the simulated platform, and the tools that they run beside the release binary.

pub(crate) mod platform;
pub(crate) mod tools;

/// Whether Cargo runs this as a benchmark: `cargo test --all-targets` starts it too, and nothing is to be timed there.
pub(crate) fn is_asked_for() -> bool {
    std::env::args().any(|word| word == "--bench")
}
