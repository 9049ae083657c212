//! The flags of the command that serves the simulator.

use std::net::SocketAddr;

use clap::Args;

/// `fleetpush simulator`
#[derive(Debug, Args)]
pub struct SimulatorArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}
