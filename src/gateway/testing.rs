//! A platform for tests: an HTTP/1.1 server on loopback that answers each request exactly as the test says, down to the bytes and the end
//! of the connection.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    BaseUrl, Outgoing,
    transport::{Limits, Roots, Transport},
};
use crate::{budget::Budget, model::Payload};

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The request line and the headers.
    pub(super) head: String,
    pub(super) body: String,
    /// The how-manyth connection it came on, from 0.
    pub(super) connection: usize,
}

impl Seen {
    /// The path with its query.
    pub(super) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(super) fn is_login(&self) -> bool {
        self.target().contains("accessKeyLogin")
    }

    pub(super) fn is_refresh(&self) -> bool {
        self.target().contains("refreshToken")
    }
}

/// What the server does with a request.
pub(super) enum Act {
    /// Writes these bytes and keeps the connection.
    Write(Vec<u8>),
    /// Writes these bytes and closes the connection.
    WriteAndClose(Vec<u8>),
    /// Writes these bytes and then nothing, with the connection open.
    WriteAndHang(Vec<u8>),
    /// Resets the connection.
    Reset,
}

impl Act {
    /// A whole reply with this status line's end, these headers and this body.
    pub(super) fn reply(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let headers: String = headers
            .iter()
            .flat_map(|(name, value)| [name, ": ", value, "\r\n"])
            .collect();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        Self::Write([head.as_bytes(), body].concat())
    }

    /// A whole reply with HTTP 200.
    pub(super) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::reply("200 OK", &[], body)
    }

    /// A login's reply with this token.
    pub(super) fn token(token: &str) -> Self {
        Self::ok(format!(
            r#"{{"msg":"OK","access_token":"{token}","code":200,"scope":"","token_type":"jwt","expires_in":86400}}"#
        ))
    }
}

/// The server; it ends with the test.
pub(super) struct Server {
    pub(super) base_url: BaseUrl,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// A server that does what `script` says to each request; the script gets the requests seen before, too.
    pub(super) async fn start(
        script: impl Fn(&Seen, &[Seen]) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let log = Arc::clone(&seen);
        let script = Arc::new(script);
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, connection, &*script, &log).await });
            }
        });
        Self {
            base_url: BaseUrl::parse(&base_url, false).unwrap(),
            seen,
            task,
        }
    }

    /// Closes the port; when this returns, nobody listens any more.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: &(impl Fn(&Seen, &[Seen]) -> Act + Send + Sync),
    log: &Mutex<Vec<Seen>>,
) {
    while let Some((head, body)) = read_request(&mut stream).await {
        let seen = Seen {
            head,
            body,
            connection,
        };
        let act = {
            let mut log = log.lock().unwrap();
            let act = script(&seen, &log);
            log.push(seen);
            act
        };
        match act {
            Act::Write(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::WriteAndClose(bytes) => return stream.write_all(&bytes).await.unwrap(),
            Act::WriteAndHang(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                // Until the client gives up.
                let _ = stream.read(&mut [0]).await;
                return;
            }
            Act::Reset => {
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                return;
            }
        }
    }
}

/// One request; none when the client has closed the connection.
async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).unwrap();
                return Some((head, body));
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
        }
    }
}

/// A request of the specification's payload to these devices.
pub(super) fn outgoing(devices: &[&str]) -> Outgoing {
    Outgoing {
        suspect: false,
        payload: Arc::new(Payload::plain("PK0001", r#"[{"fuwu":[{"raw1":"AA"}]}]"#)),
        devices: devices.iter().map(|&device| device.into()).collect(),
        not_after: None,
    }
}

/// Limits that no test reaches by chance.
pub(super) fn limits() -> Limits {
    Limits {
        connect_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
        max_reply_bytes: 1024,
        connections: 16,
    }
}

pub(super) fn transport(server: &Server, limits: Limits) -> Transport {
    let roots = Roots::needed_for(&server.base_url);
    Transport::new(
        server.base_url.clone(),
        None,
        limits,
        roots,
        Budget::default(),
    )
    .unwrap()
}
