//! The state of the tokens of a login. No I/O: these rules are tested with a given time.

use std::time::Duration;

use reqwest::header::HeaderValue;

use super::Token;
use crate::{
    gateway::login::Issued,
    model::{Timestamp, Unsent},
};

/// How long a token is good for at most, whatever the platform says of it (platform notes, "Authentication").
const MAX_LIFE: Duration = Duration::from_hours(2);
/// How long after a renewal that failed the next is tried.
const RENEWAL_PAUSE: Duration = Duration::from_mins(1);
/// How long a new token rests that is refused, before it is tried once more: what has issued it may know it before what checks it does.
/// There is one for each strike, so that the second token gets longer than the first.
const RESTS: [Duration; 2] = if cfg!(test) {
    // The tests really wait.
    [Duration::from_millis(10), Duration::from_millis(30)]
} else {
    [Duration::from_secs(1), Duration::from_secs(3)]
};

/// What a sender has to do to get a token.
#[derive(Debug)]
pub(super) enum Need {
    /// Nothing: here it is.
    Nothing(Token),
    /// To renew this one, unless somebody is at it.
    Renewal(Token),
    /// To wait for so long, and to ask again.
    Rest(Duration),
    /// To fetch one, or to wait for who does; so many fetches have ended.
    Fetch { fetches: u64 },
    /// There will be none.
    Hopeless(Unsent),
}

/// The tokens so far.
#[derive(Debug, Default)]
pub(super) struct TokenState {
    /// Whether the token was given by the user, and so there is no other.
    is_ready: bool,
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
    /// Until when it rests.
    rests_until: Option<Timestamp>,
}

impl TokenState {
    /// A ledger of one token, which cannot be renewed.
    pub(super) fn of_ready_token(authorization: HeaderValue) -> Self {
        let token = Token {
            authorization,
            generation: 0,
            trial: 0,
        };
        Self {
            is_ready: true,
            held: Some(Held {
                token,
                accepted: false,
                renew_at: Timestamp(i64::MAX),
                expires_at: Timestamp(i64::MAX),
                rests_until: None,
            }),
            ..Self::default()
        }
    }

    pub(super) fn need(&self, now: Timestamp) -> Need {
        match (&self.hopeless, &self.held) {
            (Some(unsent), _) => Need::Hopeless(unsent.clone()),
            (None, Some(held)) if now >= held.expires_at && !self.is_ready => self.fetch(),
            (None, Some(held)) if held.rests_until.is_some_and(|end| now < end) => Need::Rest(
                held.rests_until
                    .map_or(Duration::ZERO, |end| now.until(end)),
            ),
            (None, Some(held)) if now >= held.renew_at && !self.is_ready => {
                Need::Renewal(held.token.clone())
            }
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
            Need::Fetch { .. } | Need::Rest(_) => None,
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
            trial: 0,
        };
        self.held = Some(Held {
            token: token.clone(),
            accepted: false,
            renew_at: asked_at.after(life / 2),
            expires_at: asked_at.after(life),
            rests_until: None,
        });
        token
    }

    /// No token came. Only what waiting may change is tried again.
    pub(super) fn failed(&mut self, unsent: Unsent) -> Unsent {
        self.fetches += 1;
        self.failure = Some(unsent.clone());
        if !matches!(
            unsent,
            Unsent::Unreachable { .. } | Unsent::Exhausted { .. }
        ) {
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
            held.rests_until = None;
            self.strikes.clear();
        }
        self.strikes.retain(|strike| *strike != generation);
    }

