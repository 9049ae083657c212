//! What the measures share: their sizes, the files that they work on, and the table of processor time.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{common::tools::tool, fleet, process, table::grouped};

/// The most requests in flight, for everybody.
pub(crate) const CONCURRENCY: u64 = 64;

/// Everything a measure needs.
pub(crate) struct Bench {
    /// How often each measurement is made.
    pub(crate) rounds: u32,
    /// All sizes are divided by this.
    divisor: u64,
    folder: TempDir,
    cpu: RefCell<Vec<CpuLine>>,
}

/// What each side of a push used of the processor, in seconds.
pub(crate) struct CpuLine {
    pub(crate) measure: String,
    pub(crate) wall: f64,
    pub(crate) ours: f64,
    pub(crate) simulator: f64,
}

impl Bench {
    /// One that works in a folder of its own under `target/tmp`, since the usual folder for temporary files may be memory.
    pub(crate) fn new(rounds: u32, divisor: u64) -> Self {
        Self {
            rounds,
            divisor,
            folder: tempfile::Builder::new()
                .prefix("scale-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .expect("a folder can be made"),
            cpu: RefCell::default(),
        }
    }

    /// So many devices, or fewer when the benchmark is only tried.
    pub(crate) fn size(&self, devices: u64) -> u64 {
        devices / self.divisor
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file that outlives this run of the benchmark, for what takes long to make.
    pub(crate) fn kept(name: &str) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    }

    /// The manifest of so many devices.
    pub(crate) fn manifest(&self, devices: u64) -> Result<PathBuf, String> {
        let path = self.folder().join(format!("fleet-{devices}.csv"));
        if !path.exists() {
            fleet::write_manifest(&path, devices).map_err(|error| error.to_string())?;
        }
        Ok(path)
    }

    /// Where the next database goes; what was there is gone.
    pub(crate) fn fresh_database(&self) -> PathBuf {
        let path = self.folder().join("push.db");
        for file in database_files(&path) {
            let _ = std::fs::remove_file(file);
        }
        path
    }

    /// The time that `sqlite3 .import` takes for a manifest, into a bare table of a fresh database.
    pub(crate) fn import(&self, manifest: &Path) -> Result<f64, String> {
        tool("sqlite3")?;
        let mut command = Command::new("sqlite3");
        command
            .arg(self.fresh_database())
            .arg(".mode csv")
            .arg(format!(".import '{}' fleet", manifest.display()));
        process::measure(&mut command, 0).map(|finished| finished.wall)
    }

    /// Takes down what a push used of the processor, for the table at the end.
    pub(crate) fn note_cpu(&self, line: CpuLine) {
        self.cpu.borrow_mut().push(line);
    }

    /// Prints what each side used of the processor.
    pub(crate) fn print_cpu(&self) {
        let lines = self.cpu.borrow();
        if lines.is_empty() {
            return;
        }
        println!(
            "\nCPU time of both sides, user and system, medians. How much sooner the simulator could answer is in the rows of wrk.\n\n\
             | push | wall | fleetpush | simulator | both, in cores |\n|---|---|---|---|---|"
        );
        for line in lines.iter() {
            println!(
                "| {} | {:.2} s | {:.2} s | {:.2} s | {:.2} |",
                line.measure,
                line.wall,
                line.ours,
                line.simulator,
                (line.ours + line.simulator) / line.wall
            );
        }
    }
}

/// A database and what SQLite and the lock keep beside it.
pub(crate) fn database_files(database: &Path) -> impl Iterator<Item = PathBuf> {
    ["", "-wal", "-shm", "-journal", ".lock"]
        .into_iter()
        .map(|ending| {
            let mut name = database.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        })
}

/// A size in words.
pub(crate) fn devices(number: u64) -> String {
    format!("{} devices", grouped(number))
}
