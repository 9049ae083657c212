//! The flags of `fleetpush config`: those of every setting, taken from `run`, so that a new one appears here by itself.

use std::collections::BTreeMap;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand, parser::ValueSource,
};

use super::{RunArgs, keys, one_of};
use crate::model::RowFormat;

/// `fleetpush config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do with the settings.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands of `fleetpush config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting with its value and its source: flag, variable, line of the config file, or default
    ///
    /// Give the flags, variables and profile of a push to see its settings. This checks every value, but does not open the database or
    /// connect to the platform. It shows the source of a credential, not its value.
    Show(ConfigShowArgs),
}

/// `fleetpush config show`
#[derive(Debug, Args)]
pub struct ConfigShowArgs {
    /// Format of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// The flags of settings.
    #[command(flatten)]
    pub given: GivenSettings,
}

/// The settings that flags give, as the texts that were typed.
#[derive(Debug, Clone, Default)]
pub struct GivenSettings(BTreeMap<&'static str, String>);

impl GivenSettings {
    /// The text of a setting's flag, when it was given. Flags that every command takes are not among these.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The flags of `run` that are settings, with their names.
fn setting_flags() -> Vec<(&'static str, Arg)> {
    RunArgs::augment_args(Command::new("run"))
        .get_arguments()
        .filter_map(|arg| {
            let name = keys::NAMES
                .iter()
                .find(|name| arg.get_long() == Some(name))?;
            Some((*name, arg.clone()))
        })
        .collect()
}

impl Args for GivenSettings {
    fn augment_args(command: Command) -> Command {
        let flags = setting_flags();
        command.args(flags.into_iter().map(|(_, arg)| arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for GivenSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Self::default();
        given.update_from_arg_matches(matches)?;
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (name, arg) in setting_flags() {
            let id = arg.get_id().as_str();
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let text = if matches!(arg.get_action(), ArgAction::SetTrue) {
                "true".to_owned()
            } else {
                let typed = matches.get_raw(id).into_iter().flatten();
                let typed: Vec<_> = typed.map(|text| text.to_string_lossy()).collect();
                // A flag that may be repeated is, in a variable and in the file, one text of several parts.
                typed.join(";")
            };
            self.0.insert(name, text);
        }
        Ok(())
    }
}
