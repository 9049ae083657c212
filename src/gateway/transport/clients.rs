//! The HTTP clients: one for each connection.
//!
//! A connection that has read a long reply keeps a buffer of up to [`READ_BUFFER`] for as long as it lives, also while it waits for the
//! next reply. Of a thousand connections these buffers would take several times what everything else takes. reqwest has no way to make
//! them smaller, nor to close one connection of many. So each connection has a client of its own, and ends with it: of those that have
//! read a long reply, only a few are used again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, RequestBuilder, Response, Url,
    header::{HOST, HeaderMap},
};
use rustls::ClientConfig;

use super::{Limits, Roots, causes::causes, tls};
use crate::gateway::{BaseUrl, GatewayError, Proxy};

/// Bytes that a connection may take to read a reply (hyper 1.12, `proto::h1::io`).
pub(super) const READ_BUFFER: usize = 400 * 1024;
/// How many connections are used again after a long reply.
pub(super) const FEW: usize = 32;
/// How long an idle connection is kept. Short, because a request that crosses with the other side's closing of an idle connection is in
/// doubt, and some load balancers close after 15 seconds; a push at work leaves no connection idle for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Gives each request a connection of its own.
#[derive(Debug)]
pub(super) struct Clients {
    recipe: Recipe,
    /// Puts requests together, and sends none.
    blank: Client,
    kept: Mutex<Kept>,
}

/// What a client is made from.
#[derive(Debug)]
struct Recipe {
    base_url: BaseUrl,
    proxy: Option<Proxy>,
    limits: Limits,
    tls: ClientConfig,
}

#[derive(Debug, Default)]
struct Kept {
    /// Those without a request, the latest last.
    idle: Vec<Line>,
    /// How many have read a long reply, with those that have a request.
    long: usize,
}

/// A client with at most one connection.
#[derive(Debug)]
struct Line {
    client: Client,
    /// Whether it has read a long reply.
    is_long: bool,
}

impl Clients {
    pub(super) fn new(
        base_url: BaseUrl,
        proxy: Option<Proxy>,
        limits: Limits,
        roots: Roots,
    ) -> Result<Self, GatewayError> {
        let tls = tls::config(roots).map_err(|error| GatewayError::Client(error.to_string()))?;
        let recipe = Recipe {
            base_url,
            proxy,
            limits,
            tls,
        };
        let blank = recipe
            .client()
            .map_err(|error| GatewayError::Client(causes(&error)))?;
        Ok(Self {
            recipe,
            blank,
            kept: Mutex::default(),
        })
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.blank.get(url)
    }

    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.blank.post(url)
    }

    /// A connection for one exchange; it goes back when it is dropped.
    pub(super) fn lease(&self) -> Lease<'_> {
        let idle = self.kept().next();
        let line = idle.unwrap_or_else(|| Line {
            // One could be made before; if not now, this one serves as well, but for what it keeps.
            client: self.recipe.client().unwrap_or_else(|_| self.blank.clone()),
            is_long: false,
        });
        Lease {
            clients: self,
            line: Some(line),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whatever panicked beside it, what it holds is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The one that was used last but one: the connection of the last may not have come back yet. So few requests use few connections,
    /// none of which is idle for long.
    fn next(&mut self) -> Option<Line> {
        match self.idle.len() {
            0 | 1 => self.idle.pop(),
            several => Some(self.idle.remove(several - 2)),
        }
    }

    /// What is left of a connection: itself when it goes.
    fn put(&mut self, line: Line, most: usize) -> Option<Line> {
        if line.is_long && self.long > FEW || self.idle.len() >= most {
            self.long -= usize::from(line.is_long);
            return Some(line);
        }
        self.idle.push(line);
        None
    }
}

/// A connection for one exchange.
#[derive(Debug)]
pub(super) struct Lease<'c> {
    clients: &'c Clients,
    /// Always there until it is dropped.
    line: Option<Line>,
}

impl Lease<'_> {
    pub(super) async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let request = request.build()?;
        let client = self.line.as_ref().map(|line| &line.client);
        client.unwrap_or(&self.clients.blank).execute(request).await
    }

    /// Notes that the reply is long.
    pub(super) fn reply_is_long(&mut self) {
        if let Some(line) = self.line.as_mut().filter(|line| !line.is_long) {
            line.is_long = true;
            self.clients.kept().long += 1;
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            let most = self.clients.recipe.limits.connections;
            // A connection is closed when nobody has its client any more, and nobody has to wait for that.
            let left = self.clients.kept().put(line, most);
            drop(left);
        }
    }
}

impl Recipe {
    fn client(&self) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .user_agent(concat!("fleetpush/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .gzip(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.limits.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(1)
            .tcp_nodelay(true);
        // As hyper would write it, but not anew for each request.
        if let Some(host) = self.base_url.host() {
            builder = builder.default_headers(HeaderMap::from_iter([(HOST, host)]));
        }
        // Which one it is was read from the environment before, so that it can be named.
        builder = builder.no_proxy();
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.url())?);
        }
        builder.build()
    }
}
