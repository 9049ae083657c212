//! What became of commands, with results on a server: found out, said and recorded as with a file.

mod between;

use fleetpush::simulator::{Fault, History, Inventory, ListedDevice, Messages, Scenario};
use serde_json::Value;

use crate::support::{Ended, Post, Push, Sim, Site, agree, devices, fields, wait_for, with_server};

const DEVICES: usize = 12;
const FAST: [&str; 2] = ["--history-rate", "unlimited"];

fn telling(history: History) -> Scenario {
    Scenario {
        seed: 5,
        history,
        ..Scenario::default()
    }
}

/// A history in which all commands wait, or could not be sent, or are sent, or are answered.
fn all(word: &str) -> Scenario {
    let share = |of: &str| f64::from(u8::from(word == of));
    telling(History {
        queued: share("queued"),
        send_failed: share("send_failed"),
        answered: share("answered"),
        ..History::default()
    })
}

fn verify_command(site: &Site, sim: &Sim, args: &[&str]) -> std::process::Command {
    let base = ["verify", "--base-url", sim.base_url(), "--format", "jsonl"];
    site.command(&[&base[..], args].concat())
}

fn verify(site: &Site, sim: &Sim, args: &[&str]) -> Ended {
    Push::start(verify_command(site, sim, &[&FAST, args].concat())).ended()
}

/// How a command ended, what it said of evidence, and its rows without what is another with each send.
type Told = (Option<i32>, Vec<String>, Vec<Value>);

fn told(ended: &Ended) -> Told {
    let words = [
        "history",
        "delivery of",
        " are ",
        "doubt",
        "canary",
        "sample",
        "offline",
        "nothing",
    ];
    let lines = ended.stderr.lines();
    let lines = lines.filter(|line| words.iter().any(|word| line.contains(word)));
    // The next command names the database, and a rest has its length.
    let lines = lines.filter(|line| !line.contains("--db") && !line.contains("asking again in"));
    let names = [
        "line",
        "device_key",
        "attempt",
        "send_status",
        "match",
        "verdict",
        "delivery",
    ];
    let rows = ended.stdout.lines();
    let rows = rows.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    (
        ended.code,
        lines.map(str::to_owned).collect(),
        rows.map(|row| fields(&row, &names)).collect(),
    )
}

/// What the views say in the end, whichever devices chance has chosen for a canary.
fn left(site: &Site) -> Vec<Value> {
    let queries = [
        "SELECT run, state, coalesce(class, '-') AS class, attempts, coalesce(delivery, '-') AS delivery, count(*) AS n \
         FROM results GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
        "SELECT run, delivery, evidence, count(*) AS n FROM deliveries GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "SELECT session, name, command, stop, exit_code, accepted FROM sessions ORDER BY session",
    ];
    let rows = |query: &&str| {
        let told = site.run(&["sql", query, "--format", "jsonl"]);
        told.expect(0).json_lines()
    };
    queries.iter().flat_map(rows).collect()
}

/// Does the same with a file and on a server, and compares what is told and left.
fn same(manifest: &str, night: fn(&Site) -> Vec<Told>) {
    let Some(site) = Site::on_server(manifest) else {
        return;
    };
    let file = Site::with(manifest);
    let (there, here) = (night(&site), night(&file));
    for (there, here) in there.iter().zip(&here) {
        assert_eq!(there, here);
    }
    assert_eq!(left(&site), left(&file));
}

/// Verifies a push at its end and afterwards, as the platform learns more.
fn verified(site: &Site) -> Vec<Told> {
    let sim = Sim::start(all("queued"));
    let run = ["run", "fleet.csv", "--name", "night", "--verify"];
    let mut steps = vec![told(
        &site.push(&sim, &[&run[..], &FAST].concat()).expect(1),
    )];
    for (word, args, code) in [
        ("send_failed", &["night"][..], 1),
        ("send_failed", &["--tolerate", "send_failed>99%"], 1),
        ("sent", &["--dry-run"], 1),
        ("sent", &["--sample", "5"], 0),
        ("sent", &[], 0),
        ("answered", &["--verify-level", "answered"], 0),
        ("answered", &["--expect-answer", "result=0"], 1),
    ] {
        sim.play(all(word));
        steps.push(told(&verify(site, &sim, args).expect(code)));
    }
    // It sends nothing again, and has nothing to ask.
    steps.push(told(&site.push(&sim, &[&run[..], &FAST].concat())));
    assert_eq!(sim.stats().requests, 1);
    agree(&site.journal(), &sim);
    steps
}

#[test]
fn a_push_is_verified_as_on_a_file() {
    same(&devices(DEVICES), verified);
}

