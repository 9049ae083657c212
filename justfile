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

# How fast a push is and what it needs, beside other tools, in less than ten minutes: all measures, or those that are named
bench *words:
    cargo bench --locked --bench scale -- {{ words }}

# How near a push comes to a limit that it is not told, beside other tools: each scenario so many times; `limits 3` for the limits alone, `virtual 8` in virtual time
bench-pace *words="1":
    cargo bench --locked --bench pace -- {{ words }}

# Break the rules of `journal` and `policy` in every way that cargo-mutants knows: each has to fail a test, or stand with its reason in .cargo/mutants.toml. Hours; `just mutants --file src/journal/told.rs` for one file
mutants *args="--file 'src/journal/**/*.rs' --file 'src/policy/**/*.rs'":
    cargo mutants {{ args }}

# Build the documentation, as CI does
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --document-private-items

# The files of a release, in target/release-files: a tarball and a Debian package
dist:
    packaging/dist

# Install the Debian package around the debug binary, use it and remove it again; needs root and dpkg
package:
    cargo build --locked
    .ci/package

# Everything that CI does
ci:
    .ci/run
