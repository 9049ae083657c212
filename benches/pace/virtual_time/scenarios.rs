//! What is played in virtual time.

use fleetpush::{simulator::RequestLimit, testing::Trial};

use super::{Column, Row, Table};

/// Each limit; with `Retry-After` and without.
const LIMITS: [&str; 18] = [
    "token-bucket:40,burst=1",
    "token-bucket:40,burst=10",
    "token-bucket:40,burst=10,count-refused=yes",
    "token-bucket:40,burst=40",
    "token-bucket:200,burst=20",
    "token-bucket:4,burst=4",
    "token-bucket:2,burst=1",
    "fixed-window:40,window=1s",
    "fixed-window:400,window=10s",
    "fixed-window:2400,window=60s",
    "sliding-window:40,window=1s",
    "sliding-window:40,window=1s,count-refused=yes",
    "sliding-window:400,window=10s",
    "sliding-window:2400,window=60s",
    "leaky-bucket:40,queue=1",
    "leaky-bucket:40,queue=20",
    "in-flight:2",
    "in-flight:8",
];

/// What lies between a push and the platform.
struct Way {
    name: &'static str,
    /// How late requests and replies may be, in seconds.
    late: (f64, f64),
    /// How often and for how long both stand still, in seconds.
    stalls: Option<(f64, f64)>,
}

impl Way {
    const fn new(name: &'static str, late: (f64, f64), stalls: Option<(f64, f64)>) -> Self {
        Self { name, late, stalls }
    }
}

const WAYS: [Way; 4] = [
    Way::new("", (0.0, 0.0), None),
    Way::new(", late replies", (0.0, 0.04), None),
    Way::new(", late requests", (0.04, 0.0), None),
    Way::new(", busy machine", (0.0, 0.0), Some((0.02, 0.01))),
];

/// Limits before and after a change, and what follows each.
const CHANGES: [(&str, [u32; 2], &str); 10] = [
    ("token-bucket", [40, 20], ",burst=10"),
    ("token-bucket", [20, 40], ",burst=10"),
    ("token-bucket", [40, 20], ",burst=1"),
    ("token-bucket", [20, 40], ",burst=1"),
    ("sliding-window", [40, 20], ",window=1s"),
    ("sliding-window", [20, 40], ",window=1s"),
    ("leaky-bucket", [40, 20], ",queue=20"),
    ("leaky-bucket", [20, 40], ",queue=20"),
    ("in-flight", [8, 4], ""),
    ("in-flight", [4, 8], ""),
];
const SHARED: [&str; 5] = [
    "token-bucket:40,burst=1",
    "token-bucket:40,burst=10",
    "leaky-bucket:40,queue=20",
    "sliding-window:40,window=1s",
    "in-flight:8",
];
/// The share that is refused by accident, and whether these refusals ask for a pause of a second.
const ACCIDENTS: [(f64, bool); 7] = [
    (0.01, false),
    (0.02, false),
    (0.05, false),
    (0.1, false),
    (0.2, false),
    (0.01, true),
    (0.05, true),
];

/// All tables.
pub(super) fn all() -> [Table; 7] {
    [
        one_limit(),
        changes(),
        two_pushes(),
        workers(),
        another_push(),
        accidents(),
        ceilings(),
    ]
}

fn share(name: &'static str, of: fn(&[super::Played], &Row) -> f64) -> Column {
    Column {
        name,
        of,
        percent: false,
    }
}

fn refused(name: &'static str, of: fn(&[super::Played], &Row) -> f64) -> Column {
    Column {
        name,
        of,
        percent: true,
    }
}

/// A row for a limit; what it gives follows from its text. No text is no limit.
fn row(text: &str, seconds: f64, change: impl FnOnce(Trial) -> Trial) -> Row {
    let limit: Option<RequestLimit> = (!text.is_empty()).then(|| text.parse().expect("a limit"));
    let mut trial = change(Trial::of(limit));
    // These are counted whole.
    if text.contains("window=10s") || text.contains("window=60s") {
        trial.older = 0.0;
    }
    let ideal = match &trial.then {
        Some((_, then)) => gives(*then, &trial),
        None => gives(limit, &trial),
    };
    Row {
        name: text.to_owned(),
        trial,
        ideal,
        seconds,
    }
}

