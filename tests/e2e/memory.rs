//! Memory does not grow with the manifest, however large its rows are.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use fleetpush::simulator::{Fault, Scenario};

use crate::support::{PATIENCE, Push, Sim, Site};

/// What a process may take at its peak, in KiB.
const MOST: u64 = 150 * 1024;

/// Writes rows of so many bytes, each with a payload of its own.
fn write_rows(path: &Path, rows: usize, bytes: usize) {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let filler = "A".repeat(bytes);
    for number in 0..rows {
        writeln!(
            file,
            r#"{{"device_key":"DK{number:05}","product_key":"PK0001","data":"[{{\"fuwu\":[{{\"raw1\":\"{filler}{number}\"}}]}}]"}}"#
        )
        .expect("room on the disk");
    }
    file.flush().expect("room on the disk");
}

/// The most memory that a process has had until it ended, in KiB; the code that it ended with is one of these.
fn peak(mut push: Push, codes: &[i32]) -> u64 {
    let status = format!("/proc/{}/status", push.pid());
    let mut most = 0;
    // What a test build takes seconds for, a machine that is busy takes minutes for.
    let deadline = Instant::now() + 4 * PATIENCE;
    while !push.has_ended() {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
        if let Ok(status) = std::fs::read_to_string(&status)
            && let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))
        {
            let peak = peak.trim().trim_end_matches(" kB");
            most = peak.parse().expect("a number");
        }
    }
    let ended = push.ended();
    assert!(
        ended.code.is_some_and(|code| codes.contains(&code)),
        "{ended:?}"
    );
    assert!(most > 1024, "the peak was seen");
    most
}

#[test]
fn the_peak_is_bounded_whatever_the_size_of_a_row() {
    // Enough that a memory of all rows, or of all requests that may be in flight, would show.
    for (rows, bytes) in [(80, 560_000), (32, 3_900_000)] {
        let sim = Sim::start(Scenario {
            // Whatever may be in flight is in flight together.
            latency_ms: 500,
            ..Scenario::default()
        });
        let site = Site::new();
        write_rows(&site.path("large.jsonl"), rows, bytes);
        let args = [
            "run",
            "large.jsonl",
            "--concurrency",
            "64",
            "--chunk-size",
            "10",
        ];
        let peak_of_push = peak(site.start(&sim, &args), &[0]);
        assert!(
            peak_of_push < MOST,
            "{peak_of_push} KiB for rows of {bytes}"
        );
        assert_eq!(site.journal().run().pending, 0);
        let listing = Push::start(site.command(&["results", "--format", "jsonl"]));
        let peak_of_results = peak(listing, &[0]);
        assert!(
            peak_of_results < MOST,
            "{peak_of_results} KiB to list rows of {bytes}"
        );
    }
}

#[test]
fn the_peak_is_bounded_whatever_the_size_of_a_reply() {
    // Longer than a reply may be, almost as long, and long ones that are many, or very many, at a time.
    for (devices, oversized_bytes, concurrency) in [
        (64, 100 << 20, "64"),
        (24, 7_500_000, "64"),
        (600, 250_000, "256"),
        (1_200, 250_000, "1024"),
    ] {
        let sim = Sim::start(Scenario {
            faults: [(Fault::Oversized, 1.0)].into(),
            oversized_bytes,
            // All of them arrive at a time.
            latency_ms: 500,
            ..Scenario::default()
        });
        let site = Site::with(&crate::support::devices(devices));
        let args = [
            "run",
            "fleet.csv",
            "--concurrency",
            concurrency,
            "--chunk-size",
            "1",
            "--max-attempts",
            "1",
            // Replies that nobody can read are an outage, which is not waited for here.
            "--max-outage",
            "2s",
        ];
        let peak = peak(site.start(&sim, &args), &[0, 1, 3]);
        assert!(peak < MOST, "{peak} KiB for replies of {oversized_bytes}");
    }
}
