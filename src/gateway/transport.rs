//! HTTP as this crate needs it: one request, one whole reply or a statement of how far it got.
//!
//! **No request is sent twice behind the caller's back.** Two layers could: reqwest's retry policy, which is set to never; and
//! hyper-util's pool, which cannot be told not to through reqwest, and sends a request on another connection when its idle connection
//! turns out dead. That one is sound: hyper hands a request back only while it still waits in the connection's queue, before its first
//! byte was encoded (hyper 1.12, `client::dispatch::TrySendError`; hyper-util 0.1.21, `TrySendError::Retryable`). A request whose
//! writing began is never handed back, and ends here as [`Failure::Lost`].

mod causes;
mod clients;
mod connection;
mod tls;

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use reqwest::{
    Body, RequestBuilder, Response, Url,
    header::{DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER},
};
use tokio::{task::yield_now, time::Instant};

pub(super) use self::tls::{Roots, message_tls};
use self::{
    causes::{causes, lacking},
    clients::{Clients, Lease, READ_BUFFER},
};
use super::{
    BaseUrl, GatewayError, Proxy,
    handover::{Handover, Pieces},
    scrub::Scrubber,
};
use crate::{
    budget::{Budget, Share, Use},
    clock::{Running, wall_now},
    model::Timestamp,
};

/// Bytes that any reply may have without being counted; what a reply to 100 devices has, about.
const USUAL_REPLY: usize = 16 * 1024;
/// Longer than that is a reply whose connection keeps too much.
const LONG_REPLY: usize = 2 * USUAL_REPLY;
/// How often a long reply lies in memory: as such, and as what is read from it.
const COPIES: usize = 2;
/// What a reply to 1,000 devices has, about.
const LARGE_REPLY: usize = 256 * 1024;

/// Limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until the connection stands, with name resolution and TLS; at most half of `request_timeout` is used.
    pub(super) connect_timeout: Duration,
    /// Until the reply's last byte.
    pub(super) request_timeout: Duration,
    /// Bytes of a reply's body, uncompressed.
    pub(super) max_reply_bytes: usize,
    /// Idle connections that are kept.
    pub(super) connections: usize,
}

/// A reply that arrived whole.
pub(super) struct Reply {
    pub(super) status: u16,
    /// `Retry-After`, from now.
    pub(super) retry_after: Option<Duration>,
    /// `Date`, which few ask for.
    date: Option<HeaderValue>,
    /// Where a redirect leads: the scheme and the host.
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
    /// Whether it came before the request had been handed over whole, which then was surely not acted on.
    pub(super) is_early: bool,
    /// That of the body.
    _memory: Memory,
}

impl Reply {
    /// The sender's clock.
    pub(super) fn date(&self) -> Option<Timestamp> {
        self.date.as_ref().and_then(date)
    }
}

/// How far a request got that has no whole reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was sent: it could not be put together.
    Unsendable(String),
    /// Nothing was sent: no connection came about.
    Unreachable(String),
    /// Nothing was sent: this machine has run out of something.
    Exhausted(String),
    /// Nothing reached the platform: somebody in between refuses, and goes on to.
    Refused(String),
    /// Nothing was sent: the other side's certificate is not trusted.
    Certificate(String),
    /// The request was not sent whole, and so not acted on.
    Unfinished(String),
    /// All of it may have been sent, and may have been acted on.
    Lost {
        /// The status, when the reply's head arrived.
        status: Option<u16>,
        error: String,
    },
}

/// Exchanges requests for replies with one platform.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    clients: Arc<Clients>,
    base_url: BaseUrl,
    proxy: Option<Proxy>,
    limits: Limits,
    scrubber: Arc<Scrubber>,
    budget: Budget,
}

