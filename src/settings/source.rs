//! Where values come from, and which of several wins.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use super::{
    Environment, Error,
    environment::{CONFIG, PROFILE},
    file::{ConfigFile, Entry},
};
use crate::{
    cli::keys::{self, Key, Setting},
    model::Tags,
};

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// At the top of the config file.
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In the profile of the config file that applies.
    Profile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// On the command line.
    Flag,
}

impl Origin {
    /// How strong a value from here is; values from one place are equally strong.
    pub(super) fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::ConfigFile { .. } => 1,
            Self::Profile { .. } => 2,
            Self::Variable(_) => 3,
            Self::Flag => 4,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("by default"),
            Self::ConfigFile { path, line } | Self::Profile { path, line } => {
                write!(f, "in {}:{line}", path.display())
            }
            Self::Variable(name) => write!(f, "in {name}"),
            Self::Flag => f.write_str("on the command line"),
        }
    }
}

/// A value, and where it stands.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

impl Found<PathBuf> {
    /// The path as it is meant: one in a config file from that file's folder, wherever the command is started.
    pub(super) fn into_path(self) -> PathBuf {
        match self.origin {
            Origin::ConfigFile { path, .. } | Origin::Profile { path, .. } => {
                path.with_file_name("").join(self.value)
            }
            Origin::Default | Origin::Variable(_) | Origin::Flag => self.value,
        }
    }
}

/// Everything but the flags that a value can come from.
pub(super) struct Sources<'a> {
    pub(super) environment: &'a Environment,
    file: Option<ConfigFile>,
    profile: Option<String>,
}

impl<'a> Sources<'a> {
    /// The names of the config file's profiles.
    pub(super) fn profiles(&self) -> Vec<String> {
        self.file
            .as_ref()
            .map_or_else(Vec::new, ConfigFile::profiles)
    }

    /// Finds and reads the config file.
    pub(super) fn load(
        environment: &'a Environment,
        config: Option<PathBuf>,
        profile: Option<String>,
    ) -> Result<Self, Error> {
        let path = config
            .or_else(|| environment.path(CONFIG))
            .or_else(|| environment.usual_config_file());
        let file = path.map(|path| ConfigFile::read(&path)).transpose()?;
        let profile = match profile {
            Some(profile) => Some(profile),
            None => environment.text(PROFILE)?.map(ToOwned::to_owned),
        };
        match (&file, &profile) {
            (Some(file), Some(profile)) => file.require_profile(profile)?,
            (None, Some(profile)) => {
                return Err(Error::ProfileWithoutConfig {
                    profile: profile.clone(),
                });
            }
            (_, None) => {}
        }
        Ok(Self {
            environment,
            file,
            profile,
        })
    }

    /// The config file that is read, if there is one.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// The profile that applies, if one does.
    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The value of a setting without a default, when somebody gives one.
    pub(super) fn find<T>(&self, key: &Key<T>, flag: Option<T>) -> Result<Option<Found<T>>, Error> {
        if let Some(value) = flag {
            return Ok(Some(Found {
                value,
                origin: Origin::Flag,
            }));
        }
        match self.text(key.name)? {
            Some((text, origin)) => parse(key, text, origin).map(Some),
            None => Ok(None),
        }
    }

    /// The value of a setting with a default, and where it stands.
    pub(super) fn get_found<T>(
        &self,
        setting: &Setting<T>,
        flag: Option<T>,
    ) -> Result<Found<T>, Error> {
        match self.find(&setting.key, flag)? {
            Some(found) => Ok(found),
            None => parse(&setting.key, setting.default, Origin::Default),
        }
    }

    /// The value of a setting with a default.
    pub(super) fn get<T>(&self, setting: &Setting<T>, flag: Option<T>) -> Result<T, Error> {
        Ok(self.get_found(setting, flag)?.value)
    }

    /// The value of a setting whose flag may be repeated: what stands in several flags is one list, as if it stood in one of them.
    pub(super) fn get_repeated<T: Display>(
        &self,
        setting: &Setting<T>,
        flags: &[T],
    ) -> Result<T, Error> {
        let flag = if flags.is_empty() {
            None
        } else {
            let texts: Vec<String> = flags.iter().map(ToString::to_string).collect();
            Some(parse(&setting.key, &texts.join(";"), Origin::Flag)?.value)
        };
        self.get(setting, flag)
    }

    /// The tags of several flags as one, or else of the strongest other source; none when nobody gives any.
    pub(super) fn tags(&self, flags: &[Tags]) -> Result<Tags, Error> {
        let texts: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let flag = if texts.is_empty() {
            None
        } else {
            Some(parse(&keys::TAG, &texts.join(";"), Origin::Flag)?.value)
        };
        let found = self.find(&keys::TAG, flag)?;
        Ok(found.map_or_else(Tags::default, |found| found.value))
    }

    /// The strongest text for a name.
    pub(super) fn text(&self, name: &str) -> Result<Option<(&str, Origin)>, Error> {
        let variable = keys::variable(name);
        if let Some(text) = self.environment.text(&variable)? {
            return Ok(Some((text, Origin::Variable(variable))));
        }
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let in_profile = self
            .profile
            .as_ref()
            .and_then(|profile| file.in_profile(profile, name));
        let path = file.path.clone();
        Ok(if let Some(Entry { text, line }) = in_profile {
            Some((text, Origin::Profile { path, line: *line }))
        } else if let Some(Entry { text, line }) = file.at_top(name) {
            Some((text, Origin::ConfigFile { path, line: *line }))
        } else {
            None
        })
    }
}

fn parse<T>(key: &Key<T>, text: &str, origin: Origin) -> Result<Found<T>, Error> {
    match (key.parse)(text) {
        Ok(value) => Ok(Found { value, origin }),
        Err(reason) => Err(Error::Value {
            name: key.name,
            value: text.to_owned(),
            origin,
            reason,
        }),
    }
}
