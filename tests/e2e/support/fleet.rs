//! A folder of its own for each test: manifests, the database, and the environment of the processes that work on them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{
    Commits,
    journal::Journal,
    postgres::migrate,
    process::{Ended, Push},
    server::{Database, PASSWORD, Postgres},
    sim::Sim,
};

/// The wire string that the manifests of these tests carry.
pub(crate) const DATA: &str = r#"[{"fuwu":[{"raw1":"AA"}]}]"#;

/// A manifest of `count` devices, `DK00001` and so on, with one payload.
pub(crate) fn devices(count: usize) -> String {
    let mut text = String::from("device_key,product_key,service,param.raw1\n");
    for number in 1..=count {
        writeln!(text, "DK{number:05},PK0001,fuwu,AA").expect("a string takes all");
    }
    text
}

/// A folder that goes when the test ends.
pub(crate) struct Site {
    folder: TempDir,
    /// Where its results are, when they are on a server.
    server: Option<Database>,
    /// What lies between the program and the server, if anything does.
    way: Option<Commits>,
}

impl Site {
    /// How many accepted commands have which delivery.
    pub(crate) fn deliveries(&self) -> BTreeMap<String, u64> {
        let asked =
            "SELECT delivery, count(*) AS n FROM results WHERE state = 'accepted' GROUP BY 1";
        let rows = self.run(&["sql", asked, "--format", "jsonl"]).expect(0);
        rows.json_lines()
            .iter()
            .map(|row| {
                let delivery = row["delivery"].as_str().unwrap_or("-").to_owned();
                (delivery, row["n"].as_u64().unwrap_or_default())
            })
            .collect()
    }

    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
            server: None,
            way: None,
        }
    }

    /// One with a manifest, whose results are on a server; none where there is no server.
    pub(crate) fn on_server(manifest: &str) -> Option<Self> {
        let site = Self::with(manifest);
        let database = Postgres::shared()?.migrated(|database| migrate(&site, database));
        Some(Self {
            server: Some(database),
            ..site
        })
    }

    /// One on a server of its own.
    pub(crate) fn on_own_server(manifest: &str) -> Option<Self> {
        let site = Self::with(manifest);
        let database = Postgres::own()?.migrated(|database| migrate(&site, database));
        Some(Self {
            server: Some(database),
            ..site
        })
    }

    /// One whose way to its server can be cut.
    pub(crate) fn on_cut_server(manifest: &str) -> Option<Self> {
        let site = Self::on_server(manifest)?;
        Some(Self {
            way: Some(Commits::of(site.server())),
            ..site
        })
    }

    /// One on a server of its own, whose way to it can be cut.
    pub(crate) fn on_own_cut_server(manifest: &str) -> Option<Self> {
        let site = Self::on_own_server(manifest)?;
        Some(Self {
            way: Some(Commits::of(site.server())),
            ..site
        })
    }

    /// What lies between the program and its server.
    pub(crate) fn way(&self) -> &Commits {
        self.way.as_ref().expect("there is something between them")
    }

    /// Whether its results are on a server.
    pub(crate) fn is_on_server(&self) -> bool {
        self.server.is_some()
    }

    /// The database of a site on a server.
    pub(crate) fn server(&self) -> &Database {
        self.server.as_ref().expect("it is on a server")
    }

    /// One with a manifest, `fleet.csv`.
    pub(crate) fn with(manifest: &str) -> Self {
        let site = Self::new();
        site.write("fleet.csv", manifest);
        site
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the folder is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the file can be written");
    }

    /// The binary on this folder's database, in an environment where nothing of the machine's is set.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetpush"));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TMPDIR", self.folder.path())
            .env("FLEETPUSH_ACCESS_KEY", "key")
            .env("FLEETPUSH_ACCESS_SECRET", "secret")
            .args(args)
            .arg("--db");
        match &self.server {
            None => command.arg(self.path("push.db")),
            Some(server) => command
                .arg(match &self.way {
                    None => server.url(),
                    Some(way) => server.url_by(way.folder()),
                })
                .env("FLEETPUSH_DB_PASSWORD", PASSWORD),
        };
        command
    }

    /// The same for a command that sends: to the simulated platform, as fast as it takes.
    pub(crate) fn push_command(&self, sim: &Sim, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.args(["--base-url", sim.base_url()]);
        sim.tell_the_way(&mut command);
        for (flag, value) in [("--rate", "unlimited"), ("--progress", "none")] {
            if !args.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Push::start(self.command(args)).ended()
    }

    /// Runs a command that sends to its end.
    pub(crate) fn push(&self, sim: &Sim, args: &[&str]) -> Ended {
        self.start(sim, args).ended()
    }

    /// Pushes the manifest as a run of this name.
    pub(crate) fn push_named(&self, sim: &Sim, name: &str) -> Ended {
        self.push(sim, &["run", "fleet.csv", "--name", name])
    }

    /// Starts a command that sends.
    pub(crate) fn start(&self, sim: &Sim, args: &[&str]) -> Push {
        Push::start(self.push_command(sim, args))
    }

    /// What the database says now.
    pub(crate) fn journal(&self) -> Journal {
        match &self.server {
            None => Journal::read(&self.path("push.db")),
            Some(server) => server.on(Journal::on_server),
        }
    }
}
