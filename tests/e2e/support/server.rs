//! A PostgreSQL server: a data folder and a socket of its own, TLS on a port of its own, and a database for each test. All tests of a process
//! share one, unless they end it; it ends with the process, however that ends.

use std::{
    fs::File,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::wait_for;

/// Where Debian's packages have the servers, one folder for each version.
const SERVERS: &str = "/usr/lib/postgresql";
/// The owner of all databases, and the user of the tests.
pub(crate) const USER: &str = "fleet";
/// The user's password.
pub(crate) const PASSWORD: &str = "db secret";

/// A server that is running.
pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
    process: Mutex<Process>,
    /// The name of a database with our schema, once there is one.
    template: OnceLock<String>,
}

/// A process of a server, and the thread that it belongs to.
struct Process {
    id: Pid,
    thread: JoinHandle<()>,
}

/// A database of one test.
pub(crate) struct Database {
    server: &'static Postgres,
    name: String,
}

/// Whom the server runs as: it refuses root.
struct Account {
    user: u32,
    group: u32,
}

impl Postgres {
    /// The server of this process; none where none is installed, which is said.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        SERVER
            .get_or_init(|| {
                let Some(programs) = programs() else {
                    return leave_out("there is no PostgreSQL 15 or later");
                };
                if Command::new("setpriv").arg("--version").output().is_err() {
                    return leave_out("there is no setpriv");
                }
                Some(Self::start(programs))
            })
            .as_ref()
    }

    /// A server for one test alone, which may do to it what it likes; none where none is installed.
    pub(crate) fn own() -> Option<&'static Self> {
        let programs = Self::shared()?.programs.clone();
        Some(Box::leak(Box::new(Self::start(programs))))
    }

    fn start(programs: PathBuf) -> Self {
        let account = account();
        let folder = folder(account.as_ref());
        let own = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
            if let Some(account) = &account {
                chown(path, Some(account.user), Some(account.group)).expect("an owner");
            }
        };
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file can be written");
            own(&path, 0o600);
        };
        write("password", PASSWORD);
        let initdb = bound(&programs.join("initdb"), account.as_ref())
            .current_dir(&folder)
            .args([
                "--pgdata",
                "data",
                "--username",
                USER,
                "--pwfile",
                "password",
            ])
            .args(["--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"])
            .args(["--locale", "C.UTF-8", "--no-instructions"])
            .output()
            .expect("initdb starts");
        assert!(
            initdb.status.success(),
            "{}",
            String::from_utf8_lossy(&initdb.stderr)
        );
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .expect("a certificate can be made");
        let pem = |label: &str, der: &[u8]| {
            let text = BASE64_STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
        };
        write("certificate.pem", &pem("CERTIFICATE", made.cert.der()));
        write(
            "key.pem",
            &pem("PRIVATE KEY", &made.signing_key.serialize_der()),
        );
        std::fs::set_permissions(
            folder.join("certificate.pem"),
            PermissionsExt::from_mode(0o644),
        )
        .expect("a mode");
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let process = spawn(&programs, folder.clone(), port);
        let postgres = Self {
            folder,
            port,
            programs,
            process: Mutex::new(process),
            template: OnceLock::new(),
        };
        postgres.start_again();
        postgres
    }

    /// Ends it by a signal, with all who work for it.
    pub(crate) fn end_by(&self, signal: Signal) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        kill_process(process.id, signal).expect("it is there");
        wait_for("the end of the server", || {
            process.thread.is_finished().then_some(())
        });
    }

    /// Starts it if it has ended, and waits until it answers.
    pub(crate) fn start_again(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        wait_for("the database server", || {
            if process.thread.is_finished() {
                // It refuses to start while its port is taken, or somebody is left who works for the one before.
                *process = spawn(&self.programs, self.folder.clone(), self.port);
            }
            on(&self.url("postgres"), async |_| ()).ok()
        });
    }

    /// Where clients find its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(socket_name(self.port))
    }

    /// The address of a database over the socket.
    pub(crate) fn url(&self, name: &str) -> String {
        url(&self.folder, self.port, name)
    }

    /// The address of a database over TCP, at this name of the machine.
    pub(crate) fn tcp_url(&self, host: &str, name: &str) -> String {
        format!("postgres://{USER}@{host}:{}/{name}", self.port)
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// Makes an empty database, where text is sorted as people do unless a statement says otherwise.
    pub(crate) fn database(&'static self) -> Database {
        self.made("template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
    }

    /// Makes a database with our schema: a copy of the first one, which `migrate` has made.
    pub(crate) fn migrated(&'static self, migrate: impl FnOnce(&Database)) -> Database {
        let template = self.template.get_or_init(|| {
            let database = self.database();
            migrate(&database);
            database.name
        });
        self.made(template)
    }

    fn made(&'static self, template: &str) -> Database {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.run(format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Database { server: self, name }
    }

    /// Runs a statement in no database of a test.
    fn run(&self, sql: String) {
        on(&self.url("postgres"), async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(connection)
                .await
                .expect("the statement can be run");
        })
        .expect("the server answers");
    }
}

