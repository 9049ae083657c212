//! What stands between this machine and the platform: names, ports, TLS and proxies.

use super::*;

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let transport = at(
        &format!("http://127.0.0.1:{port}"),
        limits(),
        Roots::Only(Vec::new()),
    );
    match post(&transport).await {
        Err(Failure::Unreachable(error)) => {
            assert!(
                error.starts_with(&format!(
                    "cannot connect to http://127.0.0.1:{port}: tcp connect error"
                )),
                "{error}"
            );
            assert_eq!(error.matches("refused").count(), 1, "{error}");
        }
        other => panic!("{:?}", other.map(|reply| reply.status)),
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_unreachable() {
    let impatient = Limits {
        connect_timeout: Duration::from_secs(2),
        ..limits()
    };
    let transport = at(
        "https://no-such-host.invalid",
        impatient,
        Roots::Only(Vec::new()),
    );
    assert!(matches!(
        post(&transport).await,
        Err(Failure::Unreachable(_))
    ));
}

#[tokio::test]
async fn a_handshake_that_hangs_is_unreachable() {
    // The system accepts for a listener, and nobody ever speaks.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let impatient = Limits {
        connect_timeout: Duration::from_millis(100),
        ..limits()
    };
    let short_in_all = Limits {
        request_timeout: Duration::from_millis(200),
        ..limits()
    };
    for limits in [impatient, short_in_all] {
        match post(&at(&base_url, limits, Roots::Only(Vec::new()))).await {
            Err(Failure::Unreachable(error)) => {
                assert_eq!(error, format!("no connection to {base_url} within 100ms"));
            }
            other => panic!("{:?}", other.map(|reply| reply.status)),
        }
    }
}

/// A server that answers one request over TLS, and the certificate it shows.
fn tls_server() -> (String, CertificateDer<'static>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    thread::spawn(move || {
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, listener.accept().unwrap().0);
        // A client that does not trust the certificate ends the handshake, which is the test's matter and not this thread's.
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        let _ = stream.flush();
    });
    (base_url, certificate)
}

#[tokio::test]
async fn a_trusted_certificate_is_spoken_to() {
    let (base_url, certificate) = tls_server();
    let transport = at(&base_url, limits(), Roots::Only(vec![certificate]));
    assert_eq!(post(&transport).await.unwrap().body, b"{}");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named() {
    let (base_url, _) = tls_server();
    match post(&at(&base_url, limits(), Roots::Only(Vec::new()))).await {
        Err(Failure::Certificate(error)) => {
            assert!(
                error.starts_with(&format!("the certificate of {base_url} is not trusted (")),
                "{error}"
            );
        }
        other => panic!("{:?}", other.map(|reply| reply.status)),
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_no_unknown_issuer() {
    let (base_url, certificate) = tls_server();
    let other = base_url.replace("localhost", "127.0.0.1");
    match post(&at(&other, limits(), Roots::Only(vec![certificate]))).await {
        Err(Failure::Certificate(error)) => {
            assert!(error.contains("it is for another name"), "{error}");
            assert!(!error.contains("issuer"), "{error}");
        }
        other => panic!("{:?}", other.map(|reply| reply.status)),
    }
}

/// A proxy that says this to each request, or is not there at all; a transport through it.
fn proxied(base_url: &str, says: Option<&'static str>) -> (Transport, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    if let Some(says) = says {
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                let _ = stream.write_all(says.as_bytes());
            }
        });
    }
    let base_url = BaseUrl::parse(base_url, true).unwrap();
    let value = format!("http://user:hunter2@{address}");
    let proxy = Proxy::from_environment(&base_url, |name| {
        (name == "ALL_PROXY").then(|| value.clone())
    })
    .unwrap();
    let roots = Roots::Only(Vec::new());
    let transport = Transport::new(base_url, proxy, limits(), roots, Budget::default()).unwrap();
    (transport, format!("the proxy http://{address} (ALL_PROXY)"))
}

#[tokio::test]
async fn a_proxy_that_fails_is_named_with_its_variable() {
    for says in [None, Some(""), Some("SSH-2.0-OpenSSH_9.9\r\n")] {
        let (transport, name) = proxied("https://platform.example", says);
        match post(&transport).await {
            Err(Failure::Unreachable(error)) => {
                assert!(error.contains(&name), "{says:?}: {error}");
            }
            other => panic!("{says:?}: {:?}", other.map(|reply| reply.status)),
        }
    }
}

#[tokio::test]
async fn what_a_proxy_refuses_with_decides_whether_to_wait() {
    for (says, status, waits) in [
        (
            "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
            "(HTTP 403)",
            false,
        ),
        ("HTTP/1.1 404 What\r\n\r\n", "(HTTP 404)", false),
        ("HTTP/1.1 429 Later\r\n\r\n", "(HTTP 429)", true),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "(HTTP 502)", true),
        ("HTTP/1.1 503 No\r\n\r\n", "(HTTP 503)", true),
    ] {
        let (transport, name) = proxied("https://platform.example", Some(says));
        let (error, waited) = match post(&transport).await {
            Err(Failure::Unreachable(error)) => (error, true),
            Err(Failure::Refused(error)) => (error, false),
            other => panic!("{says:?}: {:?}", other.map(|reply| reply.status)),
        };
        assert_eq!(waited, waits, "{error}");
        assert!(error.contains(&name) && error.contains(status), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_asks_for_credentials_is_not_waited_for() {
    let asks = "HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n";
    for base_url in ["https://platform.example", "http://platform.example"] {
        let (transport, name) = proxied(base_url, Some(asks));
        match post(&transport).await {
            Err(Failure::Refused(error)) => {
                assert!(error.starts_with(&name) && error.contains("407"), "{error}");
            }
            other => panic!("{:?}", other.map(|reply| reply.status)),
        }
    }
}
