//! The token that requests carry: who fetches it, when it is renewed, and when there is no use in trying again.
//!
//! A token got by login is renewed when half of its time has passed, by whichever sender notices first, while the others go on with the
//! one that is still good. When there is none, one sender fetches it and the others wait for what comes of that.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use reqwest::header::HeaderValue;

use self::ledger::{Ledger, Need};
use super::login::Login;
use crate::model::{Timestamp, Unsent};

mod ledger;

/// A token, and which one it is.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// The value of `Authorization`.
    pub(super) authorization: HeaderValue,
    generation: u64,
}

/// Hands out tokens for the time of a run.
#[derive(Debug)]
pub(super) enum Session {
    /// Has one ready token, which cannot be renewed.
    Ready {
        token: Token,
        /// Set when the platform has refused it.
        refused: OnceLock<Unsent>,
    },
    /// Gets tokens by login.
    Renewing(Box<Renewing>),
}

impl Session {
    /// A session that logs in when the first token is needed.
    pub(super) fn with_login(login: Login) -> Self {
        Self::Renewing(Box::new(Renewing {
            login,
            ledger: Mutex::default(),
            flight: tokio::sync::Mutex::default(),
        }))
    }

    /// A session that has nothing but this token.
    pub(super) fn with_token(authorization: HeaderValue) -> Self {
        Self::Ready {
            token: Token {
                authorization,
                generation: 0,
            },
            refused: OnceLock::new(),
        }
    }

    /// A token that is good as far as is known.
    pub(super) async fn token(&self, now: Timestamp) -> Result<Token, Unsent> {
        match self {
            Self::Ready { token, refused } => match refused.get() {
                Some(unsent) => Err(unsent.clone()),
                None => Ok(token.clone()),
            },
            Self::Renewing(renewing) => renewing.token(now).await,
        }
    }

    /// The platform took this token.
    pub(super) fn accepted(&self, token: &Token) {
        if let Self::Renewing(renewing) = self {
            renewing.ledger().accepted(token.generation);
        }
    }

    /// The platform refused this token, with these words.
    pub(super) fn refused(&self, token: &Token, said: &str) {
        match self {
            Self::Ready { refused, .. } => {
                refused.get_or_init(|| Unsent::Credentials {
                    error: format!(
                        "the platform refuses the token of FLEETPUSH_TOKEN ({said}): give a new one, or FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET, with which tokens are renewed"
                    ),
                });
            }
            Self::Renewing(renewing) => renewing.ledger().refused(token.generation, said),
        }
    }
}

/// A session that gets its tokens by login.
#[derive(Debug)]
pub(super) struct Renewing {
    login: Login,
    /// Never held across an await.
    ledger: Mutex<Ledger>,
    /// Held by the one sender that fetches a token.
    flight: tokio::sync::Mutex<()>,
}

impl Renewing {
    async fn token(&self, now: Timestamp) -> Result<Token, Unsent> {
        let need = self.ledger().need(now);
        match need {
            Need::Nothing(token) => Ok(token),
            Need::Renewal(token) => match self.flight.try_lock() {
                Ok(_flight) => self.renew(token, now).await,
                Err(_) => Ok(token),
            },
            Need::Fetch { fetches } => {
                let _flight = self.flight.lock().await;
                if let Some(settled) = self.ledger().settled_since(fetches, now) {
                    return settled;
                }
                match self.login.login().await {
                    Ok(issued) => Ok(self.ledger().issued(issued, now)),
                    Err(unsent) => Err(self.ledger().failed(unsent)),
                }
            }
            Need::Hopeless(unsent) => Err(unsent),
        }
    }

    async fn renew(&self, old: Token, now: Timestamp) -> Result<Token, Unsent> {
        // Another sender may have done it between this one's look at the ledger and its turn.
        if !matches!(self.ledger().need(now), Need::Renewal(_)) {
            return Ok(old);
        }
        let issued = match self.login.refresh(&old.authorization).await {
            Ok(issued) if issued.authorization != old.authorization => Ok(issued),
            Err(unreachable @ Unsent::Unreachable { .. }) => Err(unreachable),
            // Returned unchanged, its time is not known to be longer; refused, only a login can tell why.
            Ok(_) | Err(_) => self.login.login().await,
        };
        match issued {
            Ok(issued) => Ok(self.ledger().issued(issued, now)),
            Err(unsent @ Unsent::Credentials { .. }) => Err(self.ledger().failed(unsent)),
            Err(unsent) => {
                tracing::warn!(?unsent, "the token was not renewed, and is still good");
                self.ledger().renew_later(now);
                Ok(old)
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // No change of the ledger can be left half done.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
