//! The commands of every page are run in their order, each page in a home of its own and against a simulated platform.
//!
//! A comment before a block says what a reader sees from the text around it: `<!-- exits 3 -->` for the last command of the block,
//! `<!-- not run: … -->` for what would change the machine, `<!-- with … -->` for what `tools` runs where that is installed. A block of
//! `console` after one of commands is what the last of them prints, with other numbers; `…` stands for lines that are left out.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
};

use fleetpush::{
    simulator::{Scenario, Simulator},
    testing::{TEST_NOW, wall_now},
};

use crate::{Block, PAGES, Page, README, blocks};

/// The hour at which the pages are read: in the window that they give as an example.
const NOW: &str = "2026-11-22T22:30:00Z";

/// The fleet of the examples: sixty devices, few enough for `--canary 5` to be some of them.
fn fleet() -> String {
    let mut manifest =
        String::from("device_key,product_key,service,param.mode,param.target,site\n");
    for device in 0..60 {
        writeln!(
            manifest,
            "TH-{device:04},PK0001,setMode,{},21.5,Graz",
            device % 2 + 1
        )
        .expect("text takes text");
    }
    manifest
}

/// The samples, as they lie beside a fresh clone.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// A command of a page as the test runs it: against the simulator in place of a region, with the binary that is built.
fn adapted(line: &str, base_url: &str, port: u16) -> String {
    line.replace("cargo run --release -- ", "fleetpush ")
        .replace("--region europe", &format!("--base-url {base_url}"))
        .replace(
            "FLEETPUSH_REGION=europe",
            &format!("FLEETPUSH_BASE_URL={base_url}"),
        )
        .replace("127.0.0.1:8765", &format!("127.0.0.1:{port}"))
}

/// A line with `0` for each of its numbers, and a name for this program wherever it lies.
fn masked(line: &str) -> String {
    let mut masked = String::new();
    for letter in line
        .replace("target/release/fleetpush", "fleetpush")
        .chars()
    {
        if !letter.is_ascii_digit() {
            masked.push(letter);
        } else if !masked.ends_with('0') {
            masked.push('0');
        }
    }
    // Columns are as wide as their longest value.
    masked.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fails when a line that the page shows is not printed; blank lines and those that are left out are nobody's.
fn assert_printed(page: Page, shown: &str, printed: &str) {
    let printed: Vec<String> = printed.lines().map(masked).collect();
    for line in shown
        .lines()
        .filter(|line| !line.is_empty() && *line != "…")
    {
        assert!(
            printed.contains(&masked(line)),
            "{}: {line:?} is not printed:\n{}",
            page.0,
            printed.join("\n")
        );
    }
}

/// A shell script that runs the blocks and fails at the first command that ends otherwise than the page says.
fn script(blocks: &[Block], base_url: &str, port: u16) -> String {
    let mut script = String::from(
        "check() { [ $1 -eq $2 ] || { echo \"exit code $1 in place of $2: $3\" >&2; exit 1; }; }\n",
    );
    for (number, block) in blocks.iter().enumerate() {
        let expected = block
            .note
            .and_then(|note| note.strip_prefix("exits "))
            .map_or(0, |code| code.parse().expect("an exit code"));
        let lines: Vec<&str> = block.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let line = adapted(line, base_url, port);
            let code = if index + 1 == lines.len() {
                expected
            } else {
                0
            };
            // What it prints, for a block of output that follows.
            let line = if line.ends_with(" &") {
                line
            } else {
                format!(
                    "{{ {line}\n}} >output 2>&1; code=$?; cat output; cp output output.{number}; (exit $code)"
                )
            };
            // A server is ready when it has said its address.
            let line = match line.strip_suffix(" &") {
                Some(server) => format!(
                    "mkfifo ready; {server} > ready & server=$!; trap 'kill $server' EXIT; read address < ready"
                ),
                None => line,
            };
            writeln!(script, "{line}\ncheck $? {code} {}", quoted(lines[index]))
                .expect("text takes text");
        }
    }
    script
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

async fn walk(page: Page) {
    let mut commands: Vec<Block> = Vec::new();
    let mut outputs: Vec<(usize, String)> = Vec::new();
    for block in blocks(page) {
        let is_run = !block
            .note
            .is_some_and(|note| note.starts_with("not run: ") || note.starts_with("with "));
        match block.language {
            "sh" if is_run => commands.push(block),
            "console" => outputs.push((commands.len() - 1, block.text)),
            _ => {}
        }
    }
    let blocks = commands;
    assert!(!blocks.is_empty(), "{} has no commands", page.0);
    let home = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&root.join("samples"), &home.path().join("samples"));
    fs::write(home.path().join("fleet.csv"), fleet()).expect("a manifest");
    fs::create_dir(home.path().join(".secrets")).expect("a folder");
    fs::write(home.path().join(".secrets/fleetpush"), "secret\n").expect("a secret");

    let now: jiff::Timestamp = NOW.parse().expect("a time");
    let scenario = Scenario {
        latency_ms: 0,
        latency_jitter_ms: 0,
        clock_skew_ms: now.as_millisecond() - wall_now().0,
        ..Scenario::default()
    };
    let simulator = Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), scenario)
        .await
        .expect("a free port");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let base_url = simulator.base_url();
    let mut commands = script(&blocks, &base_url, port);
    if page != README {
        // A page beside the README is read by somebody who has pushed before.
        commands.insert_str(
            0,
            &format!("fleetpush run samples/devices.csv --product-key PK0001 --service s --base-url {base_url} -q || exit\n"),
        );
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_fleetpush"));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &commands])
        .current_dir(home.path())
        .env_clear()
        .env(
            "PATH",
            format!(
                "{}:/usr/local/bin:/usr/bin:/bin",
                binary.parent().expect("a folder").display()
            ),
        )
        .env("HOME", home.path())
        .env("TZ", "Europe/Oslo")
        .env(TEST_NOW, NOW)
        .stdin(Stdio::null());
    if page != README {
        shell
            .env("FLEETPUSH_ACCESS_KEY", "key")
            .env("FLEETPUSH_ACCESS_SECRET", "secret")
            .env("FLEETPUSH_BASE_URL", &base_url);
    }
    let output = tokio::task::spawn_blocking(move || shell.output())
        .await
        .expect("the shell is waited for")
        .expect("there is a shell");
    simulator.stop().await;
    for (number, shown) in outputs {
        let printed = fs::read_to_string(home.path().join(format!("output.{number}")))
            .unwrap_or_default()
            .replace(&home.path().display().to_string(), "/home/you");
        assert_printed(page, &shown, &printed);
    }
    assert!(
        output.status.success(),
        "{}:\n{}\n{}",
        page.0,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A test for each page, so that they run side by side.
macro_rules! tours {
    ($($name:ident: $page:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                walk(($page, PAGES.iter().find(|page| page.0 == $page).expect("a page").1)).await;
            }
        )+

        #[test]
        fn every_page_has_a_tour() {
            assert_eq!(PAGES.map(|page| page.0), [$($page),+]);
        }
    };
}

tours! {
    readme: "README.md";
    manifest: "docs/manifest.md";
    scheduling: "docs/scheduling.md";
    pace: "docs/pace.md";
    results_database: "docs/results-database.md";
    operations: "docs/operations.md";
    several_machines: "docs/several-machines.md";
    delivery: "docs/delivery.md";
    simulator: "docs/simulator.md";
}
