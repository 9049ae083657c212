//! What the figures were taken on and with.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
    time::Instant,
};

use crate::{
    bench::Bench,
    common::tools::{fleetpush, python_with_aiohttp},
    table::Samples,
};

/// Prints what is known of the machine and of the tools, a line each.
pub(crate) fn describe(bench: &Bench) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("- processor: {cores} × {}", processor());
    println!("- kernel: {}", first_line("/proc/sys/kernel/osrelease"));
    println!("- load at the start: {}", first_line("/proc/loadavg"));
    println!("- disk: {}", disk(bench.folder()));
    let python = python_with_aiohttp();
    let versions = [
        said(fleetpush(bench.folder()).arg("--version")),
        said(Command::new("sqlite3").arg("--version")),
        said(Command::new("wrk").arg("--version")),
        said(Command::new("curl").arg("--version")),
        said(Command::new("parallel").arg("--version")),
        python.and_then(|python| {
            said(Command::new(python).args([
                "-c",
                "import sys, aiohttp; print('python', sys.version.split()[0], 'with aiohttp', aiohttp.__version__)",
            ]))
        }),
    ];
    for version in versions {
        println!("- {}", version.unwrap_or_else(|why| why));
    }
    println!();
}

fn processor() -> String {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    told.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name)
        .to_owned()
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// The file system, and how long it takes to put a page on the disk: a commit costs that.
fn disk(folder: &Path) -> String {
    let kind = said(
        Command::new("stat")
            .args(["--file-system", "--format=%T"])
            .arg(folder),
    );
    let kind = kind.unwrap_or_else(|_| "unknown file system".to_owned());
    match syncs(folder) {
        Ok(times) => format!(
            "{kind}, a page synchronised in {:.2} ms",
            times.median() * 1e3
        ),
        Err(error) => format!("{kind}, {error}"),
    }
}

fn syncs(folder: &Path) -> std::io::Result<Samples> {
    let path = folder.join("page");
    let mut file = File::create(&path)?;
    let times: std::io::Result<Vec<f64>> = (0..51)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[1; 4096])?;
            file.sync_data()?;
            Ok(begun.elapsed().as_secs_f64())
        })
        .collect();
    fs::remove_file(path)?;
    Ok(Samples::new(times?))
}

/// The first line that a command says, wherever it says it: some tell their version as an error.
fn said(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .map_err(|_| format!("{program} is not installed"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default().trim();
    Ok(if line.starts_with(|first: char| first.is_ascii_digit()) {
        format!("{program} {line}")
    } else {
        line.to_owned()
    })
}
