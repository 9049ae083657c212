//! The binary as a process, and how it ended.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::FileExt,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::wait_for;

/// A process of the binary. Dropping it kills it.
pub(crate) struct Push {
    child: Child,
    stdout: File,
    stderr: File,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; none when a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Push {
    /// Starts it without input.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::start_with_input(command)
    }

    /// Starts it with the input that the command names. Its output goes to files, since nobody reads it meanwhile.
    pub(crate) fn start_with_input(mut command: Command) -> Self {
        let file = || tempfile::tempfile().expect("a file can be made");
        let (stdout, stderr) = (file(), file());
        let copy = |file: &File| file.try_clone().expect("a file can be shared");
        let child = command
            .stdout(copy(&stdout))
            .stderr(copy(&stderr))
            .spawn()
            .expect("the binary starts");
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on stdout so far.
    pub(crate) fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has said on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Waits until it has a handler of its own for a signal.
    pub(crate) fn wait_until_it_catches(&self, signal: Signal) {
        let path = format!("/proc/{}/status", self.pid());
        wait_for("a handler of the signal", || {
            let status = std::fs::read_to_string(&path).expect("the process is there");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = u64::from_str_radix(caught?.trim(), 16).expect("a mask");
            (caught >> (signal.as_raw() - 1) & 1 == 1).then_some(())
        });
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("a killed process ends");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_some()
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let status = wait_for("the end of the process", || {
            self.child.try_wait().expect("a child can be asked")
        });
        Ended {
            code: status.code(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

/// A command with a limit of its own, as the shell's `ulimit` takes it.
pub(crate) fn with_limit(limit: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("ulimit {limit} && exec \"$0\" \"$@\""))
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell
}

impl Drop for Push {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A test that waits in vain says nothing of why.
            let _ = writeln!(std::io::stderr(), "it has said:\n{}", self.stderr());
        }
        // It has ended as a rule; what counts is that none is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails the test unless stderr contains all of these.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no '{word}' in stderr:\n{}",
                self.stderr
            );
        }
        self
    }

    /// Stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// Stdout as JSON lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }
}

/// All of a file that somebody else may be writing to; where they write next is not touched.
fn text(file: &File) -> String {
    let mut bytes = vec![0; file.metadata().expect("a file has a size").len() as usize];
    file.read_exact_at(&mut bytes, 0)
        .expect("a file can be read");
    String::from_utf8(bytes).expect("output is text")
}
