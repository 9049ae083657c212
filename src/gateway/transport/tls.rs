//! Which certificates are trusted. The trust store is read once for all connections, which also share their sessions.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use rustls_platform_verifier::Verifier;

use crate::gateway::BaseUrl;

/// Whose certificates are trusted.
#[derive(Debug)]
pub(in crate::gateway) enum Roots {
    /// Those of the system's trust store.
    System,
    /// These alone.
    Only(Vec<CertificateDer<'static>>),
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

/// How TLS is spoken.
pub(super) fn config(roots: Roots) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match roots {
        Roots::System => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(provider)?)),
        Roots::Only(certificates) => {
            let mut store = RootCertStore::empty();
            for certificate in certificates {
                store.add(certificate)?;
            }
            builder.with_root_certificates(store)
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// How TLS is spoken with the message broker, which names no protocol in it.
pub(in crate::gateway) fn message_tls() -> Result<ClientConfig, rustls::Error> {
    let mut config = config(Roots::System)?;
    config.alpn_protocols.clear();
    Ok(config)
}
