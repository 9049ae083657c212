//! `--canary-devices` and `--canary-check`: who goes first, and what decides on them.

use std::collections::BTreeSet;

use fleetpush::simulator::Scenario;
use rustix::process::{Pid, Signal};

use crate::support::{Sim, Site, agree, devices, wait_for};

/// The devices that the platform has acted on.
fn reached(sim: &Sim) -> BTreeSet<String> {
    let deliveries = sim.deliveries().into_iter();
    deliveries.map(|delivery| delivery.device_key).collect()
}

/// The device keys in these rows of the manifest, from 0.
fn keys(manifest: &str, rows: &[usize]) -> Vec<String> {
    let lines: Vec<&str> = manifest.lines().collect();
    let place = lines[0].split(',').position(|name| name == "device_key");
    let place = place.expect("it has a column of keys");
    rows.iter()
        .map(|row| {
            let key = lines[row + 1].split(',').nth(place);
            key.expect("each row has one").to_owned()
        })
        .collect()
}

/// Whether a process has ended, whether anybody has taken note of that or not.
fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn the_devices_of_a_file_go_first() {
    let sim = Sim::healthy();
    let manifest = devices(60);
    let site = Site::with(&manifest);
    let lab = keys(&manifest, &[7, 59, 31]);
    site.write(
        "lab.csv",
        format!(
            "name;device_key\na;{}\nb;{}\nc;{}\n",
            lab[0], lab[1], lab[2]
        ),
    );
    let push = [
        "run",
        "fleet.csv",
        "--canary-devices",
        "lab.csv",
        "--canary-pause",
    ];
    site.push(&sim, &["check", "fleet.csv", "--canary-devices", "lab.csv"])
        .expect(0);
    site.push(&sim, &push).expect(3).says(&[
        "canary: 3 devices go first",
        "canary of 3 devices: 3 accepted",
    ]);
    assert_eq!(reached(&sim), lab.into_iter().collect());
    site.push(&sim, &push).expect(0);
    assert_eq!(reached(&sim).len(), 60);
    agree(&site.journal(), &sim);
}

#[test]
fn a_device_that_the_manifest_does_not_have_is_named_by_its_line() {
    let sim = Sim::healthy();
    let manifest = devices(20);
    let site = Site::with(&manifest);
    let lab = keys(&manifest, &[3]);
    site.write("lab.txt", format!("{}\nNOPE\n\nNEITHER\n", lab[0]));
    let push = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--canary-devices",
        "lab.txt",
    ];
    let words = [
        "does not have 2 devices of --canary-devices",
        "lab.txt:2: NOPE\n",
        "lab.txt:4: NEITHER",
    ];
    let check = ["check", "fleet.csv", "--canary-devices", "lab.txt"];
    site.push(&sim, &check).expect(2).says(&words);
    site.push(&sim, &push).expect(2).says(&words);
    assert_eq!(reached(&sim).len(), 0);
    site.write("lab.txt", &lab[0]);
    site.push(&sim, &push)
        .expect(0)
        .says(&["canary: 1 device goes first"]);
    assert_eq!(reached(&sim).len(), 20);
    // It is chosen once: what the file says later changes nothing.
    site.write("lab.txt", "NOPE");
    site.push(&sim, &push).expect(0);
    site.push(&sim, &["run", "fleet.csv", "--canary-devices", "none.txt"])
        .expect(2)
        .says(&["none.txt"]);
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--canary-devices",
            "lab.txt",
            "--canary",
            "5",
        ],
    )
    .expect(2)
    .says(&["--canary-devices", "cannot be used with", "--canary"]);
}

#[test]
fn a_command_decides_on_the_canary_once() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(30));
    let seen = site.path("seen.csv");
    let command = format!("cat >> '{}'; echo looks good", seen.display());
    let args = [
        "run",
        "fleet.csv",
        "--canary",
        "3",
        "--canary-verify",
        "10m",
        "--history-rate",
        "unlimited",
        "--canary-pause",
        "--canary-check",
        &command,
    ];
    site.push(&sim, &args).expect(3).says(&[
        "the canary is proved: 3 sent",
        "the canary is checked by: cat",
        "looks good",
        "the canary has passed its check",
    ]);
    let text = std::fs::read_to_string(&seen).expect("the command has read its input");
    let lines: Vec<&str> = text.lines().collect();
    let header = "line,product_key,device_key,state,class,code,message,ticket,attempts,delivery";
    assert_eq!((lines.len(), lines[0]), (4, header), "{text}");
    let canary = reached(&sim);
    for line in &lines[1..] {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(canary.contains(cells[2]), "{line}");
        assert_eq!((cells[3], cells[8], cells[9]), ("accepted", "1", "sent"));
    }
    site.push(&sim, &args).expect(0);
    assert_eq!(std::fs::read_to_string(&seen).ok(), Some(text), "not again");
    assert_eq!(reached(&sim).len(), 30);
}

#[test]
fn a_command_that_fails_ends_the_push() {
    for (command, words) in [
        ("exit 7", "--canary-check 'exit 7' ended with exit code 7"),
        ("kill -9 $$", "was ended by signal 9"),
        (
            "no-such-command",
            "exit code 127: the shell does not find it",
        ),
    ] {
        let sim = Sim::healthy();
        let site = Site::with(&devices(30));
        let push = ["run", "fleet.csv", "--name", "night", "--canary", "3"];
        let check = ["--canary-check", command];
        let args = [&push[..], &check].concat();
        site.push(&sim, &args)
            .expect(4)
            .says(&["the canary is not good", words]);
        assert_eq!(reached(&sim).len(), 3);
        site.push(&sim, &args).expect(4);
        let on = ["resume", "night", "--override-abort"];
        let ended = site.push(&sim, &on).expect(0);
        assert!(!ended.stderr.contains("is checked by"), "{ended:?}");
        assert_eq!(reached(&sim).len(), 30);
    }
}

#[test]
fn a_signal_ends_the_command_and_the_next_start_asks_it_again() {
    let sim = Sim::start(Scenario::default());
    let site = Site::with(&devices(30));
    let pids = site.path("pids");
    let go = site.path("go");
    let command = format!(
        "[ -e '{}' ] || {{ sleep 1000 & echo $$ $! > '{}'; echo begun; wait; }}",
        go.display(),
        pids.display()
    );
    let push = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--canary",
        "3",
        "--canary-check",
        &command,
    ];
    let begun = |push: &crate::support::Push| {
        wait_for("a command that has begun", || {
            push.stderr().contains("\nbegun\n").then_some(())
        });
        let text = std::fs::read_to_string(&pids).expect("it has written its numbers");
        text.split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect::<Vec<Pid>>()
    };
    let gone = |pids: Vec<Pid>| {
        wait_for("the end of the command and of what it has started", || {
            pids.iter().all(|pid| has_ended(*pid)).then_some(())
        });
    };
    let first = site.start(&sim, &push);
    let processes = begun(&first);
    assert_eq!(processes.len(), 2);
    first.signal(Signal::INT);
    first.ended().expect(3);
    gone(processes);
    assert_eq!(reached(&sim).len(), 3);
    // A pause ends it, too. The command is kept with the run.
    let second = site.start(&sim, &["resume", "night"]);
    let processes = begun(&second);
    site.run(&["pause", "night"]).expect(0);
    second.ended().expect(3);
    gone(processes);
    site.write("go", "");
    site.push(&sim, &["resume", "night"]).expect(0);
    assert_eq!(reached(&sim).len(), 30);
    agree(&site.journal(), &sim);
}
