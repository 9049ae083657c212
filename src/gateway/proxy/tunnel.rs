//! Why a proxy refuses a tunnel. The HTTP client reports the refusal, but its status only for 407.

use std::time::Duration;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{BaseUrl, Proxy};

/// A status line is far shorter; what is longer is none.
const LONGEST_STATUS_LINE: usize = 1024;

/// Whether a proxy that answers this to a request for a tunnel would answer otherwise later.
pub(in crate::gateway) fn passes_by_itself(status: u16) -> bool {
    !(400..500).contains(&status) || matches!(status, 408 | 425 | 429)
}

impl Proxy {
    /// Asks once more for a tunnel to the platform, through which nothing goes, and gives the status that comes back. `None` when none
    /// comes in time, and for a proxy that is spoken to over TLS.
    pub(in crate::gateway) async fn tunnel_status(
        &self,
        base_url: &BaseUrl,
        within: Duration,
    ) -> Option<u16> {
        timeout(within, self.ask_for_tunnel(base_url)).await.ok()?
    }

    async fn ask_for_tunnel(&self, base_url: &BaseUrl) -> Option<u16> {
        if self.url.scheme() != "http" {
            return None;
        }
        let platform = base_url.authority()?;
        let mut head = format!("CONNECT {platform} HTTP/1.1\r\nHost: {platform}\r\n").into_bytes();
        // As the client reads and encodes the credentials in the URL.
        let client = Matcher::builder().all(self.url.as_str()).build();
        let uri: Uri = base_url.as_str().parse().ok()?;
        let intercepted = client.intercept(&uri)?;
        if let Some(credentials) = intercepted.basic_auth() {
            head.extend_from_slice(b"Proxy-Authorization: ");
            head.extend_from_slice(credentials.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");

        let (host, port) = (self.url.host_str()?, self.url.port_or_known_default()?);
        let mut stream = TcpStream::connect(format!("{host}:{port}")).await.ok()?;
        stream.write_all(&head).await.ok()?;
        let mut line = Vec::new();
        let mut reader = stream.take(LONGEST_STATUS_LINE as u64);
        while !line.contains(&b'\n') {
            if reader.read_buf(&mut line).await.ok()? == 0 {
                break;
            }
        }
        status(&line)
    }
}

/// The status in the first line of a reply.
fn status(reply: &[u8]) -> Option<u16> {
    let line = reply
        .split(|byte| *byte == b'\r' || *byte == b'\n')
        .next()?;
    let line = std::str::from_utf8(line.get(..12)?).ok()?;
    let digits = line.strip_prefix("HTTP/1.")?.get(2..)?;
    digits
        .parse()
        .ok()
        .filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    #[test]
    fn a_status_is_read_from_a_status_line_alone() {
        assert_eq!(
            status(b"HTTP/1.1 403 Forbidden\r\nServer: x\r\n"),
            Some(403)
        );
        assert_eq!(status(b"HTTP/1.0 502\r\n"), Some(502));
        for other in [
            &b""[..],
            b"HTTP/1.1 40",
            b"HTTP/1.1 four\r\n",
            b"HTTP/1.1 999 Odd\r\n",
            b"<html><head>",
            b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff",
        ] {
            assert_eq!(status(other), None, "{other:?}");
        }
    }

    #[test]
    fn only_a_decision_of_the_proxy_is_not_waited_out() {
        for status in [400, 401, 403, 404, 405, 407, 451] {
            assert!(!passes_by_itself(status), "{status}");
        }
        for status in [200, 302, 408, 425, 429, 500, 502, 503, 504] {
            assert!(passes_by_itself(status), "{status}");
        }
    }

    #[tokio::test]
    async fn it_is_asked_with_the_credentials_of_its_url_for_the_platform() {
        let listener = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            stream.write_all(b"HTTP/1.1 4").unwrap();
            stream.write_all(b"03 No\r\n\r\n").unwrap();
            String::from_utf8(head).unwrap()
        });
        let base_url = BaseUrl::parse("https://platform.example/iot", true).unwrap();
        let value = format!("http://user:p%40ss@{address}");
        let proxy = Proxy::from_environment(&base_url, |name| {
            (name == "HTTPS_PROXY").then(|| value.clone())
        });
        let proxy = proxy.unwrap().unwrap();
        let status = proxy
            .tunnel_status(&base_url, Duration::from_secs(20))
            .await;
        assert_eq!(status, Some(403));
        // "user:p@ss"
        assert_eq!(
            asked.join().unwrap(),
            "CONNECT platform.example:443 HTTP/1.1\r\nHost: platform.example:443\r\n\
             Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
        );
    }
}
