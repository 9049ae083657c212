//! A send in doubt is looked for in the inbox before it is sent again.

use super::*;
use crate::support::agree;

const ROWS: &str = "device_key,product_key,service,param.mode\n\
    A,PK1,setMode,1\nA,PK1,setMode,2\nB,PK1,setMode,1\nC,PK1,setMode,1\nD,PK1,setMode,1\n";

/// A platform that acts on every send and never answers.
fn mute() -> Scenario {
    Scenario {
        faults: [(Fault::HangActed, 1.0)].into(),
        ..waiting()
    }
}

/// How often each device has got each command.
fn got(sim: &Sim) -> BTreeMap<(String, String), usize> {
    let mut got = BTreeMap::new();
    for one in sim.deliveries() {
        let mode: Value = serde_json::from_str(&one.data).expect("a command is JSON");
        let mode = mode[0]["setMode"][0]["mode"]
            .as_str()
            .unwrap_or("-")
            .to_owned();
        *got.entry((one.device_key, mode)).or_default() += 1;
    }
    got
}

fn counted(expected: &[(&str, &str, usize)]) -> BTreeMap<(String, String), usize> {
    let one = |(device, mode, times): &(&str, &str, usize)| {
        (((*device).to_owned(), (*mode).to_owned()), *times)
    };
    expected.iter().map(one).collect()
}

/// Pushes until the platform has acted on this many commands, and is killed while no reply has come.
fn killed(site: &Site, sim: &Sim, commands: usize) -> Vec<Delivery> {
    let run = ["run", "fleet.csv", "--name", "night", "--chunk-size", "2"];
    let mut command = site.push_command(sim, &run);
    command.env("FLEETPUSH_TEST_LEASE_MS", "3000");
    let push = Push::start(command);
    let sent = wait_for("commands that are acted on", || {
        Some(sim.deliveries()).filter(|sent| sent.len() == commands)
    });
    push.kill();
    sent
}

/// Continues when nobody has the run any more: on a server, a process that was killed has it until its lease ends.
fn resumed(site: &Site, sim: &Sim) -> Ended {
    wait_for("a run that nobody has", || {
        let ended = site.push(sim, &["resume", "--request-timeout", "1s"]);
        (ended.code != Some(7)).then_some(ended)
    })
}

#[test]
fn what_a_crash_left_in_doubt_is_not_sent_again_where_one_input_tells_of_it() {
    after_a_crash(Post::open);
}

pub(super) fn after_a_crash(open: Open) {
    let Some(post) = open("before", ROWS, mute()) else {
        return;
    };
    let (site, sim) = (&post.site, &post.sim);
    let sent = killed(site, sim, 4);
    let of = |device: &str| {
        let found = sent.iter().find(|one| one.device_key == device);
        found.expect("it was sent")
    };
    let mut twice = mserv(of("D"), "INPUT");
    twice["ticket"] = json!("65a1b2c3d4e5f60718293a01");
    // Of C there is nothing, and of D there are two.
    post.receive([
        mserv(of("A"), "INPUT"),
        reqack(of("B"), "succ"),
        mserv(of("B"), "INPUT"),
        mserv(of("D"), "INPUT"),
        twice,
    ]);
    sim.play(waiting());
    let ended = resumed(site, sim).expect(0);
    let expected = [
        ("A", "1", 1),
        ("A", "2", 1),
        ("B", "1", 1),
        ("C", "1", 2),
        ("D", "1", 2),
    ];
    assert_eq!(got(sim), counted(&expected), "{}", ended.stderr);
    agree(&site.journal(), sim);
    let told = "SELECT device_key, ticket, attempts, delivery, message FROM results \
        WHERE line IN (2, 4) ORDER BY line";
    let expected: Vec<Value> = [("A", "queued"), ("B", "sent")]
        .into_iter()
        .map(|(device, delivery)| {
            let at = post.sql(&format!(
                "SELECT message FROM results WHERE device_key = '{device}' AND delivery = '{delivery}'"
            ));
            let message = at[0]["message"].as_str().expect("it has a message");
            assert!(message.starts_with("adopted from a message of the platform: issued at "));
            json!({"device_key": device, "ticket": of(device).ticket, "attempts": 1, "delivery": delivery, "message": message})
        })
        .collect();
    assert_eq!(post.sql(told), expected);
    let by = "SELECT evidence FROM deliveries WHERE recorded_at IS NOT NULL ORDER BY line";
    assert_eq!(
        post.sql(by),
        [json!({"evidence": "input"}), json!({"evidence": "reqack"})]
    );
    // What comes later of the same send makes it no second one.
    post.receive([reqack(of("A"), "succ")]);
    post.verify(&["night", "--verify-wait", "0s", "--sample", "all"]);
    assert_eq!(post.recorded()[&of("A").ticket].0, "sent");
    assert_eq!(post.recorded()[&of("B").ticket].0, "sent");
    agree(&site.journal(), sim);
}

#[test]
fn a_retry_looks_for_what_it_would_send_again_too() {
    retried(Post::open);
}

pub(super) fn retried(open: Open) {
    let lost = Scenario {
        faults: [(Fault::ResetAfter, 1.0)].into(),
        ..waiting()
    };
    let Some(post) = open("retried", ROWS, lost) else {
        return;
    };
    let (site, sim) = (&post.site, &post.sim);
    let args = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--in-doubt",
        "hold",
        "--abort-if",
        "never",
    ];
    site.push(sim, &args).expect(1);
    let sent = sim.deliveries();
    assert_eq!(sent.len(), 4, "the second command to A is blocked");
    let told = sent.iter().filter(|one| one.device_key != "C");
    post.receive(told.map(|one| mserv(one, "INPUT")));
    sim.play(waiting());
    site.push(sim, &["retry", "--state", "in_doubt"]).expect(0);
    let expected = [
        ("A", "1", 1),
        ("A", "2", 1),
        ("B", "1", 1),
        ("C", "1", 2),
        ("D", "1", 1),
    ];
    assert_eq!(got(sim), counted(&expected));
    agree(&site.journal(), sim);
}

#[test]
fn an_inbox_that_cannot_be_read_is_warned_of_once_and_stops_no_push() {
    let (site, sim) = (Site::with(ROWS), Sim::start(mute()));
    killed(&site, &sim, 4);
    site.write("push.db.inbox", "this is no inbox of anybody".repeat(100));
    sim.play(waiting());
    let ended = site.push(&sim, &["resume"]).expect(0);
    assert_eq!(
        ended
            .stderr
            .matches("does not look for sends in doubt")
            .count(),
        1,
        "{}",
        ended.stderr
    );
    assert_eq!(
        got(&sim).values().sum::<usize>(),
        4 + 5,
        "all are sent again"
    );
}
