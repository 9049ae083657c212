//! The config file: keys at its top for every profile, and `[profile.NAME]` tables that override them.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{Error, credential_names, nearest::did_you_mean};
use crate::{
    cli::{is_flag, keys},
    files,
};

/// The table that holds the profiles.
const PROFILES: &str = "profile";
/// Far above any config file; a wrong path must not fill the memory.
const LARGEST: u64 = 1 << 20;

/// The text of a setting, and the line that it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) line: usize,
}

type Entries = BTreeMap<String, Entry>;

/// A config file whose every key is known; the values are read when they are asked for.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    top: Entries,
    profiles: BTreeMap<String, Entries>,
}

impl ConfigFile {
    /// Reads a config file.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = files::read_small(path, LARGEST).map_err(|source| Error::ConfigUnreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads the text of the config file at `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let document = Document { path, text };
        let table = DeTable::parse(text).map_err(|error| {
            document.error(error.span().unwrap_or_default(), error.message().to_owned())
        })?;
        let mut top = Entries::new();
        let mut profiles = BTreeMap::new();
        for (key, value) in table.get_ref() {
            if key.get_ref() == PROFILES {
                let tables = value.get_ref().as_table().ok_or_else(|| {
                    document.error(
                        key.span(),
                        "write profiles as tables: [profile.NAME]".into(),
                    )
                })?;
                for (name, profile) in tables {
                    let profile = profile.get_ref().as_table().ok_or_else(|| {
                        document.error(
                            name.span(),
                            format!(
                                "{0:?} is not a profile: write [profile.{0}]",
                                name.get_ref()
                            ),
                        )
                    })?;
                    let entries = profile
                        .iter()
                        .map(|(key, value)| {
                            document.entry(key.get_ref(), key.span(), value.get_ref())
                        })
                        .collect::<Result<_, _>>()?;
                    profiles.insert(name.get_ref().to_string(), entries);
                }
            } else {
                top.extend([document.entry(key.get_ref(), key.span(), value.get_ref())?]);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            top,
            profiles,
        })
    }

    /// Checks that the file has this profile.
    pub(super) fn require_profile(&self, profile: &str) -> Result<(), Error> {
        if self.profiles.contains_key(profile) {
            return Ok(());
        }
        let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        Err(Error::UnknownProfile {
            path: self.path.clone(),
            profile: profile.to_owned(),
            hint: if names.is_empty() {
                ", nor any other profile".to_owned()
            } else {
                format!(": its profiles are {}", names.join(", "))
            },
        })
    }

    /// The names of its profiles.
    pub(super) fn profiles(&self) -> Vec<String> {
        self.profiles.keys().cloned().collect()
    }

    /// The setting of this name in a profile.
    pub(super) fn in_profile(&self, profile: &str, name: &str) -> Option<&Entry> {
        self.profiles.get(profile)?.get(name)
    }

    /// The setting of this name at the file's top.
    pub(super) fn at_top(&self, name: &str) -> Option<&Entry> {
        self.top.get(name)
    }
}

/// The file while it is being read.
struct Document<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Document<'_> {
    /// One key and its value.
    fn entry(
        &self,
        key: &str,
        span: Range<usize>,
        value: &DeValue<'_>,
    ) -> Result<(String, Entry), Error> {
        let problem = if let Some((variable, file)) = secret_variable(key) {
            format!(
                "{key:?} does not belong in a config file: set {variable}, or {file} here to the path of a file that holds it"
            )
        } else if !is_known(key) && is_flag(key) {
            format!(
                "--{key} can only be given on the command line, not in a config file: remove {key:?}"
            )
        } else if !is_known(key) {
            let known = keys::NAMES
                .iter()
                .copied()
                .chain([PROFILES])
                .chain(credential_names::FILE_KEYS);
            format!("unknown key {key:?}{}", did_you_mean(key, known))
        } else if let Some(text) = scalar(value) {
            let line = self.line(&span);
            return Ok((key.to_owned(), Entry { text, line }));
        } else {
            format!(
                "{key:?} is {} {}: write text, a number, or true or false",
                if value.is_array() { "an" } else { "a" },
                value.type_str()
            )
        };
        Err(self.error(span, problem))
    }

    fn error(&self, span: Range<usize>, reason: String) -> Error {
        Error::Config {
            path: self.path.to_owned(),
            line: self.line(&span),
            reason,
        }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}

