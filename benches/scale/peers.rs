//! Those that one might use instead: a script with aiohttp and SQLite, GNU parallel with curl, and curl alone. They get the same devices,
//! but for the slow ones, whose rate is taken from fewer.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;

use crate::{
    bench::{Bench, CONCURRENCY, database_files, devices},
    common::{
        platform::{Platform, TOKEN},
        tools::{Missing, python_with_aiohttp, tool},
    },
    fleet::bodies,
    process::measure,
    pushes::{at_chunk_1, at_chunk_100, platform, push},
    table::{Reference, Samples, Target, Unit, row},
    wrk::SEND,
};

/// What the scripts take from their caller.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scale");

/// Somebody else who pushes.
enum Peer {
    /// Keeps what became of each device in SQLite.
    Asyncio(Result<PathBuf, Missing>),
    /// Starts a curl for each request and logs how it ended.
    Parallel,
    /// Stores nothing.
    Curl,
}

impl Peer {
    fn name(&self) -> &'static str {
        match self {
            Self::Asyncio(_) => "python, aiohttp, sqlite3",
            Self::Parallel => "parallel --joblog, curl",
            Self::Curl => "curl --parallel, nothing stored",
        }
    }

    /// How many devices it gets, so that a round takes seconds.
    fn devices(&self, bench: &Bench, chunk_size: u64) -> u64 {
        match self {
            Self::Asyncio(_) if chunk_size == 1 => bench.size(10_000),
            Self::Parallel => bench.size(200 * chunk_size),
            Self::Asyncio(_) | Self::Curl => bench.size(100_000),
        }
    }

    /// How many devices a second it pushes, from the start of its process to its end.
    fn rate(&self, bench: &Bench, platform: &Platform, chunk_size: u64) -> Result<f64, String> {
        let number = self.devices(bench, chunk_size);
        let before = platform.asked();
        let mut command = match self {
            Self::Asyncio(Err(missing)) => return Err(missing.clone()),
            Self::Asyncio(Ok(python)) => asyncio(bench, python, platform, (number, chunk_size))?,
            Self::Parallel => parallel(bench, platform, (number, chunk_size))?,
            Self::Curl => curl(bench, platform, (number, chunk_size))?,
        };
        let finished = measure(&mut command, 0)?;
        let taken = platform.asked() - before;
        if taken != number {
            return Err(format!("{taken} of {number} devices reached the platform"));
        }
        Ok(number as f64 / finished.wall)
    }
}

/// Pushes of ours beside each of theirs.
pub(crate) fn peers(bench: &Bench) -> Result<(), String> {
    let peers = [
        Peer::Asyncio(python_with_aiohttp()),
        Peer::Curl,
        Peer::Parallel,
    ];
    large_requests(bench, &peers)?;
    single_devices(bench, &peers)
}

fn large_requests(bench: &Bench, peers: &[Peer]) -> Result<(), String> {
    let number = bench.size(100_000);
    let manifest = bench.manifest(number)?;
    let platform = platform(Duration::ZERO, &json!({}));
    let ours: Result<Vec<f64>, String> = (0..bench.rounds)
        .map(|_| {
            let database = bench.fresh_database();
            let work = (number, 100);
            let pushed = push(
                &platform,
                &manifest,
                &database,
                work,
                &["--rate", "unlimited"],
                0,
            )?;
            Ok(number as f64 / pushed.wall)
        })
        .collect();
    let ours = Samples::new(ours?);
    let pushes = at_chunk_100(bench)?;
    for peer in peers {
        let theirs = rates(bench, &platform, peer, 100);
        compare(number, &ours, peer, (bench, 100), &theirs, Target::None);
        if matches!(peer, Peer::Asyncio(_)) {
            let million = pushes.devices_per_second();
            let target = Target::RatioAtLeast(12.0);
            compare(
                pushes.devices,
                &million,
                peer,
                (bench, 100),
                &theirs,
                target,
            );
        }
    }
    Ok(())
}