impl Database {
    /// The server that it is on.
    pub(crate) fn server(&self) -> &'static Postgres {
        self.server
    }

    /// Its address by another socket, one in this folder, that has the name of the server's.
    pub(crate) fn url_by(&self, folder: &Path) -> String {
        url(folder, self.server.port, &self.name)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Its address over TCP.
    pub(crate) fn tcp_url(&self, host: &str) -> String {
        self.server.tcp_url(host, &self.name)
    }

    /// Works in it.
    pub(crate) fn on<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> T) -> T {
        on(&self.url(), work).expect("the server answers")
    }

    /// Ends every connection to it, and takes no other.
    pub(crate) fn close(&self) {
        self.allow(false);
        let name = &self.name;
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        self.server.run(sql);
    }

    /// Takes connections again.
    pub(crate) fn open(&self) {
        self.allow(true);
    }

    fn allow(&self, connections: bool) {
        let name = &self.name;
        self.server.run(format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS {connections}"
        ));
    }

    /// The processes of the server that work for the program, the eldest first.
    pub(crate) fn backends(&self) -> Vec<i32> {
        self.on(async |connection| {
            sqlx::query_scalar(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'fleetpush' ORDER BY backend_start",
            )
            .fetch_all(connection)
            .await
            .expect("the connections can be read")
        })
    }

    /// Runs statements in it.
    pub(crate) fn execute(&self, sql: &str) {
        let sql = format!("SET search_path = fleetpush; {sql}");
        self.on(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(connection)
                .await
                .expect("the statements can be run");
        });
    }
}

fn socket_name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

fn url(folder: &Path, port: u16, name: &str) -> String {
    let folder = folder.display().to_string().replace('/', "%2F");
    format!("postgres://{USER}@{folder}:{port}/{name}")
}

fn on<T>(url: &str, work: impl AsyncFnOnce(&mut PgConnection) -> T) -> Result<T, sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let options: sqlx::postgres::PgConnectOptions = url.parse().expect("an address");
        let mut connection = PgConnection::connect_with(&options.password(PASSWORD)).await?;
        let done = work(&mut connection).await;
        connection.close().await?;
        Ok(done)
    })
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

/// The account that the package has made, for tests that run as root.
fn account() -> Option<Account> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").expect("a file of accounts");
    let named = |name: &str| {
        let line = accounts
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some(Account {
            user: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    };
    Some(
        named("postgres")
            .or_else(|| named("nobody"))
            .expect("an account without rights"),
    )
}

/// A new folder of this process, with a name that is short enough for a socket. What processes left behind that are gone is deleted.
fn folder(account: Option<&Account>) -> PathBuf {
    const LEAD: &str = "fleetpush-postgres-";
    static MADE: AtomicU32 = AtomicU32::new(0);
    let all = std::env::temp_dir();
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(LEAD));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let of_process = all.join(format!("{LEAD}{}", std::process::id()));
    let folder = of_process.join(number.to_string());
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for folder in [&of_process, &folder] {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("a mode");
    }
    if let Some(account) = account {
        chown(&folder, Some(account.user), Some(account.group)).expect("an owner");
    }
    folder
}

/// A program that is killed when the thread that has started it ends.
fn bound(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    if let Some(Account { user, group }) = account {
        command.args([
            &format!("--reuid={user}"),
            &format!("--regid={group}"),
            "--clear-groups",
        ]);
    }
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Starts the server from a thread that ends when the server has, or with the process.
fn spawn(programs: &Path, folder: PathBuf, port: u16) -> Process {
    let (started, server) = mpsc::sync_channel(1);
    let program = programs.join("postgres");
    let thread = thread::spawn(move || {
        let output = File::options()
            .append(true)
            .create(true)
            .open(folder.join("output"))
            .expect("a file can be made");
        let mut command = bound(&program, account().as_ref());
        command
            .current_dir(&folder)
            .args(["-D", "data", "-k"])
            .arg(&folder)
            .args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "ssl=on",
            "ssl_cert_file=../certificate.pem",
            "ssl_key_file=../key.pem",
            "max_connections=100",
            "shared_buffers=32MB",
        ] {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output);
        let mut server = command.spawn().expect("the server starts");
        started
            .send(Pid::from_child(&server))
            .expect("somebody waits for it");
        server.wait().expect("a child can be waited for");
    });
    let id = server.recv().expect("it is started");
    Process { id, thread }
}

/// Says why there is no server, whatever the harness does with the output of tests that pass.
fn leave_out(reason: &str) -> Option<Postgres> {
    let _ = writeln!(
        std::io::stderr(),
        "NOT TESTED: a results database on a server, since {reason}"
    );
    None
}
