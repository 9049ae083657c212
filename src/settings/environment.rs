//! The environment of the process: its variables and the folders of the user, as a value, so that a test can replace it.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use etcetera::BaseStrategy;

use super::{Error, credential_names, nearest::did_you_mean};
use crate::{cli::keys, clock};

/// The variable that names the config file.
pub(super) const CONFIG: &str = "FLEETPUSH_CONFIG";
/// The variable that names the config file's profile.
pub(super) const PROFILE: &str = "FLEETPUSH_PROFILE";
/// The variable that holds filter directives for the log.
pub(super) const LOG: &str = "FLEETPUSH_LOG";
/// Where a service manager wants a service to keep its state.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The variables and folders of a process. Not to be printed: some variables are secrets.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, OsString>,
    config_folder: Option<PathBuf>,
    state_folder: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        let folders = etcetera::choose_base_strategy().ok();
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
            config_folder: folders.as_ref().map(BaseStrategy::config_dir),
            // Only some systems have a folder for state; the others keep it with the data.
            state_folder: folders.map(|folders| folders.state_dir().unwrap_or(folders.data_dir())),
        }
    }

    /// An environment of these variables and no folders.
    #[cfg(test)]
    pub(crate) fn new<N: Into<String>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            config_folder: None,
            state_folder: None,
        }
    }

    /// The same environment for a user with these folders for configuration and state.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn with_folders(
        mut self,
        config: &std::path::Path,
        state: &std::path::Path,
    ) -> Self {
        self.config_folder = Some(config.to_owned());
        self.state_folder = Some(state.to_owned());
        self
    }

    /// The text of a variable; an empty one counts as not set.
    pub(super) fn text(&self, variable: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.variables.get(variable) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            None => Err(Error::NotUtf8 {
                variable: variable.to_owned(),
            }),
        }
    }

    /// The path in a variable; an empty one counts as not set.
    pub(super) fn path(&self, variable: &str) -> Option<PathBuf> {
        self.variables
            .get(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// Whether colours are unwelcome (<https://no-color.org>).
    pub(super) fn forbids_colour(&self) -> bool {
        self.path("NO_COLOR").is_some()
    }

    /// The config file that is read when nobody names one, if it exists.
    pub(super) fn usual_config_file(&self) -> Option<PathBuf> {
        let file = self.config_folder.as_ref()?.join("fleetpush/config.toml");
        file.is_file().then_some(file)
    }

    /// The folder for results databases.
    pub(super) fn database_folder(&self) -> Option<PathBuf> {
        match self.path(STATE_DIRECTORY) {
            // Several folders are set apart by colons (systemd.exec); the first is the service's own.
            Some(folders) => std::env::split_paths(&folders).next(),
            None => self
                .state_folder
                .as_ref()
                .map(|folder| folder.join("fleetpush")),
        }
    }

    /// A warning for each variable that carries our prefix and means nothing to us.
    pub(super) fn unknown_variables(&self) -> Vec<String> {
        let settings: Vec<String> = keys::NAMES
            .iter()
            .map(|name| keys::variable(name))
            .collect();
        let known = || {
            settings
                .iter()
                .map(String::as_str)
                .chain([CONFIG, PROFILE, LOG, clock::TEST_NOW, clock::TEST_LEASE])
                .chain(credential_names::VARIABLES.iter().copied())
        };
        self.variables
            .keys()
            .filter(|name| name.starts_with(keys::PREFIX) && !known().any(|known| known == *name))
            .map(|name| {
                format!(
                    "the variable {name} is unknown to fleetpush and is ignored{}",
                    did_you_mean(name, known())
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn unknown_variables_are_told_with_the_nearest_known() {
        let environment = Environment::new([
            ("FLEETPUSH_RAET", "1"),
            ("FLEETPUSH_RATE", "1"),
            ("FLEETPUSH_TOKEN_FILE", "token"),
            ("FLEETPUSH_LOG", "debug"),
            ("FLEETPUSH_TEST_NOW", "2026-03-29T00:59:58Z"),
            ("FLEETPUSH_TEST_LEASE_MS", "1000"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(
            environment.unknown_variables(),
            [
                "the variable FLEETPUSH_RAET is unknown to fleetpush and is ignored; did you mean FLEETPUSH_RATE?"
            ]
        );
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::new([("FLEETPUSH_RATE", "")]);
        assert_eq!(environment.text("FLEETPUSH_RATE").unwrap(), None);
        assert_eq!(environment.path("FLEETPUSH_RATE"), None);
    }

    #[test]
    fn a_service_keeps_its_database_in_its_state_directory() {
        let user = Environment::default().with_folders(Path::new("/config"), Path::new("/state"));
        assert_eq!(
            user.database_folder(),
            Some(PathBuf::from("/state/fleetpush"))
        );
        let service = Environment::new([("STATE_DIRECTORY", "/var/lib/push:/var/lib/other")]);
        assert_eq!(
            service.database_folder(),
            Some(PathBuf::from("/var/lib/push"))
        );
    }
}
