//! `fleetpush` pushes thing-model service commands to a whole fleet through the `sendServiceData` call of the Quectel/Acceleronix
//! platform, loses nothing, and can say afterwards what happened to every device.
//!
//! An arrow means 'imports':
//!
//! ```text
//! main → cli, commands, exit          commands → settings, manifest, engine, store, gateway, ui
//! engine → journal, store, gateway (trait), policy, throttle, model        store, gateway, manifest, policy → model
//! commands → journal                  journal → policy, model, store's rows
//! ui → engine events                  model, throttle, budget → nothing of this crate
//! main → settings, logging, clock     settings → cli, model, clock         logging → settings, clock
//! store, gateway, commands → budget
//! ui, exit → clock                    settings, manifest, simulator, ui → files
//! ```

mod budget;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod engine;
pub mod exit;
mod files;
pub mod gateway;
mod journal;
pub mod logging;
pub mod manifest;
pub mod model;
pub mod policy;
pub mod settings;
pub mod simulator;
pub mod store;
pub mod throttle;
pub mod ui;
