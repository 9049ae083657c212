//! A browser without a screen, spoken to by the protocol of `WebDriver`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A browser that shows one page; it ends with the test.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    runtime: Runtime,
    client: reqwest::Client,
}

impl Browser {
    /// Opens a page in a window of so many pixels; none where no browser is installed, which is said.
    pub(crate) fn open(page: &Path, (width, height): (u32, u32)) -> Option<Self> {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = driver else {
            return leave_out("there is no chromedriver");
        };
        let lines = BufReader::new(driver.stdout.take().expect("a pipe"));
        let port = lines
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let port = line.strip_suffix('.')?.rsplit_once("on port ")?.1;
                port.parse::<u16>().ok()
            })
            .expect("the driver tells its port");
        // A client is not made without one, though nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            runtime,
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
        };
        let options = json!({
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                format!("--window-size={width},{height}"),
            ],
        });
        let session = browser.call(
            "",
            &json!({"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }}}),
        );
        let session = match session {
            Ok(session) => session,
            Err(error) => return leave_out(&format!("no browser begins: {error}")),
        };
        let id = session["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/{id}", browser.session);
        browser.post(
            "/url",
            &json!({"url": format!("file://{}", page.display())}),
        );
        Some(browser)
    }

    /// What a script returns that runs in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What the page has written to the console, and what the browser has.
    pub(crate) fn console(&self) -> Vec<Value> {
        self.log("browser")
    }

    /// The addresses that the page has asked for, itself included.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log("performance")
            .iter()
            .filter_map(|entry| {
                let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
                let message = &event["message"];
                (message["method"] == "Network.requestWillBeSent")
                    .then(|| {
                        message["params"]["request"]["url"]
                            .as_str()
                            .map(str::to_owned)
                    })
                    .flatten()
            })
            .collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({"type": kind}));
        entries.as_array().expect("a list").clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call(path, body)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn call(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let url = format!("{}{path}", self.session);
        let reply = self.runtime.block_on(async {
            let request = self
                .client
                .post(url)
                .header("content-type", "application/json")
                .body(body.to_string());
            let reply = request.send().await.expect("the driver answers");
            reply.text().await.expect("the whole answer")
        });
        let mut reply: Value = serde_json::from_str(&reply).expect("JSON");
        let value = reply["value"].take();
        if value["error"].is_null() {
            Ok(value)
        } else {
            Err(value)
        }
    }
}

/// Says that a machine has no browser, past what a test's own output is kept from.
fn leave_out(why: &str) -> Option<Browser> {
    let _ = writeln!(
        std::io::stderr(),
        "NOT TESTED: the report in a browser, since {why}"
    );
    None
}

impl Drop for Browser {
    fn drop(&mut self) {
        let session = self.session.clone();
        self.runtime.block_on(async {
            let _ = self.client.delete(session).send().await;
        });
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
