//! The next commands, with the flags that they share with this one.

use std::path::{Path, PathBuf};

use url::Url;

use crate::model::{Region, is_loopback};

/// Flags of this command that the next one needs as well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Repeat {
    /// `--db`, when it was given.
    pub db: Option<PathBuf>,
    /// `--simulate`, when it was given.
    pub simulate: bool,
    /// Whether the run is a copy on a server: it is pushed where it was copied from.
    pub of_copy: bool,
    /// The path of the program, when its plain name may not be found.
    pub program: Option<String>,
}

impl Repeat {
    /// What to type for a command about the run of this name, which goes to this target.
    pub(crate) fn command(&self, command: &str, run: &str, target: &str, flags: &str) -> String {
        let mut words = format!("{} {command} {}{flags}", self.program(), quoted(run));
        // A command that asks the platform has to be told it again; where a variable or the config file names it, that does no harm.
        let simulated = self.is_simulated(target);
        if matches!(command, "run" | "resume" | "retry" | "verify") && !simulated {
            words.push_str(&target_flag(target));
        }
        if let Some(db) = &self.db {
            words.extend([" --db ", &quoted_path(db)]);
        }
        // On a server there is one database for all runs, where those of the simulator are copies: they are found without the flag.
        if simulated && !self.of_copy {
            words.push_str(" --simulate");
        }
        words
    }

    fn program(&self) -> String {
        self.program
            .as_deref()
            .map_or_else(|| "fleetpush".to_owned(), quoted)
    }

    /// Whether the run is one against the simulator inside the process, also when its database was found by `--db` alone.
    pub(super) fn is_simulated(&self, target: &str) -> bool {
        self.simulate || target == "simulator"
    }
}

/// The flag that names the platform of a run.
fn target_flag(base_url: &str) -> String {
    let region = Region::ALL
        .iter()
        .find(|region| region.base_url() == base_url);
    match region {
        Some(region) => format!(" --region {}", region.name()),
        None if is_insecure(base_url) => {
            format!(" --base-url {} --insecure-http", quoted(base_url))
        }
        None => format!(" --base-url {}", quoted(base_url)),
    }
}

/// Whether the URL is only taken with `--insecure-http`: a plain one that leaves this machine.
fn is_insecure(base_url: &str) -> bool {
    Url::parse(base_url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

/// The text as one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The path as one word of a POSIX shell.
pub(crate) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_url_is_insecure_unless_it_stays_on_this_machine() {
        let flags = |url| target_flag(url);
        assert_eq!(
            flags("http://iot.example:8080"),
            " --base-url http://iot.example:8080 --insecure-http"
        );
        for url in [
            "http://127.0.0.1:8765",
            "http://[::1]:8765",
            "http://localhost:8765",
            "https://iot.example",
        ] {
            assert!(!flags(url).contains("--insecure-http"), "{url}");
        }
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!((quoted(""), quoted("$(x)")), ("''".into(), "'$(x)'".into()));
    }
}