/// Decides tasks in doubt by the history, some of whose devices have two of them.
fn decided(site: &Site) -> Vec<Told> {
    let sim = Sim::start(Scenario {
        faults: [(Fault::ResetAfter, 1.0)].into(),
        ..all("sent")
    });
    let hold = ["--in-doubt", "hold", "--abort-if", "never"];
    let run = ["run", "fleet.csv", "--name", "night"];
    let mut steps = vec![told(
        &site.push(&sim, &[&run[..], &hold].concat()).expect(1),
    )];
    for (args, code) in [(&["--dry-run"][..], 1), (&[], 1), (&[], 1)] {
        steps.push(told(&verify(site, &sim, args).expect(code)));
    }
    assert_eq!(site.journal().run().accepted, 2);
    // What they blocked can be sent now.
    sim.play(all("sent"));
    steps.push(told(
        &site.push(&sim, &["retry", "--class", "blocked"]).expect(0),
    ));
    steps.push(told(&verify(site, &sim, &[]).expect(0)));
    agree(&site.journal(), &sim);
    steps
}

#[test]
fn doubts_are_decided_by_the_history_as_on_a_file() {
    let rows = "device_key,product_key,service,param.mode\nA,PK1,setMode,1\nA,PK1,setMode,2\nB,PK1,setMode,1\n";
    same(rows, decided);
}

/// Pushes with canaries that prove themselves, and that do not.
fn canaries(site: &Site) -> Vec<Told> {
    let sim = Sim::start(all("sent"));
    let mut steps = Vec::new();
    for (name, word, more, code) in [
        ("good", "sent", &["--canary-check", "grep -c ,sent"][..], 0),
        ("failed", "send_failed", &[], 4),
        ("silent", "queued", &[], 4),
        ("checked", "sent", &["--canary-check", "exit 3"], 4),
    ] {
        sim.play(all(word));
        let before = sim.deliveries().len();
        let run = [
            "run",
            "fleet.csv",
            "--again",
            "--name",
            name,
            "--canary",
            "4",
        ];
        let proof = ["--canary-verify", "1s"];
        let ended = site.push(&sim, &[&run[..], &proof, &FAST, more].concat());
        steps.push(told(&ended.expect(code)));
        let sent = if code == 0 { DEVICES } else { 4 };
        assert_eq!(sim.deliveries().len() - before, sent, "{name}");
        if name != "checked" && code > 0 {
            site.run(&["cancel", name]).expect(0);
        }
    }
    sim.play(all("sent"));
    let resume = ["resume", "checked", "--override-abort"];
    steps.push(told(&site.push(&sim, &resume).expect(0)));
    agree(&site.journal(), &sim);
    steps
}

#[test]
fn a_canary_proves_itself_or_not_as_on_a_file() {
    same(&devices(DEVICES), canaries);
}

/// A platform that lists those of these numbers as online.
fn listing(online: &[usize], refused: f64) -> Scenario {
    let device = |number| ListedDevice {
        device_key: format!("DK{number:05}"),
        online: online.contains(&number),
        ..ListedDevice::default()
    };
    Scenario {
        seed: 2,
        offline: refused,
        inventory: Inventory {
            devices: Some((1..=DEVICES).map(device).collect()),
            ..Inventory::default()
        },
        ..Scenario::default()
    }
}

/// Sends again what failed offline, as its devices come online.
fn come_online(site: &Site) -> Vec<Told> {
    let sim = Sim::start(listing(&[], 1.0));
    let mut steps = Vec::new();
    for name in ["one", "two"] {
        let run = ["run", "fleet.csv", "--again", "--name", name];
        steps.push(told(&site.push(&sim, &run).expect(1)));
    }
    for (online, args, code) in [
        (&[][..], &[][..], 0),
        (&[2, 5], &["one"], 0),
        (&[2, 5], &["--dry-run"], 0),
        (&[2, 5], &[], 1),
        (&[2, 5], &["--offline-for", "0s"], 0),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &["two"], 0),
        (&[], &[], 0),
    ] {
        sim.play(listing(online, 0.0));
        let retry = [&["retry", "--when-online"][..], args].concat();
        steps.push(told(&site.push(&sim, &retry).expect(code)));
    }
    assert_eq!(
        sim.deliveries().len(),
        DEVICES,
        "each of the newer run once"
    );
    agree(&site.journal(), &sim);
    steps
}

#[test]
fn devices_that_come_online_are_sent_to_as_on_a_file() {
    same(&devices(DEVICES), come_online);
}

#[test]
fn a_push_verifies_itself_by_the_messages_of_its_queue() {
    let Some(mut post) = Post::open("server.verified") else {
        return;
    };
    let Some(site) = Site::on_server(&devices(DEVICES)) else {
        return;
    };
    post.site = site;
    post.sim = Sim::start(Scenario {
        messages: Messages {
            amqp: Some(post.broker.platform_url()),
            queue: post.queue.clone(),
            ..Messages::default()
        },
        ..Scenario::default()
    });
    let url = post.broker.plain_url();
    let queue = ["--queue", post.queue.as_str(), "--amqp-url", url.as_str()];
    let run = ["run", "fleet.csv", "--name", "night", "--verify"];
    post.site
        .push(&post.sim, &[&run[..], &queue].concat())
        .expect(0)
        .says(&["delivery of 12 accepted commands: 12 sent"]);
    assert_eq!(post.sim.stats().histories, 0, "messages say it all");
    let evidence = "SELECT DISTINCT delivery, evidence FROM deliveries";
    let told = post.site.run(&["sql", evidence, "--format", "csv"]);
    assert_eq!(told.expect(0).stdout, "delivery,evidence\nsent,reqack\n");
}