fn single_devices(bench: &Bench, peers: &[Peer]) -> Result<(), String> {
    let pushes = at_chunk_1(bench)?;
    let ours = pushes.devices_per_second();
    let platform = platform(Duration::ZERO, &json!({}));
    for peer in peers {
        let target = match peer {
            Peer::Asyncio(_) => Target::RatioAtLeast(20.0),
            Peer::Curl => Target::RatioAtLeast(1.0),
            Peer::Parallel => Target::None,
        };
        let theirs = rates(bench, &platform, peer, 1);
        compare(pushes.devices, &ours, peer, (bench, 1), &theirs, target);
    }
    Ok(())
}

fn rates(
    bench: &Bench,
    platform: &Platform,
    peer: &Peer,
    chunk_size: u64,
) -> Result<Samples, String> {
    let rounds: Result<Vec<f64>, String> = (0..bench.rounds)
        .map(|_| peer.rate(bench, platform, chunk_size))
        .collect();
    rounds.map(Samples::new)
}

fn compare(
    number: u64,
    ours: &Samples,
    peer: &Peer,
    (bench, chunk_size): (&Bench, u64),
    theirs: &Result<Samples, String>,
    target: Target,
) {
    let name = format!(
        "{}, {}",
        peer.name(),
        devices(peer.devices(bench, chunk_size))
    );
    row(
        &format!("push, {}, chunk {chunk_size}", devices(number)),
        ours,
        Unit::DevicesPerSecond,
        Some(&Reference {
            name: &name,
            samples: theirs,
        }),
        target,
    );
}

type Work = (u64, u64);

fn asyncio(
    bench: &Bench,
    python: &Path,
    platform: &Platform,
    (number, chunk_size): Work,
) -> Result<Command, String> {
    let database = bench.folder().join("peer.db");
    for file in database_files(&database) {
        let _ = fs::remove_file(file);
    }
    let mut command = Command::new(python);
    command
        .arg(format!("{SCRIPTS}/peer.py"))
        .args([platform.base_url(), TOKEN])
        .arg(bench.manifest(number)?)
        .arg(database)
        .args([chunk_size.to_string(), CONCURRENCY.to_string()]);
    Ok(command)
}

fn parallel(
    bench: &Bench,
    platform: &Platform,
    (number, chunk_size): Work,
) -> Result<Command, String> {
    tool("parallel").and_then(|()| tool("curl"))?;
    // Parallel asks everybody once to cite its paper.
    let consent = bench.folder().join(".parallel/will-cite");
    let bodies = bench.folder().join("bodies");
    fs::create_dir_all(bench.folder().join(".parallel"))
        .and_then(|()| fs::write(consent, ""))
        .and_then(|()| write_lines(&bodies, self::bodies(number, chunk_size)))
        .map_err(|error| error.to_string())?;
    let mut command = Command::new("parallel");
    command
        .env("HOME", bench.folder())
        .args(["--quote", "--jobs", &CONCURRENCY.to_string(), "--joblog"])
        .arg(bench.folder().join("joblog"))
        .arg("--arg-file")
        .arg(bodies)
        .args(["curl", "--silent", "--fail", "--output", "/dev/null"])
        .args(["--header", &format!("Authorization: {TOKEN}")])
        .args(["--header", "Content-Type: application/json"])
        .args(["--data", "{}"])
        .arg(format!("{}{SEND}", platform.base_url()));
    Ok(command)
}

fn curl(bench: &Bench, platform: &Platform, (number, chunk_size): Work) -> Result<Command, String> {
    tool("curl")?;
    let url = format!("{}{SEND}", platform.base_url());
    let config = bench.folder().join("curl.config");
    let requests = bodies(number, chunk_size).map(|body| {
        let body = body.replace('\\', r"\\").replace('"', r#"\""#);
        format!(
            "next\nsilent\nfail\nurl = \"{url}\"\noutput = \"/dev/null\"\nheader = \"Authorization: {TOKEN}\"\n\
             header = \"Content-Type: application/json\"\ndata = \"{body}\""
        )
    });
    write_lines(&config, requests).map_err(|error| error.to_string())?;
    let mut command = Command::new("curl");
    command
        .args(["--parallel", "--parallel-max", &CONCURRENCY.to_string()])
        .args(["--no-progress-meter", "--config"])
        .arg(config);
    Ok(command)
}

fn write_lines(path: &Path, lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    file.flush()
}