/// The value as the text that a flag would have: numbers may stand with or without quotes.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(choice) => Some(choice.to_string()),
        _ => None,
    }
}

/// Whether the key may stand in a config file.
fn is_known(key: &str) -> bool {
    keys::NAMES.contains(&key) || credential_names::FILE_KEYS.contains(&key)
}

/// The variable that a secret belongs into, and the key that can name a file with it, when the key is one for a secret itself.
fn secret_variable(key: &str) -> Option<(&'static str, &'static str)> {
    let name = keys::variable(key);
    let secrets = credential_names::NAMES
        .into_iter()
        .zip(credential_names::FILE_KEYS);
    // An underscore in place of the dash is the same mistake.
    let name = name
        .strip_suffix("_FILE")
        .filter(|_| !is_known(key))
        .unwrap_or(&name)
        .to_owned();
    secrets.into_iter().find(|(variable, _)| *variable == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(Path::new("fleet.toml"), text).map_err(|error| error.to_string())
    }

    fn entry(text: &str, line: usize) -> Entry {
        Entry {
            text: text.to_owned(),
            line,
        }
    }

    #[test]
    fn values_keep_their_text_and_line() {
        let file = parse(
            "rate = 0.5\nchunk-size = 1_000\n\n[profile.eu]\nregion = \"europe\"\ninsecure-http = true\n",
        )
        .unwrap();
        assert_eq!(file.at_top("rate"), Some(&entry("0.5", 1)));
        assert_eq!(file.at_top("chunk-size"), Some(&entry("1000", 2)));
        assert_eq!(file.in_profile("eu", "region"), Some(&entry("europe", 5)));
        assert_eq!(
            file.in_profile("eu", "insecure-http"),
            Some(&entry("true", 6))
        );
        assert_eq!(file.in_profile("eu", "rate"), None);
        assert_eq!(file.in_profile("cn", "rate"), None);
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        let error = |text| parse(text).unwrap_err();
        assert_eq!(
            error("\nraet = 5"),
            "fleet.toml:2: unknown key \"raet\"; did you mean rate?"
        );
        assert_eq!(
            error("[profile.eu]\nmax_attempts = 5"),
            "fleet.toml:2: unknown key \"max_attempts\"; did you mean max-attempts?"
        );
        assert_eq!(
            error("[profiles.eu]\nrate = 5"),
            "fleet.toml:1: unknown key \"profiles\"; did you mean profile?"
        );
        assert_eq!(
            error("[profile.eu]\nproduct-key = 'PK0001'"),
            "fleet.toml:2: --product-key can only be given on the command line, not in a config file: remove \"product-key\""
        );
        assert_eq!(
            error("rate = [5]"),
            "fleet.toml:1: \"rate\" is an array: write text, a number, or true or false"
        );
        assert_eq!(
            error("profile = 5"),
            "fleet.toml:1: write profiles as tables: [profile.NAME]"
        );
        assert_eq!(
            error("[profile]\neu = 5"),
            "fleet.toml:2: \"eu\" is not a profile: write [profile.eu]"
        );
        assert!(error("rate = 5\nrate = 6").starts_with("fleet.toml:2: duplicate key"));
        assert!(error("rate = \n").starts_with("fleet.toml:1: "));
    }

    #[test]
    fn files_of_secrets_may_be_named() {
        for key in credential_names::FILE_KEYS {
            let text = format!("[profile.eu]\n{key} = 'x'");
            let file = parse(&text).unwrap();
            assert_eq!(file.in_profile("eu", key), Some(&entry("x", 2)), "{key}");
        }
    }

    #[test]
    fn secrets_are_refused_with_the_way_out() {
        for key in ["access-secret", "access_secret", "access_secret_file"] {
            assert_eq!(
                parse(&format!("{key} = 'x'")).unwrap_err(),
                format!(
                    "fleet.toml:1: {key:?} does not belong in a config file: set FLEETPUSH_ACCESS_SECRET, \
                     or access-secret-file here to the path of a file that holds it"
                )
            );
        }
        assert!(parse("token = 'x'").unwrap_err().contains("token-file"));
    }
}
