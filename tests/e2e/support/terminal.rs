//! The binary at a terminal.

use std::process::Command;

use super::{Ended, Push, Site};

/// Runs a command to its end with a terminal as its stdin, stdout and stderr, at which somebody types this. All that it prints is in
/// `stdout`, since a terminal has only one output.
pub(crate) fn at_terminal(site: &Site, command: &Command, typed: &str) -> Ended {
    site.write("typed", typed);
    let quoted = |text: &std::ffi::OsStr| {
        let text = text.to_str().expect("arguments are text");
        assert!(!text.contains('\''), "{text}");
        format!("'{text}'")
    };
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect();
    // util-linux's: -e gives the exit code of the command.
    let mut script = Command::new("script");
    script
        .args(["-q", "-e", "-c", &words.join(" "), "/dev/null"])
        .current_dir(site.folder())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", "/bin/sh")
        .stdin(std::fs::File::open(site.path("typed")).expect("the file is there"));
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    Push::start_with_input(script).ended()
}
