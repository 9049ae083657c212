//! `fleetpush` pushes thing-model service commands to a whole fleet through the `sendServiceData` call of the Quectel/Acceleronix
//! platform, loses nothing, and can say afterwards what happened to every device.
//!
//! An arrow means 'imports':
//!
//! ```text
//! app → cli, commands, exit           commands → settings, manifest, engine, store, gateway, ui
//! engine → journal, store, gateway (trait), policy, throttle, model        store, gateway, manifest, policy → model
//! commands → journal                  journal → policy, model, store's rows
//! manifest → thing_model
//! ui → engine events                  model, thing_model, throttle, budget → nothing of this crate
//! app → settings, logging, clock      settings → cli, model, clock         logging → settings, clock
//! store, gateway, commands → budget
//! commands, ui → preview              preview → model
//! trial → throttle, simulator
//! ui, exit → clock                    settings, manifest, simulator, ui → files
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
