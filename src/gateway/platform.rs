//! The gateway to the real platform.

mod token_verdict;

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret;

use self::token_verdict::{TokenVerdict, verdict};
use super::{
    BaseUrl, Credentials, DeviceQuery, Gateway, GatewayError, Handover, HistoryClient,
    HistoryQuery, HistoryReply, Outgoing, Proxy, SendReport, history, listing,
    login::{self, Login},
    queues::{self, Backlog, ListedQueue},
    reply,
    token_source::{Token, TokenSource},
    transport::{Failure, Limits, Reply, Roots, Transport},
    wire,
};
use crate::{
    budget::Budget,
    clock::Clock,
    model::{
        Answer, Language, ListPage, ListedDevice, ListedProduct, SendResult, Timestamp, Unsent,
    },
};

/// The path of the export of a thing model (page "Query Latest Product Thing Model (JSON Format)").
const TSL_PATH: &str = "/v2/quectsl/openapi/product/export/tslFile";

/// Where and how requests are sent.
#[derive(Debug, Clone)]
pub(crate) struct PlatformOptions {
    pub(crate) base_url: BaseUrl,
    /// The language of the platform's messages.
    pub(crate) language: Language,
    /// How long a connection may take, with name resolution and TLS; at most half of `request_timeout` is used.
    pub(crate) connect_timeout: Duration,
    /// How long a request may take, from its beginning to the reply's last byte.
    pub(crate) request_timeout: Duration,
    /// Bytes of a reply's body, uncompressed; a longer reply is not read on.
    pub(crate) max_reply_bytes: usize,
    /// The proxy between here and the platform, if there is one.
    pub(crate) proxy: Option<Proxy>,
    /// Requests at a time, for each of which a connection is kept.
    pub(crate) concurrency: usize,
    /// What the memory of long replies is taken from.
    pub(crate) budget: Budget,
}

impl PlatformOptions {
    /// The defaults for this platform.
    pub(crate) fn new(base_url: BaseUrl) -> Self {
        Self {
            base_url,
            language: Language::En,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_reply_bytes: 8 * 1024 * 1024,
            proxy: None,
            concurrency: 16,
            budget: Budget::default(),
        }
    }
}

/// That the platform answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    /// Its clock, when it says what time it is.
    pub date: Option<Timestamp>,
    /// How long it took, with the connection.
    pub took: Duration,
    /// Whether it has shown a certificate that is trusted.
    pub is_encrypted: bool,
}

/// The real platform, over HTTP.
#[derive(Debug)]
pub(crate) struct Platform {
    transport: Transport,
    source: TokenSource,
    send_url: reqwest::Url,
    language: Language,
    clock: Clock,
}

