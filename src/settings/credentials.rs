//! The credentials: from the environment or from files that it names, and from nowhere else.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{Environment, Error};
use crate::{files, model::CodePoint};

const ACCESS_KEY: &str = "FLEETPUSH_ACCESS_KEY";
const ACCESS_SECRET: &str = "FLEETPUSH_ACCESS_SECRET";
const TOKEN: &str = "FLEETPUSH_TOKEN";

/// The credentials, each by the variable that holds it; with `_FILE` at its end the variable names a file instead.
pub(super) const NAMES: [&str; 3] = [ACCESS_KEY, ACCESS_SECRET, TOKEN];

/// The variables that credentials can come from.
pub(super) const VARIABLES: [&str; 6] = [
    ACCESS_KEY,
    ACCESS_SECRET,
    TOKEN,
    "FLEETPUSH_ACCESS_KEY_FILE",
    "FLEETPUSH_ACCESS_SECRET_FILE",
    "FLEETPUSH_TOKEN_FILE",
];

/// Far above any key or token; a wrong path must not fill the memory.
const LARGEST_FILE: u64 = 64 * 1024;

/// Who pushes.
#[derive(Debug, Clone)]
pub enum Credentials {
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
pub enum CredentialsError {
    /// There are none.
    #[error(
        "no credentials: set {ACCESS_KEY} and {ACCESS_SECRET}, or {TOKEN}; or the same with _FILE at the end, to the path of a file that holds it"
    )]
    Missing,
    /// One half of the key pair is missing.
    #[error("{given} is set and {missing} is not: set {missing} or {missing}_FILE as well")]
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
    #[error("cannot read {}, which {variable}_FILE names", path.display())]
    Unreadable {
        /// The variable without `_FILE`.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A value cannot be what it is taken for; it is not shown.
    #[error("what {place} holds cannot be right: {reason}")]
    Unusable {
        /// The variable or the file.
        place: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Credentials {
    /// Reads the credentials of the environment.
    pub(super) fn resolve(environment: &Environment) -> Result<Self, Error> {
        let access_key = secret(environment, ACCESS_KEY)?;
        let access_secret = secret(environment, ACCESS_SECRET)?;
        let token = secret(environment, TOKEN)?;
        let half = |given, missing| Err(CredentialsError::Half { given, missing }.into());
        match (access_key, access_secret, token) {
            (None, None, None) => Err(CredentialsError::Missing.into()),
            (None, None, Some(token)) => Ok(Self::Token(token)),
            (_, _, Some(_)) => Err(CredentialsError::Both.into()),
            (Some(access_key), Some(access_secret), None) => Ok(Self::KeyPair {
                access_key: access_key.expose_secret().to_owned(),
                access_secret,
            }),
            (Some(_), None, None) => half(ACCESS_KEY, ACCESS_SECRET),
            (None, Some(_), None) => half(ACCESS_SECRET, ACCESS_KEY),
        }
    }
}

/// The text of a variable, or of the file that its `_FILE` variant names.
fn secret(
    environment: &Environment,
    variable: &'static str,
) -> Result<Option<SecretString>, Error> {
    let given = environment.text(variable)?;
    let file = environment.path(&format!("{variable}_FILE"));
    let (text, place) = match (given, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(CredentialsError::Twice { variable }.into()),
        (Some(text), None) => (SecretString::from(text), variable.to_owned()),
        (None, Some(path)) => {
            let place = format!("{}, which {variable}_FILE names,", path.display());
            let text = read(&path).map_err(|source| CredentialsError::Unreadable {
                variable,
                path,
                source,
            })?;
            (text, place)
        }
    };
    let reason = match text.expose_secret() {
        "" => "it is empty",
        text if text.len() as u64 > LARGEST_FILE => "it is longer than 64 KiB",
        // All three travel in a URL or a header of one line.
        text if text.chars().any(char::is_control) => {
            "it has a line break or another control character"
        }
        text if text.trim() != text => "it begins or ends with a blank",
        text if CodePoint::unseen_in(text).is_some() => {
            "it has an invisible character, such as a zero width space; copy it anew"
        }
        _ => return Ok(Some(text)),
    };
    Err(CredentialsError::Unusable { place, reason }.into())
}

/// What is careless about the files that hold credentials, and stops nothing.
pub(super) fn warnings(environment: &Environment) -> Vec<String> {
    NAMES
        .iter()
        .map(|name| format!("{name}_FILE"))
        .filter_map(|variable| Some((environment.path(&variable)?, variable)))
        .filter(|(path, _)| files::is_open_to_all(path))
        .map(|(path, variable)| {
            let path = path.display();
            format!(
                "every user of this machine can read {path}, which {variable} names: make it yours alone with chmod 600 {path}"
            )
        })
        .collect()
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

    fn resolve(variables: &[(&str, &str)]) -> Result<Credentials, String> {
        Credentials::resolve(&Environment::new(variables.iter().copied()))
            .map_err(|error| error.to_string())
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
                "it has an invisible character, such as a zero width space; copy it anew",
            ),
            (
                "\u{feff}\u{feff}a",
                "it has an invisible character, such as a zero width space; copy it anew",
            ),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let error = resolve(&[("FLEETPUSH_TOKEN_FILE", path.to_str().unwrap())]).unwrap_err();
            assert_eq!(
                error,
                format!(
                    "what {}, which FLEETPUSH_TOKEN_FILE names, holds cannot be right: {reason}",
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
    fn what_is_missing_or_too_much_is_named() {
        let error = |variables| resolve(variables).unwrap_err();
        assert!(error(&[]).starts_with(
            "no credentials: set FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET, or FLEETPUSH_TOKEN;"
        ));
        assert_eq!(
            error(&[(ACCESS_KEY, "ak")]),
            "FLEETPUSH_ACCESS_KEY is set and FLEETPUSH_ACCESS_SECRET is not: set FLEETPUSH_ACCESS_SECRET or FLEETPUSH_ACCESS_SECRET_FILE as well"
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
