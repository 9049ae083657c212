//! Where the message broker is to which the simulator publishes.

use std::fmt;

use url::{Url, form_urlencoded};

use crate::model::is_loopback;

/// The virtual host of the platform's broker.
const VIRTUAL_HOST: &str = "quec-open";

/// A broker, and who may publish there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) struct BrokerUrl {
    pub(in crate::simulator) host: String,
    pub(in crate::simulator) port: u16,
    pub(in crate::simulator) user: String,
    pub(in crate::simulator) password: String,
    pub(in crate::simulator) virtual_host: String,
}

impl BrokerUrl {
    /// Reads `amqp://USER:PASSWORD@HOST[:PORT][/VHOST]`. Only loopback: what is published here must never reach those who wait for the
    /// platform's own messages.
    pub(in crate::simulator) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
        // A URL of the web has its host read as an address where it is one.
        let is_near = Url::parse(&format!("http://{host}")).is_ok_and(|url| is_loopback(&url));
        let is_plain = url.scheme() == "amqp" && url.query().is_none() && url.fragment().is_none();
        if !is_near || !is_plain {
            return None;
        }
        let or = |text: String, default: &str| {
            if text.is_empty() {
                default.to_owned()
            } else {
                text
            }
        };
        Some(Self {
            host,
            port: url.port().unwrap_or(5672),
            user: or(decoded(url.username()), "guest"),
            password: or(decoded(url.password().unwrap_or_default()), "guest"),
            virtual_host: or(decoded(url.path().trim_start_matches('/')), VIRTUAL_HOST),
        })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "amqp://{}:{}/", self.host, self.port)?;
        f.write_str(&self.virtual_host.replace('/', "%2F"))
    }
}

fn decoded(text: &str) -> String {
    let pair = format!("v={}", text.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_and_its_password_is_not_shown() {
        let parse = |text| BrokerUrl::parse(text).unwrap();
        let url = parse("amqp://me:p%40s%26+@127.0.0.1:45672/a%2Fb");
        assert_eq!((url.user.as_str(), url.password.as_str()), ("me", "p@s&+"));
        assert_eq!(url.virtual_host, "a/b");
        assert_eq!(url.to_string(), "amqp://127.0.0.1:45672/a%2Fb");
        let url = parse("amqp://localhost");
        assert_eq!(
            (url.user.as_str(), url.password.as_str()),
            ("guest", "guest")
        );
        assert_eq!(url.to_string(), "amqp://localhost:5672/quec-open");
        assert_eq!(parse("amqp://[::1]/%2F").virtual_host, "/");
    }

    #[test]
    fn other_machines_and_other_protocols_are_refused() {
        for text in [
            "",
            "127.0.0.1",
            "http://127.0.0.1",
            "amqps://127.0.0.1",
            "amqp://broker.example/quec-open",
            "amqp:///quec-open",
            "amqp://127.0.0.1/?heartbeat=5",
        ] {
            assert_eq!(BrokerUrl::parse(text), None, "{text}");
        }
    }
}
