//! A server that answers what a test says, over TLS if need be: for replies that the simulator does not give.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

/// Bytes of a request and of a reply.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A server on a free port, as long as the process lives.
pub(crate) struct Stub {
    pub(crate) base_url: String,
    /// What it shows, when it speaks TLS: a certificate that nobody trusts, as PEM.
    pub(crate) certificate: String,
}

impl Stub {
    /// Answers requests, of which it is given the first line, with a status and a body.
    pub(crate) fn answering(
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let (listener, port) = listen();
        thread::spawn(move || {
            let answer = Arc::new(answer);
            for stream in listener.incoming() {
                let answer = Arc::clone(&answer);
                let stream = stream.expect("a connection");
                thread::spawn(move || serve(stream, &*answer));
            }
        });
        Self {
            base_url: format!("http://127.0.0.1:{port}"),
            certificate: String::new(),
        }
    }

    /// Answers every request with this, over TLS.
    pub(crate) fn over_tls(status: u16, body: &'static str) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .expect("a certificate can be made");
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .expect("a key has its form");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the key is that of the certificate");
        let config = Arc::new(config);
        let (listener, port) = listen();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let config = Arc::clone(&config);
                let stream = stream.expect("a connection");
                thread::spawn(move || {
                    let connection =
                        rustls::ServerConnection::new(config).expect("the config is good");
                    let stream = rustls::StreamOwned::new(connection, stream);
                    serve(stream, &|_: &str| (status, body.to_owned()));
                });
            }
        });
        Self {
            base_url: format!("https://localhost:{port}"),
            certificate: pem(made.cert.der()),
        }
    }
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    (listener, port)
}

/// Answers one request after the other, until the client goes. A client that does not like the certificate goes at once.
fn serve(mut stream: impl Stream, answer: &(impl Fn(&str) -> (u16, String) + ?Sized)) {
    while let Some(request) = read_request(&mut stream) {
        let (status, body) = answer(&request);
        let reply = format!(
            "HTTP/1.1 {status} As told\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream
            .write_all(reply.as_bytes())
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
    }
}

/// The first line of the next request, which is read whole.
fn read_request(stream: &mut impl Stream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    stream
        .read_exact(&mut vec![0; length.unwrap_or_default()])
        .ok()?;
    head.lines().next().map(str::to_owned)
}

fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits = (0..3).fold(0, |bits, place| {
            bits << 8 | u32::from(group.get(place).copied().unwrap_or_default())
        });
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
        if text.len() % 65 == 64 {
            text.push('\n');
        }
    }
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        text.trim_end()
    )
}
