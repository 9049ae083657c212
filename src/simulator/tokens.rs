//! Logins and the tokens that they give (platform notes, "Authentication").

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::{chance::mix, codes, reply::Reply, scenario::Scenario, stats::Counters};
use crate::model::Timestamp;

/// How far a login's timestamp may be from the platform's clock.
const TIMESTAMP_TOLERANCE_MS: u64 = 10 * 60 * 1000;

/// The tokens that have been given.
#[derive(Default)]
pub(super) struct Tokens {
    given: RwLock<HashMap<String, Token>>,
    count: AtomicU64,
}

struct Token {
    made_at: Timestamp,
    used: AtomicU64,
}

impl Token {
    fn has_expired(&self, scenario: &Scenario, now: Timestamp) -> bool {
        let age = self.made_at.until(now).as_millis();
        let too_old = scenario
            .token_lifetime_ms
            .is_some_and(|lifetime| age >= u128::from(lifetime));
        let worn_out = scenario
            .token_requests
            .is_some_and(|limit| self.used.load(Ordering::Relaxed) >= limit);
        too_old || worn_out
    }
}

impl Tokens {
    /// Checks the token of a call, which is then one use nearer to its end; the error is the code of the refusal.
    pub(super) fn check(
        &self,
        token: Option<&str>,
        scenario: &Scenario,
        now: Timestamp,
    ) -> Result<(), i64> {
        if scenario.access_key_disabled {
            return Err(codes::TOKEN_UNKNOWN);
        }
        let Some(text) = token else {
            return Err(codes::TOKEN_UNKNOWN);
        };
        if scenario.ready_token.as_deref() == Some(text) {
            return Ok(());
        }
        let given = self.given.read().unwrap_or_else(PoisonError::into_inner);
        let token = given.get(text).ok_or(codes::TOKEN_UNKNOWN)?;
        if token.has_expired(scenario, now) {
            return Err(codes::TOKEN_EXPIRED);
        }
        token.used.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Answers `accessKeyLogin`.
    pub(super) fn log_in(
        &self,
        counters: &Counters,
        (method, query): (&Method, &str),
        scenario: &Scenario,
        now: Timestamp,
    ) -> Reply {
        if method != Method::GET {
            return Reply::html(hyper::StatusCode::METHOD_NOT_ALLOWED);
        }
        match check_login(&Query::parse(query), scenario, now) {
            Ok(()) => {
                counters.lock().logins += 1;
                token_reply(&self.give(scenario, now), scenario)
            }
            Err(code) => refused(counters, code),
        }
    }

    /// Answers `refreshToken`.
    pub(super) fn refresh(
        &self,
        counters: &Counters,
        (method, query): (&Method, &str),
        scenario: &Scenario,
        now: Timestamp,
    ) -> Reply {
        if method != Method::GET {
            return Reply::html(hyper::StatusCode::METHOD_NOT_ALLOWED);
        }
        let query = Query::parse(query);
        let old = match query.get("refresh_token") {
            Some(token) if query.get("grant_type") == Some("refresh_token") => token,
            _ => return refused(counters, codes::PARAMETER_CHECK),
        };
        if scenario.access_key_disabled {
            return refused(counters, codes::ACCESS_KEY_UNKNOWN);
        }
        let state = {
            let given = self.given.read().unwrap_or_else(PoisonError::into_inner);
            given.get(old).map(|token| {
                let age = token.made_at.until(now).as_millis();
                (
                    token.has_expired(scenario, now),
                    age < u128::from(scenario.refresh_after_ms),
                )
            })
        };
        let token = match state {
            None => return refused(counters, codes::TOKEN_UNKNOWN),
            Some((true, _)) => return refused(counters, codes::TOKEN_EXPIRED),
            Some((false, true)) => old.to_owned(),
            // The notes do not say that the old token dies, and requests may be on their way with it.
            Some((false, false)) => self.give(scenario, now),
        };
        counters.lock().refreshes += 1;
        token_reply(&token, scenario)
    }

    fn give(&self, scenario: &Scenario, now: Timestamp) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        // Two simulators one after the other give different tokens, as two platforms would.
        let secret = mix(scenario.seed ^ mix(now.0 as u64 ^ (number << 48)));
        let text = format!("QJWT eyJhbGciOiJIUzI1NiJ9.{number:08x}.{secret:016x}");
        let mut given = self.given.write().unwrap_or_else(PoisonError::into_inner);
        given.insert(
            text.clone(),
            Token {
                made_at: now,
                used: AtomicU64::new(0),
            },
        );
        text
    }
}

fn token_reply(token: &str, scenario: &Scenario) -> Reply {
    Reply::json(&json!({
        "msg": "OK",
        "access_token": token,
        "code": codes::OK,
        "scope": "",
        "token_type": "jwt",
        "expires_in": scenario.expires_in,
    }))
}

fn refused(counters: &Counters, code: i64) -> Reply {
    counters.lock().logins_refused += 1;
    let text = codes::text(code);
    Reply::json(&json!({"msg": text, "code": code, "error": text}))
}

/// The parameters of a query, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

