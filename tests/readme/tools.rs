//! The same question in other tools: each example of `docs/results-database.md` is run word for word, where its tool is there. `.ci/tools`
//! installs them.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fleetpush::simulator::{Scenario, Simulator};

use crate::{Block, RESULTS_DATABASE, blocks};

/// What stands before the name of a tool in the note of a block.
const WITH: &str = "with ";

/// The folder that `.ci/tools` fills.
fn tools() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("a folder").join("tools/bin")
}

/// A command where the tools, the binary that is built, and the machine's own programs are found.
fn command(home: &Path, program: &str, args: &[&str]) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_fleetpush"));
    let mut folders = vec![tools(), binary.parent().expect("a folder").to_owned()];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("PATH", env::join_paths(folders).expect("a path"))
        .env("HOME", home)
        .env("FLEETPUSH_ACCESS_KEY", "key")
        .env("FLEETPUSH_ACCESS_SECRET", "secret");
    command
}

fn in_shell(home: &Path, text: &str) -> Output {
    let mut command = command(home, "sh", &["-ec", text]);
    command.output().expect("there is a shell")
}

fn is_there(home: &Path, tool: &str) -> bool {
    let looked = match tool {
        "pandas" => in_shell(home, "python3 -c 'import pandas'"),
        tool => in_shell(home, &format!("command -v {tool}")),
    };
    looked.status.success()
}

/// Runs the example, and gives what it prints.
fn run(home: &Path, block: &Block) -> Output {
    if block.language == "python" {
        fs::write(home.join("example.py"), &block.text).expect("a file");
        return in_shell(home, "python3 example.py");
    }
    // A server that would go on until somebody stops it.
    let text: Vec<&str> = block
        .text
        .lines()
        .filter(|line| *line != "datasette copy.db")
        .collect();
    in_shell(home, &text.join("\n"))
}

/// The numbers in a text, each once.
fn numbers(text: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = text
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_gives_the_same_answer() {
    let home = tempfile::tempdir().expect("a folder");
    let scenario = Scenario {
        seed: 5,
        offline: 0.3,
        ..Scenario::default()
    };
    let simulator = Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), scenario)
        .await
        .expect("a free port");
    let mut manifest = String::from("device_key,product_key,service,param.mode\n");
    manifest.extend((0..97).map(|device| format!("DK{device:02},PK,setMode,1\n")));
    fs::write(home.path().join("fleet.csv"), manifest).expect("a manifest");
    let base_url = simulator.base_url();
    let folder = home.path().to_owned();
    let answered = tokio::task::spawn_blocking(move || {
        let args = ["run", "fleet.csv", "-q", "--base-url", &base_url];
        let pushed = command(&folder, "fleetpush", &args).output();
        assert_eq!(pushed.expect("it is built").status.code(), Some(1));
        let question = "SELECT count(*) AS devices FROM results GROUP BY state";
        let counted = command(&folder, "fleetpush", &["sql", question]).output();
        let expected = numbers(&String::from_utf8_lossy(
            &counted.expect("an answer").stdout,
        ));
        assert_eq!((expected.len(), expected.iter().sum::<u64>()), (2, 97));
        let mut tried = Vec::new();
        for block in blocks(RESULTS_DATABASE) {
            let Some(tool) = block.note.and_then(|note| note.strip_prefix(WITH)) else {
                continue;
            };
            if !is_there(&folder, tool) {
                eprintln!("the example with {tool} is not tried: it is not installed");
                continue;
            }
            let output = run(&folder, &block);
            let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{tool}: {stdout}\n{stderr}");
            let found = numbers(&stdout);
            assert!(
                expected.iter().all(|number| found.contains(number)),
                "{tool}: {expected:?} are not in {stdout}"
            );
            tried.push(tool);
        }
        tried
    });
    let tried = answered.await.expect("the tools are waited for");
    simulator.stop().await;
    eprintln!("tried: {}", tried.join(", "));
    assert!(tried.contains(&"sqlite3"), "{tried:?}");
}

#[test]
fn each_of_the_four_tools_has_an_example() {
    let tools: Vec<&str> = blocks(RESULTS_DATABASE)
        .iter()
        .filter_map(|block| block.note?.strip_prefix(WITH))
        .collect();
    assert_eq!(tools, ["sqlite3", "duckdb", "pandas", "datasette"]);
}
