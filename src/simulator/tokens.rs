//! The tokens that logins and refreshes give (platform notes, "Authentication").

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{Method, StatusCode};
use serde_json::json;

use super::{
    chance::mix,
    codes,
    login::{self, Query},
    reply::Reply,
    scenario::Scenario,
    stats::Counters,
};
use crate::model::Timestamp;

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
    fn is_known(&self, scenario: &Scenario, now: Timestamp) -> bool {
        self.made_at.until(now) >= Duration::from_millis(scenario.token_delay_ms)
    }

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
        let token = given
            .get(text)
            .filter(|token| token.is_known(scenario, now))
            .ok_or(codes::TOKEN_UNKNOWN)?;
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
            return Reply::html(StatusCode::METHOD_NOT_ALLOWED);
        }
        match login::check(&Query::parse(query), scenario, now) {
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
            return Reply::html(StatusCode::METHOD_NOT_ALLOWED);
        }
        let query = Query::parse(query);
        let old = match query.get("refresh_token") {
            Some(token) if query.get("grant_type") == Some("refresh_token") => token,
            _ => return refused(counters, codes::PARAMETER_CHECK),
        };
        if scenario.access_key_disabled {
            self.given
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(old);
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

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use url::form_urlencoded;

    use super::*;

    fn parsed(reply: &Reply) -> Value {
        assert_eq!(reply.status, StatusCode::OK);
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn refresh(tokens: &Tokens, token: &str, scenario: &Scenario, now: Timestamp) -> Value {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token)
            .finish();
        parsed(&tokens.refresh(&Counters::default(), (&Method::GET, &query), scenario, now))
    }

    #[test]
    fn logins_answer_as_the_notes_say() {
        let (tokens, counters) = (Tokens::default(), Counters::default());
        let scenario = Scenario::default();
        let username = "ver%3D1%26auth_mode%3DaccessKey%26sign_method%3Dsha256%26access_key%3Dk%26timestamp%3D5";
        let good = format!("grant_type=password&username={username}&password={:064}", 0);
        let asked = |query: &str| {
            let asked = (&Method::GET, query);
            parsed(&tokens.log_in(&counters, asked, &scenario, Timestamp(0)))
        };
        let reply = asked(&good);
        let token = reply["access_token"].as_str().unwrap();
        assert!(token.starts_with("QJWT eyJ"), "{token}");
        assert_eq!(
            reply,
            json!({"msg": "OK", "access_token": token, "code": 200, "scope": "", "token_type": "jwt", "expires_in": 86400})
        );
        assert_eq!(tokens.check(Some(token), &scenario, Timestamp(0)), Ok(()));
        assert_ne!(asked(&good)["access_token"], token);

        let text = "Parameter check error";
        assert_eq!(
            asked(""),
            json!({"msg": text, "code": 50005, "error": text})
        );
        let stats = counters.lock();
        assert_eq!((stats.logins, stats.logins_refused), (2, 1));
    }

    #[test]
    fn a_token_ends_with_its_time_or_its_uses() {
        let tokens = Tokens::default();
        let scenario = Scenario {
            token_requests: Some(2),
            token_lifetime_ms: Some(1000),
            ready_token: Some("QJWT ready".to_owned()),
            ..Scenario::default()
        };
        let check = |token: &str, at| tokens.check(Some(token), &scenario, Timestamp(at));
        let used = tokens.give(&scenario, Timestamp(0));
        assert_eq!(check(&used, 0), Ok(()));
        assert_eq!(check(&used, 0), Ok(()));
        assert_eq!(check(&used, 0), Err(91004));
        let aged = tokens.give(&scenario, Timestamp(0));
        assert_eq!(check(&aged, 999), Ok(()));
        assert_eq!(check(&aged, 1000), Err(91004));
        assert_eq!(
            refresh(&tokens, &aged, &scenario, Timestamp(1000))["code"],
            91004
        );
        assert_eq!(check("QJWT never given", 0), Err(91001));
        assert_eq!(tokens.check(None, &scenario, Timestamp(0)), Err(91001));
        for at in 0..5 {
            assert_eq!(check("QJWT ready", at), Ok(()));
        }
    }

    #[test]
    fn a_token_may_take_a_while_to_be_known() {
        let tokens = Tokens::default();
        let scenario = Scenario {
            token_delay_ms: 300,
            ..Scenario::default()
        };
        let token = tokens.give(&scenario, Timestamp(0));
        let check = |at| tokens.check(Some(&token), &scenario, Timestamp(at));
        assert_eq!(check(299), Err(91001));
        assert_eq!(check(300), Ok(()));
    }

    #[test]
    fn a_young_token_is_refreshed_unchanged() {
        let tokens = Tokens::default();
        let scenario = Scenario::default();
        let old = tokens.give(&scenario, Timestamp(0));
        let at = |minutes: i64| refresh(&tokens, &old, &scenario, Timestamp(minutes * 60_000));
        assert_eq!(at(29)["access_token"], old.as_str());
        let new = at(30)["access_token"].as_str().unwrap().to_owned();
        assert_ne!(new, old);
        assert_eq!(tokens.check(Some(&new), &scenario, Timestamp(0)), Ok(()));
        let unknown = refresh(&tokens, "QJWT never", &scenario, Timestamp(0));
        assert_eq!(unknown["code"], 91001);
    }

    #[test]
    fn a_disabled_access_key_ends_its_tokens_and_a_refresh_ends_them_for_good() {
        let tokens = Tokens::default();
        let enabled = Scenario::default();
        let disabled = Scenario {
            access_key_disabled: true,
            ..Scenario::default()
        };
        let check = |token: &str, scenario| tokens.check(Some(token), scenario, Timestamp(0));
        let [refreshed, other] = [(); 2].map(|()| tokens.give(&enabled, Timestamp(0)));
        assert_eq!(check(&refreshed, &disabled), Err(91001));
        let refusal = refresh(&tokens, &refreshed, &disabled, Timestamp(0));
        assert_eq!(refusal["code"], 90047);
        assert_eq!(check(&refreshed, &enabled), Err(91001));
        assert_eq!(check(&other, &enabled), Ok(()));
    }
}
