//! Why a connection failed, and whether to wait for it.

use super::{
    Failure, Transport,
    causes::{PROXY_REFUSES, PROXY_WANTS_CREDENTIALS, causes, certificate_fault, lacking},
};
use crate::gateway::proxy::{Proxy, passes_by_itself};

impl Transport {
    /// Tells why no connection came about.
    pub(super) fn judge_connection(&self, error: &reqwest::Error) -> Failure {
        let (base_url, proxy) = (&self.base_url, self.proxy.as_ref());
        if let Some(fault) = certificate_fault(error) {
            return Failure::Certificate(fault.told_of(base_url, proxy));
        }
        if let Some(lacking) = lacking(error) {
            return Failure::Exhausted(format!("cannot connect to {base_url}: {lacking}"));
        }
        let causes = self.causes(error);
        if causes.contains(PROXY_WANTS_CREDENTIALS) {
            return Failure::Refused(self.wants_credentials());
        }
        let through = proxy.map_or(String::new(), |proxy| format!(" through {proxy}"));
        Failure::Unreachable(match proxy {
            _ if error.is_timeout() => format!(
                "no connection to {base_url}{through} within {:?}",
                self.limits.connect_timeout
            ),
            // Until there is a tunnel, all connections are to the proxy.
            Some(proxy) => format!("cannot connect to {proxy}: {causes}"),
            None => format!("cannot connect to {base_url}: {causes}"),
        })
    }

    /// The proxy, when it is what refuses to let a connection through.
    pub(super) fn refusing_proxy(&self, error: Option<&reqwest::Error>) -> Option<&Proxy> {
        let is_refused = causes(error?).contains(PROXY_REFUSES);
        self.proxy.as_ref().filter(|_| is_refused)
    }

    /// Finds out why a proxy opens no tunnel, and so whether to wait.
    pub(super) async fn judge_tunnel(&self, proxy: &Proxy) -> Failure {
        let base_url = &self.base_url;
        let within = self.limits.connect_timeout;
        let status = proxy.tunnel_status(base_url, within).await;
        let status = status.filter(|status| !(200..300).contains(status));
        let told = status.map_or(String::new(), |status| format!(" (HTTP {status})"));
        let error = format!(
            "{proxy} refuses to connect to {base_url}{told}: ask its administrator, or exclude the platform with NO_PROXY"
        );
        match status {
            Some(407) => Failure::Refused(proxy.wants_credentials()),
            Some(status) if !passes_by_itself(status) => Failure::Refused(error),
            _ => Failure::Unreachable(error),
        }
    }

    pub(super) fn wants_credentials(&self) -> String {
        match &self.proxy {
            Some(proxy) => proxy.wants_credentials(),
            None => format!(
                "something between here and {} asks for a proxy's credentials (HTTP 407): name the proxy with HTTPS_PROXY",
                self.base_url
            ),
        }
    }
}
