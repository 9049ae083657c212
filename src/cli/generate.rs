//! What is made of the definition of the command line: completions for shells, and manual pages.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::{Args, CommandFactory as _};
use clap_complete::env::Shells;

use super::{Cli, completing::ASKED, one_of};

/// `fleetpush completions`
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionsArgs {
    /// The shell that the completions are for
    #[arg(value_parser = one_of(CompletedShell::ALL, CompletedShell::name))]
    pub shell: CompletedShell,
}

/// A shell that can ask for completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletedShell {
    /// bash
    Bash,
    /// elvish
    Elvish,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// zsh
    Zsh,
}

impl CompletedShell {
    /// Every one of them.
    pub const ALL: &[Self] = &[
        Self::Bash,
        Self::Elvish,
        Self::Fish,
        Self::Powershell,
        Self::Zsh,
    ];

    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

/// `fleetpush man`
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Instead, write a page for every command to a separate file in this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<std::path::PathBuf>,
}

/// The script that makes a shell ask this program for completions.
pub(crate) fn completions(shell: CompletedShell) -> io::Result<Vec<u8>> {
    let mut script = Vec::new();
    let name = shell.name();
    let known = Shells::builtins();
    let completer = known
        .completer(name)
        .ok_or_else(|| io::Error::other(format!("no completions for {name}")))?;
    completer.write_registration(ASKED, "fleetpush", "fleetpush", "fleetpush", &mut script)?;
    Ok(script)
}

/// Writes the manual page of the whole program.
pub(crate) fn manual(out: &mut dyn Write) -> io::Result<()> {
    clap_mangen::Man::new(Cli::command().disable_help_subcommand(true)).render(out)
}

/// Writes the manual page of the program and of each of its commands into a folder, which is made when it is missing.
pub(crate) fn manuals(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    // `help` has no page: it prints them.
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_asks_this_program() {
        for &shell in CompletedShell::ALL {
            let script = String::from_utf8(completions(shell).unwrap()).unwrap();
            assert!(script.contains(ASKED), "{}", shell.name());
            assert!(script.contains("fleetpush"), "{}", shell.name());
        }
    }

    #[test]
    fn the_manual_is_one_of_roff() {
        let mut page = Vec::new();
        manual(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(".TH fleetpush 1"), "{page}");
        assert!(page.contains("exit code") || page.contains("Exit codes"));
    }
}
