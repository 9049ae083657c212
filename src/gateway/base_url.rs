//! The base URL of the platform, checked and with one canonical text.

use std::fmt;

use reqwest::header::HeaderValue;
use url::Url;

use crate::model::is_loopback;

/// Why a base URL is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// Not a URL at all, or one without a host.
    #[error("the base URL is not a URL ({0}): write it as https://HOST")]
    Malformed(String),
    /// Neither http nor https.
    #[error("the base URL begins with '{0}:', not with https:// : write it as https://HOST")]
    Scheme(String),
    /// A user name or password in it.
    #[error(
        "the base URL contains a user name or password: remove them, credentials are read from FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET or FLEETPUSH_TOKEN"
    )]
    UserInfo,
    /// A query or fragment in it.
    #[error("the base URL contains a query or a fragment: remove '?' or '#' and what follows")]
    Extra,
    /// Plain HTTP to another machine.
    #[error(
        "the base URL would send credentials to {0} without encryption: write https://, or allow it with --insecure-http"
    )]
    Insecure(String),
}

/// The platform's base URL. Its text is canonical, since it is part of what makes two pushes the same: lower-case scheme and host, no
/// default port, no slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BaseUrl(Url);

impl BaseUrl {
    /// Checks a base URL as a person wrote it. A path is kept, for a platform behind a reverse proxy; plain `http` is taken for this
    /// machine only, unless `insecure_http`.
    pub(crate) fn parse(text: &str, insecure_http: bool) -> Result<Self, BaseUrlError> {
        let mut url =
            Url::parse(text.trim()).map_err(|error| BaseUrlError::Malformed(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Extra);
        }
        if url.scheme() == "http" && !insecure_http && !is_loopback(&url) {
            return Err(BaseUrlError::Insecure(
                url.host_str().unwrap_or_default().to_owned(),
            ));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The canonical text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Whether this machine itself is meant: an address of the loopback network, or `localhost`.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether requests travel in the clear.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// What `Host` says: the host, with its port unless that goes without saying.
    pub(super) fn host(&self) -> Option<HeaderValue> {
        let host = self.0.host_str()?;
        let text = match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        HeaderValue::from_str(&text).ok()
    }

    /// The host with its port, as a proxy wants it.
    pub(super) fn authority(&self) -> Option<String> {
        let (host, port) = (self.0.host_str()?, self.0.port_or_known_default()?);
        Some(format!("{host}:{port}"))
    }

    /// The URL of a path of the platform, with these query parameters.
    pub(super) fn endpoint(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(query);
        // A blank as '+' is for forms; '%20' is understood everywhere, and a '+' that is meant is '%2B' by now.
        let query = url.query().unwrap_or_default().replace('+', "%20");
        url.set_query(Some(&query));
        url
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Region;

    #[test]
    fn one_place_has_one_text() {
        for (written, canonical) in [
            (
                "https://iot-api.quectelcn.com",
                "https://iot-api.quectelcn.com",
            ),
            (
                "https://iot-api.quectelcn.com/",
                "https://iot-api.quectelcn.com",
            ),
            (
                " HTTPS://IOT-API.quectelcn.com:443// ",
                "https://iot-api.quectelcn.com",
            ),
            ("https://proxy.example/iot/", "https://proxy.example/iot"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://LOCALHOST", "http://localhost"),
        ] {
            let url = BaseUrl::parse(written, false).unwrap();
            assert_eq!(url.as_str(), canonical);
            assert_eq!(BaseUrl::parse(canonical, false).unwrap(), url);
        }
    }

    #[test]
    fn the_regions_are_what_a_person_would_write() {
        for region in Region::ALL {
            let url = BaseUrl::parse(region.base_url(), false).unwrap();
            assert_eq!(url.as_str(), region.base_url());
        }
    }

    #[test]
    fn endpoints_stand_below_the_base_path() {
        let url = |base| {
            let base = BaseUrl::parse(base, false).unwrap();
            String::from(base.endpoint("/v2/x", &[("a", "1&b=2"), ("token", "QJWT e+/=")]))
        };
        let tail = "/v2/x?a=1%26b%3D2&token=QJWT%20e%2B%2F%3D";
        assert_eq!(url("https://host"), format!("https://host{tail}"));
        assert_eq!(url("https://host/iot/"), format!("https://host/iot{tail}"));
    }

    #[test]
    fn the_host_header_has_a_port_that_does_not_go_without_saying() {
        for (base, host) in [
            ("https://host:443", "host"),
            ("http://localhost:443/iot", "localhost:443"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("https://bücher.example", "xn--bcher-kva.example"),
        ] {
            let url = BaseUrl::parse(base, false).unwrap();
            assert_eq!(url.host().unwrap(), host);
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (written, expected) in [
            ("ftp://host", "begins with 'ftp:'"),
            ("localhost:8080", "begins with 'localhost:'"),
            ("iot-api.quectelcn.com", "write it as https://HOST"),
            ("https://", "write it as https://HOST"),
            ("https://host?", "query or a fragment"),
            ("https://host/?language=CN", "query or a fragment"),
            ("https://host/#top", "query or a fragment"),
        ] {
            let error = BaseUrl::parse(written, true).unwrap_err().to_string();
            assert!(error.contains(expected), "{written}: {error}");
        }
    }

    #[test]
    fn a_password_in_it_is_refused_and_not_repeated() {
        for written in [
            "https://me:hunter2@host",
            "https://hunter2@host",
            "https://:hunter2@host",
        ] {
            let error = BaseUrl::parse(written, true).unwrap_err();
            assert_eq!(error, BaseUrlError::UserInfo);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn plain_http_leaves_this_machine_only_when_allowed() {
        for far in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://iot-api.quectelcn.com",
        ] {
            assert!(
                matches!(BaseUrl::parse(far, false), Err(BaseUrlError::Insecure(_))),
                "{far}"
            );
            let url = BaseUrl::parse(far, true).unwrap();
            assert!(url.is_plain() && !url.is_loopback());
        }
        for near in [
            "http://127.9.9.9:1",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]",
            "http://localhost.:1",
        ] {
            assert!(BaseUrl::parse(near, false).unwrap().is_loopback(), "{near}");
        }
    }
}
