//! `fleetpush simulator`: the platform's API on loopback, until a signal comes.

use std::io::Write as _;

use anyhow::Context;

use super::interrupt::Interrupt;
use crate::{
    exit::{Exit, Failure},
    settings::SimulatorArgs,
    simulator::Simulator,
    ui::printer::Printer,
};

/// Serves the simulator. Prints its base URL on stdout once it listens, for a script to read.
pub(super) async fn simulator(
    arguments: &SimulatorArgs,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let scenario = arguments.scenario().map_err(Failure::usage)?;
    let address = arguments.listen;
    let simulator = Simulator::start(address, scenario)
        .await
        .with_context(|| format!("cannot start the simulator on {address}"))
        .map_err(Failure::usage)?;
    let mut out = printer.stdout();
    let told = writeln!(out, "{}", simulator.base_url()).and_then(|()| out.flush());
    Exit::Complete.after_output(told)?;
    interrupt.stopped().await;
    simulator.stop().await;
    Ok(Exit::Complete)
}
