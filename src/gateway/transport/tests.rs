use std::{io::Write as _, net::TcpListener, sync::Arc, thread};

use flate2::{Compression, write::GzEncoder};
use reqwest::header::HeaderValue;
use rustls::pki_types::CertificateDer;

use super::*;
use crate::gateway::testing::{Act, Server, limits, transport};

mod connecting;

async fn post(transport: &Transport) -> Result<Reply, Failure> {
    let url = transport
        .base_url()
        .endpoint("/x", &[("password", "hunter2")]);
    let request = transport.post(url);
    let failed = transport
        .send(request, b"body".to_vec(), &Handover::default())
        .await;
    if let Err(failure) = &failed {
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }
    failed
}

/// The failure of a request to a server that does this.
async fn failure(act: impl Fn() -> Act + Send + Sync + 'static, limits: Limits) -> Failure {
    let server = Server::start(move |_, _| act()).await;
    let failure = post(&transport(&server, limits))
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(server.seen().len(), 1);
    failure
}

fn quick() -> Limits {
    Limits {
        request_timeout: Duration::from_millis(200),
        ..limits()
    }
}

fn at(base_url: &str, limits: Limits, roots: Roots) -> Transport {
    Transport::new(
        BaseUrl::parse(base_url, true).unwrap(),
        None,
        limits,
        roots,
        Budget::default(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_whole_reply_comes_back_with_what_its_head_says() {
    let server = Server::start(|_, _| {
        Act::reply(
            "429 Slow down",
            &[
                ("Retry-After", " 7 "),
                ("Date", "Sun, 22 Nov 2026 19:02:29 GMT"),
            ],
            "later",
        )
    })
    .await;
    let reply = post(&transport(&server, limits())).await.unwrap();
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (429, b"later".as_slice())
    );
    assert_eq!(reply.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(
        reply.date().unwrap().to_string(),
        "2026-11-22T19:02:29.000Z"
    );
    assert_eq!(reply.location, None);
    let seen = &server.seen()[0];
    assert_eq!(seen.body, "body");
    assert_eq!(
        seen.header("user-agent"),
        Some(concat!("fleetpush/", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    let host = server.base_url.as_str().strip_prefix("http://");
    assert_eq!(seen.header("host"), host);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(|_, _| Act::ok("{}")).await;
    let transport = transport(&server, limits());
    for _ in 0..3 {
        post(&transport).await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
}

/// A connection that has read a long reply keeps what it read it with. Of many that did, few are used again, and the others are closed.
#[tokio::test]
async fn few_connections_are_used_again_after_long_replies() {
    const MANY: usize = 40;
    for (bytes, is_long) in [(16 * 1024, false), (3 * 16 * 1024, true)] {
        let server = Server::start(move |_, _| Act::ok("x".repeat(bytes))).await;
        let limits = Limits {
            connections: MANY,
            max_reply_bytes: bytes,
            ..limits()
        };
        let transport = transport(&server, limits);
        for _ in 0..2 {
            // All of them are under way before one of them ends.
            for reply in futures::future::join_all((0..MANY).map(|_| post(&transport))).await {
                assert_eq!(reply.unwrap().body.len(), bytes);
            }
        }
        let seen = server.seen();
        let again = seen[MANY..].iter().filter(|seen| seen.connection < MANY);
        let again = again.count();
        // One that has not come back yet is not waited for.
        let is_right = if is_long {
            (1..=clients::FEW).contains(&again)
        } else {
            again > clients::FEW
        };
        assert!(is_right, "{again} used again after replies of {bytes}");
    }
}

/// The pool must not try again on its own what may have been read: the second request dies on a connection that the first left behind.
#[tokio::test]
async fn a_request_that_dies_on_a_kept_connection_is_not_sent_again() {
    let server = Server::start(|_, before| match before.len() {
        0 => Act::ok("{}"),
        _ => Act::WriteAndClose(Vec::new()),
    })
    .await;
    let transport = transport(&server, limits());
    post(&transport).await.unwrap();
    assert!(matches!(
        post(&transport).await,
        Err(Failure::Lost { status: None, .. })
    ));
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0]);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::start(|_, _| {
        Act::reply(
            "307 Elsewhere",
            &[(
                "Location",
                "/#/login?redirect=%2Fother%3Fpassword%3Dhunter2",
            )],
            "",
        )
    })
    .await;
    let reply = post(&transport(&server, limits())).await.unwrap();
    assert_eq!(reply.status, 307);
    assert_eq!(reply.location, Some(server.base_url.to_string()));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn what_was_read_and_not_answered_is_lost() {
    for (act, said) in [
        ((|| Act::Reset) as fn() -> Act, "reset"),
        (|| Act::WriteAndClose(Vec::new()), "closed"),
        (|| Act::WriteAndClose(b"HTTP/1.1 200 O".to_vec()), "closed"),
        (
            || Act::WriteAndClose(b"nonsense\r\n\r\n".to_vec()),
            "invalid HTTP",
        ),
    ] {
        match failure(act, limits()).await {
            Failure::Lost {
                status: None,
                error,
            } => assert!(error.contains(said), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn silence_is_lost_after_the_time_out() {
    let Failure::Lost {
        status: None,
        error,
    } = failure(|| Act::WriteAndHang(Vec::new()), quick()).await
    else {
        panic!("not lost")
    };
    assert_eq!(error, "no whole reply within 200ms");
}

#[tokio::test]
async fn a_cut_reply_is_lost_with_its_status() {
    let cut = || Act::WriteAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"co".to_vec());
    let chunked = || {
        Act::WriteAndClose(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"c\r\n".to_vec(),
        )
    };
    for act in [cut as fn() -> Act, chunked] {
        assert!(matches!(
            failure(act, limits()).await,
            Failure::Lost {
                status: Some(200),
                ..
            }
        ));
    }
    let stuck = || Act::WriteAndHang(b"HTTP/1.1 502 Bad\r\nContent-Length: 9\r\n\r\n<htm".to_vec());
    let Failure::Lost {
        status: Some(502),
        error,
    } = failure(stuck, quick()).await
    else {
        panic!("not lost")
    };
    assert_eq!(error, "no whole reply within 200ms");
}

#[tokio::test]
async fn a_reply_over_the_limit_is_lost() {
    let packed = |length: usize| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b' '; length]).unwrap();
        encoder.finish().unwrap()
    };
    let gzip = [("Content-Encoding", "gzip")];

    // Two chunks, each below the limit.
    let chunked = |length: usize| {
        let chunk = format!("{length:x}\r\n{}\r\n", " ".repeat(length));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Act::Write(format!("{head}{chunk}{chunk}0\r\n\r\n").into())
    };

    let server = Server::start(move |_, before| match before.len() {
        0 => Act::ok([b' '; 1024]),
        1 => chunked(512),
        2 => Act::reply("200 OK", &gzip, packed(1024)),
        3 => Act::ok([b' '; 1025]),
        4 => chunked(513),
        _ => Act::reply("200 OK", &gzip, packed(1_000_000)),
    })
    .await;
    let transport = transport(&server, limits());
    for _ in 0..3 {
        assert_eq!(post(&transport).await.unwrap().body.len(), 1024);
    }
    for _ in 0..3 {
        match post(&transport).await {
            Err(Failure::Lost {
                status: Some(200),
                error,
            }) => {
                assert_eq!(
                    error,
                    "the reply is longer than 1024 bytes and was not read on"
                );
            }
            other => panic!("{:?}", other.map(|reply| reply.status)),
        }
    }
}

#[tokio::test]
async fn a_broken_compression_is_lost() {
    let act = || Act::reply("200 OK", &[("Content-Encoding", "gzip")], "not gzip");
    assert!(matches!(
        failure(act, limits()).await,
        Failure::Lost {
            status: Some(200),
            ..
        }
    ));
}

/// What a server does that has read no more of a request than its head.
#[derive(Clone, Copy, Debug)]
enum Unread {
    Reset,
    Hang,
    /// Says this and resets the connection.
    Say(&'static str),
}

/// Sends more than any buffer on the way takes to a server that does this, and gives what came of it.
async fn unread(act: Unread, limits: Limits) -> (Result<Reply, Failure>, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let _ = std::io::Read::read(&mut stream, &mut head).unwrap();
        match act {
            Unread::Reset => {}
            Unread::Hang => return Some(stream),
            Unread::Say(words) => stream.write_all(words.as_bytes()).unwrap(),
        }
        // With something unread, closing is a reset.
        None
    });
    let transport = at(&base_url, limits, Roots::Only(Vec::new()));
    let handover = Handover::default();
    let url = transport.base_url().endpoint("/x", &[]);
    let body = vec![b' '; 64 * 1024 * 1024];
    let came = transport.send(transport.post(url), body, &handover).await;
    drop(server.join());
    // Nothing of it can go later either.
    (came, handover.withdraw())
}

#[tokio::test]
async fn what_was_not_sent_whole_is_not_in_doubt() {
    for (act, limits) in [(Unread::Reset, limits()), (Unread::Hang, quick())] {
        let (came, is_withdrawn) = unread(act, limits).await;
        assert!(is_withdrawn, "{act:?}");
        match came {
            Err(Failure::Unfinished(error)) => {
                assert!(error.starts_with("not sent whole"), "{error}");
            }
            other => panic!("{act:?}: {:?}", other.map(|reply| reply.status)),
        }
    }
}

#[tokio::test]
async fn a_refusal_of_what_was_not_read_is_heard_if_it_comes_through() {
    for said in [
        "HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 413 Too large\r\nContent-Length: 2000\r\n\r\nno",
    ] {
        match unread(Unread::Say(said), limits()).await {
            (Ok(reply), true) => assert!(reply.is_early && reply.status == 413),
            // The reset may overtake the words.
            (Err(Failure::Unfinished(_)), true) => {}
            (other, withdrawn) => {
                panic!("{withdrawn} {:?}", other.map(|reply| reply.status))
            }
        }
    }
}

#[test]
fn retry_after_is_read_in_both_forms() {
    let read = |retry: &str, date: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers)
    };
    let noon = Some("Sun, 22 Nov 2026 12:00:00 GMT");
    assert_eq!(read("120", None), Some(Duration::from_mins(2)));
    assert_eq!(
        read("18446744073709551615", None),
        Some(Duration::from_secs(u64::MAX))
    );
    assert_eq!(
        read("Sun, 22 Nov 2026 12:01:30 GMT", noon),
        Some(Duration::from_secs(90))
    );
    assert_eq!(
        read("Sun, 22 Nov 2026 11:59:00 GMT", noon),
        Some(Duration::ZERO)
    );
    assert_eq!(
        read("Thu, 01 Jan 1970 00:00:00 GMT", None),
        Some(Duration::ZERO)
    );
    for nonsense in ["", "soon", "-5", "1.5", "99999999999999999999"] {
        assert_eq!(read(nonsense, noon), None, "{nonsense}");
    }
}
