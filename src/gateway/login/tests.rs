use super::*;
use crate::gateway::testing::{Act, Seen, Server, limits, transport};

fn login(server: &Server) -> Login {
    Login::new(
        transport(server, limits()),
        "AK-1".to_owned(),
        "AS-hunter2".into(),
    )
}

/// What a login comes to that is answered so.
async fn answered(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Result<Issued, Unsent> {
    let server = Server::start(move |seen, _| act(seen)).await;
    login(&server).login().await
}

async fn refused(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Unsent {
    answered(act).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn a_login_is_what_the_notes_describe() {
    let server = Server::start(|_, _| Act::token("QJWT eyJ")).await;
    let before = wall_now();
    let issued = login(&server).login().await.unwrap();
    assert_eq!(issued.authorization, "QJWT eyJ");
    assert!(issued.authorization.is_sensitive());
    assert_eq!(issued.expires_in, Some(Duration::from_hours(24)));

    let seen = &server.seen()[0];
    assert!(seen.head.starts_with("GET "));
    let url = Url::parse("http://host")
        .unwrap()
        .join(seen.target())
        .unwrap();
    assert_eq!(url.path(), LOGIN_PATH);
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    let [(_, grant), (_, username), (_, password)] = &query[..] else {
        panic!("{query:?}")
    };
    assert_eq!(grant, "password");
    assert_eq!(
        *password,
        credentials::password(username, &"AS-hunter2".into())
    );
    let stamp = username
        .strip_prefix("ver=1&auth_mode=accessKey&sign_method=sha256&access_key=AK-1&timestamp=")
        .unwrap();
    assert!(Timestamp(stamp.parse().unwrap()) >= before);
    assert!(!seen.target().contains("hunter2"));
}

#[tokio::test]
async fn a_refresh_carries_the_token_whole() {
    let server = Server::start(|_, _| Act::token("QJWT new")).await;
    let old = authorization("QJWT a+b/c=").unwrap();
    assert_eq!(
        login(&server).refresh(&old).await.unwrap().authorization,
        "QJWT new"
    );
    assert_eq!(
        server.seen()[0].target(),
        format!("{REFRESH_PATH}?grant_type=refresh_token&refresh_token=QJWT%20a%2Bb%2Fc%3D")
    );
}

#[tokio::test]
async fn the_time_of_a_token_is_read_in_every_spelling() {
    for (field, expected) in [
        (r#","expires_in":60"#, Some(60)),
        (r#","expires_in":"60""#, Some(60)),
        (r#","expire_in":"60""#, Some(60)),
        (r#","expires_in":null,"expire_in":60"#, Some(60)),
        ("", None),
        (r#","expires_in":0"#, None),
        (r#","expires_in":-1"#, None),
        (r#","expires_in":"never""#, None),
    ] {
        let body = format!(r#"{{"code":"200","access_token":"QJWT e"{field}}}"#);
        let issued = answered(move |_| Act::ok(&body)).await.unwrap();
        assert_eq!(
            issued.expires_in,
            expected.map(Duration::from_secs),
            "{field}"
        );
    }
}

#[tokio::test]
async fn a_refused_login_says_what_the_platform_said() {
    let Unsent::Credentials { error } =
        refused(|_| Act::ok(r#"{"msg":"AccessKey didn't exists","code":90047,"error":"x"}"#)).await
    else {
        panic!("not a matter of credentials")
    };
    assert!(
        error.contains("AccessKey didn't exists (code 90047)"),
        "{error}"
    );
    assert!(error.contains("check FLEETPUSH_ACCESS_KEY"), "{error}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_named() {
    let date = ("Date", "Sun, 22 Nov 2020 12:00:00 GMT");
    let Unsent::Credentials { error } =
        refused(move |_| Act::reply("200 OK", &[date], r#"{"msg":"timestamp","code":90050}"#))
            .await
    else {
        panic!("not a matter of credentials")
    };
    assert!(error.contains("minutes ahead of the platform's"), "{error}");

    let ours = Timestamp(1_000_000_000);
    let at = |minutes: i64| clock_hint(Some(Timestamp(ours.0 + minutes * 60_000)), ours);
    assert_eq!(
        (at(10), at(-10), clock_hint(None, ours)),
        (None, None, None)
    );
    assert!(at(11).unwrap().contains("is 11 minutes behind"));
    assert!(at(-11).unwrap().contains("is 11 minutes ahead of"));
}

#[tokio::test]
async fn what_waiting_may_change_is_unreachable() {
    for status in ["500 X", "502 X", "503 X", "429 X", "408 X"] {
        let unsent = refused(move |_| Act::reply(status, &[("Retry-After", "9")], "<html>")).await;
        let Unsent::Unreachable { error, retry_after } = unsent else {
            panic!("{status}: {unsent:?}")
        };
        assert_eq!(retry_after, Some(Duration::from_secs(9)));
        assert!(error.contains(&status[..3]), "{error}");
    }
    for body in [
        "<html>maintenance</html>",
        r#"{"code":429}"#,
        r#"{"code":50000,"msg":"no"}"#,
        r#"{"code":200}"#,
    ] {
        assert!(
            matches!(
                refused(move |_| Act::ok(body)).await,
                Unsent::Unreachable { .. }
            ),
            "{body}"
        );
    }
    assert!(matches!(
        refused(|_| Act::Reset).await,
        Unsent::Unreachable { .. }
    ));
    assert!(matches!(
        refused(|_| Act::WriteAndClose(Vec::new())).await,
        Unsent::Unreachable { .. }
    ));
}

#[tokio::test]
async fn a_wrong_address_is_refused() {
    for status in ["301 X", "403 X", "404 X", "405 X"] {
        let unsent = refused(move |_| Act::reply(status, &[], "<html>")).await;
        assert!(
            matches!(&unsent, Unsent::Refused { error } if error.contains("base URL")),
            "{status}: {unsent:?}"
        );
    }
    let unsent = refused(|seen| {
        let elsewhere = format!("https://elsewhere.example{}", seen.target());
        Act::reply("302 X", &[("Location", &elsewhere)], "")
    })
    .await;
    let Unsent::Refused { error } = unsent else {
        panic!("{unsent:?}")
    };
    assert!(
        error.contains("redirects the login to https://elsewhere.example:"),
        "{error}"
    );
}

/// A page is not the platform's word about the credentials, whatever its status.
#[tokio::test]
async fn credentials_are_blamed_by_the_platforms_own_json_alone() {
    for (status, body) in [
        ("401 X", "<html>"),
        ("400 X", "<html>"),
        ("511 X", ""),
        ("401 X", r#"{"error":"unauthorized"}"#),
    ] {
        let unsent = refused(move |_| Act::reply(status, &[], body)).await;
        let (Unsent::Refused { error } | Unsent::Unreachable { error, .. }) = unsent else {
            panic!("{status}: {unsent:?}")
        };
        assert!(!error.contains("ACCESS_KEY"), "{error}");
    }
}

#[tokio::test]
async fn nothing_secret_comes_back_in_an_error() {
    let echo = |seen: &Seen| {
        let url = Url::parse("http://host")
            .unwrap()
            .join(seen.target())
            .unwrap();
        let values: Vec<_> = url
            .query_pairs()
            .map(|(_, value)| value.into_owned())
            .collect();
        Act::ok(format!(
            r#"{{"code":90048,"msg":"bad sign: {} for AK-1"}}"#,
            values.join(" ")
        ))
    };
    let server = Server::start(move |seen, _| echo(seen)).await;
    let login = login(&server);
    let text = format!("{:?}", login.login().await.map(|_| ()).unwrap_err());
    let password = Url::parse("http://host")
        .unwrap()
        .join(server.seen()[0].target())
        .unwrap()
        .query_pairs()
        .find_map(|(key, value)| (key == "password").then(|| value.into_owned()))
        .unwrap();
    assert!(text.contains("bad sign"), "{text}");
    assert!(
        !text.contains(&password) && !text.contains("AK-1"),
        "{text}"
    );
    assert!(!format!("{login:?}").contains("hunter2"));

    let old = authorization("QJWT-hunter2").unwrap();
    let text = format!("{:?}", login.refresh(&old).await.map(|_| ()).unwrap_err());
    assert!(
        text.contains("bad sign") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test]
async fn a_page_is_named_with_its_title_and_what_may_have_given_it() {
    let body = "\n<!doctype html><HTML><head><Title lang=en>Guest\n  network</Title>";
    for status in ["200 OK", "502 X", "401 X"] {
        let unsent = refused(move |_| Act::reply(status, &[], body)).await;
        let error = unsent.error();
        assert!(error.contains("a page of HTML, 'Guest network'"), "{error}");
        assert!(error.contains("a portal"), "{error}");
    }
    assert_eq!(page("<p>").as_deref(), Some("a page of HTML"));
    assert_eq!(page("{<title>a</title>"), None);
    assert_eq!(page("<title>a").as_deref(), Some("a page of HTML"));
    let long = format!("<title>{}</title>", "é".repeat(61));
    assert!(page(&long).unwrap().ends_with("é…'"));
}

#[tokio::test]
async fn a_short_key_blots_nothing_out_of_our_own_words() {
    let server = Server::start(|_, _| Act::ok("<html>")).await;
    let login = Login {
        access_key: "a".into(),
        ..login(&server)
    };
    let text = format!("{:?}", login.login().await.map(|_| ()).unwrap_err());
    assert!(text.contains("the reply is not a JSON object"), "{text}");
}
