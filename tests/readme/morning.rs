//! The questions of the morning after: each row of the table in `docs/operations.md` is run word for word.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Output},
};

use fleetpush::simulator::{Scenario, Simulator};

use crate::{OPERATIONS, reference::table};

/// Nights of one manifest, and who is offline in each.
const NIGHTS: [(&str, u64); 5] = [
    ("night-1", 1),
    ("night-2", 2),
    ("night-3", 3),
    ("night-4", 4),
    ("night-5", 5),
];

fn fleet(value: &str) -> String {
    let mut manifest = String::from("device_key,product_key,service,param.apn,site\n");
    for device in 0..60 {
        let site = ["Oslo", "Bergen", "Graz"][device % 3];
        writeln!(manifest, "86000000{device:04},PK0001,setApn,{value},{site}")
            .expect("text takes text");
    }
    manifest
}

/// A command in a shell, with the binary that is built.
fn shell(folder: &Path, base_url: &str, command: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_fleetpush"));
    Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env_clear()
        .env(
            "PATH",
            format!(
                "{}:/usr/local/bin:/usr/bin:/bin",
                binary.parent().expect("a folder").display()
            ),
        )
        .env("HOME", folder)
        .env("TZ", "Europe/Oslo")
        .env("FLEETPUSH_ACCESS_KEY", "key")
        .env("FLEETPUSH_ACCESS_SECRET", "secret")
        .env("FLEETPUSH_BASE_URL", base_url)
        .output()
        .expect("there is a shell")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_is_one_line_and_has_an_answer() {
    let home = tempfile::tempdir().expect("a folder");
    let quick = |offline, seed| Scenario {
        seed,
        offline,
        latency_ms: 0,
        latency_jitter_ms: 0,
        ..Scenario::default()
    };
    let simulator = Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), quick(0.0, 0))
        .await
        .expect("a free port");
    let base_url = simulator.base_url();
    let folder = home.path().to_owned();
    let run = async |command: String| {
        let (folder, base_url) = (folder.clone(), base_url.clone());
        tokio::task::spawn_blocking(move || shell(&folder, &base_url, &command))
            .await
            .expect("the shell is waited for")
    };
    // What the devices had before, and then five nights.
    fs::write(home.path().join("before.csv"), fleet("old")).expect("a manifest");
    fs::write(home.path().join("fleet.csv"), fleet("new")).expect("a manifest");
    fs::write(home.path().join("keys.txt"), "860000000001\n860000000007\n").expect("a list");
    run("fleetpush run before.csv -q".to_owned()).await;
    for (name, seed) in NIGHTS {
        simulator.play(quick(0.5, seed)).expect("a scenario");
        run(format!("fleetpush run fleet.csv --name {name} --again -q")).await;
    }
    let questions = table(OPERATIONS, "questions");
    assert!(questions.len() >= 8, "{questions:?}");
    for (question, command) in questions {
        let command = command.trim_matches('`').to_owned();
        let output = run(command.clone()).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let told = format!("{question}\n{command}\n{stdout}\n{stderr}");
        // A retry ends with the state of its run.
        let allowed: &[i32] = if command.contains(" retry ") {
            &[0, 1]
        } else {
            &[0]
        };
        assert!(
            output
                .status
                .code()
                .is_some_and(|code| allowed.contains(&code)),
            "{told}"
        );
        let written = command
            .split_once("--out ")
            .and_then(|(_, rest)| rest.split(' ').next())
            .map(|file| fs::read_to_string(home.path().join(file)).expect("the file is there"));
        // The summary of a retry is on stderr.
        let answer = written.unwrap_or(if stdout.is_empty() { stderr } else { stdout });
        assert!(
            answer.lines().count() > 1 || answer.starts_with('{'),
            "{told}"
        );
    }
    simulator.stop().await;
}
