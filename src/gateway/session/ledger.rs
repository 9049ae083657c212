//! What is known of the tokens of a login. No I/O: the rules of the session, to be tested by the clock.

use std::time::Duration;

use super::Token;
use crate::{
    gateway::login::Issued,
    model::{Timestamp, Unsent},
};

/// How long a token is good for at most, whatever the platform says of it (platform notes, "Authentication").
const MAX_LIFE: Duration = Duration::from_hours(2);
/// How long after a renewal that failed the next is tried.
const RENEWAL_PAUSE: Duration = Duration::from_mins(1);
/// New tokens refused in a row that end the session.
const MAX_STRIKES: usize = 2;

/// What a sender has to do to get a token.
#[derive(Debug)]
pub(super) enum Need {
    /// Nothing: here it is.
    Nothing(Token),
    /// To renew this one, unless somebody is at it.
    Renewal(Token),
    /// To fetch one, or to wait for who does; so many fetches have ended.
    Fetch { fetches: u64 },
    /// There will be none.
    Hopeless(Unsent),
}

/// The tokens so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    held: Option<Held>,
    /// Of the newest token.
    generation: u64,
    /// The generations of new tokens that were refused since one was accepted.
    strikes: Vec<u64>,
    /// Fetches that have ended.
    fetches: u64,
    /// What the last fetch failed with.
    failure: Option<Unsent>,
    /// Why there will be no token any more.
    hopeless: Option<Unsent>,
}

/// The token that requests carry now.
#[derive(Debug)]
struct Held {
    token: Token,
    /// Whether the platform has taken it.
    accepted: bool,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

impl Ledger {
    pub(super) fn need(&self, now: Timestamp) -> Need {
        match (&self.hopeless, &self.held) {
            (Some(unsent), _) => Need::Hopeless(unsent.clone()),
            (None, Some(held)) if now >= held.expires_at => self.fetch(),
            (None, Some(held)) if now >= held.renew_at => Need::Renewal(held.token.clone()),
            (None, Some(held)) => Need::Nothing(held.token.clone()),
            (None, None) => self.fetch(),
        }
    }

    fn fetch(&self) -> Need {
        Need::Fetch {
            fetches: self.fetches,
        }
    }

    /// What came of a fetch that ended after `fetches` had: its token, or its failure, which all who waited share rather than each making
    /// the same attempt in turn.
    pub(super) fn settled_since(
        &self,
        fetches: u64,
        now: Timestamp,
    ) -> Option<Result<Token, Unsent>> {
        match self.need(now) {
            Need::Nothing(token) | Need::Renewal(token) => Some(Ok(token)),
            Need::Hopeless(unsent) => Some(Err(unsent)),
            Need::Fetch { fetches: ended } if ended > fetches => self.failure.clone().map(Err),
            Need::Fetch { .. } => None,
        }
    }

    /// Holds a new token. Its time counts from `asked_at`, when it was asked for, so that a slow login does not make it look younger.
    pub(super) fn issued(&mut self, issued: Issued, asked_at: Timestamp) -> Token {
        let Issued {
            authorization,
            expires_in,
        } = issued;
        let life = expires_in.map_or(MAX_LIFE, |life| life.min(MAX_LIFE));
        self.fetches += 1;
        self.failure = None;
        self.generation += 1;
        let token = Token {
            authorization,
            generation: self.generation,
        };
        self.held = Some(Held {
            token: token.clone(),
            accepted: false,
            renew_at: asked_at.after(life / 2),
            expires_at: asked_at.after(life),
        });
        token
    }

    /// No token came. Only what waiting may change is tried again.
    pub(super) fn failed(&mut self, unsent: Unsent) -> Unsent {
        self.fetches += 1;
        self.failure = Some(unsent.clone());
        if !matches!(unsent, Unsent::Unreachable { .. }) {
            self.hopeless = Some(unsent.clone());
        }
        unsent
    }

    /// A renewal failed, and the token is still good.
    pub(super) fn renew_later(&mut self, now: Timestamp) {
        if let Some(held) = &mut self.held {
            held.renew_at = now.after(RENEWAL_PAUSE);
        }
    }

    /// A reply shows that the platform took a token.
    ///
    /// It may come later than the refusal of another request with the same token, which then was no new one any more.
    pub(super) fn accepted(&mut self, generation: u64) {
        if let Some(held) = &mut self.held
            && held.token.generation == generation
        {
            held.accepted = true;
            self.strikes.clear();
        }
        self.strikes.retain(|strike| *strike != generation);
    }