fn check_login(query: &Query, scenario: &Scenario, now: Timestamp) -> Result<(), i64> {
    let (Some("password"), Some(username), Some(password)) = (
        query.get("grant_type"),
        query.get("username"),
        query.get("password"),
    ) else {
        return Err(codes::PARAMETER_CHECK);
    };
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

    fn query(grant_type: &str, username: &str, password: &str) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", grant_type)
            .append_pair("username", username)
            .append_pair("password", password)
            .finish()
    }

    fn scenario() -> Scenario {
        Scenario {
            access_key: Some(ACCESS_KEY.to_owned()),
            access_secret: Some(ACCESS_SECRET.to_owned()),
            ..Scenario::default()
        }
    }

    fn parsed(reply: &Reply) -> serde_json::Value {
        assert_eq!(reply.status, hyper::StatusCode::OK);
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn log_in(
        tokens: &Tokens,
        query: &str,
        scenario: &Scenario,
        now: Timestamp,
    ) -> serde_json::Value {
        parsed(&tokens.log_in(&Counters::default(), (&Method::GET, query), scenario, now))
    }

    fn refresh(
        tokens: &Tokens,
        token: &str,
        scenario: &Scenario,
        now: Timestamp,
    ) -> serde_json::Value {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token)
            .finish();
        parsed(&tokens.refresh(&Counters::default(), (&Method::GET, &query), scenario, now))
    }

    #[test]
    fn the_published_test_vector_logs_in() {
        let good = query("password", &username(), PASSWORD);
        let reply = log_in(&Tokens::default(), &good, &scenario(), TIME);
        assert_eq!(reply["code"], 200);
        assert_eq!(reply["expires_in"], 86400);
        assert_eq!(reply["token_type"], "jwt");
        assert!(
            reply["access_token"]
                .as_str()
                .unwrap()
                .starts_with("QJWT eyJ")
        );
    }

    #[test]
    fn every_mistake_of_a_login_has_its_code() {
        let other_key = username().replace(ACCESS_KEY, "other");
        let wrong = |password: &str| query("password", &username(), password);
        for (query, code) in [
            (String::new(), 50005),
            (query("client", &username(), PASSWORD), 50005),
            (query("password", "", PASSWORD), 50005),
            (
                query("password", &username().replace("ver=1", "ver=2"), PASSWORD),
                50005,
            ),
            (
                query("password", &username().replace("sha256", "md5"), PASSWORD),
                50005,
            ),
            (
                query(
                    "password",
                    &username().replace("timestamp=", "timestamp=x"),
                    PASSWORD,
                ),
                50005,
            ),
            (query("password", &other_key, PASSWORD), 90047),
            (wrong(&PASSWORD.to_uppercase()), 90048),
            (wrong(&PASSWORD.replace('3', "4")), 90048),
            (wrong(""), 90048),
        ] {
            let reply = log_in(&Tokens::default(), &query, &scenario(), TIME);
            assert_eq!(reply["code"], code, "{query}");
            assert!(reply["error"].is_string() && reply["access_token"].is_null());
        }
    }

    #[test]
    fn a_clock_may_be_ten_minutes_off_and_no_more() {
        let good = query("password", &username(), PASSWORD);
        let at = |offset, skew| {
            let scenario = Scenario {
                clock_skew_ms: skew,
                ..scenario()
            };
            log_in(
                &Tokens::default(),
                &good,
                &scenario,
                Timestamp(TIME.0 + offset),
            )["code"]
                .clone()
        };
        assert_eq!(at(600_000, 0), 200);
        assert_eq!(at(-600_000, 0), 200);
        assert_eq!(at(600_001, 0), 90049);
        assert_eq!(at(-600_001, 0), 90049);
        assert_eq!(at(0, 600_001), 90049);
    }

    #[test]
    fn a_token_ends_with_its_time_or_its_uses() {
        let tokens = Tokens::default();
        let scenario = Scenario {
            token_requests: Some(2),
            token_lifetime_ms: Some(1000),
            ready_token: Some("QJWT ready".to_owned()),
            ..scenario()
        };
        let check = |token: &str, at| tokens.check(Some(token), &scenario, Timestamp(at));
        let used = tokens.give(&scenario, Timestamp(0));
        assert_eq!(check(&used, 0), Ok(()));
        assert_eq!(check(&used, 0), Ok(()));
        assert_eq!(check(&used, 0), Err(91004));
        let aged = tokens.give(&scenario, Timestamp(0));
        assert_eq!(check(&aged, 999), Ok(()));
        assert_eq!(check(&aged, 1000), Err(91004));
        assert_eq!(check("QJWT never given", 0), Err(91001));
        assert_eq!(tokens.check(None, &scenario, Timestamp(0)), Err(91001));
        for at in 0..5 {
            assert_eq!(check("QJWT ready", at), Ok(()));
        }
    }

    #[test]
    fn a_young_token_is_refreshed_unchanged() {
        let tokens = Tokens::default();
        let scenario = scenario();
        let old = tokens.give(&scenario, Timestamp(0));
        let at = |minutes: i64| refresh(&tokens, &old, &scenario, Timestamp(minutes * 60_000));
        assert_eq!(at(29)["access_token"], old.as_str());
        let new = at(30)["access_token"].as_str().unwrap().to_owned();
        assert_ne!(new, old);
        assert_eq!(tokens.check(Some(&new), &scenario, Timestamp(0)), Ok(()));
        assert_eq!(
            refresh(&tokens, "QJWT never", &scenario, Timestamp(0))["code"],
            91001
        );
    }

    #[test]
    fn a_disabled_access_key_ends_everything() {
        let tokens = Tokens::default();
        let token = tokens.give(&scenario(), TIME);
        let disabled = Scenario {
            access_key_disabled: true,
            ..scenario()
        };
        assert_eq!(tokens.check(Some(&token), &disabled, TIME), Err(91001));
        assert_eq!(refresh(&tokens, &token, &disabled, TIME)["code"], 90047);
        let good = query("password", &username(), PASSWORD);
        assert_eq!(log_in(&tokens, &good, &disabled, TIME)["code"], 90047);
    }
}
