//! `fleetpush` pushes thing-model service commands to a whole fleet through the `sendServiceData` call of the Quectel/Acceleronix
//! platform, loses nothing, and can say afterwards what happened to every device.
//!
//! An arrow means 'may import'. Every layer may also import `model`, `clock`, `files` and `budget`, unless the arrow leads to 'only' or
//! 'nothing'. Of these four, `clock` imports `model`, and the others nothing. `journal` does not import `clock`: its functions get the time.
//!
//! ```text
//! app → cli, settings, logging, exit, commands, ui
//! commands → exit, ui, engine, journal, gateway, store, manifest, settings, cli, policy, preview, thing_model, throttle, simulator
//! ui → engine (events), store (rows), policy, preview
//! engine → gateway, journal, store, policy, throttle
//! journal → store, policy
//! settings → cli          manifest → thing_model          trial → throttle, simulator
//! cli → simulator         logging → settings
//! gateway, store, simulator, exit → no other layer
//! policy, preview → only model          thing_model, throttle → nothing
//! ```

mod app;
mod budget;
mod cli;
mod clock;
mod commands;
mod engine;
mod exit;
mod files;
mod gateway;
mod journal;
mod logging;
mod manifest;
mod model;
mod policy;
mod preview;
mod settings;
pub mod simulator;
mod store;
mod thing_model;
mod throttle;
mod trial;
mod ui;

pub use app::main;

/// What the tests and the fuzz targets need besides the binary and the simulator.
pub mod testing {
    pub use crate::{
        cli::{Cli, is_flag, keys::NAMES as SETTING_NAMES},
        clock::{TEST_NOW, wall_now},
        gateway::{Outgoing, read_reply},
        manifest::{Defaults, Entry, Manifest},
        model::Payload,
        trial::{Played, Trial},
    };
}
