//! The simulated platform, as a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

pub(crate) use fleetpush::simulator::Stats;
use serde_json::{Value, json};

/// A token that is good without a login, so that nobody has to make one.
pub(crate) const TOKEN: &str = "QJWT bench";

/// A simulator that is running.
pub(crate) struct Platform {
    pub(crate) child: Child,
    base_url: String,
}

impl Platform {
    /// Starts one that is like this.
    pub(crate) fn start(latency: Duration, scenario: &Value) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fleetpush"))
            .args(["simulator", "--listen", "127.0.0.1:0", "--latency"])
            .arg(latency.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut base_url = String::new();
        BufReader::new(child.stdout.take().expect("a pipe was asked for"))
            .read_line(&mut base_url)
            .expect("it tells its address");
        let platform = Self {
            child,
            base_url: base_url.trim().to_owned(),
        };
        platform.change(&json!({ "ready_token": TOKEN }));
        platform.change(scenario);
        platform
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> &str {
        self.base_url.trim_start_matches("http://")
    }

    /// What it has counted so far.
    pub(crate) fn stats(&self) -> Stats {
        let reply = self.ask("GET", "stats", "");
        serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{error}: {reply}"))
    }

    /// How many devices it has been asked to command, whatever it said.
    #[allow(dead_code, reason = "only one of the benchmarks asks")]
    pub(crate) fn asked(&self) -> u64 {
        let stats = self.stats();
        stats.deliveries + stats.refused_devices.values().sum::<u64>()
    }

    /// Replaces a part of the scenario.
    pub(crate) fn change(&self, change: &Value) {
        self.ask("POST", "scenario", &change.to_string());
    }

    fn ask(&self, method: &str, endpoint: &str, body: &str) -> String {
        let host = self.address();
        let mut stream = TcpStream::connect(host).expect("it listens");
        write!(
            stream,
            "{method} /__simulator/{endpoint} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a reply has a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{reply}");
        body.to_owned()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
