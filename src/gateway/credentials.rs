//! The credentials for the platform, and the signature made from them.

use std::fmt::Write;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::model::Timestamp;

/// How to get a token. Secrets are not printed by `Debug`.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// An AccessKey pair: tokens are got by login and renewed.
    Key {
        access_key: String,
        access_secret: SecretString,
    },
    /// A ready token, sent as it is; it cannot be renewed.
    Token(SecretString),
}

/// The `username` of a login at this time.
pub(super) fn username(access_key: &str, now: Timestamp) -> String {
    format!(
        "ver=1&auth_mode=accessKey&sign_method=sha256&access_key={access_key}&timestamp={}",
        now.0
    )
}

/// The `password` of a login: the lower-case hex SHA-256 of the un-encoded username followed by the AccessSecret.
pub(super) fn password(username: &str, access_secret: &SecretString) -> String {
    let digest = Sha256::new()
        .chain_update(username)
        .chain_update(access_secret.expose_secret())
        .finalize();
    digest
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published on the vendor's page "OpenAPI Integration Guide".
    #[test]
    fn the_published_vector_holds() {
        let username = username("24b9zicjuns41H6MDg71AMnP", Timestamp(1_743_059_249_391));
        assert_eq!(
            password(
                &username,
                &"6AE3p2SnA9ShP7ofigrccoeeks8DDoteJ1jUUTEz".into()
            ),
            "34fe86986230670cba424cadd01ded50f04929de3bfb0b0aef033ccee314fed1"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = Credentials::Key {
            access_key: "AK".into(),
            access_secret: "hunter2".into(),
        };
        let token = Credentials::Token("QJWT hunter2".into());
        assert!(!format!("{key:?} {token:?}").contains("hunter2"));
    }
}
