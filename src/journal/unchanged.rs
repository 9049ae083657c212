//! Which tasks of a new run can be skipped because their devices accepted the same payload last.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{RunId, TaskId, Timestamp},
    store::{Earlier, Forgotten, Past, PastRun, StagedTask, Stager, StoreError},
};

/// Skips those tasks of an arranged run.
///
/// Runs are looked at from the latest end back, and a device no further than until no run can have anything later of it, neither by time nor
/// by the numbers of the runs: the clock of a push may have been ahead.
pub(crate) async fn skip_unchanged(
    stager: &mut Stager<'_>,
    past: Past<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut look = stager.look(past).await?;
    let past = look.past_runs().await?;
    let youngest = youngest_left(&past.runs);
    while let Some(tasks) = look.next().await? {
        let mut known = EarlierSends::new();
        let mut open: HashSet<&str> = tasks.iter().map(|task| &*task.device_key).collect();
        if past.any_pruned {
            let devices: Vec<&str> = open.iter().copied().collect();
            note(&mut known, look.earlier_pruned(&devices).await?);
        }
        let mut runs = past.runs.iter().zip(&youngest).peekable();
        while let Some((run, _)) = runs.next() {
            let devices: Vec<&str> = open.iter().copied().collect();
            note(&mut known, look.earlier_in(run.id, &devices).await?);
            let Some((next, youngest)) = runs.peek() else {
                break;
            };
            if let Some(next_end) = next.ended_at {
                // A key may stand for devices of two products.
                open = devices_of(&tasks)
                    .filter(|device| {
                        !is_settled(device, known_of(&known, device), next_end, **youngest)
                    })
                    .map(|device| &*device[0].device_key)
                    .collect();
            }
            if open.is_empty() {
                break;
            }
        }
        let mut skipped = Vec::new();
        for device in devices_of(&tasks) {
            skipped.extend(unchanged(device, known_of(&known, device), past.forgotten));
        }
        look.skip(&skipped).await?;
    }
    look.finish(now).await
}

/// What devices were sent before, by their key and product.
type EarlierSends = HashMap<(String, String), Vec<Earlier>>;

fn note(known: &mut EarlierSends, earlier: Vec<Earlier>) {
    for earlier in earlier {
        let device = (earlier.device_key.clone(), earlier.product_key.clone());
        known.entry(device).or_default().push(earlier);
    }
}

/// What is known of the device of these tasks.
fn known_of<'k>(known: &'k EarlierSends, device: &[StagedTask]) -> &'k [Earlier] {
    device
        .first()
        .map(|task| (task.device_key.clone(), task.product_key.clone()))
        .and_then(|device| known.get(&device))
        .map_or(&[], Vec::as_slice)
}

/// The tasks of each device.
fn devices_of(tasks: &[StagedTask]) -> impl Iterator<Item = &[StagedTask]> {
    tasks.chunk_by(|one, next| {
        (&one.device_key, &one.product_key) == (&next.device_key, &next.product_key)
    })
}

/// The highest number of each run and those after it.
fn youngest_left(runs: &[PastRun]) -> Vec<RunId> {
    let mut youngest: Vec<RunId> = runs
        .iter()
        .rev()
        .scan(RunId(0), |youngest, run| {
            *youngest = run.id.max(*youngest);
            Some(*youngest)
        })
        .collect();
    youngest.reverse();
    youngest
}

/// Whether nothing that ended by `next_end`, of runs up to this one, can be the last of any service of the device's tasks.
fn is_settled(
    tasks: &[StagedTask],
    earlier: &[Earlier],
    next_end: Timestamp,
    youngest: RunId,
) -> bool {
    let mut services = tasks.iter().flat_map(|task| task.services.iter());
    services.all(|service| {
        earlier
            .iter()
            .any(|earlier| earlier.service == *service && earlier.at > next_end)
            && earlier
                .iter()
                .any(|earlier| earlier.service == *service && earlier.place.0 > youngest.0)
    })
}