impl Transport {
    pub(super) fn new(
        base_url: BaseUrl,
        proxy: Option<Proxy>,
        mut limits: Limits,
        roots: Roots,
        budget: Budget,
    ) -> Result<Self, GatewayError> {
        // A connection that does not come about has to show before the time of the request as a whole is over.
        limits.connect_timeout = limits.connect_timeout.min(limits.request_timeout / 2);
        let scrubber = Arc::<Scrubber>::default();
        if let Some(password) = proxy
            .as_ref()
            .and_then(|proxy| proxy.url().password().map(str::to_owned))
        {
            scrubber.keep(&password);
        }
        let clients = Clients::new(base_url.clone(), proxy.clone(), limits, roots)?;
        Ok(Self {
            clients: Arc::new(clients),
            base_url,
            proxy,
            limits,
            scrubber,
            budget,
        })
    }

    /// What cuts secrets out of text that comes in here. Whoever sends a secret tells it.
    pub(super) fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }

    /// The platform that is talked to.
    pub(super) fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// What stands between here and the platform, for an answer that is not the platform's: the subject of a sentence, and its verb.
    pub(super) fn between(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("stands {proxy}: see what it answers"),
            None => "may stand a portal or a gateway: see what it answers".to_owned(),
        }
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.clients.get(url)
    }

    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.clients.post(url)
    }

    /// Asks a question, which has no body, and reads the whole reply.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let handover = Handover::default();
        // To ask changes nothing on the other side; but it may count there.
        handover.hand_over();
        self.exchange(request, &handover).await
    }

    /// Sends a request with this body, once, and reads the whole reply.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        body: Vec<u8>,
        handover: &Handover,
    ) -> Result<Reply, Failure> {
        let body = Body::wrap(Pieces::new(body, handover.clone()));
        self.exchange(request.body(body), handover).await
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        handover: &Handover,
    ) -> Result<Reply, Failure> {
        let mut time = Running::new(self.limits.request_timeout, Instant::now());
        let mut lease = self.clients.lease();
        let response = match in_time(&mut time, lease.send(request)).await {
            Some(Ok(response)) => response,
            failed => {
                let error = failed.and_then(Result::err);
                let failure = self.judge(error.as_ref(), None, handover);
                return Err(match self.refusing_proxy(error.as_ref()) {
                    Some(proxy) => self.judge_tunnel(proxy).await,
                    None => failure,
                });
            }
        };
        let status = response.status().as_u16();
        if status == 407 {
            // A proxy has read the request, and nobody else.
            handover.withdraw();
            return Err(Failure::Refused(self.wants_credentials()));
        }
        let headers = response.headers();
        let (retry_after, date) = (retry_after(headers), headers.get(DATE).cloned());
        let location =
            location(&response).map(|location| self.scrubber.text(&location).into_owned());
        let read = match in_time(&mut time, self.read_body(response, &mut lease)).await {
            Some(Ok(read)) => Ok(read),
            Some(Err(Unread::TooLong(error))) => Err(Failure::Lost {
                status: Some(status),
                error,
            }),
            Some(Err(Unread::Broken(error))) => {
                Err(self.judge(Some(&error), Some(status), handover))
            }
            None => Err(self.judge(None, Some(status), handover)),
        };
        let (body, memory) = match read {
            Ok(read) => read,
            // Whoever refuses a request without reading it may close the connection under its own words. The status is said.
            Err(Failure::Unfinished(_)) if (400..500).contains(&status) => Default::default(),
            Err(failure) => return Err(failure),
        };
        Ok(Reply {
            status,
            retry_after,
            date,
            location,
            body,
            is_early: handover.withdraw(),
            _memory: memory,
        })
    }

    /// Reads a body as soon as there is memory for it: that must not grow with what the other side sends.
    async fn read_body(
        &self,
        mut response: Response,
        lease: &mut Lease<'_>,
    ) -> Result<(Vec<u8>, Memory), Unread> {
        let limit = self.limits.max_reply_bytes;
        let expected = response
            .content_length()
            .map_or(0, |length| length as usize);
        let mut memory = Memory::default();
        self.reserve(expected.min(limit), &mut memory, lease).await;
        let mut body = Vec::with_capacity(expected.min(limit).min(LARGE_REPLY));
        while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
            if chunk.len() > limit - body.len() {
                return Err(Unread::TooLong(format!(
                    "the reply is longer than {limit} bytes and was not read on"
                )));
            }
            self.reserve(body.len() + chunk.len(), &mut memory, lease)
                .await;
            if memory.long.is_some() {
                // Growing by doubling would take twice as much; what is not written to takes nothing.
                body.reserve_exact(limit - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, memory))
    }

    /// Waits until there is memory for a reply of so many bytes. Whoever has it for the longest one needs nothing else that another may
    /// have, so that none waits for ever.
    async fn reserve(&self, bytes: usize, memory: &mut Memory, lease: &mut Lease<'_>) {
        if bytes > USUAL_REPLY && memory.large.is_none() {
            let share = self
                .budget
                .share(Use::Replies, COPIES * LARGE_REPLY + READ_BUFFER);
            memory.large = Some(share.await);
        }
        if bytes > LONG_REPLY {
            lease.reply_is_long();
        }
        if bytes > LARGE_REPLY && memory.long.is_none() {
            let longest = self.limits.max_reply_bytes;
            let share = self.budget.share(Use::LongReplies, COPIES * longest);
            memory.long = Some(share.await);
        }
    }

    /// Tells what surely was not sent from what may have been; in case of doubt, it was. Without an error, the time was over. The text
    /// never has the URL, whose query can carry a login.
    fn judge(
        &self,
        error: Option<&reqwest::Error>,
        status: Option<u16>,
        handover: &Handover,
    ) -> Failure {
        // Whatever follows, nothing more of it goes.
        let is_unfinished = handover.withdraw();
        let timeout = self.limits.request_timeout;
        let Some(error) = error else {
            return if is_unfinished {
                Failure::Unfinished(format!("not sent whole within {timeout:?}"))
            } else {
                Failure::Lost {
                    status,
                    error: format!("no whole reply within {timeout:?}"),
                }
            };
        };
        let base_url = &self.base_url;
        if error.is_builder() {
            return Failure::Unsendable(self.causes(error));
        }
        if error.is_connect() {
            return self.judge_connection(error);
        }
        if let Some(lacking) = is_unfinished.then(|| lacking(error)).flatten() {
            return Failure::Exhausted(format!("cannot speak to {base_url}: {lacking}"));
        }
        let error = self.causes(error);
        if is_unfinished {
            return Failure::Unfinished(format!("not sent whole: {error}"));
        }
        Failure::Lost { status, error }
    }

    /// An error's causes; one may quote what it was given.
    fn causes(&self, error: &reqwest::Error) -> String {
        self.scrubber.text(&causes(error)).into_owned()
    }
}

