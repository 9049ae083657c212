//! The proxy from the environment, and the messages for when it fails.

use std::fmt;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::{BaseUrl, GatewayError};

mod tunnel;

pub(super) use tunnel::passes_by_itself;

/// A proxy, and the variable that names it.
#[derive(Clone)]
pub(crate) struct Proxy {
    variable: &'static str,
    url: Url,
}

impl Proxy {
    /// The proxy for this platform, if the environment names one; `variable` looks a variable up.
    ///
    /// The variables are those that curl and others heed: `HTTPS_PROXY` (`HTTP_PROXY` for a plain base URL), else `ALL_PROXY`, each also in
    /// lower case, but for what `NO_PROXY` excepts. This machine itself is never reached through a proxy.
    pub(crate) fn from_environment(
        base_url: &BaseUrl,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, GatewayError> {
        if base_url.is_loopback() {
            return Ok(None);
        }
        let of_scheme = if base_url.is_plain() {
            ["HTTP_PROXY", "http_proxy"]
        } else {
            ["HTTPS_PROXY", "https_proxy"]
        };
        let set = |names: [&'static str; 2]| {
            names
                .into_iter()
                .find_map(|name| Some((name, variable(name)?)))
                .filter(|(_, value)| !value.trim().is_empty())
        };
        let Some((name, value)) = set(of_scheme).or_else(|| set(["ALL_PROXY", "all_proxy"])) else {
            return Ok(None);
        };
        let excepted = set(["NO_PROXY", "no_proxy"]).is_some_and(|(_, list)| {
            let proxied = Matcher::builder().all("http://proxy").no(list).build();
            let uri: Option<Uri> = base_url.as_str().parse().ok();
            uri.is_some_and(|uri| proxied.intercept(&uri).is_none())
        });
        if excepted {
            return Ok(None);
        }
        let url = parse(value.trim()).map_err(|reason| GatewayError::Proxy {
            variable: name,
            reason,
        })?;
        Ok(Some(Self {
            variable: name,
            url,
        }))
    }

    /// Its URL, with the credentials that stand in it.
    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    /// What to say when it asks for credentials, or for others.
    pub(super) fn wants_credentials(&self) -> String {
        let variable = self.variable;
        let shown = self.shown();
        let how = shown.replacen("://", "://USER:PASSWORD@", 1);
        format!(
            "{self} asks for credentials (HTTP 407): write {variable}={how}, with its credentials"
        )
    }

    fn shown(&self) -> String {
        let mut url = self.url.clone();
        // A URL with a host can lose its credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }
}

/// Without what may be secret.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} ({})", self.shown(), self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The text may have a password, so no error repeats it.
fn parse(text: &str) -> Result<Url, String> {
    let with_scheme = match text.split_once("://") {
        Some(_) => text.to_owned(),
        None => format!("http://{text}"),
    };
    let url = Url::parse(&with_scheme).map_err(|error| format!("it is not a URL: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err("it names no host".to_owned()),
        other => Err(format!(
            "proxies of the kind {other}:// are not supported, only http:// and https://"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(base_url: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, GatewayError> {
        let base_url = BaseUrl::parse(base_url, true).unwrap();
        Proxy::from_environment(&base_url, |name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn shown(base_url: &str, variables: &[(&str, &str)]) -> Option<String> {
        proxy(base_url, variables)
            .unwrap()
            .map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_variable_of_the_scheme_comes_first_and_is_named() {
        let variables = [
            ("https_proxy", "http://lower:1"),
            ("HTTPS_PROXY", "http://user:secret@upper:2"),
            ("ALL_PROXY", "all:3"),
        ];
        let https = "https://platform.example";
        assert_eq!(
            shown(https, &variables).as_deref(),
            Some("the proxy http://upper:2 (HTTPS_PROXY)")
        );
        assert_eq!(
            shown(https, &variables[..1]).as_deref(),
            Some("the proxy http://lower:1 (https_proxy)")
        );
        assert_eq!(
            shown("http://platform.example", &variables).as_deref(),
            Some("the proxy http://all:3 (ALL_PROXY)")
        );
        assert_eq!(shown(https, &[("HTTPS_PROXY", " ")]), None);
        assert_eq!(shown("https://localhost:4", &variables), None);
    }

    #[test]
    fn what_is_excepted_has_no_proxy() {
        for (list, is_excepted) in [
            ("platform.example", true),
            (".example", true),
            ("*", true),
            ("other.example", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://p:1"), ("no_proxy", list)];
            let found = proxy("https://platform.example/iot", &variables).unwrap();
            assert_eq!(found.is_none(), is_excepted, "{list}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_by_its_variable_and_without_its_password() {
        for value in [
            "socks5://user:secret@p:1",
            "ftp://user:secret@p",
            "http://user:secret@p:port",
            "http://",
        ] {
            let error = proxy("https://platform.example", &[("HTTPS_PROXY", value)])
                .unwrap_err()
                .to_string();
            assert!(error.contains("HTTPS_PROXY"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn how_to_give_credentials_is_told() {
        let variables = [("ALL_PROXY", "http://user:secret@p:1")];
        let found = proxy("https://platform.example", &variables)
            .unwrap()
            .unwrap();
        let words = found.wants_credentials();
        assert!(
            words.contains("ALL_PROXY=http://USER:PASSWORD@p:1") && !words.contains("secret"),
            "{words}"
        );
    }
}
