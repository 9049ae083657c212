//! Which runs that have ended may be deleted.

use std::collections::HashMap;

use super::origin::Origin;
use crate::{model::Timestamp, store::Prunable};

/// Which of the runs that have ended are to go. With both conditions, those that meet both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PruneRule {
    /// Only runs that ended before this time.
    pub(crate) ended_before: Option<Timestamp>,
    /// Not the latest ones of each manifest, so many.
    pub(crate) keep: Option<u64>,
}

/// The runs that this rule lets go, of all that have ended, the oldest first.
pub(crate) fn prunable(ended: Vec<Prunable>, rule: PruneRule) -> Vec<Prunable> {
    let mut later: HashMap<Origin<'_>, u64> = HashMap::new();
    let mut goes: Vec<bool> = ended
        .iter()
        .rev()
        .map(|run| {
            let later = later.entry(origin(run)).or_default();
            let place = *later;
            *later += 1;
            rule.keep.is_none_or(|keep| place >= keep)
                && rule
                    .ended_before
                    .is_none_or(|before| run.finished_at < before)
        })
        .collect();
    goes.reverse();
    let mut goes = goes.into_iter();
    let mut runs = ended;
    runs.retain(|_| goes.next() == Some(true));
    runs
}

fn origin(run: &Prunable) -> Origin<'_> {
    let path = run.manifest_path.as_deref();
    Origin::of(&run.name, path, &run.manifest, run.is_stream)
}

/// An acceptance, by what orders those of one device and service: the request, which no clock numbers. Then its run and line.
#[cfg(test)]
pub(crate) type Accepted = (crate::model::RequestId, crate::model::RunId, i64);

/// Of all acceptances of a device and service, those that are kept when their runs go: the last, and the one before it.
#[cfg(test)]
pub(crate) fn kept(mut accepted: Vec<Accepted>) -> (Option<Accepted>, Option<Accepted>) {
    accepted.sort_unstable();
    accepted.dedup();
    (accepted.pop(), accepted.pop())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunId;

    fn run(id: i64, name: &str, path: Option<&str>) -> Prunable {
        Prunable {
            id: RunId(id),
            name: name.into(),
            manifest: path.unwrap_or("standard input").into(),
            manifest_path: path.map(Into::into),
            is_stream: path.is_none(),
            tasks: 1,
            created_at: Timestamp(id),
            finished_at: Timestamp(id * 10),
        }
    }

    fn gone(runs: &[Prunable], ended_before: Option<i64>, keep: Option<u64>) -> Vec<i64> {
        let rule = PruneRule {
            ended_before: ended_before.map(Timestamp),
            keep,
        };
        let gone = prunable(runs.to_vec(), rule);
        gone.iter().map(|run| run.id.0).collect()
    }

    #[test]
    fn the_latest_of_each_manifest_are_kept() {
        let runs = [
            run(1, "weekly-1", Some("/data/weekly.csv")),
            run(2, "a", Some("/data/night.csv")),
            run(3, "b", Some("/data/night.csv")),
            run(4, "lab", None),
            run(5, "c", Some("/data/night.csv")),
            run(6, "lab-2", None),
            run(7, "lab-3", None),
            run(8, "other", None),
        ];
        assert_eq!(gone(&runs, None, Some(1)), [2, 3, 4, 6]);
        assert_eq!(gone(&runs, None, Some(2)), [2, 4]);
        assert_eq!(gone(&runs, None, Some(0)), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(gone(&runs, Some(35), Some(1)), [2, 3], "both conditions");
        assert_eq!(gone(&runs, Some(35), None), [1, 2, 3]);
        assert_eq!(gone(&runs, Some(30), None), [1, 2], "the third ended then");
    }

    #[test]
    fn a_file_whose_path_was_not_kept_is_known_as_it_was_typed() {
        let old = |id, manifest: &str| Prunable {
            manifest: manifest.into(),
            manifest_path: None,
            is_stream: false,
            ..run(id, &format!("r{id}"), None)
        };
        let runs = [
            old(1, "night.csv"),
            old(2, "other.csv"),
            old(3, "night.csv"),
        ];
        assert_eq!(gone(&runs, None, Some(1)), [1]);
    }
}
