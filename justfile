# List the recipes
default:
    @just --list

# Format the code
fmt:
    cargo fmt --all

# Check formatting, lints and dependencies, as CI does
lint:
    cargo fmt --all --check
    cargo clippy --all-targets --locked -- -D warnings
    .ci/deny

# Run the tests
test:
    RUST_TEST_THREADS=$((2 * $(nproc))) cargo test --locked

# Simulate a power failure at 2,000 moments of a push; needs strace and python3
power-loss:
    cargo build --locked
    python3 tests/power_loss.py target/debug/fleetpush --cuts 2000

# Try a results database on a server at length: 500 ends of pushes, 500 faults of eight workers on one run, every fault, and the
# order through each of them; about 20 minutes
server-long:
    FLEETPUSH_TEST_LONG=1 cargo test --locked --test e2e -- --nocapture server::crash server::workers faults:: order::

# Measure speed and memory, and compare with other tools, in less than ten minutes: all measurements, or only those that you name
bench *words:
    cargo bench --locked --bench scale -- {{ words }}

# Measure how close a push comes to an unknown limit, and compare with other tools; give the number of rounds, `limits 3` for only the limits, or `virtual 8` for virtual time
bench-pace *words="1":
    cargo bench --locked --bench pace -- {{ words }}

# Mutate `journal`, `policy` and `throttle` with cargo-mutants: each mutant must fail a test or be listed with its reason in .cargo/mutants.toml. Takes hours; for one file, `just mutants --file src/journal/told.rs`
mutants *args="--file 'src/journal/**/*.rs' --file 'src/policy/**/*.rs' --file 'src/throttle/**/*.rs' --file src/throttle.rs":
    cargo mutants {{ args }}

# Build the documentation, as CI does
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --document-private-items

# Build the release files in target/release-files: a tarball and a Debian package
dist:
    packaging/dist

# Test a Debian package of the debug binary: install it, run the command of its service, remove it; needs root and dpkg
package:
    cargo build --locked
    .ci/package

# Run everything that CI runs
ci:
    .ci/run
