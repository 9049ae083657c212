//! A client small enough to be sure of.

use std::{fmt::Write as _, io, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::form_urlencoded;

use crate::{
    clock::wall_now,
    simulator::{Scenario, Simulator},
};

pub(super) const SEND: &str = "/v2/deviceshadow/r3/openapi/dm/sendServiceData";
pub(super) const LOGIN: &str = "/v2/quecauth/accessKeyAuthrize/accessKeyLogin";

/// A reply as it came.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The size of head and body together, in bytes.
    pub(super) fn size(&self) -> usize {
        self.head.len() + self.body.len()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The top-level code.
    pub(super) fn code(&self) -> i64 {
        self.json()["code"].as_i64().unwrap()
    }

    /// Each element's device key and code.
    pub(super) fn verdicts(&self) -> Vec<(String, i64)> {
        let reply = self.json();
        let elements = reply["data"].as_array().unwrap();
        elements
            .iter()
            .map(|element| {
                (
                    element["deviceKey"].as_str().unwrap().to_owned(),
                    element["code"].as_i64().unwrap(),
                )
            })
            .collect()
    }

    /// The elements' codes alone.
    pub(super) fn codes(&self) -> Vec<i64> {
        self.verdicts().into_iter().map(|(_, code)| code).collect()
    }
}

/// One connection, and the token to use on it.
pub(super) struct Client {
    stream: TcpStream,
    pub(super) token: Option<String>,
}

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::connect(addr).await?,
            token: Some(READY.to_owned()),
        })
    }

    /// Sends a call and reads no reply.
    pub(super) async fn ask(&mut self, line: &str, headers: &[(&str, &str)], body: &str) {
        let mut request = format!(
            "{line} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        if let Some(token) = &self.token {
            let _ = write!(request, "authorization: {token}\r\n");
        }
        request += "\r\n";
        request += body;
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads whatever comes until the connection ends, which is to be soon.
    pub(super) async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.stream.read_to_end(&mut bytes);
        tokio::time::timeout(Duration::from_secs(10), read).await??;
        Ok(bytes)
    }

    pub(super) async fn call(
        &mut self,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Got> {
        self.ask(line, headers, body).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut got = Got {
            status: head[9..12].parse().unwrap(),
            head,
            body: Vec::new(),
        };
        if let Some(length) = got.header("content-length") {
            got.body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut got.body).await?;
        } else {
            assert_eq!(got.header("transfer-encoding"), Some("chunked"));
            self.read_chunks(&mut got.body).await?;
        }
        Ok(got)
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.stream.read_u8().await?);
            }
            let digits = std::str::from_utf8(&line).unwrap().trim_end();
            let mut chunk = vec![0; usize::from_str_radix(digits, 16).unwrap() + 2];
            self.stream.read_exact(&mut chunk).await?;
            if chunk == b"\r\n" {
                return Ok(());
            }
            body.extend_from_slice(&chunk[..chunk.len() - 2]);
        }
    }

    pub(super) async fn post(&mut self, body: &str) -> io::Result<Got> {
        self.call(&format!("POST {SEND}?language=EN"), JSON, body)
            .await
    }

    /// Sends one command to these devices.
    pub(super) async fn send(&mut self, devices: &[&str]) -> io::Result<Got> {
        self.post(&command(devices)).await
    }

    /// The same, of which no reply is read.
    pub(super) async fn ask_send(&mut self, devices: &[&str]) {
        self.ask(&format!("POST {SEND}"), JSON, &command(devices))
            .await;
    }

    pub(super) async fn log_in(&mut self) -> io::Result<Got> {
        let username = format!(
            "ver=1&auth_mode=accessKey&sign_method=sha256&access_key=key&timestamp={}",
            wall_now().0
        );
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "password")
            .append_pair("username", &username)
            .append_pair("password", &"0".repeat(64))
            .finish();
        self.call(&format!("GET {LOGIN}?{query}"), &[], "").await
    }

    /// Changes the scenario.
    pub(super) async fn change(&mut self, change: Value) -> Got {
        self.call("POST /__simulator/scenario", &[], &change.to_string())
            .await
            .unwrap()
    }
}

/// A token that every scenario of these tests knows.
pub(super) const READY: &str = "QJWT ready";
pub(super) const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

pub(super) fn command(devices: &[&str]) -> String {
    json!({"productKey": "PK1", "devices": devices, "data": r#"[{"fuwu":[{"raw1":"AA"}]}]"#})
        .to_string()
}

/// A simulator of this scenario and a connection to it.
pub(super) async fn start(scenario: Scenario) -> (Simulator, Client) {
    let scenario = Scenario {
        ready_token: Some(READY.to_owned()),
        ..scenario
    };
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), scenario)
        .await
        .unwrap();
    let client = Client::connect(simulator.addr()).await.unwrap();
    (simulator, client)
}
