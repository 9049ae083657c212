//! Where a message broker is.

use std::fmt;

use url::Url;

use crate::model::is_loopback;

/// The virtual host of the platform's broker.
const VIRTUAL_HOST: &str = "quec-open";

/// Why an address of a broker is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokerAddressError {
    /// Not a URL, or not one of these.
    #[error("write it as amqps://HOST:5671/quec-open")]
    Form,
    /// A user name or a password in it.
    #[error(
        "it contains a user name or a password: remove them, the login is made from FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET"
    )]
    UserInfo,
    /// Plain text to another machine.
    #[error("it would send the login to {0} without encryption: write amqps://")]
    Plain(String),
}

/// Where a message broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokerAddress {
    is_encrypted: bool,
    host: String,
    port: u16,
    virtual_host: String,
}

impl BrokerAddress {
    /// Reads an address: `amqps://HOST[:PORT][/VHOST]`; plain `amqp://` is taken for this machine only.
    pub(crate) fn parse(text: &str) -> Result<Self, BrokerAddressError> {
        let url = Url::parse(text.trim()).map_err(|_| BrokerAddressError::Form)?;
        let is_encrypted = match url.scheme() {
            "amqps" => true,
            "amqp" => false,
            _ => return Err(BrokerAddressError::Form),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BrokerAddressError::UserInfo);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(BrokerAddressError::Form)?.to_owned();
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BrokerAddressError::Form);
        }
        // A URL of the web has its host read as an address where it is one.
        let near = Url::parse(&format!("http://{host}")).is_ok_and(|url| is_loopback(&url));
        if !is_encrypted && !near {
            return Err(BrokerAddressError::Plain(host));
        }
        let path = url.path().trim_start_matches('/');
        // RabbitMQ's own default, '/', is written '%2F'.
        let pair = format!("v={}", path.replace('+', "%2B"));
        let virtual_host = url::form_urlencoded::parse(pair.as_bytes())
            .next()
            .map_or_else(String::new, |(_, value)| value.into_owned());
        Ok(Self {
            is_encrypted,
            port: url.port().unwrap_or(if is_encrypted { 5671 } else { 5672 }),
            host,
            virtual_host: if virtual_host.is_empty() {
                VIRTUAL_HOST.to_owned()
            } else {
                virtual_host
            },
        })
    }

    /// Whether it is reached over TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The host as it stands in an address, an IPv6 one in brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The host as a certificate names it.
    pub(super) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn virtual_host(&self) -> &str {
        &self.virtual_host
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed() {
        for (text, shown, virtual_host) in [
            (
                "amqps://iot-amqp.acceleronix.io:5671/quec-open",
                "amqps://iot-amqp.acceleronix.io:5671",
                "quec-open",
            ),
            (
                "amqps://iot-amqp.acceleronix.io",
                "amqps://iot-amqp.acceleronix.io:5671",
                "quec-open",
            ),
            (
                "amqp://127.0.0.1:45672/",
                "amqp://127.0.0.1:45672",
                "quec-open",
            ),
            ("amqp://[::1]/a%2Fb+c", "amqp://[::1]:5672", "a/b+c"),
            ("amqp://localhost/%2f", "amqp://localhost:5672", "/"),
        ] {
            let address = BrokerAddress::parse(text).unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.virtual_host()),
                (shown, virtual_host)
            );
        }
        assert_eq!(
            BrokerAddress::parse("amqps://[::1]:1").unwrap().name(),
            "::1"
        );
    }

    #[test]
    fn the_regions_are_addresses() {
        for region in crate::model::Region::ALL {
            BrokerAddress::parse(region.amqp_url()).unwrap();
        }
    }

    #[test]
    fn what_cannot_work_or_would_leak_is_refused_and_not_repeated() {
        for text in [
            "",
            "iot-amqp.acceleronix.io",
            "https://host",
            "amqps://",
            "amqps://host/?a=1",
        ] {
            assert_eq!(
                BrokerAddress::parse(text),
                Err(BrokerAddressError::Form),
                "{text}"
            );
        }
        for text in ["amqps://me:hunter2@host", "amqps://hunter2@host"] {
            let error = BrokerAddress::parse(text).unwrap_err();
            assert_eq!(error, BrokerAddressError::UserInfo);
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(
            BrokerAddress::parse("amqp://broker.example/quec-open"),
            Err(BrokerAddressError::Plain("broker.example".to_owned()))
        );
    }
}