    /// Lets go of a refused token. Late refusals of older ones say nothing about the one that is held.
    pub(super) fn refused(&mut self, generation: u64, said: &str) {
        let is_held = |held: &mut Held| held.token.generation == generation;
        let Some(held) = self.held.take_if(is_held) else {
            return;
        };
        if held.accepted {
            return;
        }
        self.strikes.push(generation);
        if self.strikes.len() >= MAX_STRIKES {
            self.hopeless = Some(Unsent::Credentials {
                error: format!(
                    "the platform gives tokens and refuses them ({said}): check that the AccessKey may use this API, and that nothing between here and the platform changes the Authorization header"
                ),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn issued(name: &'static str, expires_in: Option<u64>) -> Issued {
        Issued {
            authorization: HeaderValue::from_static(name),
            expires_in: expires_in.map(Duration::from_secs),
        }
    }

    fn after(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    fn unreachable() -> Unsent {
        Unsent::Unreachable {
            error: "down".to_owned(),
            retry_after: None,
        }
    }

    #[test]
    fn a_day_long_token_is_renewed_after_an_hour_and_dropped_after_two() {
        for expires_in in [None, Some(86_400)] {
            let mut ledger = Ledger::default();
            ledger.issued(issued("a", expires_in), START);
            assert!(matches!(ledger.need(after(3599)), Need::Nothing(_)));
            assert!(matches!(ledger.need(after(3600)), Need::Renewal(_)));
            assert!(matches!(ledger.need(after(7199)), Need::Renewal(_)));
            assert!(matches!(
                ledger.need(after(7200)),
                Need::Fetch { fetches: 1 }
            ));
        }
    }

    #[test]
    fn a_short_token_is_renewed_at_half_its_time() {
        let mut ledger = Ledger::default();
        ledger.issued(issued("a", Some(60)), START);
        assert!(matches!(ledger.need(after(29)), Need::Nothing(_)));
        assert!(matches!(ledger.need(after(30)), Need::Renewal(_)));
        assert!(matches!(ledger.need(after(60)), Need::Fetch { .. }));
    }

    #[test]
    fn a_failed_renewal_rests_for_a_minute() {
        let mut ledger = Ledger::default();
        ledger.issued(issued("a", None), START);
        ledger.renew_later(after(3600));
        assert!(matches!(ledger.need(after(3659)), Need::Nothing(_)));
        assert!(matches!(ledger.need(after(3660)), Need::Renewal(_)));
        ledger.renew_later(after(7199));
        assert!(matches!(ledger.need(after(7200)), Need::Fetch { .. }));
    }

    #[test]
    fn only_a_refusal_of_the_held_token_counts() {
        let mut ledger = Ledger::default();
        let first = ledger.issued(issued("a", None), START);
        ledger.refused(first.generation, "old");
        let second = ledger.issued(issued("b", None), START);
        for _ in 0..16 {
            ledger.refused(first.generation, "old");
        }
        assert!(
            matches!(ledger.need(START), Need::Nothing(token) if token.generation == second.generation)
        );
    }

    #[test]
    fn two_new_tokens_refused_in_a_row_are_the_end() {
        let mut ledger = Ledger::default();
        let first = ledger.issued(issued("a", None), START);
        ledger.refused(first.generation, "no");
        assert!(matches!(ledger.need(START), Need::Fetch { .. }));
        let second = ledger.issued(issued("b", None), START);
        ledger.refused(second.generation, "91004: no");
        assert!(
            matches!(ledger.need(START), Need::Hopeless(Unsent::Credentials { error }) if error.contains("91004: no"))
        );
    }

    #[test]
    fn a_token_that_worked_and_ended_is_no_strike() {
        let mut ledger = Ledger::default();
        for _ in 0..5 {
            let token = ledger.issued(issued("a", None), START);
            ledger.accepted(token.generation);
            ledger.refused(token.generation, "expired");
            let refused_once = ledger.issued(issued("b", None), START);
            ledger.refused(refused_once.generation, "no");
            assert!(matches!(ledger.need(START), Need::Fetch { .. }));
        }
    }

    #[test]
    fn an_acceptance_of_an_older_token_proves_nothing_about_new_ones() {
        let mut ledger = Ledger::default();
        let old = ledger.issued(issued("a", None), START);
        ledger.accepted(old.generation);
        ledger.refused(old.generation, "expired");
        for name in ["b", "c"] {
            let new = ledger.issued(issued(name, None), START);
            ledger.accepted(old.generation);
            ledger.refused(new.generation, "no");
        }
        assert!(matches!(ledger.need(START), Need::Hopeless(_)));
    }

    #[test]
    fn an_acceptance_that_comes_after_a_refusal_of_the_same_token_takes_its_strike_back() {
        let mut ledger = Ledger::default();
        let first = ledger.issued(issued("a", None), START);
        ledger.refused(first.generation, "used up");
        let second = ledger.issued(issued("b", None), START);
        ledger.accepted(first.generation);
        ledger.refused(second.generation, "used up");
        assert!(matches!(ledger.need(START), Need::Fetch { .. }));
        let third = ledger.issued(issued("c", None), START);
        ledger.refused(third.generation, "no");
        assert!(matches!(ledger.need(START), Need::Hopeless(_)));
    }

    #[test]
    fn those_who_waited_share_what_came() {
        let mut ledger = Ledger::default();
        let Need::Fetch { fetches } = ledger.need(START) else {
            panic!("there is no token yet")
        };
        assert!(ledger.settled_since(fetches, START).is_none());
        ledger.failed(unreachable());
        assert_eq!(
            ledger.settled_since(fetches, START).unwrap().unwrap_err(),
            unreachable()
        );
        // Who comes later tries again.
        let Need::Fetch { fetches } = ledger.need(START) else {
            panic!("a failure is no end")
        };
        assert!(ledger.settled_since(fetches, START).is_none());
        ledger.issued(issued("a", None), START);
        assert!(ledger.settled_since(fetches, START).unwrap().is_ok());
    }

    #[test]
    fn a_refused_login_is_the_end() {
        let mut ledger = Ledger::default();
        let refused = Unsent::Credentials {
            error: "no".to_owned(),
        };
        ledger.failed(refused.clone());
        assert!(matches!(ledger.need(START), Need::Hopeless(unsent) if unsent == refused));
    }
}
