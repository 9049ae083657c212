//! The HTTP client, and how many idle connections it keeps.
//!
//! A connection that has read a long reply keeps a buffer of [`READ_BUFFER`] for as long as it lives, and reqwest has no way to say
//! less. Of hundreds of connections these buffers would take more than everything else. So a platform whose replies are long finds
//! few connections kept, and is spoken to on new ones.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::{
    Certificate, Client,
    header::{HOST, HeaderMap},
};

use super::{Limits, causes::causes};
use crate::gateway::{BaseUrl, GatewayError, Proxy};

/// Bytes that a connection may take to read a reply (hyper 1.12, `proto::h1::io`).
pub(super) const READ_BUFFER: usize = 400 * 1024;
/// How many idle connections are kept at most when replies are long.
const FEW: usize = 32;
/// How long an idle connection is kept. Short, because a request that crosses with the other side's closing of an idle connection is in
/// doubt, and some load balancers close after 15 seconds; a push at work leaves no connection idle for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whose certificates are trusted.
#[derive(Debug)]
pub(in crate::gateway) enum Roots {
    /// Those of the system's trust store.
    System,
    /// These alone.
    Only(Vec<Certificate>),
}

impl Roots {
    /// A plain connection to this machine needs no trust store, and so must work on a system that has none.
    pub(in crate::gateway) fn needed_for(base_url: &BaseUrl) -> Self {
        if base_url.is_plain() && base_url.is_loopback() {
            Self::Only(Vec::new())
        } else {
            Self::System
        }
    }
}

/// Gives the client for the next request.
#[derive(Debug)]
pub(super) struct Clients {
    recipe: Recipe,
    kept: Mutex<Kept>,
}

/// What a client is made from.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) base_url: BaseUrl,
    pub(super) proxy: Option<Proxy>,
    pub(super) limits: Limits,
    pub(super) roots: Roots,
}

#[derive(Debug)]
struct Kept {
    client: Client,
    /// How many idle connections it keeps at most.
    connections: usize,
}

impl Clients {
    pub(super) fn new(recipe: Recipe) -> Result<Self, GatewayError> {
        let connections = recipe.limits.connections;
        let client = recipe.client(connections)?;
        Ok(Self {
            recipe,
            kept: Mutex::new(Kept {
                client,
                connections,
            }),
        })
    }

    /// The client for a new request.
    pub(super) fn client(&self) -> Client {
        self.kept().client.clone()
    }

    /// Notes that a reply is long. The connections of the client before are closed as soon as their requests have ended, since a
    /// connection goes back to a pool that nobody holds any more.
    pub(super) fn reply_is_long(&self) {
        let mut kept = self.kept();
        if kept.connections <= FEW {
            return;
        }
        // It could be made before; if not now, what was kept is not worth a failed push.
        if let Ok(client) = self.recipe.client(FEW) {
            kept.client = client;
        }
        kept.connections = FEW;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whatever panicked beside it, a client is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recipe {
    fn client(&self, connections: usize) -> Result<Client, GatewayError> {
        // Fails when a provider is installed, and then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("fleetpush/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .gzip(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.limits.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .tcp_nodelay(true);
        // As hyper would write it, but not anew for each request.
        if let Some(host) = self.base_url.host() {
            builder = builder.default_headers(HeaderMap::from_iter([(HOST, host)]));
        }
        // Which one it is was read from the environment before, so that it can be named.
        builder = builder.no_proxy();
        let failed = |error: reqwest::Error| GatewayError::Client(causes(&error));
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.url()).map_err(failed)?);
        }
        if let Roots::Only(certificates) = &self.roots {
            builder = builder.tls_certs_only(certificates.iter().cloned());
        }
        builder.build().map_err(failed)
    }
}
