use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::model::{Element, Stray};

const TOKEN: &str = "QJWT eyJhbGciOiJIUzUxMiJ9.eyJ1aWQiOiI+/z_-9fQ.s3cr3t+Sig/nature_0-9";
const SECRET: &str = "6AE3p2SnA9ShP7ofigrccoeeks8DDoteJ1jUUTEz";

fn scrubber() -> Scrubber {
    let scrubber = Scrubber::default();
    scrubber.keep(SECRET);
    scrubber.learn(TOKEN);
    scrubber
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02X}");
        out
    })
}

fn percent_as_needed(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn json_escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        let _ = write!(out, "\\u{:04X}", u32::from(character));
        out
    })
}

fn html(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        let _ = match character {
            '/' => write!(out, "&sol;"),
            '0'..='9' => write!(out, "&#{};", u32::from(character)),
            _ => write!(out, "&#x{:X};", u32::from(character)),
        };
        out
    })
}

fn base64(text: &str) -> String {
    let mut padded = text.as_bytes().to_vec();
    let length = padded.len();
    padded.resize(length.next_multiple_of(3), 0);
    let mut out = String::from_utf8(base64_within(&padded, 0)).unwrap();
    out.truncate((length * 8).div_ceil(6));
    out.push_str(["", "==", "="][length % 3]);
    out
}

/// A spelling, by its name.
type Spelling = (&'static str, fn(&str) -> String);

const SPELLINGS: [Spelling; 15] = [
    ("raw", str::to_owned),
    ("upper", str::to_uppercase),
    ("lower", str::to_lowercase),
    ("percent", percent),
    ("percent, lower case", |text| percent(text).to_lowercase()),
    ("percent as needed", percent_as_needed),
    ("percent twice", |text| percent(&percent(text))),
    ("percent of upper", |text| {
        percent_as_needed(&text.to_uppercase())
    }),
    ("JSON", json_escaped),
    ("JSON slashes", |text| text.replace('/', "\\/")),
    ("HTML", html),
    ("HTML of percent", |text| html(&percent_as_needed(text))),
    ("Base64", base64),
    ("Base64, URL, no padding", |text| {
        base64(text)
            .trim_end_matches('=')
            .replace('+', "-")
            .replace('/', "_")
    }),
    ("hexadecimal", |text| {
        String::from_utf8(hex(text.as_bytes())).unwrap()
    }),
];

#[test]
fn a_secret_is_found_in_every_spelling() {
    let scrubber = scrubber();
    for secret in [TOKEN, SECRET] {
        for (name, spell) in SPELLINGS {
            let spelt = spell(secret);
            let text = format!("Token incorrect: {spelt} (see log)");
            let cut = scrubber.text(&text);
            assert!(cut.starts_with("Token incorrect: "), "{name}: {cut}");
            assert!(cut.ends_with(" (see log)"), "{name}: {cut}");
            // A short rest at an edge or at a blank gives nothing away.
            assert!(cut.len() < 90, "{name}: {cut}");
        }
    }
}

#[test]
fn base64_of_something_longer_is_found_at_each_alignment() {
    for before in ["", "a", "ab", "{\"token\":\""] {
        let text = base64(&format!("{before}{SECRET}\"}}"));
        let cut = scrubber().text(&text).into_owned();
        assert!(cut.contains(CUT) && cut.len() < 40, "{cut}");
    }
}

#[test]
fn a_clipped_secret_is_found() {
    let scrubber = scrubber();
    assert_eq!(
        scrubber.text(&format!("no: {}…", &SECRET[..20])),
        "no: […]…"
    );
    assert_eq!(scrubber.text(&format!("…{}", &SECRET[20..])), "…[…]");
    // The scheme alone is none.
    assert_eq!(
        scrubber.text("a QJWT token is wanted"),
        "a QJWT token is wanted"
    );
}

#[test]
fn a_short_secret_is_cut_where_it_stands_alone() {
    let scrubber = Scrubber::default();
    scrubber.keep("AK-1");
    assert_eq!(scrubber.text("no ak-1, no AK-12"), "no […], no AK-12");
}

#[test]
fn ordinary_text_stays() {
    let scrubber = scrubber();
    scrubber.keep("key");
    scrubber.keep("cret");
    for text in [
        "",
        "OK",
        "Secret: the access key does not exist, 100 % sure &amp; \\u0041",
        "Zürich 北京 1335004867605954560",
        "%",
        "%4",
        "\\u00",
        "&#x;",
        "&;&",
    ] {
        assert_eq!(scrubber.text(text), text);
    }
}

#[test]
fn tokens_give_way_to_newer_ones_and_keys_stay() {
    let scrubber = scrubber();
    scrubber.learn(TOKEN);
    for number in 0..RECENT - 1 {
        scrubber.learn(&format!("{number} is another token"));
        scrubber.learn(TOKEN);
        assert_eq!(scrubber.text(TOKEN), CUT);
    }
    for number in 0..RECENT {
        scrubber.learn(&format!("{number} is another token"));
    }
    assert_eq!(scrubber.text(TOKEN), TOKEN);
    assert_eq!(scrubber.text(SECRET), CUT);
    assert_eq!(scrubber.text("5 is another token"), CUT);
}

#[test]
fn all_of_an_answer_is_looked_at() {
    let words = || Some(format!("is {SECRET}").into_boxed_str());
    let mut answer = Answer {
        message: words(),
        elements: vec![
            None,
            Some(Element {
                code: Some(200),
                message: words(),
                ticket: Ticket::new(SECRET),
                remark: words(),
                ..Element::default()
            }),
            Some(Element {
                ticket: Ticket::new("1335004867605954560"),
                ..Element::default()
            }),
        ],
        strays: vec![Stray {
            device_key: SECRET.into(),
            product_key: words(),
            element: Element {
                ticket: Ticket::new(SECRET),
                ..Element::default()
            },
        }],
        ..Answer::default()
    };
    scrubber().answer(&mut answer);
    assert_eq!(answer.message.as_deref(), Some("is […]"));
    let second = answer.elements[1].as_ref().unwrap();
    assert_eq!(second.message.as_deref(), Some("is […]"));
    assert_eq!(second.remark.as_deref(), Some("is […]"));
    assert_eq!(
        answer.strays[0].to_string(),
        "device \"[…]\" of product \"is […]\", ticket […]"
    );
    assert_eq!(second.ticket.as_ref().unwrap().as_str(), CUT);
    let third = answer.elements[2].as_ref().unwrap();
    assert_eq!(
        third.ticket.as_ref().unwrap().as_str(),
        "1335004867605954560"
    );
}

proptest! {
    #[test]
    fn no_text_breaks_it_and_no_secret_survives(before in any::<String>(), after in any::<String>(), spelling in 0..SPELLINGS.len()) {
        let text = format!("{before} {} {after}", SPELLINGS[spelling].1(SECRET));
        let cut = scrubber().text(&text).into_owned();
        prop_assert!(cut.contains(CUT));
        prop_assert!(!cut.to_lowercase().contains(&SECRET.to_lowercase()[4..36]));
    }
}
