//! How fast a push is, what it needs, and how it compares with what else one might use: the release binary against a simulator in a process
//! of its own. References are measured in the same run on the same machine, in turn with what they are compared with.
//!
//! `cargo bench --bench scale` makes all measurements, `-- stage push` only those, `-- --quick` all of them with a tenth of the devices (to
//! try the benchmark), `-- --rounds 7` each so often. Where a row says `once`, it is of one push. The time of a push is that of its whole
//! process, staging included. The databases that questions are asked of are kept under `target/tmp` for the next run. A tool that is not installed is left out; only a Python environment with aiohttp is made, under `target/`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod bench;
mod big;
#[path = "../common/mod.rs"]
mod common;
mod fleet;
mod machine;
mod paced;
mod peers;
mod process;
mod push;
mod pushes;
mod questions;
mod resume;
mod server;
mod stage;
mod table;
mod wrk;

use std::{path::Path, process::ExitCode, time::Instant};

use bench::Bench;

/// Prints the rows of one measure.
type Measure = fn(&Bench) -> Result<(), String>;

/// Every measure, by the name that selects it.
const MEASURES: [(&str, Measure); 11] = [
    ("stage", stage::stage),
    ("push", push::push),
    ("small", push::small),
    ("server", server::server),
    ("paced", paced::paced),
    ("idle", paced::idle),
    ("resume", resume::resume),
    ("memory", big::memory),
    ("database", big::database),
    ("query", questions::questions),
    ("peers", peers::peers),
];

/// What the command line asks for.
struct Wanted {
    measures: Vec<&'static (&'static str, Measure)>,
    rounds: u32,
    quick: bool,
}

fn wanted(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        measures: Vec::new(),
        rounds: 5,
        quick: false,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--quick" => wanted.quick = true,
            "--rounds" => {
                let number = words.next().and_then(|word| word.parse().ok());
                wanted.rounds = number
                    .filter(|&rounds| rounds > 0)
                    .ok_or("--rounds wants a number from 1")?;
            }
            name => {
                let known = MEASURES.iter().find(|(known, _)| *known == name);
                wanted.measures.push(known.ok_or_else(|| {
                    let names = MEASURES.map(|(name, _)| name).join(", ");
                    format!("there is no measure '{name}': choose from {names}")
                })?);
            }
        }
    }
    if wanted.measures.is_empty() {
        wanted.measures = MEASURES.iter().collect();
    }
    Ok(wanted)
}

fn main() -> ExitCode {
    if !common::is_asked_for() {
        return ExitCode::SUCCESS;
    }
    let wanted = match wanted(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            println!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if !Path::new("/proc/self/stat").exists() {
        println!("this benchmark reads CPU times and memory from /proc, which is not here");
        return ExitCode::FAILURE;
    }
    let begun = Instant::now();
    let bench = Bench::new(wanted.rounds, if wanted.quick { 10 } else { 1 });
    machine::describe(&bench);
    table::heading();
    let mut failed = false;
    for (name, measure) in wanted.measures {
        if let Err(why) = measure(&bench) {
            table::failure(name, &why);
            failed = true;
        }
    }
    bench.print_cpu();
    println!(
        "\nMedians of {} rounds, in {:.1} minutes.",
        wanted.rounds,
        begun.elapsed().as_secs_f64() / 60.0
    );
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
