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

# Build the documentation, as CI does
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --document-private-items

# Everything that CI does
ci:
    .ci/run
