//! The token for requests: who fetches it, when it is renewed, and when trying again is useless.
//!
//! The first sender to notice that half of the time of a token has passed renews it. The others continue with the old one. If there is no
//! token, one sender fetches it and the others wait for the result. A new token that is refused is tried once more after a pause, for which
//! all senders wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderValue;
use tokio::{sync::Notify, time::Instant};

use self::state::{Need, TokenState};
use super::login::Login;
use crate::model::{Timestamp, Unsent};

mod state;

#[derive(Debug, Clone)]
pub(super) struct Token {
    /// The value of `Authorization`.
    pub(super) authorization: HeaderValue,
    generation: u64,
    /// How often it has rested.
    trial: u32,
}

/// Hands out tokens for the time of a run.
#[derive(Debug)]
pub(super) struct TokenSource {
    /// Where tokens come from, unless there is but the one that was given.
    login: Option<Login>,
    /// Never held across an await.
    state: Mutex<TokenState>,
    /// Held by the one sender that fetches a token.
    flight: tokio::sync::Mutex<()>,
    /// Who waits for the end of a token's rest is woken when there is news of it.
    news: Notify,
}

impl TokenSource {
    /// A source that logs in when the first token is needed.
    pub(super) fn with_login(login: Login) -> Self {
        Self::new(Some(login), TokenState::default())
    }

    /// A source that has nothing but this token.
    pub(super) fn with_token(authorization: HeaderValue) -> Self {
        Self::new(None, TokenState::of_ready_token(authorization))
    }

    fn new(login: Option<Login>, state: TokenState) -> Self {
        Self {
            login,
            state: Mutex::new(state),
            flight: tokio::sync::Mutex::default(),
            news: Notify::new(),
        }
    }

    /// The platform took this token.
    pub(super) fn accepted(&self, token: &Token) {
        self.state().accepted(token.generation);
        self.news.notify_waiters();
    }

    /// The platform refused this token, with these words.
    pub(super) fn refused(&self, token: &Token, said: &str, now: Timestamp) {
        self.state().refused(token, said, now);
        self.news.notify_waiters();
    }

    /// A token that is good as far as is known.
    pub(super) async fn token(&self, now: Timestamp) -> Result<Token, Unsent> {
        let asked = Instant::now();
        loop {
            let news = self.news.notified();
            let now = now.after(asked.elapsed());
            // A statement of its own, so that the ledger is free again.
            let need = self.state().need(now);
            return match (need, &self.login) {
                (Need::Nothing(token), _) | (Need::Renewal(token), None) => Ok(token),
                (Need::Rest(rest), _) => {
                    tokio::select! {
                        () = news => {}
                        () = tokio::time::sleep(rest) => {}
                    }
                    continue;
                }
                (Need::Renewal(token), Some(login)) => match self.flight.try_lock() {
                    Ok(_flight) => self.renew(login, token, now).await,
                    Err(_) => Ok(token),
                },
                (Need::Fetch { fetches }, Some(login)) => {
                    let _flight = self.flight.lock().await;
                    if let Some(settled) = self.state().settled_since(fetches, now) {
                        return settled;
                    }
                    match login.login().await {
                        Ok(issued) => Ok(self.state().issued(issued, now)),
                        Err(unsent) => Err(self.state().failed(unsent)),
                    }
                }
                (Need::Fetch { .. }, None) => Err(Unsent::Credentials {
                    error: "there is no token any more".to_owned(),
                }),
                (Need::Hopeless(unsent), _) => Err(unsent),
            };
        }
    }

    async fn renew(&self, login: &Login, old: Token, now: Timestamp) -> Result<Token, Unsent> {
        // Another sender may have done it between this one's look at the ledger and its turn.
        if !matches!(self.state().need(now), Need::Renewal(_)) {
            return Ok(old);
        }
        let issued = match login.refresh(&old.authorization).await {
            Ok(issued) if issued.authorization != old.authorization => Ok(issued),
            Err(passing @ (Unsent::Unreachable { .. } | Unsent::Exhausted { .. })) => Err(passing),
            // Returned unchanged, its time is not known to be longer; refused, only a login can tell why.
            Ok(_) | Err(_) => login.login().await,
        };
        match issued {
            Ok(issued) => Ok(self.state().issued(issued, now)),
            Err(unsent @ Unsent::Credentials { .. }) => Err(self.state().failed(unsent)),
            Err(unsent) => {
                tracing::warn!(?unsent, "the token was not renewed, and is still good");
                self.state().renew_later(now);
                Ok(old)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, TokenState> {
        // No change of the ledger can be left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
