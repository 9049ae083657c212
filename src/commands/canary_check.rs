//! `--canary-check`: a command of the user that decides on a canary.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Seek as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{sync::oneshot, task::spawn_blocking, time::timeout};

use super::interrupt::Interrupt;
use crate::{
    exit::Failure,
    store::{Run, SentCommand, Store},
    ui::{printer::Printer, text::clean},
};

/// What the command said.
#[derive(Debug)]
pub(super) enum Checked {
    /// The other devices may go.
    Passed,
    /// They must not.
    Failed(String),
    /// Something has stopped the push meanwhile.
    Stopped,
}

const COLUMNS: [&str; 10] = [
    "line",
    "product_key",
    "device_key",
    "state",
    "class",
    "code",
    "message",
    "ticket",
    "attempts",
    "delivery",
];

/// How long a command may take to end that has been told to, and its last words to come.
const GRACE: Duration = Duration::from_secs(5);

/// The longest line of its output that is shown whole.
const LINE: u64 = 8 * 1024;

/// Runs the command with what was sent of the run on its standard input. Something may stop it, and then the command is ended.
pub(super) async fn check(
    command: &str,
    store: &mut Store,
    run: &Run,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Checked, Failure> {
    let input = sent_commands(store, run).await?;
    printer.say(&format!("the canary is checked by: {}", clean(command)));
    let mut child = match start(command, input) {
        Ok(child) => child,
        Err(error) => {
            return Ok(Checked::Failed(format!(
                "--canary-check cannot be started: {error}"
            )));
        }
    };
    let mut group = Group(Some(Pid::from_child(&child)));
    let words = [
        child.stdout.take().map(|out| show(out, printer)),
        child.stderr.take().map(|out| show(out, printer)),
    ];
    let mut ended = spawn_blocking(move || child.wait());
    let status = tokio::select! {
        status = &mut ended => status,
        () = interrupt.stopped() => {
            group.signal(Signal::TERM);
            if timeout(GRACE, ended).await.is_err() {
                group.signal(Signal::KILL);
            }
            return Ok(Checked::Stopped);
        }
    };
    // What it has started and left behind may hold its output open.
    for last in words.into_iter().flatten() {
        let _ = timeout(GRACE, last).await;
    }
    group.0 = None;
    let status = status.map_err(Failure::usage)?.map_err(Failure::usage)?;
    Ok(match failure(status) {
        None => Checked::Passed,
        Some(how) => Checked::Failed(format!("--canary-check '{command}' {how}")),
    })
}

/// How it failed, if it did.
fn failure(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(127), _) => Some("ended with exit code 127: the shell does not find it".to_owned()),
        (Some(code), _) => Some(format!("ended with exit code {code}")),
        (None, signal) => Some(format!(
            "was ended by signal {}",
            signal.unwrap_or_default()
        )),
    }
}

fn start(command: &str, input: File) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A signal from the terminal is ours: the command gets it from us, with all that it has started.
        .process_group(0)
        .spawn()
}

/// The processes of the command. They do not outlive the push.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may have ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Prints the lines of its output; gives when there are no more.
fn show(output: impl Read + Send + 'static, printer: &Printer) -> oneshot::Receiver<()> {
    let (over, is_over) = oneshot::channel();
    let printer = printer.clone();
    // A thread of its own: one that is left reading must not hold up the end of the process.
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while let Ok(1..) = output.by_ref().take(LINE).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            printer.say(&clean(text.trim_end()));
            line.clear();
        }
        let _ = over.send(());
    });
    is_over
}

/// A file with the commands, for standard input; nobody else knows it.
async fn sent_commands(store: &mut Store, run: &Run) -> Result<File, Failure> {
    let failed = "cannot write the commands of the canary to a temporary file for --canary-check";
    let file = tempfile::tempfile()
        .context(failed)
        .map_err(Failure::usage)?;
    let mut writer = ::csv::Writer::from_writer(file);
    let mut written = writer.write_record(COLUMNS);
    store
        .sent_commands(run, |sent| {
            if written.is_ok() {
                written = writer.write_record(cells(sent));
            }
        })
        .await?;
    let finish = || -> anyhow::Result<File> {
        written?;
        let mut file = writer
            .into_inner()
            .map_err(::csv::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    };
    finish().context(failed).map_err(Failure::usage)
}

fn cells(sent: SentCommand) -> [String; 10] {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        sent.line.to_string(),
        sent.product_key.unwrap_or_default(),
        sent.device_key,
        sent.state,
        sent.class.unwrap_or_default(),
        number(sent.code),
        sent.message.unwrap_or_default(),
        sent.ticket.unwrap_or_default(),
        sent.attempts.to_string(),
        sent.delivery.unwrap_or_default(),
    ]
}
