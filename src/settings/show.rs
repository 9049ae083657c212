//! Every setting with its value and where it stands, for `fleetpush config show`.

use std::path::Path;

use super::{
    Database, Error, Origin, credential_names,
    credentials::{self, CredentialsError},
    database::on_server,
    environment::{CONFIG, PROFILE},
    source::Sources,
};
use crate::{
    cli::{
        ConfigShowArgs, GivenSettings,
        keys::{self, Described},
    },
    model::{LogFormat, RowFormat},
};

/// `fleetpush config show`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Show {
    /// The settings, in the order of the config file, its profile, the settings and the credentials.
    pub settings: Vec<Shown>,
    /// The form of the rows.
    pub format: RowFormat,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub name: String,
    /// What it is, as it was written.
    pub value: ShownValue,
    /// Where it stands.
    pub origin: Origin,
    /// The profile, when it stands in one.
    pub profile: Option<String>,
}

/// What a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShownValue {
    /// Nobody gives it, and it has no default.
    Unset,
    /// A text that can be read.
    Text(String),
    /// A secret, which is not even read.
    Secret,
}

/// Which of the flags that name the config file and its profile were given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) config: bool,
    pub(super) profile: bool,
}

impl Show {
    /// Finds every setting and checks its text. Of a credential only its variable is looked at.
    pub(super) fn resolve(
        args: ConfigShowArgs,
        db: Option<&Path>,
        log_format: Option<LogFormat>,
        chosen: Chosen,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ConfigShowArgs { format, given } = args;
        let mut settings = vec![
            outer(
                "config",
                sources.config_file().map(|path| path.display().to_string()),
                chosen.config,
                sources.environment.path(CONFIG).map(|_| CONFIG),
            ),
            outer(
                "profile",
                sources.profile().map(ToOwned::to_owned),
                chosen.profile,
                sources.environment.text(PROFILE)?.map(|_| PROFILE),
            ),
        ];
        for described in keys::ALL {
            let flag = if described.name == keys::DB.name {
                db.map(|path| path.display().to_string())
            } else if described.name == keys::LOG_FORMAT.key.name {
                log_format.map(|format| format.to_string())
            } else {
                flag_text(&given, described)
            };
            let mut shown = setting(described, flag, sources)?;
            if described.name == keys::DB.name {
                // The file itself: without a setting it has a place all the same, and in a file it is meant from that file's folder.
                let named = sources.find(&keys::DB, db.map(Path::to_owned))?;
                let server = named.as_ref().map(on_server).transpose()?.flatten();
                shown.value = ShownValue::Text(match server {
                    Some(address) => address.as_str().to_owned(),
                    None => Database::resolve(db.map(Path::to_owned), false, sources)?
                        .file()
                        .map(|path| path.display().to_string())
                        .unwrap_or_default(),
                });
            }
            settings.push(shown);
        }
        for which in 0..credential_names::NAMES.len() {
            settings.push(credential(which, sources)?);
        }
        settings.push(database_password(sources)?);
        Ok(Self {
            settings,
            format: format.unwrap_or(RowFormat::Table),
        })
    }
}

fn flag_text(given: &GivenSettings, described: &Described) -> Option<String> {
    given.get(described.name).map(ToOwned::to_owned)
}

/// The config file or its profile, which no file can name.
fn outer(name: &str, value: Option<String>, flag: bool, variable: Option<&str>) -> Shown {
    let origin = match variable {
        _ if flag => Origin::Flag,
        Some(variable) => Origin::Variable(variable.to_owned()),
        None => Origin::Default,
    };
    Shown {
        name: name.to_owned(),
        value: value.map_or(ShownValue::Unset, ShownValue::Text),
        origin,
        profile: None,
    }
}

fn setting(
    described: &Described,
    flag: Option<String>,
    sources: &Sources<'_>,
) -> Result<Shown, Error> {
    let found = match flag {
        Some(text) => Some((text, Origin::Flag)),
        None => sources
            .text(described.name)?
            .map(|(text, origin)| (text.to_owned(), origin)),
    };
    let (text, origin) = match found {
        Some((text, origin)) => (Some(text), origin),
        None => (described.default.map(ToOwned::to_owned), Origin::Default),
    };
    if let Some(text) = &text {
        (described.check)(text).map_err(|reason| Error::Value {
            name: described.name,
            value: text.clone(),
            origin: origin.clone(),
            reason,
        })?;
    }
    let profile = matches!(origin, Origin::Profile { .. })
        .then(|| sources.profile().map(ToOwned::to_owned))
        .flatten();
    Ok(Shown {
        name: described.name.to_owned(),
        value: text.map_or(ShownValue::Unset, ShownValue::Text),
        origin,
        profile,
    })
}

/// A credential, by the name that a flag for it would have.
fn credential(which: usize, sources: &Sources<'_>) -> Result<Shown, Error> {
    let variable = credential_names::NAMES[which];
    let is_set = sources.environment.text(variable)?.is_some();
    let (value, origin) = match (is_set, credentials::file(which, sources)?) {
        (true, Some((_, _, Origin::Variable(_)))) => {
            return Err(CredentialsError::Twice { variable }.into());
        }
        (true, _) => (ShownValue::Secret, Origin::Variable(variable.to_owned())),
        (false, Some((_, _, origin))) => (ShownValue::Secret, origin),
        (false, None) => (ShownValue::Unset, Origin::Default),
    };
    let profile = matches!(origin, Origin::Profile { .. })
        .then(|| sources.profile().map(ToOwned::to_owned))
        .flatten();
    Ok(Shown {
        name: flag_name(variable),
        value,
        origin,
        profile,
    })
}

/// The password of a results database on a server. What PostgreSQL's own file of passwords has depends on the server, and is not looked at.
fn database_password(sources: &Sources<'_>) -> Result<Shown, Error> {
    let (value, origin) = match credentials::database_origin(sources)? {
        Some(origin) => (ShownValue::Secret, origin),
        None => (ShownValue::Unset, Origin::Default),
    };
    Ok(Shown {
        name: flag_name(credential_names::DB_PASSWORD),
        value,
        origin,
        profile: None,
    })
}

/// The name that a flag for this variable would have.
fn flag_name(variable: &str) -> String {
    let name = variable.trim_start_matches(keys::PREFIX);
    name.to_ascii_lowercase().replace('_', "-")
}
