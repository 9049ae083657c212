//! What a shell may complete that only this machine knows: the runs of the database, the profiles of the config file, the codes.
//!
//! A shell shows no errors: whatever cannot be found or read completes to nothing.

use crate::{
    cli::{self, Candidate, Candidates},
    policy::codes,
    settings::{self, Command, Environment, Place},
    store::Reader,
};

/// Where the candidates come from.
pub(crate) fn candidates() -> Candidates {
    Candidates {
        runs: || runs().unwrap_or_default(),
        profiles: || profiles().unwrap_or_default(),
        codes: all_codes,
    }
}

/// The runs of the database that the line means, the latest first.
fn runs() -> Option<Vec<Candidate>> {
    let asked = cli::on_the_line(std::env::args_os())?;
    let settings = settings::resolve(asked, &Environment::of_process()).ok()?;
    let Command::Runs(settings) = settings.command else {
        return None;
    };
    let runs = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?
        .block_on(async {
            // A shell that completes a word is not to wait for a server.
            let Place::File(path) = &settings.database.place else {
                return None;
            };
            let mut reader = Reader::open(path).await.ok()?;
            reader.runs().await.ok()
        })?;
    let candidate = |run: crate::store::RunRow| Candidate {
        about: format!("{}, {} tasks", run.state.name(), run.counts.tasks),
        value: run.name,
    };
    Some(runs.into_iter().rev().map(candidate).collect())
}

/// The profiles of the config file that the line means.
fn profiles() -> Option<Vec<Candidate>> {
    let asked = cli::on_the_line(std::env::args_os())?;
    let names = settings::profiles(asked.global.config, &Environment::of_process()).ok()?;
    let candidate = |name| Candidate {
        value: name,
        about: String::new(),
    };
    Some(names.into_iter().map(candidate).collect())
}

fn all_codes() -> Vec<Candidate> {
    codes::all()
        .iter()
        .map(|info| Candidate {
            value: info.code.to_string(),
            about: info.text.to_owned(),
        })
        .collect()
}