/// The memory that a reply has been given.
#[derive(Debug, Default)]
struct Memory {
    large: Option<Share>,
    long: Option<Share>,
}

/// Why a reply's body was not read.
enum Unread {
    TooLong(String),
    Broken(reqwest::Error),
}

/// What the work comes to, unless its time is over first.
async fn in_time<T>(time: &mut Running, work: impl Future<Output = T>) -> Option<T> {
    /// How often what has arrived gets a chance to come through before the time counts.
    const CHANCES: usize = 4;
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return Some(result),
            () = tokio::time::sleep_until(time.next_look()) => {}
        }
        if time.is_over(Instant::now()) {
            break;
        }
    }
    for _ in 0..CHANCES {
        yield_now().await;
        if let Poll::Ready(result) = futures::poll!(&mut work) {
            return Some(result);
        }
    }
    None
}

/// A header's HTTP date.
fn date(value: &HeaderValue) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value.as_bytes())
        .ok()?;
    Some(Timestamp(date.as_millisecond()))
}

/// `Retry-After`, in seconds or as a date; a date is measured on the sender's own clock when the reply tells it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    if let Ok(seconds) = value.to_str().ok()?.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(value)?;
    let now = headers.get(DATE).and_then(date).unwrap_or_else(wall_now);
    Some(now.until(until))
}

/// Where a redirect leads: the scheme and the host alone, since the rest may repeat what we have sent.
fn location(response: &Response) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let url = response
        .url()
        .join(response.headers().get(LOCATION)?.to_str().ok()?)
        .ok()?;
    Some(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests;
