//! Who may log in to the broker, which asks for it over HTTP.

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use fleetpush::testing::wall_now;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::VIRTUAL_HOST;

/// Answers the broker's questions who may do what: a login is the platform's, signed with the key and the secret of the tests, and may read
/// from queues and nothing else.
pub(super) fn checking_logins() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = answer(stream);
            });
        }
    });
    port
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let count = stream.read(&mut buffer)?;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
        if count == 0 {
            return Ok(());
        }
    };
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let path = head.split(' ').nth(1).unwrap_or_default();
    let is_allowed = match path {
        "/user" => is_login(field("username"), field("password")),
        "/vhost" => field("vhost") == VIRTUAL_HOST,
        "/resource" => field("resource") == "queue" && field("permission") == "read",
        _ => false,
    };
    let word = if is_allowed { "allow" } else { "deny" };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{word}",
        word.len()
    )
}

/// Whether this is a login as the vendor documents it, with the credentials of the tests.
fn is_login(username: &str, password: &str) -> bool {
    let prefix = "ver=1&auth_mode=accessKey&sign_method=sha256&access_key=key&timestamp=";
    let now = wall_now().0;
    let is_fresh = username
        .strip_prefix(prefix)
        .and_then(|time| time.parse::<i64>().ok())
        .is_some_and(|time| time.abs_diff(now) < 600_000);
    let digest = Sha256::digest(format!("{username}secret"));
    let signature = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    is_fresh && signature == password
}
