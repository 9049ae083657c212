//! How long a push that was killed takes to send again.

use std::{
    io::Read as _,
    net::TcpListener,
    process::Stdio,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    bench::{Bench, CONCURRENCY, devices},
    common::tools::{fleetpush, fleetpush_run},
    pushes::platform,
    table::{Samples, Target, Unit, row},
};

/// How long a resumed push may take at the very most.
const PATIENCE: Duration = Duration::from_mins(1);

/// Kills a push of a million devices at half, and resumes it.
pub(crate) fn resume(bench: &Bench) -> Result<(), String> {
    let number = bench.size(1_000_000);
    let rounds: Result<Vec<f64>, String> = (0..bench.rounds).map(|_| once(bench, number)).collect();
    row(
        &format!(
            "resume, {} killed at half, to the first request",
            devices(number)
        ),
        &Samples::new(rounds?),
        Unit::Seconds,
        None,
        Target::AtMost(0.3),
    );
    Ok(())
}

/// The time from the start of `resume` to the first bytes of a request at the platform. When the push has been killed the simulator ends
/// too, and a plain listener takes its port: nobody stands between them and the clock, and nothing but a request would come.
fn once(bench: &Bench, number: u64) -> Result<f64, String> {
    let manifest = bench.manifest(number)?;
    let database = bench.fresh_database();
    let platform = platform(Duration::ZERO, &json!({}));
    let (address, base_url) = (
        platform.address().to_owned(),
        platform.base_url().to_owned(),
    );
    let pace = [
        "--rate",
        "unlimited",
        "--concurrency",
        &CONCURRENCY.to_string(),
    ];

    let mut push = fleetpush_run(bench.folder(), &platform, &manifest);
    push.args(pace).arg("--db").arg(&database);
    let mut push = Quiet::spawn(push)?;
    while platform.asked() < number / 2 {
        if push
            .0
            .try_wait()
            .map_err(|error| error.to_string())?
            .is_some()
        {
            return Err("the push ended before it could be killed".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
    drop(push);
    drop(platform);

    let listener = TcpListener::bind(&address).map_err(|error| error.to_string())?;
    let (sender, first_request) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut start = [0; 4];
        let read = listener
            .accept()
            .and_then(|(mut stream, _)| stream.read_exact(&mut start));
        let _ = sender.send((read.is_ok() && start == *b"POST", Instant::now()));
    });
    let mut resume = fleetpush(bench.folder());
    resume
        .args(["resume", "--base-url", &base_url, "--progress", "none"])
        .args(pace)
        .arg("--db")
        .arg(&database);
    let begun = Instant::now();
    let resume = Quiet::spawn(resume)?;
    let first = first_request.recv_timeout(PATIENCE);
    drop(resume);
    match first {
        Ok((true, at)) => Ok((at - begun).as_secs_f64()),
        Ok((false, _)) => Err("what came first was no request".to_owned()),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err("the resumed push sent nothing".to_owned())
        }
    }
}

/// A process that says nothing and is killed when it is dropped.
struct Quiet(std::process::Child);

impl Quiet {
    fn spawn(mut command: std::process::Command) -> Result<Self, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
