//! The two calls that give a token: login and refresh (platform notes, "Authentication").

use std::time::Duration;

use reqwest::{Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::{
    credentials,
    lenient::{self, Field},
    transport::{Failure, Reply, Transport},
    wire::{LOGIN_PATH, REFRESH_PATH},
};
use crate::{
    clock::wall_now,
    model::{Timestamp, Unsent},
};

/// How far apart the clocks may be (platform notes, "Authentication").
const MAX_SKEW: Duration = Duration::from_mins(10);

/// A token as the platform gave it.
pub(super) struct Issued {
    /// What goes into `Authorization`, whole; marked sensitive.
    pub(super) authorization: HeaderValue,
    /// How long the platform says that it is good for.
    pub(super) expires_in: Option<Duration>,
}

/// Gets tokens for an AccessKey.
#[derive(Debug)]
pub(super) struct Login {
    transport: Transport,
    access_key: String,
    access_secret: SecretString,
}

impl Login {
    pub(super) fn new(
        transport: Transport,
        access_key: String,
        access_secret: SecretString,
    ) -> Self {
        transport.scrubber().keep(&access_key);
        transport.scrubber().keep(access_secret.expose_secret());
        Self {
            transport,
            access_key,
            access_secret,
        }
    }

    /// Logs in.
    pub(super) async fn login(&self) -> Result<Issued, Unsent> {
        // The wall clock of this moment, not the run's steady one: the platform compares it with standard time.
        let username = credentials::username(&self.access_key, wall_now());
        let password = credentials::password(&username, &self.access_secret);
        self.transport.scrubber().learn(&password);
        let url = self.transport.base_url().endpoint(
            LOGIN_PATH,
            &[
                ("grant_type", "password"),
                ("username", &username),
                ("password", &password),
            ],
        );
        self.fetch(url).await
    }

    /// Has the platform renew a token. Of a token that is less than 30 minutes old it returns the same one.
    pub(super) async fn refresh(&self, authorization: &HeaderValue) -> Result<Issued, Unsent> {
        let token = authorization.to_str().unwrap_or_default();
        self.transport.scrubber().learn(token);
        let url = self.transport.base_url().endpoint(
            REFRESH_PATH,
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        );
        self.fetch(url).await
    }

    /// Asks for a token.
    async fn fetch(&self, url: Url) -> Result<Issued, Unsent> {
        match self.transport.ask(self.transport.get(url)).await {
            Ok(reply) => self.read(&reply),
            // A login that was lost did no harm, and can be done again: that no token came is all that counts.
            Err(
                Failure::Unreachable(error)
                | Failure::Unfinished(error)
                | Failure::Lost { error, .. },
            ) => Err(Unsent::Unreachable {
                error: format!("login: {error}"),
                retry_after: None,
            }),
            Err(Failure::Certificate(error)) => Err(Unsent::Certificate { error }),
            Err(Failure::Unsendable(error)) => Err(Unsent::Refused {
                error: format!("login: {error}"),
            }),
            Err(Failure::Refused(error)) => Err(Unsent::Refused { error }),
            Err(Failure::Exhausted(error)) => Err(Unsent::Exhausted { error }),
        }
    }

    fn read(&self, reply: &Reply) -> Result<Issued, Unsent> {
        let text = String::from_utf8_lossy(&reply.body);
        let (mut code, mut token, mut expires_in) = (None, None, None);
        let (mut msg, mut message, mut detail) = (None, None, None);
        let readable = lenient::fields(&text, |key, value| match key {
            Field::Code => code = lenient::integer(value),
            Field::AccessToken => token = lenient::id(value),
            Field::ExpiresIn | Field::ExpireIn => {
                expires_in = expires_in.or_else(|| lenient::integer(value));
            }
            Field::Msg => msg = lenient::message(value),
            Field::Message => message = lenient::message(value),
            Field::Error => detail = lenient::message(value),
            _ => {}
        });
        if let (true, 200..=299, None | Some(200), Some(token)) =
            (readable, reply.status, code, token)
        {
            self.transport.scrubber().learn(&token);
            return Ok(Issued {
                authorization: authorization(&token).map_err(|error| Unsent::Refused {
                    error: format!("login: {error}"),
                })?,
                expires_in: expires_in
                    .and_then(|seconds| u64::try_from(seconds).ok())
                    .filter(|&seconds| seconds > 0)
                    .map(Duration::from_secs),
            });
        }
        let said = match msg.or(message).or(detail) {
            Some(said) => self.transport.scrubber().text(&said).into_owned(),
            None if readable => "no token in the reply".to_owned(),
            None => match page(&text) {
                Some(page) => {
                    let page = self.transport.scrubber().text(&page).into_owned();
                    format!("the reply is not a JSON object but {page}")
                }
                None => "the reply is not a JSON object".to_owned(),
            },
        };
        Err(self.refusal(reply, code, &said))
    }

    /// What follows from a login without a token. The body's code decides, else the status.
    fn refusal(&self, reply: &Reply, code: Option<i64>, said: &str) -> Unsent {
        let base_url = self.transport.base_url();
        let status = reply.status;
        let told = match code {
            Some(code) => format!("{said} (code {code})"),
            None => format!("{said} (HTTP {status})"),
        };
        match code.unwrap_or_else(|| status.into()) {
            // A page without a code in place of a reply: somebody in between, a maintenance page or a portal, that may go away.
            200 | 408 | 429 | 500..=599 | 50000 | 70000 => Unsent::Unreachable {
                error: if code.is_some() {
                    format!("login: {told}")
                } else {
                    let between = self.transport.between();
                    format!("login: {told}; between here and the platform {between}")
                },
                retry_after: reply.retry_after,
            },
            300..=399 | 403..=405 => Unsent::Refused {
                error: match &reply.location {
                    Some(location) => format!(
                        "{base_url} redirects the login to {location}: check the region or base URL"
                    ),
                    None => format!(
                        "{base_url} refuses the login: {told}: check the region or base URL, and that this address may use the API"
                    ),
                },
            },
            // Only the platform's own words are about the credentials: it always gives a code.
            _ if code.is_none() => Unsent::Refused {
                error: format!(
                    "{base_url} answers the login with {told}, which is no reply of the platform: check the region or base URL; between here and the platform {}",
                    self.transport.between()
                ),
            },
            _ => {
                let hint = clock_hint(reply.date(), wall_now())
                    .unwrap_or_else(|| "check FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET, and that they belong to this platform".to_owned());
                Unsent::Credentials {
                    error: format!("{base_url} refuses the login: {told}: {hint}"),
                }
            }
        }
    }
}

/// A page that came in place of a reply, by its title, which says whose it is.
fn page(text: &str) -> Option<String> {
    /// Letters of a title that are shown.
    const MOST: usize = 60;
    text.trim_start_matches('\u{feff}')
        .trim_start()
        .strip_prefix('<')?;
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|tag| {
        let start = tag + lower.get(tag..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find("</title")?;
        text.get(start..end)
    });
    let words: Vec<&str> = title.unwrap_or_default().split_whitespace().collect();
    let words = words.join(" ");
    Some(match words.char_indices().nth(MOST) {
        _ if words.is_empty() => "a page of HTML".to_owned(),
        None => format!("a page of HTML, '{words}'"),
        Some((end, _)) => format!("a page of HTML, '{}…'", &words[..end]),
    })
}

/// The header value of a token: the token whole, with its `QJWT ` prefix; not a Bearer token.
pub(super) fn authorization(token: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(token)
        .map_err(|_| "the token has characters that a header cannot carry")?;
    value.set_sensitive(true);
    Ok(value)
}

/// What to say when the clocks are too far apart for any login.
fn clock_hint(platform: Option<Timestamp>, ours: Timestamp) -> Option<String> {
    let platform = platform?;
    let (behind, ahead) = (ours.until(platform), platform.until(ours));
    let (skew, word) = if behind > ahead {
        (behind, "behind")
    } else {
        (ahead, "ahead of")
    };
    (skew > MAX_SKEW).then(|| {
        format!(
            "this machine's clock is {} minutes {word} the platform's, and the platform accepts logins only within 10 minutes: set the clock",
            skew.as_secs() / 60
        )
    })
}

#[cfg(test)]
mod tests;