/// What somebody gets who knows the limit, in requests a second.
fn gives(limit: Option<RequestLimit>, trial: &Trial) -> f64 {
    use fleetpush::simulator::LimitKind;
    let ceiling = trial.ceiling.unwrap_or(f64::INFINITY);
    let best = match limit.map(|limit| limit.kind) {
        None => f64::INFINITY,
        Some(LimitKind::TokenBucket { rate, .. } | LimitKind::LeakyBucket { rate, .. }) => rate,
        Some(
            LimitKind::FixedWindow { requests, window }
            | LimitKind::SlidingWindow { requests, window },
        ) => f64::from(requests) / window.as_secs_f64(),
        Some(LimitKind::InFlight { requests }) => f64::from(requests) / trial.round_trip(),
    };
    // A refusal that asks for a pause costs it, too.
    let pause = trial.accidents * trial.accidents_ask.unwrap_or(0) as f64;
    best.min((1.0 - trial.accidents) / (1.0 / ceiling + pause))
}

fn with_and_without(text: &str) -> [String; 2] {
    ["yes", "no"].map(|answer| format!("{text},retry-after={answer}"))
}

/// The first stretch of a row, its second half and the long one, in seconds. Windows are counted whole.
fn spans(row: &Row) -> (f64, f64, f64) {
    match row.name.split(',').nth(1) {
        Some("window=60s") => (300.0, 180.0, 300.0),
        Some("window=10s") => (30.0, 20.0, 120.0),
        _ => (30.0, 15.0, 120.0),
    }
}

fn one_limit() -> Table {
    let mut rows = Vec::new();
    for Way { name, late, stalls } in WAYS {
        for text in LIMITS.into_iter().flat_map(with_and_without) {
            let mut row = row(&text, 0.0, |trial| Trial {
                late,
                stalls,
                ..trial
            });
            row.seconds = spans(&row).2;
            row.name += name;
            rows.push(row);
        }
    }
    Table {
        name: "limit",
        columns: vec![
            share("first 30 s", |played, row| {
                row.share(played, 0.0, spans(row).0)
            }),
            share("their second half", |played, row| {
                let (first, later, _) = spans(row);
                row.share(played, later, first)
            }),
            share("120 s", |played, row| row.share(played, 0.0, row.seconds)),
            refused("refused in 120 s", |played, row| {
                played[0].refused_between(0.0, row.seconds)
            }),
        ],
        rows,
        shows_known: true,
        is_met: Some(|means| {
            means[0] >= 0.9 && means[1] >= 0.97 && means[2] >= 0.95 && means[3] <= 0.02
        }),
    }
}

fn changes() -> Table {
    let mut rows = Vec::new();
    for (kind, [before, after], tail) in CHANGES {
        for answer in ["yes", "no"] {
            let text = |n: u32| format!("{kind}:{n}{tail},retry-after={answer}");
            let mut row = row(&text(before), 90.0, |trial| Trial {
                then: Some((30.0, Some(text(after).parse().expect("a limit")))),
                ..trial
            });
            row.name = format!("{}, then {after}", row.name);
            rows.push(row);
        }
    }
    Table {
        name: "another limit after 30 s",
        columns: vec![
            share("5 to 20 s after it", |played, row| {
                row.share(played, 35.0, 50.0)
            }),
            share("20 to 60 s after it", |played, row| {
                row.share(played, 50.0, 90.0)
            }),
            refused("refused in 60 s", |played, _| {
                played[0].refused_between(30.0, 90.0)
            }),
        ],
        rows,
        shows_known: false,
        is_met: Some(|means| means[0] >= 0.95),
    }
}

fn two_pushes() -> Table {
    let rows = SHARED
        .into_iter()
        .flat_map(with_and_without)
        .map(|text| {
            row(&text, 120.0, |trial| Trial {
                pushes: vec![(0.0, f64::INFINITY); 2],
                ..trial
            })
        })
        .collect();
    Table {
        name: "two pushes",
        columns: vec![
            share("both, 10 to 120 s", |played, row| {
                row.share(played, 10.0, 120.0)
            }),
            share("the lesser", |played, row| {
                let [one, other] = [0, 1].map(|nth| row.share(&played[nth..=nth], 10.0, 120.0));
                one.min(other)
            }),
            refused("refused", |played, _| {
                let [one, other] = [0, 1].map(|nth| played[nth].refused_between(0.0, 120.0));
                f64::midpoint(one, other)
            }),
        ],
        rows,
        shows_known: false,
        is_met: Some(|means| means[0] >= 0.95 && means[1] >= 0.33),
    }
}

/// The share of the requests of all pushes that were refused.
fn refused_of_all(played: &[super::Played], from: f64, to: f64) -> f64 {
    let sum = |of: fn(&super::Played, f64, f64) -> f64| -> f64 {
        played.iter().map(|push| of(push, from, to)).sum()
    };
    let accepted = sum(super::Played::accepted_between);
    let refused = sum(super::Played::refusals_between);
    refused / (refused + accepted).max(1.0)
}