    /// Lets go of a refused token. Late refusals of older ones say nothing about the one that is held.
    ///
    /// A new one that nobody has taken yet rests first, and is tried once more: two refusals at once are one observation, and a token
    /// that is not known everywhere yet is good a moment later.
    pub(super) fn refused(&mut self, token: &Token, said: &str, now: Timestamp) {
        let is_held = |held: &mut Held| held.token.generation == token.generation;
        let Some(mut held) = self.held.take_if(is_held) else {
            return;
        };
        if held.accepted && !self.is_ready {
            return;
        }
        if held.token.trial > token.trial {
            // It was asked with before the rest.
            self.held = Some(held);
            return;
        }
        if let Some(rest) = RESTS
            .get(self.strikes.len())
            .filter(|_| token.trial == 0 && !held.accepted)
        {
            held.token.trial += 1;
            held.rests_until = Some(now.after(*rest));
            self.held = Some(held);
            return;
        }
        if self.is_ready {
            self.hopeless = Some(Unsent::Credentials {
                error: format!(
                    "the platform refuses the token of FLEETPUSH_TOKEN ({said}): give a new one, or FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET, with which tokens are renewed"
                ),
            });
            return;
        }
        self.strikes.push(token.generation);
        if self.strikes.len() >= RESTS.len() {
            self.hopeless = Some(Unsent::Credentials {
                error: format!(
                    "the platform issues tokens and then refuses them ({said}): check that the AccessKey may use this API, and that nothing between here and the platform changes the Authorization header"
                ),
            });
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// Refuses a token, and once more after its rest if it has one.
    fn strike(state: &mut TokenState, token: &Token, said: &str) {
        state.refused(token, said, START);
        if let Need::Rest(rest) = state.need(START) {
            let end = START.after(rest);
            let Need::Nothing(again) = state.need(end) else {
                panic!("it is tried again")
            };
            assert_eq!(again.authorization, token.authorization);
            state.refused(&again, said, end);
        }
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
            let mut state = TokenState::default();
            state.issued(issued("a", expires_in), START);
            assert!(matches!(state.need(after(3599)), Need::Nothing(_)));
            assert!(matches!(state.need(after(3600)), Need::Renewal(_)));
            assert!(matches!(state.need(after(7199)), Need::Renewal(_)));
            assert!(matches!(
                state.need(after(7200)),
                Need::Fetch { fetches: 1 }
            ));
        }
    }

    #[test]
    fn a_short_token_is_renewed_at_half_its_time() {
        let mut state = TokenState::default();
        state.issued(issued("a", Some(60)), START);
        assert!(matches!(state.need(after(29)), Need::Nothing(_)));
        assert!(matches!(state.need(after(30)), Need::Renewal(_)));
        assert!(matches!(state.need(after(60)), Need::Fetch { .. }));
    }

    #[test]
    fn a_failed_renewal_rests_for_a_minute() {
        let mut state = TokenState::default();
        state.issued(issued("a", None), START);
        state.renew_later(after(3600));
        assert!(matches!(state.need(after(3659)), Need::Nothing(_)));
        assert!(matches!(state.need(after(3660)), Need::Renewal(_)));
        state.renew_later(after(7199));
        assert!(matches!(state.need(after(7200)), Need::Fetch { .. }));
    }

    #[test]
    fn only_a_refusal_of_the_held_token_counts() {
        let mut state = TokenState::default();
        let first = state.issued(issued("a", None), START);
        strike(&mut state, &first, "old");
        let second = state.issued(issued("b", None), START);
        for _ in 0..16 {
            strike(&mut state, &first, "old");
        }
        assert!(
            matches!(state.need(START), Need::Nothing(token) if token.generation == second.generation)
        );
    }

    #[test]
    fn two_new_tokens_refused_in_a_row_are_the_end() {
        let mut state = TokenState::default();
        let first = state.issued(issued("a", None), START);
        strike(&mut state, &first, "no");
        assert!(matches!(state.need(START), Need::Fetch { .. }));
        let second = state.issued(issued("b", None), START);
        strike(&mut state, &second, "91004: no");
        assert!(
            matches!(state.need(START), Need::Hopeless(Unsent::Credentials { error }) if error.contains("91004: no"))
        );
    }

    #[test]
    fn a_new_token_that_is_not_known_everywhere_yet_is_tried_again_after_a_pause() {
        let mut state = TokenState::default();
        let token = state.issued(issued("a", None), START);
        // However many requests went out with it.
        for _ in 0..16 {
            state.refused(&token, "no", START);
        }
        assert!(matches!(state.need(START), Need::Rest(rest) if rest == RESTS[0]));
        let Need::Nothing(again) = state.need(START.after(RESTS[0])) else {
            panic!("the rest is over")
        };
        assert_eq!(again.generation, token.generation);
        state.accepted(again.generation);
        assert!(matches!(state.need(START), Need::Nothing(_)));
        assert!(state.strikes.is_empty());
    }

    #[test]
    fn an_acceptance_ends_a_rest() {
        let mut state = TokenState::default();
        let token = state.issued(issued("a", None), START);
        state.refused(&token, "used up", START);
        state.accepted(token.generation);
        assert!(matches!(state.need(START), Need::Nothing(_)));
        // And what is refused from now on has been known, and ends.
        state.refused(&token, "used up", START);
        assert!(matches!(state.need(START), Need::Fetch { .. }));
    }

    #[test]
    fn a_token_that_worked_and_ended_is_no_strike() {
        let mut state = TokenState::default();
        for _ in 0..5 {
            let token = state.issued(issued("a", None), START);
            state.accepted(token.generation);
            strike(&mut state, &token, "expired");
            let refused_once = state.issued(issued("b", None), START);
            strike(&mut state, &refused_once, "no");
            assert!(matches!(state.need(START), Need::Fetch { .. }));
        }
    }

    #[test]
    fn an_acceptance_of_an_older_token_proves_nothing_about_new_ones() {
        let mut state = TokenState::default();
        let old = state.issued(issued("a", None), START);
        state.accepted(old.generation);
        strike(&mut state, &old, "expired");
        for name in ["b", "c"] {
            let new = state.issued(issued(name, None), START);
            state.accepted(old.generation);
            strike(&mut state, &new, "no");
        }
        assert!(matches!(state.need(START), Need::Hopeless(_)));
    }

    #[test]
    fn an_acceptance_that_comes_after_a_refusal_of_the_same_token_takes_its_strike_back() {
        let mut state = TokenState::default();
        let first = state.issued(issued("a", None), START);
        strike(&mut state, &first, "used up");
        let second = state.issued(issued("b", None), START);
        state.accepted(first.generation);
        strike(&mut state, &second, "used up");
        assert!(matches!(state.need(START), Need::Fetch { .. }));
        let third = state.issued(issued("c", None), START);
        strike(&mut state, &third, "no");
        assert!(matches!(state.need(START), Need::Hopeless(_)));
    }

    #[test]
    fn those_who_waited_share_what_came() {
        let mut state = TokenState::default();
        let Need::Fetch { fetches } = state.need(START) else {
            panic!("there is no token yet")
        };
        assert!(state.settled_since(fetches, START).is_none());
        state.failed(unreachable());
        assert_eq!(
            state.settled_since(fetches, START).unwrap().unwrap_err(),
            unreachable()
        );
        // Who comes later tries again.
        let Need::Fetch { fetches } = state.need(START) else {
            panic!("a failure is no end")
        };
        assert!(state.settled_since(fetches, START).is_none());
        state.issued(issued("a", None), START);
        assert!(state.settled_since(fetches, START).unwrap().is_ok());
    }

    #[test]
    fn a_refused_login_is_the_end() {
        let mut state = TokenState::default();
        let refused = Unsent::Credentials {
            error: "no".to_owned(),
        };
        state.failed(refused.clone());
        assert!(matches!(state.need(START), Need::Hopeless(unsent) if unsent == refused));
    }
}
