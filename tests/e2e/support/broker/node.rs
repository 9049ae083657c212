//! The processes of the broker: their folder, their ports, their settings, their start.

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rand::RngExt as _;

use super::{PLATFORM, SERVER, VIRTUAL_HOST};

/// How long a start may take: some seconds, or half a minute on a machine with much else to do.
const START: Duration = Duration::from_secs(150);

/// A folder of this process. What processes left behind that are gone is deleted.
pub(super) fn folder() -> PathBuf {
    static STARTED: Mutex<u32> = Mutex::new(0);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker");
    std::fs::create_dir_all(&all).expect("a folder can be made");
    for entry in std::fs::read_dir(&all).expect("it is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').next().unwrap_or_default().to_owned();
        if !Path::new("/proc").join(&pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let mut started = STARTED.lock().expect("nobody panics with it");
    *started += 1;
    let folder = all.join(format!("{}-{started}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Ports for AMQP, AMQP with TLS, the node, and its port mapper. They are below those that connections get, of which one may be taken
/// before the node has come so far.
pub(super) fn free_ports() -> [u16; 4] {
    let mut taken = Vec::new();
    [(); 4].map(|()| {
        loop {
            let port = rand::rng().random_range(10_240..32_000);
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                taken.push(listener);
                return port;
            }
        }
    })
}

pub(super) fn configure(folder: &Path, [port, tls_port, ..]: [u16; 4], logins: &str) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .expect("a certificate can be made");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("a file can be written");
    };
    let pem = |label: &str, der: &[u8]| {
        let text = BASE64_STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    write("certificate.pem", &pem("CERTIFICATE", made.cert.der()));
    write(
        "key.pem",
        &pem("PRIVATE KEY", &made.signing_key.serialize_der()),
    );
    write("plugins", "[rabbitmq_auth_backend_http].\n");
    let folder = folder.display();
    let mut config = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\n\
         listeners.ssl.1 = 127.0.0.1:{tls_port}\n\
         ssl_options.cacertfile = {folder}/certificate.pem\n\
         ssl_options.certfile = {folder}/certificate.pem\n\
         ssl_options.keyfile = {folder}/key.pem\n\
         ssl_options.verify = verify_none\n\
         ssl_options.fail_if_no_peer_cert = false\n\
         default_vhost = {VIRTUAL_HOST}\n\
         default_user = {PLATFORM}\n\
         default_pass = {PLATFORM}\n\
         disk_free_limit.absolute = 50MB\n\
         auth_backends.1 = internal\n\
         auth_backends.2 = http\n\
         auth_http.http_method = post\n"
    );
    for kind in ["user", "vhost", "resource", "topic"] {
        let _ = writeln!(
            config,
            "auth_http.{kind}_path = {logins}/__simulator/broker/{kind}"
        );
    }
    write("rabbitmq.conf", &config);
}

/// Starts the node and its port mapper. Each is killed when the thread that has started it ends, so that one does it that never ends
/// before the process.
pub(super) fn spawn(folder: PathBuf, [_, _, dist, mapper]: [u16; 4]) -> Vec<Child> {
    let (started, children) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let bound = |program: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", program]);
            command
        };
        let output = || std::fs::File::create(folder.join("output")).expect("a file can be made");
        let mut epmd = bound("epmd");
        epmd.args(["-port", &mapper.to_string(), "-address", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut node = bound(SERVER);
        node.env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &folder)
            .env("LANG", "C.UTF-8")
            .env("ERL_EPMD_PORT", mapper.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_NODENAME", format!("fleetpush{dist}@localhost"))
            .env("RABBITMQ_DIST_PORT", dist.to_string())
            // The script becomes the node, instead of starting one.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            )
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(output())
            .stderr(output());
        let both = vec![
            epmd.spawn().expect("epmd starts"),
            node.spawn().expect("the node starts"),
        ];
        started.send(both).expect("somebody waits for them");
        loop {
            thread::park();
        }
    });
    children.recv().expect("they are started")
}

/// Waits until the broker greets; in vain when one of its processes ends.
pub(super) fn is_up(port: u16, children: &mut [Child]) -> bool {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if greets(port).is_ok() {
            return true;
        }
        let has_ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        if children.iter_mut().any(has_ended) {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
    false
}

fn greets(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"AMQP\0\0\x09\x01")?;
    stream.read_exact(&mut [0; 8])
}