fn workers() -> Table {
    let mut rows = Vec::new();
    for (count, later) in [(2, 0.0), (2, 3.0), (3, 3.0), (4, 3.0), (8, 1.0)] {
        for text in SHARED.into_iter().flat_map(with_and_without) {
            let mut row = row(&text, 120.0, |trial| Trial {
                pushes: (0..count)
                    .map(|nth| (f64::from(nth) * later, f64::INFINITY))
                    .collect(),
                concurrency: 32,
                shares: true,
                ..trial
            });
            row.name = format!("{count} workers, {later} s apart, {}", row.name);
            rows.push(row);
        }
    }
    Table {
        name: "workers of one account",
        columns: vec![
            share("all, 10 to 120 s", |played, row| {
                row.share(played, 10.0, 120.0)
            }),
            share("the least", |played, row| {
                let of = |nth: usize| row.share(&played[nth..=nth], 30.0, 120.0);
                (0..played.len()).map(of).fold(f64::INFINITY, f64::min) * played.len() as f64
            }),
            refused("refused", |played, _| refused_of_all(played, 0.0, 120.0)),
            refused("refused, 20 to 120 s", |played, _| {
                refused_of_all(played, 20.0, 120.0)
            }),
        ],
        rows,
        shows_known: false,
        is_met: Some(|means| means[0] >= 0.95 && means[2] <= 0.03),
    }
}

fn another_push() -> Table {
    let rows = ["token-bucket:40,burst=10", "in-flight:8"]
        .into_iter()
        .flat_map(with_and_without)
        .map(|text| {
            row(&text, 90.0, |trial| Trial {
                pushes: vec![(0.0, f64::INFINITY), (20.0, 40.0)],
                ..trial
            })
        })
        .collect();
    Table {
        name: "another push from 20 to 40 s",
        columns: vec![
            share("0 to 20 s", |played, row| row.share(played, 0.0, 20.0)),
            share("both, 25 to 40 s", |played, row| {
                row.share(played, 25.0, 40.0)
            }),
            share("45 to 60 s", |played, row| row.share(played, 45.0, 60.0)),
            share("60 to 90 s", |played, row| row.share(played, 60.0, 90.0)),
        ],
        rows,
        shows_known: false,
        is_met: Some(|means| means[1] >= 0.95 && means[2] >= 0.95),
    }
}

fn accidents() -> Table {
    let mut rows = Vec::new();
    for (accidents, ask) in ACCIDENTS {
        for text in ["", "token-bucket:40,burst=5"] {
            for ceiling in [25.0, 100.0, 400.0] {
                let mut row = row(text, 300.0, |trial| Trial {
                    accidents,
                    accidents_ask: ask.then_some(1),
                    ceiling: Some(ceiling),
                    ..trial
                });
                let asks = if ask { " that ask for a second" } else { "" };
                row.name = format!("{accidents}{asks}, ceiling {ceiling}, limit {text}");
                rows.push(row);
            }
        }
    }
    Table {
        name: "accidents",
        columns: vec![
            share("0 to 60 s", |played, row| row.share(played, 0.0, 60.0)),
            share("60 to 300 s", |played, row| row.share(played, 60.0, 300.0)),
            refused("refused, 60 to 300 s", |played, _| {
                played[0].refused_between(60.0, 300.0)
            }),
        ],
        rows,
        shows_known: false,
        is_met: None,
    }
}

fn ceilings() -> Table {
    let rows = [
        ("token-bucket:30,burst=5", 25.0, 0.0),
        ("token-bucket:30,burst=5", 25.0, 0.04),
        ("token-bucket:30,burst=1", 25.0, 0.0),
        ("sliding-window:30,window=1s", 25.0, 0.0),
        ("", 25.0, 0.0),
        ("", 400.0, 0.0),
    ]
    .into_iter()
    .map(|(text, ceiling, late)| {
        let mut row = row(text, 120.0, |trial| Trial {
            ceiling: Some(ceiling),
            late: (late, 0.0),
            ..trial
        });
        row.name = format!("{ceiling}, limit {text}, {late} s late");
        row
    })
    .collect();
    Table {
        name: "ceiling below the limit",
        columns: vec![
            share("120 s", |played, row| row.share(played, 0.0, 120.0)),
            refused("refused", |played, _| played[0].refused_between(0.0, 120.0)),
        ],
        rows,
        shows_known: false,
        is_met: Some(|means| means[0] >= 0.99 && means[1] <= 0.001),
    }
}
