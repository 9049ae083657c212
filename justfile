# List the recipes
default:
    @just --list

# Format the code
fmt:
    cargo fmt --all

# Check the form and the lints, as CI does
lint:
    cargo fmt --all --check
    cargo clippy --all-targets --locked -- -D warnings
    .ci/deny

# Run the tests
test:
    cargo test --locked

# Provoke a loss of power at 2,000 moments of a push; needs strace and python3
power-loss:
    cargo build --locked
    python3 tests/power_loss.py target/debug/fleetpush --cuts 2000

# Build the documentation, as CI does
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --document-private-items

# Everything that CI does
ci:
    .ci/run
