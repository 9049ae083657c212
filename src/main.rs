//! The `fleetpush` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetpush::main()
}
