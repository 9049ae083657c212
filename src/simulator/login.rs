//! The check of a login's credentials (platform notes, "Authentication").

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::{codes, scenario::Scenario};
use crate::model::Timestamp;

/// How far a login's timestamp may be from the platform's clock.
const TIMESTAMP_TOLERANCE_MS: u64 = 10 * 60 * 1000;

/// The parameters of a query, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Checks a login; the error is the code of the refusal.
pub(super) fn check(query: &Query, scenario: &Scenario, now: Timestamp) -> Result<(), i64> {
    let (Some("password"), Some(username), Some(password)) = (
        query.get("grant_type"),
        query.get("username"),
        query.get("password"),
    ) else {
        return Err(codes::PARAMETER_CHECK);
    };
    check_pair((username, password), scenario, now)
}

/// Checks a username and its password, which are the same for the API and for the message broker.
pub(super) fn check_pair(
    (username, password): (&str, &str),
    scenario: &Scenario,
    now: Timestamp,
) -> Result<(), i64> {
    let field = |name| {
        username
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    };
    let (Some("1"), Some("accessKey"), Some("sha256"), Some(access_key), Some(timestamp)) = (
        field("ver"),
        field("auth_mode"),
        field("sign_method"),
        field("access_key").filter(|key| !key.is_empty()),
        field("timestamp").and_then(|text| text.parse::<i64>().ok()),
    ) else {
        return Err(codes::PARAMETER_CHECK);
    };

    let unknown = scenario
        .access_key
        .as_deref()
        .is_some_and(|known| known != access_key);
    if unknown || scenario.access_key_disabled {
        return Err(codes::ACCESS_KEY_UNKNOWN);
    }
    if timestamp.abs_diff(now.0.saturating_add(scenario.clock_skew_ms)) > TIMESTAMP_TOLERANCE_MS {
        return Err(codes::TIMESTAMP);
    }
    let is_digest = password.len() == 64
        && password
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_signed = scenario
        .access_secret
        .as_deref()
        .is_none_or(|secret| sign(username, secret) == password);
    if is_digest && is_signed {
        Ok(())
    } else {
        Err(codes::SIGNATURE)
    }
}

/// Lower-case hex SHA-256 of the username followed directly by the AccessSecret.
fn sign(username: &str, access_secret: &str) -> String {
    let digest = Sha256::new()
        .chain_update(username)
        .chain_update(access_secret)
        .finalize();
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vendor's published test vector.
    const ACCESS_KEY: &str = "24b9zicjuns41H6MDg71AMnP";
    const ACCESS_SECRET: &str = "6AE3p2SnA9ShP7ofigrccoeeks8DDoteJ1jUUTEz";
    const TIME: Timestamp = Timestamp(1_743_059_249_391);
    const PASSWORD: &str = "34fe86986230670cba424cadd01ded50f04929de3bfb0b0aef033ccee314fed1";

    fn username() -> String {
        format!(
            "ver=1&auth_mode=accessKey&sign_method=sha256&access_key={ACCESS_KEY}&timestamp={}",
            TIME.0
        )
    }

    fn query(grant_type: &str, username: &str, password: &str) -> Query {
        let text = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", grant_type)
            .append_pair("username", username)
            .append_pair("password", password)
            .finish();
        Query::parse(&text)
    }

    fn scenario() -> Scenario {
        Scenario {
            access_key: Some(ACCESS_KEY.to_owned()),
            access_secret: Some(ACCESS_SECRET.to_owned()),
            ..Scenario::default()
        }
    }

    #[test]
    fn the_published_test_vector_logs_in() {
        let good = query("password", &username(), PASSWORD);
        assert_eq!(check(&good, &scenario(), TIME), Ok(()));
    }

    #[test]
    fn every_mistake_of_a_login_has_its_code() {
        let user = |from, to| query("password", &username().replace(from, to), PASSWORD);
        let password = |text: &str| query("password", &username(), text);
        for (case, query, code) in [
            ("nothing", Query::parse(""), 50005),
            ("grant type", query("client", &username(), PASSWORD), 50005),
            ("no user", query("password", "", PASSWORD), 50005),
            ("version", user("ver=1", "ver=2"), 50005),
            ("mode", user("auth_mode", "mode"), 50005),
            ("method", user("sha256", "md5"), 50005),
            ("time", user("timestamp=", "timestamp=x"), 50005),
            ("no key", user(ACCESS_KEY, ""), 50005),
            ("key", user(ACCESS_KEY, "other"), 90047),
            ("upper case", password(&PASSWORD.to_uppercase()), 90048),
            ("digest", password(&PASSWORD.replace('3', "4")), 90048),
            ("no password", password(""), 90048),
        ] {
            assert_eq!(check(&query, &scenario(), TIME), Err(code), "{case}");
        }
    }

    #[test]
    fn without_a_secret_any_well_formed_login_passes() {
        let any = Scenario::default();
        let digest = query("password", &username(), &"0".repeat(64));
        assert_eq!(check(&digest, &any, TIME), Ok(()));
        let no_digest = query("password", &username(), "secret");
        assert_eq!(check(&no_digest, &any, TIME), Err(90048));
    }

    #[test]
    fn a_clock_may_be_ten_minutes_off_and_no_more() {
        let good = query("password", &username(), PASSWORD);
        let at = |offset, clock_skew_ms| {
            let scenario = Scenario {
                clock_skew_ms,
                ..scenario()
            };
            check(&good, &scenario, Timestamp(TIME.0 + offset))
        };
        assert_eq!(at(600_000, 0), Ok(()));
        assert_eq!(at(-600_000, 0), Ok(()));
        assert_eq!(at(600_001, 0), Err(90049));
        assert_eq!(at(-600_001, 0), Err(90049));
        assert_eq!(at(0, 600_001), Err(90049));
    }

    #[test]
    fn a_disabled_access_key_does_not_log_in() {
        let disabled = Scenario {
            access_key_disabled: true,
            ..scenario()
        };
        let good = query("password", &username(), PASSWORD);
        assert_eq!(check(&good, &disabled, TIME), Err(90047));
    }
}
