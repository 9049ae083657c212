use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::join_all};
use tokio::sync::Notify;

use super::*;
use crate::gateway::testing::{Act, Seen, Server, limits, transport};

const START: Timestamp = Timestamp(1_000_000);

fn source(server: &Server) -> TokenSource {
    let transport = transport(server, limits());
    TokenSource::with_login(Login::new(transport, "AK".to_owned(), "AS".into()))
}

fn after(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

/// Gives the tokens t1, t2, … to logins, and r1, r2, … to refreshes.
fn counting(seen: &Seen, before: &[Seen]) -> Act {
    let (kind, count) = if seen.is_login() {
        ("t", before.iter().filter(|seen| seen.is_login()).count())
    } else {
        ("r", before.iter().filter(|seen| seen.is_refresh()).count())
    };
    Act::token(&format!("{kind}{}", count + 1))
}

#[tokio::test]
async fn sixteen_senders_at_once_cause_one_login() {
    let server = Server::start(counting).await;
    let source = source(&server);
    let tokens = join_all((0..16).map(|_| source.token(START))).await;
    assert!(
        tokens
            .into_iter()
            .all(|token| token.unwrap().authorization == "t1")
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_refusals_of_one_token_cause_one_login() {
    let server = Server::start(counting).await;
    let source = Arc::new(source(&server));
    let token = source.token(START).await.unwrap();
    source.accepted(&token);
    let senders = (0..16).map(|_| {
        let (source, token) = (Arc::clone(&source), token.clone());
        tokio::spawn(async move {
            source.refused(&token, "expired", START);
            source.token(START).await.unwrap().authorization
        })
    });
    assert!(
        join_all(senders)
            .await
            .into_iter()
            .all(|token| token.unwrap() == "t2")
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn sixteen_senders_share_a_failed_login() {
    let server = Server::start(|_, before| match before.len() {
        0 => Act::reply("503 Down", &[], ""),
        _ => Act::token("t1"),
    })
    .await;
    let source = source(&server);
    let tokens = join_all((0..16).map(|_| source.token(START))).await;
    assert!(
        tokens
            .iter()
            .all(|token| matches!(token, Err(Unsent::Unreachable { .. })))
    );
    assert_eq!(server.seen().len(), 1);
    assert_eq!(source.token(START).await.unwrap().authorization, "t1");
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end_by_one_sender() {
    let server = Server::start(counting).await;
    let source = source(&server);
    source.token(START).await.unwrap();
    assert_eq!(source.token(after(3599)).await.unwrap().authorization, "t1");
    join_all((0..16).map(|_| source.token(after(3600)))).await;
    assert_eq!(source.token(after(3601)).await.unwrap().authorization, "r1");
    assert_eq!(server.seen().len(), 2);
    assert!(server.seen()[1].target().ends_with("refresh_token=t1"));
}

#[tokio::test]
async fn nobody_waits_for_a_renewal_that_hangs() {
    let renewing = Arc::new(Notify::new());
    let signal = Arc::clone(&renewing);
    let server = Server::start(move |seen, before| {
        if seen.is_refresh() {
            signal.notify_one();
            return Act::WriteAndHang(Vec::new());
        }
        counting(seen, before)
    })
    .await;
    let source = Arc::new(source(&server));
    source.token(START).await.unwrap();
    let stuck = tokio::spawn({
        let source = Arc::clone(&source);
        async move { source.token(after(3600)).await }
    });
    renewing.notified().await;
    for _ in 0..16 {
        let token = source.token(after(3600)).now_or_never().unwrap();
        assert_eq!(token.unwrap().authorization, "t1");
    }
    stuck.abort();
}

#[tokio::test]
async fn a_refresh_that_changes_nothing_or_is_refused_becomes_a_login() {
    for refresh in [
        || Act::token("t1"),
        || Act::ok(r#"{"code":90001,"msg":"no"}"#),
    ] {
        let server = Server::start(move |seen, before| {
            if seen.is_refresh() {
                refresh()
            } else {
                counting(seen, before)
            }
        })
        .await;
        let source = source(&server);
        source.token(START).await.unwrap();
        assert_eq!(source.token(after(3600)).await.unwrap().authorization, "t2");
        assert_eq!(server.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_renewal_that_finds_nobody_keeps_the_token_until_its_end() {
    let server = Server::start(|_, before| match before.len() {
        0 => Act::token("t1"),
        _ => Act::reply("503 Down", &[], ""),
    })
    .await;
    let source = source(&server);
    source.token(START).await.unwrap();
    for seconds in [3600, 3601, 3659, 3660, 7199] {
        assert_eq!(
            source.token(after(seconds)).await.unwrap().authorization,
            "t1"
        );
    }
    // The login, and a refresh at 3600, 3660 and 7199 seconds; no second try beside the refresh.
    assert_eq!(server.seen().len(), 4);
    assert!(matches!(
        source.token(after(7200)).await,
        Err(Unsent::Unreachable { .. })
    ));
}

#[tokio::test]
async fn two_new_tokens_refused_in_a_row_are_the_end() {
    let server = Server::start(counting).await;
    let source = source(&server);
    // Each is tried twice, and not twice in one moment.
    for (authorization, now) in [
        ("t1", START),
        ("t1", after(1)),
        ("t2", after(1)),
        ("t2", after(4)),
    ] {
        let token = source.token(now).await.unwrap();
        assert_eq!(token.authorization, authorization);
        source.refused(&token, "91004: Token incorrect", now);
    }
    let Err(Unsent::Credentials { error }) = source.token(START).await else {
        panic!("the source goes on")
    };
    assert!(error.contains("91004: Token incorrect"), "{error}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again() {
    let server = Server::start(|_, _| Act::ok(r#"{"code":90047,"msg":"unknown"}"#)).await;
    let source = source(&server);
    for _ in 0..3 {
        assert!(matches!(
            source.token(START).await,
            Err(Unsent::Credentials { .. })
        ));
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_ready_token_is_the_end() {
    let source = TokenSource::with_token(HeaderValue::from_static("QJWT ready"));
    let token = source.token(START).await.unwrap();
    source.accepted(&token);
    assert_eq!(
        source
            .token(Timestamp(i64::MAX))
            .await
            .unwrap()
            .authorization,
        "QJWT ready"
    );
    source.refused(&token, "91001: Token does not exist", START);
    let Err(Unsent::Credentials { error }) = source.token(START).await else {
        panic!("the source goes on")
    };
    assert!(
        error.contains("91001: Token does not exist") && error.contains("FLEETPUSH_TOKEN"),
        "{error}"
    );
}

#[tokio::test]
async fn a_ready_token_that_is_not_known_everywhere_yet_is_tried_once_more() {
    let source = TokenSource::with_token(HeaderValue::from_static("QJWT ready"));
    for now in [START, after(1)] {
        let token = source.token(now).await.unwrap();
        source.refused(&token, "91001: Token does not exist", now);
    }
    assert!(matches!(
        source.token(after(1)).await,
        Err(Unsent::Credentials { .. })
    ));
}

#[tokio::test]
async fn who_waits_for_the_end_of_a_rest_hears_of_an_acceptance() {
    let source = TokenSource::with_token(HeaderValue::from_static("QJWT ready"));
    let token = source.token(START).await.unwrap();
    // By a clock that makes the rest a long one.
    source.refused(&token, "91001: Token does not exist", after(3600));
    let mut waiting = Box::pin(source.token(START));
    assert!((&mut waiting).now_or_never().is_none());
    source.accepted(&token);
    assert!(waiting.now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn a_sender_that_gives_up_in_a_login_leaves_the_next_one_a_chance() {
    let server = Server::start(|_, before| match before.len() {
        0 => Act::WriteAndHang(Vec::new()),
        _ => Act::token("t1"),
    })
    .await;
    let source = source(&server);
    let impatient = tokio::time::timeout(Duration::from_millis(200), source.token(START));
    assert!(impatient.await.is_err());
    assert_eq!(source.token(START).await.unwrap().authorization, "t1");
}
