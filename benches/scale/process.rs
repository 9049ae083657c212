//! A program from its start to its end: how long it took, and what it used of the machine.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Seek as _},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::common::tools::complaint;

/// How often the peak of the memory is read. The kernel keeps the peak itself, so only what grows in a process's last moments is missed.
const LOOK: Duration = Duration::from_millis(5);
/// Of what `/proc` counts CPU time in (`USER_HZ`), so many are a second.
const TICKS: f64 = 100.0;

/// How a program went.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// From before its start until its end was seen, in seconds.
    pub(crate) wall: f64,
    /// Its own CPU time and that of children it has waited for, in seconds; known to a hundredth.
    pub(crate) cpu: f64,
    /// The peak of its resident memory, in bytes.
    pub(crate) peak_rss: u64,
    pub(crate) stdout: String,
}

/// Runs a program that is to end with this exit code; anything else is an error, which is what the program says.
pub(crate) fn measure(command: &mut Command, expected: i32) -> Result<Finished, String> {
    // Files, not pipes: nobody has to read while the clock runs.
    let [mut stdout, mut stderr] = [file()?, file()?];
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(|error| error.to_string())?)
        .stderr(stderr.try_clone().map_err(|error| error.to_string())?)
        .spawn()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let over = AtomicBool::new(false);
    let (wall, peak_rss) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_memory(child.id(), &over));
        wait_unreaped(&child);
        let wall = begun.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        (wall, watcher.join().unwrap_or_default())
    });
    let cpu = cpu_seconds(child.id());
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.code() != Some(expected) {
        let said = read(&mut stderr);
        return Err(format!("{status}; {}", complaint(command, &said)));
    }
    Ok(Finished {
        wall,
        cpu,
        peak_rss,
        stdout: read(&mut stdout),
    })
}

/// Runs a program until it has written so many lines, and gives the time from before its start to the last of them, in seconds. What it
/// would do after that is not waited for.
pub(crate) fn until_line(command: &mut Command, lines: usize) -> Result<f64, String> {
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let written = child.stdout.take().map_or(0, |stdout| {
        BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .take(lines)
            .count()
    });
    let wall = begun.elapsed().as_secs_f64();
    let _ = child.kill();
    let _ = child.wait();
    if written < lines {
        return Err(format!("{written} of {lines} lines were written"));
    }
    Ok(wall)
}

fn file() -> Result<fs::File, String> {
    tempfile::tempfile().map_err(|error| error.to_string())
}

fn read(file: &mut fs::File) -> String {
    let mut text = Vec::new();
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits for the end of a process and leaves it in the process table, so that its CPU time can still be read.
fn wait_unreaped(child: &Child) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // A wait that a signal interrupts begins again.
    while matches!(
        rustix::process::waitid(WaitId::Pid(Pid::from_child(child)), options),
        Err(rustix::io::Errno::INTR)
    ) {}
}

/// The CPU time that a process has used so far, with that of children it has waited for.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in brackets and may contain anything; those after it are numbers. The 14th to the 17th are CPU times.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / TICKS
}

fn watch_memory(pid: u32, over: &AtomicBool) -> u64 {
    let mut peak = 0;
    while !over.load(Ordering::Relaxed) {
        // A process that has ended has no such line any more.
        if let Some(seen) = peak_rss(pid) {
            peak = seen;
        }
        thread::sleep(LOOK);
    }
    peak
}

fn peak_rss(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
