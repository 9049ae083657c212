//! The credentials: from the environment, or from files that it or the config file names, and from nowhere else.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    Error, Origin,
    credential_names::{
        ACCESS_KEY, ACCESS_SECRET, DB_PASSWORD, DB_PASSWORD_FILE, FILE_KEYS, NAMES, TOKEN,
    },
    source::{Found, Sources},
};
use crate::{files, model::CodePoint};

/// Far above any key or token; a wrong path must not fill the memory.
const LARGEST_FILE: u64 = 64 * 1024;

/// Who pushes.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// An AccessKey and its AccessSecret, which log in.
    KeyPair {
        /// The AccessKey.
        access_key: String,
        /// The AccessSecret.
        access_secret: SecretString,
    },
    /// A token made elsewhere, which nobody here can renew.
    Token(SecretString),
}

/// The credentials are missing or wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// There are none.
    #[error(
        "no credentials: set {ACCESS_KEY} and {ACCESS_SECRET}, or {TOKEN}; or the same with _FILE at the end, to the path of a file that holds it; in a config file: access-key-file and access-secret-file, or token-file"
    )]
    Missing,
    /// One half of the key pair is missing.
    #[error(
        "{given} is set and {missing} is not: set {missing} or {missing}_FILE as well, or its file in the config file"
    )]
    Half {
        /// The variable that is set.
        given: &'static str,
        /// The variable that is not.
        missing: &'static str,
    },
    /// A key pair and a token.
    #[error(
        "{ACCESS_KEY} with {ACCESS_SECRET} and {TOKEN} are both set (or their _FILE variants): keep the key pair or the token"
    )]
    Both,
    /// A value and a file for the same thing.
    #[error("{variable} and {variable}_FILE are both set: keep one of them")]
    Twice {
        /// The variable without `_FILE`.
        variable: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}, which {by} names", path.display())]
    Unreadable {
        /// The variable or the key that names it.
        by: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A value cannot be what it is taken for; it is not shown.
    #[error("the content of {place} is invalid: {reason}")]
    Unusable {
        /// The variable or the file.
        place: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Credentials {
    /// Reads the credentials. Those of the environment go before those of a profile, and those before the ones at the config file's top,
    /// so that a token of the one does not meet a key pair of the other.
    pub(super) fn resolve(sources: &Sources<'_>) -> Result<Self, Error> {
        let [mut access_key, mut access_secret, mut token] =
            [find(0, sources)?, find(1, sources)?, find(2, sources)?];
        let strength = |place: &Option<Place>| place.as_ref().map(|place| place.origin.strength());
        let pair = strength(&access_key).max(strength(&access_secret));
        match strength(&token).cmp(&pair) {
            Ordering::Less => token = None,
            Ordering::Greater => (access_key, access_secret) = (None, None),
            Ordering::Equal if token.is_some() => return Err(CredentialsError::Both.into()),
            Ordering::Equal => {}
        }
        let half = |given, missing| Err(CredentialsError::Half { given, missing }.into());
        match (access_key, access_secret, token) {
            (None, None, None) => Err(CredentialsError::Missing.into()),
            (_, _, Some(token)) => Ok(Self::Token(token.read()?)),
            (Some(access_key), Some(access_secret), None) => Ok(Self::KeyPair {
                access_key: access_key.read()?.expose_secret().to_owned(),
                access_secret: access_secret.read()?,
            }),
            (Some(_), None, None) => half(ACCESS_KEY, ACCESS_SECRET),
            (None, Some(_), None) => half(ACCESS_SECRET, ACCESS_KEY),
        }
    }
}

impl Credentials {
    /// A fingerprint of the account: enough to know the same AccessKey again, and nothing to find it by. A token is another one each time
    /// and tells nothing of its account.
    pub(crate) fn account(&self) -> Option<String> {
        match self {
            Self::KeyPair { access_key, .. } => {
                let digest = Sha256::digest(format!("fleetpush account\n{access_key}"));
                let start: [u8; 8] = std::array::from_fn(|place| digest[place]);
                Some(format!("{:016x}", u64::from_be_bytes(start)))
            }
            Self::Token(_) => None,
        }
    }
}

/// Where a credential is, before it is read.
struct Place {
    held: Held,
    /// The variable or the key that gives it.
    by: String,
    origin: Origin,
}

enum Held {
    Text(SecretString),
    File(PathBuf),
}

/// Where the credential of this number in [`NAMES`] is: the text of its variable, or the file that its `_FILE` variant or the config file
/// names.
fn find(which: usize, sources: &Sources<'_>) -> Result<Option<Place>, Error> {
    let variable = NAMES[which];
    let given = sources.environment.text(variable)?;
    match (given, file(which, sources)?) {
        (None, None) => Ok(None),
        (Some(_), Some((_, by, Origin::Variable(_)))) if by.ends_with("_FILE") => {
            Err(CredentialsError::Twice { variable }.into())
        }
        (Some(text), _) => Ok(Some(Place {
            held: Held::Text(SecretString::from(text)),
            by: variable.to_owned(),
            origin: Origin::Variable(variable.to_owned()),
        })),
        (None, Some((path, by, origin))) => Ok(Some(Place {
            held: Held::File(path),
            by,
            origin,
        })),
    }
}

/// The file of a credential, what names it, and where that stands.
pub(super) fn file(
    which: usize,
    sources: &Sources<'_>,
) -> Result<Option<(PathBuf, String, Origin)>, Error> {
    let variable = format!("{}_FILE", NAMES[which]);
    // A path need not be text.
    if let Some(path) = sources.environment.path(&variable) {
        return Ok(Some((path, variable.clone(), Origin::Variable(variable))));
    }
    let key = FILE_KEYS[which];
    Ok(sources.text(key)?.map(|(text, origin)| {
        let by = format!("{key} {origin}");
        let found = Found {
            value: PathBuf::from(text),
            origin: origin.clone(),
        };
        (found.into_path(), by, origin)
    }))
}

impl Place {
    fn read(self) -> Result<SecretString, Error> {
        let Self { held, by, .. } = self;
        let (text, place) = match held {
            Held::Text(text) => (text, by),
            Held::File(path) => {
                let place = format!("{}, which {by} names,", path.display());
                let text = read(&path).map_err(|source| CredentialsError::Unreadable {
                    by,
                    path,
                    source,
                })?;
                (text, place)
            }
        };
        usable(text, place)
    }
}

fn usable(text: SecretString, place: String) -> Result<SecretString, Error> {
    let reason = match text.expose_secret() {
        "" => "it is empty",
        text if text.len() as u64 > LARGEST_FILE => "it is longer than 64 KiB",
        // All three travel in a URL or a header of one line.
        text if text.chars().any(char::is_control) => {
            "it has a line break or another control character"
        }
        text if text.trim() != text => "it begins or ends with a blank",
        text if CodePoint::unseen_in(text).is_some() => {
            "it has an invisible character, such as a zero width space; copy it again"
        }
        _ => return Ok(text),
    };
    Err(CredentialsError::Unusable { place, reason }.into())
}

/// The password for a results database on a server, where a variable or the file that it names has one.
pub(super) fn database_password(sources: &Sources<'_>) -> Result<Option<SecretString>, Error> {
    database_place(sources)?.map(Place::read).transpose()
}

/// The variable that gives this password.
pub(super) fn database_origin(sources: &Sources<'_>) -> Result<Option<Origin>, Error> {
    Ok(database_place(sources)?.map(|place| place.origin))
}

fn database_place(sources: &Sources<'_>) -> Result<Option<Place>, Error> {
    let given = sources.environment.text(DB_PASSWORD)?;
    let (held, by) = match (given, sources.environment.path(DB_PASSWORD_FILE)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(CredentialsError::Twice {
                variable: DB_PASSWORD,
            }
            .into());
        }
        (Some(text), None) => (Held::Text(text.into()), DB_PASSWORD),
        (None, Some(path)) => (Held::File(path), DB_PASSWORD_FILE),
    };
    Ok(Some(Place {
        held,
        by: by.to_owned(),
        origin: Origin::Variable(by.to_owned()),
    }))
}

/// What is careless about the files that hold credentials, and stops nothing.
pub(super) fn warnings(sources: &Sources<'_>) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for which in 0..NAMES.len() {
        if let Some((path, by, _)) = file(which, sources)? {
            warnings.extend(carelessness(&path, &by));
        }
    }
    Ok(warnings)
}

