//! The `fleetpush` binary.
fn main() {}
