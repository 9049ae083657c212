//! Versions of one manifest: which runs belong to the same file, or to the same name on stdin, and what happens to unfinished ones.

use anyhow::anyhow;

use crate::{
    commands::{control::control, end::end},
    exit::Failure,
    model::{ControlAction, Counts},
    store::{NewRun, Reader, Run, Store},
    ui::{
        number::{counted, grouped},
        printer::Printer,
    },
};

/// The unfinished runs of other versions of this push's manifest for the same target, the oldest first.
pub(super) async fn unfinished(store: &mut Store, about: &NewRun) -> Result<Vec<Run>, Failure> {
    Ok(unfinished_among(store.all_runs().await?, about))
}

/// Those of these runs.
pub(super) fn unfinished_among(mut runs: Vec<Run>, about: &NewRun) -> Vec<Run> {
    runs.retain(|run| run.state.is_unfinished() && is_other_version(&run.about, about));
    runs
}

/// Whether a run is of another version of this push's manifest, for the same target.
pub(super) fn is_other_version(run: &NewRun, about: &NewRun) -> bool {
    let is_same_manifest = match (&run.manifest_path, &about.manifest_path) {
        (Some(theirs), Some(ours)) => theirs == ours,
        // Staged before paths were kept: all that is known of the file is how it was typed.
        (None, Some(_)) => run.manifest == about.manifest,
        // A stream has nothing but the name that it was given.
        (theirs, None) => theirs.is_none() && is_named(&run.name, &about.name),
    };
    is_same_manifest && run.base_url == about.base_url && run.identity != about.identity
}

/// Whether `name` is `base`, or one of `base-2`, `base-3`, … that later runs of it get.
pub(super) fn is_named(name: &str, base: &str) -> bool {
    match name.strip_prefix(base) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('-')
            .is_some_and(|number| number.parse::<u32>().is_ok_and(|number| number > 1)),
        None => false,
    }
}

/// Why a new version is not pushed: these are unfinished.
pub(super) async fn in_the_way(
    store: &Store,
    others: &[Run],
    about: &NewRun,
) -> Result<Failure, Failure> {
    let mut reader = store.reader().await?;
    let failure = in_the_way_of(&mut reader, others, about).await?;
    reader.close().await?;
    Ok(failure)
}

/// The same of a database that is being read.
pub(super) async fn in_the_way_of(
    reader: &mut Reader,
    others: &[Run],
    about: &NewRun,
) -> Result<Failure, Failure> {
    let mut lines = Vec::new();
    for run in others {
        let row = reader.find_run(Some(&run.about.name)).await?;
        lines.push(format!(
            "run '{}' is {}: {}",
            run.about.name,
            run.state.name(),
            progress_words(&row.counts)
        ));
    }
    Ok(Failure::usage(anyhow!(
        "the run of an older version of {} is unfinished, so this version has not been staged or sent\n{}\n\
         give --supersede to cancel it and push this version, or --alongside to push this one as well",
        about.manifest,
        lines.join("\n")
    )))
}

/// `1,200 of 3,000 tasks pending, 1,750 accepted, 50 failed, 0 in doubt`
fn progress_words(counts: &Counts) -> String {
    format!(
        "{} of {} pending, {} accepted, {} failed, {} in doubt",
        grouped(counts.pending),
        counted(counts.tasks, "task"),
        grouped(counts.accepted),
        grouped(counts.failed),
        grouped(counts.in_doubt)
    )
}

/// Cancels them, as `cancel` does. To be done when the new version is staged: a start that fails before has cancelled nothing, and one
/// that fails in between finds them again.
pub(super) async fn supersede(
    store: &mut Store,
    others: Vec<Run>,
    printer: &Printer,
) -> Result<(), Failure> {
    for run in others {
        let (id, name) = (run.id, run.about.name.clone());
        store.hold_run(&run).await?;
        let ended = end(store, run, &control(ControlAction::Cancel)).await?;
        store.release_run(id).await?;
        printer.say(&format!(
            "run '{name}' is superseded and cancelled: {} will not be sent",
            counted(ended, "pending task")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str, path: Option<&str>, manifest: &str, identity: &str) -> NewRun {
        NewRun {
            name: name.into(),
            manifest: manifest.into(),
            manifest_path: path.map(Into::into),
            manifest_sha256: String::new(),
            defaults: "{}".into(),
            base_url: "simulator".into(),
            identity: identity.into(),
        }
    }

    #[test]
    fn a_version_is_known_by_its_file() {
        let new = about("fleet-2", Some("/data/fleet.csv"), "fleet.csv", "2");
        let old = |path, manifest, identity| {
            is_other_version(&about("fleet-1", path, manifest, identity), &new)
        };
        assert!(old(Some("/data/fleet.csv"), "./fleet.csv", "1"));
        assert!(!old(Some("/data/fleet.csv"), "fleet.csv", "2"), "the same");
        assert!(!old(Some("/other/fleet.csv"), "fleet.csv", "1"));
        assert!(old(None, "fleet.csv", "1"), "staged before paths were kept");
        assert!(!old(None, "standard input", "1"));
        let elsewhere = NewRun {
            base_url: "https://platform.test".into(),
            ..about("fleet-1", Some("/data/fleet.csv"), "fleet.csv", "1")
        };
        assert!(!is_other_version(&elsewhere, &new));
    }

    #[test]
    fn a_version_of_a_stream_is_known_by_its_name() {
        let new = about("night", None, "standard input", "2");
        let old = |name, path| is_other_version(&about(name, path, "standard input", "1"), &new);
        assert!(old("night", None));
        assert!(old("night-2", None));
        assert!(!old("nightly", None));
        assert!(
            !old("night", Some("/data/night.csv")),
            "a file of that name"
        );
    }

    #[test]
    fn later_runs_of_a_name_are_numbered() {
        for (name, expected) in [
            ("night", true),
            ("night-2", true),
            ("night-17", true),
            ("night-1", false),
            ("night-", false),
            ("night-x", false),
            ("nigh", false),
        ] {
            assert_eq!(is_named(name, "night"), expected, "{name}");
        }
    }
}
