//! Staging alone, into a fresh database that stays.

use std::time::Duration;

use serde_json::json;

use crate::{
    bench::{Bench, devices},
    common::tools::{fleetpush, fleetpush_run},
    process::measure,
    pushes::platform,
    table::{Reference, Samples, Target, Unit, row},
};

/// The exit code of a push that the platform has refused.
const REFUSED: i32 = 5;

/// A `run` against a platform that refuses the first request with HTTP 403, so that the push stages everything and ends there; `check`
/// would do more than stage, and throw its database away. The time is that of the whole process: it begins with the empty file, and
/// has the refused requests in it.
pub(crate) fn stage(bench: &Bench) -> Result<(), String> {
    let number = bench.size(1_000_000);
    let manifest = bench.manifest(number)?;
    let platform = platform(Duration::ZERO, &json!({ "refuse_status": 403 }));
    let (mut staged, mut cpu, mut imported) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let database = bench.fresh_database();
        let mut command = fleetpush_run(bench.folder(), &platform, &manifest);
        command.arg("--db").arg(&database);
        let finished = measure(&mut command, REFUSED)?;
        staged.push(finished.wall);
        cpu.push(finished.cpu);
        let mut runs = fleetpush(bench.folder());
        runs.args(["runs", "--format", "jsonl", "--db"])
            .arg(&database);
        let told = measure(&mut runs, 0)?.stdout;
        if !told.contains(&format!("\"tasks\":{number},")) {
            return Err(format!("not everything was staged: {told}"));
        }
        imported.push(bench.import(&manifest));
    }
    let imported: Result<Vec<f64>, String> = imported.into_iter().collect();
    let name = devices(number);
    row(
        &format!("stage, {name}"),
        &Samples::new(staged),
        Unit::Seconds,
        Some(&Reference {
            name: "sqlite3 .import",
            samples: &imported.map(Samples::new),
        }),
        Target::RatioAtMost(2.0),
    );
    row(
        &format!("stage, {name}, CPU time"),
        &Samples::new(cpu),
        Unit::Seconds,
        None,
        Target::None,
    );
    Ok(())
}
