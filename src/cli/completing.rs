//! Completions: the shell's script calls this program, which knows its flags and words, and finds what only this machine knows.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCandidates, CompletionCandidate},
};

use super::Cli;

/// The variable with which a shell's script asks for completions; it names the shell.
pub(super) const ASKED: &str = "FLEETPUSH_COMPLETE";

/// A value that may be typed, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// What may be typed.
    pub value: String,
    /// A few words about it, which some shells show.
    pub about: String,
}

/// Where the values come from that the command line does not know itself. Each is asked only when it is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidates {
    /// The runs of the results database.
    pub runs: fn() -> Vec<Candidate>,
    /// The profiles of the config file.
    pub profiles: fn() -> Vec<Candidate>,
    /// The platform's codes.
    pub codes: fn() -> Vec<Candidate>,
}

/// Answers a shell that asks for completions, on stdout; false when this process was started for anything else.
pub(crate) fn complete(candidates: Candidates) -> Result<bool, clap::Error> {
    CompleteEnv::with_factory(|| completing(candidates))
        .var(ASKED)
        .bin("fleetpush")
        .completer("fleetpush")
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref())
}

/// The definition of the command line, with the candidates wherever a value of their kind is taken.
fn completing(candidates: Candidates) -> clap::Command {
    let with_candidates = |arg: clap::Arg| {
        let found = match arg.get_id().as_str() {
            "run" => candidates.runs,
            "profile" => candidates.profiles,
            "code" => candidates.codes,
            _ => return arg,
        };
        arg.add(ArgValueCandidates::new(move || {
            found()
                .into_iter()
                .map(|one| CompletionCandidate::new(one.value).help(Some(one.about.into())))
                .collect()
        }))
    };
    let command = Cli::command();
    let names: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    names
        .into_iter()
        .fold(command.mut_args(with_candidates), |command, name| {
            command.mut_subcommand(name, |command| command.mut_args(with_candidates))
        })
}

/// The command line `runs` with those flags of the line being completed that say which database and which config file are meant.
pub(crate) fn on_the_line(words: impl IntoIterator<Item = OsString>) -> Option<Cli> {
    let mut asked: Vec<OsString> = vec!["fleetpush".into(), "runs".into()];
    // In front of it stands how the shell has called this program.
    let mut words = words.into_iter().skip_while(|word| word != "--").skip(1);
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        match text.split('=').next() {
            Some("--db" | "--config" | "--profile") => {
                let is_whole = text.contains('=');
                asked.push(word);
                if !is_whole {
                    asked.push(words.next()?);
                }
            }
            Some("--simulate") => asked.push(word),
            _ => {}
        }
    }
    Cli::try_parse_from(asked).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Option<Cli> {
        let called = ["fleetpush", "--"].into_iter().chain(words.split(' '));
        on_the_line(called.map(OsString::from))
    }

    #[test]
    fn the_line_says_which_database_is_meant() {
        let cli = line("fleetpush retry --db my.db --class offline --config=c.toml").unwrap();
        assert_eq!(cli.global.db.unwrap().to_str(), Some("my.db"));
        assert_eq!(cli.global.config.unwrap().to_str(), Some("c.toml"));
        let cli = line("fleetpush results --simulate").unwrap();
        assert!(matches!(cli.command, crate::cli::Command::Runs(runs) if runs.simulate.simulate));
        assert!(line("fleetpush results --db").is_none());
    }

    #[test]
    fn every_run_profile_and_code_has_candidates() {
        fn none() -> Vec<Candidate> {
            Vec::new()
        }
        let command = completing(Candidates {
            runs: none,
            profiles: none,
            codes: none,
        });
        let mut seen = 0;
        for arg in std::iter::once(&command)
            .chain(command.get_subcommands())
            .flat_map(clap::Command::get_arguments)
        {
            if ["run", "profile", "code"].contains(&arg.get_id().as_str()) {
                assert!(arg.get::<ArgValueCandidates>().is_some(), "{arg}");
                seen += 1;
            }
        }
        assert!(seen >= 10, "{seen}");
    }
}
