//! Pushes to PostgreSQL beside pushes to a file, in turn: a server of its own with default settings, over a socket.

use std::{
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    bench::{Bench, CONCURRENCY, devices},
    common::tools::{fleetpush, fleetpush_run, run},
    process::{Finished, measure},
    pushes::platform,
    table::{Reference, Samples, Target, Unit, row},
};

/// Where Debian's packages have the servers, one folder for each version.
const SERVERS: &str = "/usr/lib/postgresql";
/// The user and the database.
const NAME: &str = "fleet";
/// How long the server may take to start.
const START: Duration = Duration::from_secs(20);

/// A server in a folder of its own, which ends with the thread that started it.
struct Server {
    programs: PathBuf,
    folder: TempDir,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once, but so that it ends those who work for it.
        let _ = kill_process(Pid::from_child(&self.process), Signal::QUIT);
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(programs: PathBuf) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let folder = tempfile::Builder::new()
            .prefix("scale-")
            .tempdir()
            .map_err(failed)?;
        let path = folder.path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).map_err(failed)?;
        let account = account()?;
        if let Some((user, group)) = account {
            chown(path, Some(user), Some(group)).map_err(failed)?;
        }
        run(bound(&programs.join("initdb"), account)
            .current_dir(path)
            .args(["--pgdata", "data", "--username", NAME, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C.UTF-8"]))?;
        let process = bound(&programs.join("postgres"), account)
            .current_dir(path)
            .args(["-D", "data", "-c", "listen_addresses=", "-k"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let server = Self {
            programs,
            folder,
            process,
        };
        let begun = Instant::now();
        while let Err(why) = server.psql("SELECT 1") {
            if begun.elapsed() > START {
                return Err(why);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    fn psql(&self, sql: &str) -> Result<(), String> {
        run(Command::new(self.programs.join("psql"))
            .args(["-X", "-U", NAME, "-d", "postgres", "-c", sql, "-h"])
            .arg(self.folder.path()))
    }

    /// The address of a database with our schema and without rows; the one before is gone, and nothing of it is left to be written.
    fn fresh_database(&self, home: &Path) -> Result<String, String> {
        self.psql(&format!("DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"))?;
        self.psql(&format!("CREATE DATABASE {NAME}"))?;
        let socket = self.folder.path().display();
        let url = format!("postgres:///{NAME}?host={socket}&user={NAME}");
        run(fleetpush(home).args(["db", "migrate", "--db", &url]))?;
        self.psql("CHECKPOINT")?;
        Ok(url)
    }
}

/// The programs of the newest server that is installed.
fn programs() -> Option<PathBuf> {
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    std::fs::read_dir(SERVERS)
        .ok()?
        .flatten()
        .filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin"))))
        .filter(|(version, programs)| *version >= 15 && programs.join("postgres").exists())
        .max()
        .map(|(_, programs)| programs)
}

/// The user and the group that the server runs as, which refuses root.
fn account() -> Result<Option<(u32, u32)>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let of = |line: &str| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = accounts.lines().find_map(of);
    found
        .map(Some)
        .ok_or_else(|| "there is no account named postgres".to_owned())
}

/// A program that is killed when the thread that has started it ends.
fn bound(program: &Path, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((user, group)) = account {
        command.args([
            &format!("--reuid={user}"),
            &format!("--regid={group}"),
            "--clear-groups",
        ]);
    }
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// A million devices at a hundred in a request, and twenty thousand at one.
pub(crate) fn server(bench: &Bench) -> Result<(), String> {
    let Some(programs) = programs() else {
        println!("| server | skipped: there is no PostgreSQL 15 or later | | | | | | | |");
        return Ok(());
    };
    let server = Server::start(programs)?;
    pushes(bench, &server, bench.size(1_000_000), 100)?;
    pushes(bench, &server, bench.size(20_000), 1)
}

/// Pushes to both in turn.
fn pushes(bench: &Bench, server: &Server, number: u64, chunk_size: u64) -> Result<(), String> {
    let manifest = bench.manifest(number)?;
    let platform = platform(Duration::ZERO, &json!({}));
    let push = |database: &str| {
        let mut command = fleetpush_run(bench.folder(), &platform, &manifest);
        command
            .args(["--rate", "unlimited", "--db", database])
            .args(["--concurrency", &CONCURRENCY.to_string()])
            .args(["--chunk-size", &chunk_size.to_string()]);
        let pushed = measure(&mut command, 0)?;
        let staging = staging(bench, database)?;
        Ok::<_, String>((pushed, staging))
    };
    let (mut on_server, mut in_file) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        on_server.push(push(&server.fresh_database(bench.folder())?)?);
        in_file.push(push(&bench.fresh_database().display().to_string())?);
    }
    let name = |what| format!("{what}, server, {}, chunk {chunk_size}", devices(number));
    let beside = |what, unit, target, of: &dyn Fn(&(Finished, f64)) -> f64| {
        row(
            &name(what),
            &Samples::new(on_server.iter().map(of)),
            unit,
            Some(&Reference {
                name: "a file",
                samples: &Ok(Samples::new(in_file.iter().map(of))),
            }),
            target,
        );
    };
    if chunk_size > 1 {
        beside(
            "stage",
            Unit::Seconds,
            Target::RatioAtMost(2.0),
            &|(_, staging)| *staging,
        );
    }
    beside("send", Unit::DevicesPerSecond, Target::None, &|(
        pushed,
        staging,
    )| {
        number as f64 / (pushed.wall - staging)
    });
    beside("peak memory", Unit::Mebibytes, Target::None, &|(
        pushed,
        _,
    )| {
        pushed.peak_rss as f64 / 1024.0 / 1024.0
    });
    Ok(())
}

/// How long the staging of the only run of a database took, in seconds.
fn staging(bench: &Bench, database: &str) -> Result<f64, String> {
    let mut command = fleetpush(bench.folder());
    command.args(["sql", "SELECT staging_ms FROM sessions", "--format", "csv"]);
    command.args(["--db", database]);
    let told = measure(&mut command, 0)?.stdout;
    let milliseconds = told.lines().last().and_then(|line| line.parse().ok());
    milliseconds
        .map(|milliseconds: f64| milliseconds / 1000.0)
        .ok_or_else(|| format!("the session does not say how long it staged: {told}"))
}