/// Those of one device's tasks, in the order of the manifest, that need not be sent.
///
/// A task is unchanged when what the device accepted last of each of its services is the task's own payload, options included. What the
/// device may have got since speaks against it, and so does what may still be sent to it; and what was forgotten with pruned runs, as
/// long as nothing later is known. After a task that is sent, nothing is known of its services.
pub(crate) fn unchanged(
    tasks: &[StagedTask],
    earlier: &[Earlier],
    forgotten: Option<Forgotten>,
) -> Vec<TaskId> {
    let mut sent: HashSet<&Option<String>> = HashSet::new();
    let mut skipped = Vec::new();
    for task in tasks {
        let is_unchanged = !task.services.is_empty()
            && task.services.iter().all(|service| {
                !sent.contains(service)
                    && has_last(service.as_deref(), earlier, forgotten) == Some(&task.digest)
            });
        if is_unchanged && !sent.contains(&None) {
            skipped.push(task.task);
        } else {
            sent.extend(task.services.iter());
        }
    }
    skipped
}

/// The payload that surely is the last of this service.
fn has_last<'e>(
    service: Option<&str>,
    earlier: &'e [Earlier],
    forgotten: Option<Forgotten>,
) -> Option<&'e Vec<u8>> {
    service?;
    // What could not be read may have been anything.
    let of_it =
        |earlier: &&Earlier| earlier.service.is_none() || earlier.service.as_deref() == service;
    let last = earlier.iter().filter(of_it).max_by_key(|earlier| {
        let is_doubt = earlier.accepted.is_none();
        (earlier.at, is_doubt, earlier.place)
    })?;
    // By another clock than time's the last one is another: then one of the two clocks was wrong, or an older run was sent again.
    let by_run = earlier
        .iter()
        .filter(of_it)
        .max_by_key(|earlier| (earlier.place, earlier.at))?;
    let is_known = last.service.is_some()
        && by_run.accepted == last.accepted
        && forgotten
            .is_none_or(|forgotten| forgotten.at < last.at && forgotten.run.0 < by_run.place.0);
    last.accepted.as_ref().filter(|_| is_known)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A device's tasks, one a word: the services in small letters and the payload's number, as in `a1` or `ab2`; `?` is a service that
    /// cannot be read.
    fn tasks(text: &str) -> Vec<StagedTask> {
        text.split_whitespace()
            .zip(1..)
            .map(|(word, task)| StagedTask {
                task: TaskId(task),
                device_key: "DK".into(),
                product_key: "PK".into(),
                digest: word.as_bytes().to_vec(),
                services: services(word),
            })
            .collect()
    }

    fn services(word: &str) -> Arc<[Option<String>]> {
        word.chars()
            .filter(|letter| !letter.is_ascii_digit())
            .map(|letter| (letter != '?').then(|| letter.to_string()))
            .collect()
    }

    /// What the device was sent before, one a second: `a1` accepted, `a1~` in doubt, `a1!` may still be sent; `3:a1` in run 3 and not in
    /// run 1.
    fn earlier(text: &str) -> Vec<Earlier> {
        let mut all = Vec::new();
        for (word, at) in text.split_whitespace().zip(1..) {
            let (run, word) = word.split_once(':').unwrap_or(("1", word));
            let payload = word.trim_end_matches(['~', '!']);
            for service in &*services(payload) {
                all.push(Earlier {
                    device_key: "DK".into(),
                    product_key: "PK".into(),
                    service: service.clone(),
                    place: (run.parse().unwrap(), at),
                    accepted: (payload == word).then(|| payload.as_bytes().to_vec()),
                    at: Timestamp(if word.ends_with('!') { i64::MAX } else { at }),
                });
            }
        }
        all
    }

    fn skipped(before: &str, now: &str) -> Vec<i64> {
        unchanged(&tasks(now), &earlier(before), None)
            .into_iter()
            .map(|task| task.0)
            .collect()
    }

    #[test]
    fn what_was_accepted_last_is_not_sent_again() {
        for (before, now, expected) in [
            ("a1", "a1", &[1][..]),
            ("", "a1", &[]),
            ("a1", "a2", &[]),
            ("a1 a2", "a1", &[]),
            ("a2 a1", "a1", &[1]),
            // Another service is another matter.
            ("a1 b1", "a1", &[1]),
            ("a1 b1", "a1 b2", &[1]),
            // A payload for two services is last of both, or it is sent.
            ("ab1", "ab1", &[1]),
            ("ab1 b2", "ab1", &[]),
            ("ab1 b2", "a1", &[]),
        ] {
            assert_eq!(skipped(before, now), expected, "{before} then {now}");
        }
    }

    #[test]
    fn a_doubt_speaks_against_it() {
        for (before, now, expected) in [
            ("a1 a2~", "a1", &[][..]),
            ("a1 a1~", "a1", &[]),
            ("a2~ a1", "a1", &[1]),
            ("a1 b2~", "a1", &[1]),
            ("a1! a1", "a1", &[]),
            // Nobody knows what it was.
            ("a1 ?1", "a1", &[]),
            ("a1 ?1~", "a1", &[]),
            ("?1 a1", "a1", &[1]),
            ("?1", "?1", &[]),
        ] {
            assert_eq!(skipped(before, now), expected, "{before} then {now}");
        }
    }

    #[test]
    fn of_several_rows_each_is_compared_with_what_stands_before_it() {
        for (before, now, expected) in [
            ("a1", "a1 a2", &[1][..]),
            ("a1", "a2 a1", &[]),
            ("a1", "a1 a2 a1", &[1]),
            ("a1 b1", "b1 a1 b1", &[1, 2, 3]),
            ("a1 b1", "b2 a1 b1", &[2]),
            ("a1 b1", "ab2 a1", &[]),
            ("a1", "?1 a1", &[]),
        ] {
            assert_eq!(skipped(before, now), expected, "{before} then {now}");
        }
    }

    #[test]
    fn times_and_runs_that_disagree_prove_nothing() {
        // Run 1 was sent again after run 3.
        assert!(skipped("3:a1 1:a2", "a2").is_empty());
        assert!(skipped("3:a1 1:a2", "a1").is_empty());
        assert_eq!(skipped("3:a1 1:a1", "a1"), [1]);
    }

    #[test]
    fn what_was_pruned_with_doubts_is_not_relied_on() {
        let at = |run, at| {
            let forgotten = Forgotten {
                run: RunId(run),
                at: Timestamp(at),
            };
            unchanged(&tasks("a1"), &earlier("2:b1 2:a1"), Some(forgotten))
        };
        assert_eq!(at(1, 1), [TaskId(1)]);
        assert!(at(1, 2).is_empty());
        assert!(at(1, 3).is_empty());
        assert!(at(2, 1).is_empty(), "of the same run");
        // The clock of what is known was ahead.
        assert!(at(3, 1).is_empty());
    }

    #[test]
    fn a_device_is_settled_when_no_run_can_have_anything_later() {
        let settled =
            |before, now, end| is_settled(&tasks(now), &earlier(before), Timestamp(end), RunId(0));
        assert!(settled("a1 a2", "a1", 1));
        assert!(!settled("a1 a2", "a1", 2));
        assert!(!settled("a1 a2", "a1 b1", 1));
        assert!(!settled("", "a1", 1));
        let younger = |youngest| {
            let before = earlier("3:a1 3:a2");
            is_settled(&tasks("a1"), &before, Timestamp(1), RunId(youngest))
        };
        assert!(younger(2));
        assert!(!younger(3), "of the same run");
        assert!(!younger(4), "its clock was ahead");
    }
}
