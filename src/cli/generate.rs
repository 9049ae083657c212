//! What is made of the definition of the command line: completions for shells, and manual pages.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

/// `fleetpush completions`
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionsArgs {
    /// The shell that the completions are for
    pub shell: Shell,
}

/// `fleetpush man`
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write the page of every command to a file of its own in this folder instead
    #[arg(long, value_name = "DIR")]
    pub out: Option<std::path::PathBuf>,
}

/// The completions for a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fleetpush", &mut script);
    script
}

/// Writes the manual page of the whole program.
pub fn manual(out: &mut dyn Write) -> io::Result<()> {
    clap_mangen::Man::new(Cli::command()).render(out)
}

/// Writes the manual page of the program and of each of its commands into a folder, which is made when it is missing.
pub fn manuals(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        let commands: Vec<String> = Cli::command()
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect();
        for shell in [
            Shell::Bash,
            Shell::Elvish,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Zsh,
        ] {
            let script = String::from_utf8(completions(shell)).unwrap();
            for command in &commands {
                assert!(script.contains(command.as_str()), "{shell}: {command}");
            }
            assert!(script.contains("override-abort"), "{shell}");
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