impl Platform {
    /// Sets up the client; nothing is sent yet.
    pub(crate) fn new(
        options: PlatformOptions,
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, GatewayError> {
        let roots = Roots::needed_for(&options.base_url);
        Self::with_roots(options, credentials, clock, roots)
    }

    fn with_roots(
        options: PlatformOptions,
        credentials: Credentials,
        clock: Clock,
        roots: Roots,
    ) -> Result<Self, GatewayError> {
        let send_url = options
            .base_url
            .endpoint(wire::SEND_PATH, &[("language", options.language.name())]);
        let limits = Limits {
            connect_timeout: options.connect_timeout,
            request_timeout: options.request_timeout,
            max_reply_bytes: options.max_reply_bytes,
            connections: options.concurrency,
        };
        let transport = Transport::new(
            options.base_url,
            options.proxy,
            limits,
            roots,
            options.budget,
        )?;
        let source = match credentials {
            Credentials::Key {
                access_key,
                access_secret,
            } => TokenSource::with_login(Login::new(transport.clone(), access_key, access_secret)),
            Credentials::Token(token) => {
                transport.scrubber().keep(token.expose_secret());
                TokenSource::with_token(
                    login::authorization(token.expose_secret()).map_err(GatewayError::Token)?,
                )
            }
        };
        Ok(Self {
            transport,
            source,
            send_url,
            language: options.language,
            clock,
        })
    }

    /// Whether the platform answers at all: asks for a login without saying who, which it refuses.
    pub(crate) async fn reach(&self) -> Result<Reached, Unsent> {
        let base_url = self.transport.base_url();
        let url = base_url.endpoint(wire::LOGIN_PATH, &[]);
        let begun = Instant::now();
        match self.transport.ask(self.transport.get(url)).await {
            Ok(reply) => Ok(Reached {
                date: reply.date(),
                took: begun.elapsed(),
                is_encrypted: !base_url.is_plain(),
            }),
            Err(failure) => Err(match SendResult::from(failure) {
                SendResult::Unsent(unsent) => unsent,
                SendResult::Lost { error, .. } => Unsent::Unreachable {
                    error,
                    retry_after: None,
                },
                SendResult::Answered(_) => Unsent::Late,
            }),
        }
    }

    /// Logs in, if it is not logged in.
    pub(crate) async fn log_in(&self) -> Result<(), Unsent> {
        self.source.token(self.clock.now()).await.map(drop)
    }

    async fn post(
        &self,
        token: &Token,
        body: Vec<u8>,
        request: &Outgoing,
        handover: &Handover,
    ) -> SendResult {
        let post = self
            .transport
            .post(self.send_url.clone())
            .header(AUTHORIZATION, token.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.transport.send(post, body, handover).await {
            // From somebody in between, who has given up the request before all of it was there.
            Ok(reply) if reply.is_early && matches!(reply.status, 408 | 500..=502 | 504..=599) => {
                SendResult::Unsent(Unsent::Unreachable {
                    error: format!("HTTP {} before the request was sent whole", reply.status),
                    retry_after: reply.retry_after,
                })
            }
            Ok(reply) => {
                let answer = reply::read(reply.status, reply.retry_after, &reply.body, request);
                SendResult::Answered(self.take_answer(token, answer, &reply, !request.suspect))
            }
            Err(failure) => failure.into(),
        }
    }

    async fn ask(&self, token: &Token, query: HistoryQuery<'_>) -> HistoryReply {
        let parameters = query.parameters();
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let (answer, reply) = match self
            .question(token, history::HISTORY_PATH, parameters)
            .await
        {
            Ok(answered) => answered,
            Err(failure) => return HistoryReply::NoPage(failure.into()),
        };
        if is_good(&answer, &reply) {
            let mut page = history::read(&reply.body, query.page);
            for entry in &mut page.entries {
                self.transport.scrubber().ticket(&mut entry.ticket);
            }
            HistoryReply::Page(page)
        } else {
            HistoryReply::NoPage(SendResult::Answered(answer))
        }
    }

    /// The platform's export of a product's thing model, as text; else why there is none. It asks once, and changes nothing.
    pub(crate) async fn thing_model(&self, product_key: &str) -> Result<String, SendResult> {
        let token = self.source.token(self.clock.now()).await;
        let token = token.map_err(SendResult::Unsent)?;
        let parameters = vec![("productKey", product_key)];
        let (answer, reply) = self.question(&token, TSL_PATH, parameters).await?;
        if is_good(&answer, &reply) {
            let text = String::from_utf8_lossy(&reply.body);
            Ok(self.transport.scrubber().text(&text).into_owned())
        } else {
            Err(SendResult::Answered(answer))
        }
    }

    /// One page of the devices of a product; else why there is none. It asks once, and changes nothing.
    pub(crate) async fn devices(
        &self,
        query: DeviceQuery<'_>,
    ) -> Result<ListPage<ListedDevice>, SendResult> {
        let reply = self.list(listing::DEVICES_PATH, query.parameters()).await?;
        Ok(listing::devices(&reply.body, query.product_key))
    }

    /// One page of the products that the account sees, from 1; else why there is none. It asks once, and changes nothing.
    pub(crate) async fn products(&self, page: u32) -> Result<ListPage<ListedProduct>, SendResult> {
        let parameters = listing::page(page).to_vec();
        let reply = self.list(listing::PRODUCTS_PATH, parameters).await?;
        Ok(listing::products(&reply.body))
    }

    /// The queues of the account; else why they are not told. It asks once, and changes nothing.
    pub(crate) async fn queues(&self) -> Result<Vec<ListedQueue>, SendResult> {
        let url = self.transport.base_url().endpoint(queues::LIST_PATH, &[]);
        let post = self
            .transport
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body("{}");
        let reply = self.ask_of_queues(post).await?;
        Ok(queues::list(&reply.body))
    }

    /// What waits in the queue of this number; else why that is not told. It asks once, and changes nothing.
    pub(crate) async fn backlog(&self, queue_id: &str) -> Result<Backlog, SendResult> {
        let base_url = self.transport.base_url();
        let url = base_url.endpoint(queues::DETAIL_PATH, &[("queueId", queue_id)]);
        let reply = self.ask_of_queues(self.transport.get(url)).await?;
        Ok(queues::backlog(&reply.body))
    }

    /// Asks one of the calls of queues, whose good code is 200 or, as an example has it, 0.
    async fn ask_of_queues(&self, request: reqwest::RequestBuilder) -> Result<Reply, SendResult> {
        let token = self.source.token(self.clock.now()).await;
        let token = token.map_err(SendResult::Unsent)?;
        let request = request.header(AUTHORIZATION, token.authorization.clone());
        let reply = self.transport.ask(request).await?;
        let answer = reply::read_whole(reply.status, reply.retry_after, &reply.body);
        let answer = self.take_answer(&token, answer, &reply, true);
        if is_good(&answer, &reply) || (answer.code == Some(0) && reply.status == 200) {
            Ok(reply)
        } else {
            Err(SendResult::Answered(answer))
        }
    }

    async fn list(
        &self,
        path: &str,
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Reply, SendResult> {
        let token = self.source.token(self.clock.now()).await;
        let token = token.map_err(SendResult::Unsent)?;
        let parameters = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let (answer, reply) = self.question(&token, path, parameters).await?;
        if is_good(&answer, &reply) {
            Ok(reply)
        } else {
            Err(SendResult::Answered(answer))
        }
    }

    /// Asks for something that is only read.
    async fn question(
        &self,
        token: &Token,
        path: &str,
        mut parameters: Vec<(&str, &str)>,
    ) -> Result<(Answer, Reply), Failure> {
        parameters.push(("language", self.language.name()));
        let url = self.transport.base_url().endpoint(path, &parameters);
        let get = self
            .transport
            .get(url)
            .header(AUTHORIZATION, token.authorization.clone());
        let reply = self.transport.ask(get).await?;
        let answer = reply::read_whole(reply.status, reply.retry_after, &reply.body);
        let answer = self.take_answer(token, answer, &reply, true);
        Ok((answer, reply))
    }

    /// Cuts secrets out of an answer, completes it by what its reply says outside the body, and tells the token source of it.
    fn take_answer(
        &self,
        token: &Token,
        mut answer: Answer,
        reply: &Reply,
        speaks: bool,
    ) -> Answer {
        // 'Token incorrect: …' must not carry the token into the results database.
        self.transport.scrubber().answer(&mut answer);
        if answer.message.is_none() {
            answer.message = reply
                .location
                .as_ref()
                .map(|location| format!("redirects to {location}").into());
        }
        self.learn_of_token(token, &answer, speaks);
        answer
    }

    /// Tells the token source what an answer says of the token it was asked with, if a refusal of it `speaks` for the token.
    fn learn_of_token(&self, token: &Token, answer: &Answer, speaks: bool) {
        match verdict(answer) {
            Some(TokenVerdict::Accepted) => self.source.accepted(token),
            // Refused again and again while others are not, it is the request and not its token.
            Some(TokenVerdict::Refused) if !speaks => {}
            Some(TokenVerdict::Refused) => {
                let code = answer.code.unwrap_or_else(|| answer.http_status.into());
                let words = answer.message.as_deref().unwrap_or("no reason given");
                self.source
                    .refused(token, &format!("{code}: {words}"), self.clock.now());
            }
            None => {}
        }
    }
}

impl Gateway for Platform {
    async fn send(&self, request: Outgoing, handover: Handover) -> SendReport {
        let mut sent_at = self.clock.now();
        let mut start = Instant::now();
        let result = match (wire::encode(&request), self.source.token(sent_at).await) {
            (Ok(body), Ok(token)) => {
                // The wait for a token is none of the request's.
                sent_at = self.clock.now();
                start = Instant::now();
                // But it may have been long.
                let not_after = request.not_after;
                if not_after.is_some_and(|end| self.clock.has_passed(end)) {
                    SendResult::Unsent(Unsent::Late)
                } else {
                    self.post(&token, body, &request, &handover).await
                }
            }
            (_, Err(unsent)) => SendResult::Unsent(unsent),
            (Err(error), Ok(_)) => SendResult::Unsent(Unsent::Refused {
                error: format!("the payload's extendPara is not JSON: {error}"),
            }),
        };
        SendReport {
            sent_at,
            latency: start.elapsed(),
            result,
        }
    }
}

impl HistoryClient for Platform {
    async fn page(&self, query: HistoryQuery<'_>) -> HistoryReply {
        match self.source.token(self.clock.now()).await {
            Ok(token) => self.ask(&token, query).await,
            Err(unsent) => HistoryReply::NoPage(SendResult::Unsent(unsent)),
        }
    }
}

impl From<Failure> for SendResult {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unsendable(error) | Failure::Refused(error) => {
                Self::Unsent(Unsent::Refused { error })
            }
            Failure::Exhausted(error) => Self::Unsent(Unsent::Exhausted { error }),
            Failure::Unreachable(error) | Failure::Unfinished(error) => {
                Self::Unsent(Unsent::Unreachable {
                    error,
                    retry_after: None,
                })
            }
            Failure::Certificate(error) => Self::Unsent(Unsent::Certificate { error }),
            Failure::Lost { status, error } => Self::Lost {
                http_status: status,
                error,
            },
        }
    }
}

/// Whether a question was answered.
fn is_good(answer: &Answer, reply: &Reply) -> bool {
    answer.code == Some(200) && (200..300).contains(&reply.status)
}

#[cfg(test)]
mod tests;