/// The same of the file with the database's password.
pub(super) fn database_warning(sources: &Sources<'_>) -> Option<String> {
    let path = sources.environment.path(DB_PASSWORD_FILE)?;
    carelessness(&path, DB_PASSWORD_FILE)
}

fn carelessness(path: &Path, by: &str) -> Option<String> {
    let shown = path.display();
    files::is_open_to_all(path).then(|| {
        format!(
            "every user of this machine can read {shown}, which {by} names: restrict it with chmod 600 {shown}"
        )
    })
}

/// The text of a file without the line break at its end and the byte order mark at its beginning, which editors add.
fn read(path: &Path) -> std::io::Result<SecretString> {
    // Room for a mark and a line break. An error does not show what was read.
    let text = files::read_small(path, LARGEST_FILE + 5)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.strip_suffix('\n').unwrap_or(text);
    Ok(line.strip_suffix('\r').unwrap_or(line).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Environment;

    fn resolve(variables: &[(&str, &str)]) -> Result<Credentials, String> {
        let environment = Environment::new(variables.iter().copied());
        let sources = Sources::load(&environment, None, None).unwrap();
        Credentials::resolve(&sources).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_pair_or_a_token() {
        let pair = resolve(&[(ACCESS_KEY, "ak"), (ACCESS_SECRET, "as")]).unwrap();
        assert!(matches!(
            pair,
            Credentials::KeyPair { access_key, access_secret }
                if access_key == "ak" && access_secret.expose_secret() == "as"
        ));
        let token = resolve(&[(TOKEN, "QJWT eyJ")]).unwrap();
        assert!(matches!(token, Credentials::Token(token) if token.expose_secret() == "QJWT eyJ"));
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (written, read) in [
            ("QJWT a", "QJWT a"),
            ("QJWT a\n", "QJWT a"),
            ("QJWT a\r\n", "QJWT a"),
            ("\u{feff}QJWT a\r\n", "QJWT a"),
        ] {
            std::fs::write(&path, written).unwrap();
            let token = resolve(&[("FLEETPUSH_TOKEN_FILE", path.to_str().unwrap())]).unwrap();
            assert!(matches!(token, Credentials::Token(token) if token.expose_secret() == read));
        }
        for (wrong, reason) in [
            ("", "it is empty"),
            ("\n", "it is empty"),
            ("a\nb\n", "it has a line break or another control character"),
            (" a\n", "it begins or ends with a blank"),
            (
                "a\u{200b}b",
                "it has an invisible character, such as a zero width space; copy it again",
            ),
            (
                "\u{feff}\u{feff}a",
                "it has an invisible character, such as a zero width space; copy it again",
            ),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let error = resolve(&[("FLEETPUSH_TOKEN_FILE", path.to_str().unwrap())]).unwrap_err();
            assert_eq!(
                error,
                format!(
                    "the content of {}, which FLEETPUSH_TOKEN_FILE names, is invalid: {reason}",
                    path.display()
                )
            );
        }
        for (more, words) in [(1, "it is longer than 64 KiB"), (10, "names")] {
            std::fs::write(&path, "a".repeat(LARGEST_FILE as usize + more)).unwrap();
            let error = resolve(&[("FLEETPUSH_TOKEN_FILE", path.to_str().unwrap())]).unwrap_err();
            assert!(error.ends_with(words), "{error}");
        }
    }

    #[test]
    fn a_profile_names_the_files_and_the_environment_wins() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("team.key", "team\n");
        write("team.secret", "hush\n");
        write("common.token", "QJWT common\n");
        write(
            "config.toml",
            "token-file = \"common.token\"\n[profile.team]\naccess-key-file = \"team.key\"\naccess-secret-file = \"team.secret\"\n\
             [profile.half]\naccess-key-file = \"team.key\"\n[profile.gone]\ntoken-file = \"nowhere\"\n",
        );
        let resolve = |profile: Option<&str>, variables: &[(&str, &str)]| {
            let environment = Environment::new(variables.iter().copied());
            let config = Some(folder.path().join("config.toml"));
            let sources = Sources::load(&environment, config, profile.map(Into::into)).unwrap();
            match Credentials::resolve(&sources) {
                Ok(Credentials::KeyPair {
                    access_key,
                    access_secret,
                }) => format!("{access_key} {}", access_secret.expose_secret()),
                Ok(Credentials::Token(token)) => token.expose_secret().to_owned(),
                Err(error) => error
                    .to_string()
                    .replace(&folder.path().display().to_string(), "DIR"),
            }
        };
        assert_eq!(resolve(None, &[]), "QJWT common");
        assert_eq!(resolve(Some("team"), &[]), "team hush");
        assert_eq!(resolve(Some("team"), &[(TOKEN, "mine")]), "mine");
        assert_eq!(
            resolve(Some("team"), &[(ACCESS_SECRET, "new")]),
            "team new",
            "the AccessKey of the one and the secret of the other are a pair"
        );
        let half = resolve(Some("half"), &[]);
        assert!(
            half.starts_with("FLEETPUSH_ACCESS_KEY is set and"),
            "{half}"
        );
        assert_eq!(
            resolve(Some("gone"), &[]),
            "cannot read DIR/nowhere, which token-file in DIR/config.toml:8 names"
        );
    }

    #[test]
    fn an_account_is_known_by_its_key_and_not_by_its_secret() {
        let account = |key: &str, secret: &str| {
            resolve(&[(ACCESS_KEY, key), (ACCESS_SECRET, secret)])
                .unwrap()
                .account()
                .unwrap()
        };
        assert_eq!(account("ak", "one"), account("ak", "another"));
        assert_ne!(account("ak", "one"), account("ak2", "one"));
        assert!(!account("ak", "one").contains("ak"));
        assert_eq!(resolve(&[(TOKEN, "t")]).unwrap().account(), None);
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        let error = |variables| resolve(variables).unwrap_err();
        assert!(error(&[]).starts_with(
            "no credentials: set FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET, or FLEETPUSH_TOKEN;"
        ));
        assert_eq!(
            error(&[(ACCESS_KEY, "ak")]),
            "FLEETPUSH_ACCESS_KEY is set and FLEETPUSH_ACCESS_SECRET is not: set FLEETPUSH_ACCESS_SECRET or FLEETPUSH_ACCESS_SECRET_FILE as well, or its file in the config file"
        );
        assert!(error(&[(ACCESS_SECRET, "as")]).starts_with("FLEETPUSH_ACCESS_SECRET is set and"));
        for mixed in [
            &[(ACCESS_KEY, "ak"), (ACCESS_SECRET, "as"), (TOKEN, "t")][..],
            &[(ACCESS_KEY, "ak"), (TOKEN, "t")],
        ] {
            assert!(error(mixed).contains("keep the key pair or the token"));
        }
        assert_eq!(
            error(&[(TOKEN, "t"), ("FLEETPUSH_TOKEN_FILE", "/nowhere")]),
            "FLEETPUSH_TOKEN and FLEETPUSH_TOKEN_FILE are both set: keep one of them"
        );
        assert_eq!(
            error(&[("FLEETPUSH_TOKEN_FILE", "/nowhere/token")]),
            "cannot read /nowhere/token, which FLEETPUSH_TOKEN_FILE names"
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let pair = resolve(&[(ACCESS_KEY, "ak"), (ACCESS_SECRET, "hush")]).unwrap();
        assert!(!format!("{pair:?}").contains("hush"));
        let error = resolve(&[(TOKEN, "hush\nhush")]).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
