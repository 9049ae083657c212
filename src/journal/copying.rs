//! What may be copied from one results database to another, and what is done with a run that is there already.
//!
//! Run and request numbers stay the same, and what a device accepted last is what has the highest request. So a database that is copied to
//! holds the history of one other, and of no second one.

use std::collections::HashMap;

use crate::store::{Digest, Holdings, RunMark, SessionMark};

/// Why nothing is copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A number means two runs.
    #[error(
        "run {number} is '{from}' in FROM and '{to}' in TO: TO has the runs of another database, and run numbers stay the same in a copy; give \
         each SQLite database a PostgreSQL database of its own (createdb makes one on the same server)"
    )]
    AnotherRun {
        /// The number.
        number: i64,
        /// The name of the run that is to be copied.
        from: String,
        /// The name of the one that is there.
        to: String,
    },
    /// The other side knows more.
    #[error(
        "TO has session {number} of {began_at}, which FROM does not have: FROM is an older copy of the database that TO was copied from, or \
         another database; name the one that is in use, or another database for TO"
    )]
    NotItsHistory {
        /// The session.
        number: i64,
        /// When it began.
        began_at: String,
    },
}

/// Whether runs of the one may be copied into the other. `same_number` is the session of the one that has the number of the latest session
/// of the other: sessions are never deleted, so that whoever has the other's latest has all of its history.
pub(crate) fn may_copy(
    from: &Holdings,
    to: &Holdings,
    same_number: Option<&SessionMark>,
) -> Result<(), Refusal> {
    let there: HashMap<i64, &RunMark> = to.runs.iter().map(|run| (run.id, run)).collect();
    let pruned_there: HashMap<i64, &str> = to
        .pruned
        .iter()
        .map(|(number, identity)| (*number, identity.as_str()))
        .collect();
    let another = |number: i64, from: &str, to: &str| {
        Err(Refusal::AnotherRun {
            number,
            from: from.to_owned(),
            to: to.to_owned(),
        })
    };
    for run in &from.runs {
        match there.get(&run.id) {
            Some(same) if *same != run => return another(run.id, &run.name, &same.name),
            _ => {}
        }
        if pruned_there
            .get(&run.id)
            .is_some_and(|identity| *identity != run.identity)
        {
            return another(run.id, &run.name, "a run that was pruned");
        }
    }
    for (number, identity) in &from.pruned {
        if let Some(kept) = there.get(number)
            && kept.identity != *identity
        {
            return another(*number, "a run that was pruned", &kept.name);
        }
    }
    match &to.last_session {
        Some(session) if Some(session) != same_number => Err(Refusal::NotItsHistory {
            number: session.id,
            began_at: session.began_at().to_string(),
        }),
        _ => Ok(()),
    }
}

/// What is there of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct There {
    /// The hash of its rows as they are.
    pub now: Digest,
    /// The hash with which it was copied.
    pub copied: Option<Digest>,
}

/// What is done with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: both sides are equal.
    Leave,
    /// It is copied.
    Copy,
    /// It is copied in place of what is there, since it has gone on, or since that was asked for.
    CopyAnew,
    /// Nothing: somebody has changed what is there.
    Refuse,
}

/// What follows for a run whose rows have the hash `from`.
pub(crate) fn step(from: Digest, there: Option<There>, replace: bool) -> Step {
    match there {
        None => Step::Copy,
        Some(there) if there.now == from => Step::Leave,
        Some(there) if there.copied == Some(there.now) || replace => Step::CopyAnew,
        Some(_) => Step::Refuse,
    }
}

/// The numbers of runs that are there and no longer at their source.
pub(crate) fn kept(from: &Holdings, to: &Holdings) -> Vec<i64> {
    to.runs
        .iter()
        .map(|run| run.id)
        .filter(|number| from.runs.iter().all(|run| run.id != *number))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: i64, name: &str) -> RunMark {
        RunMark {
            id,
            name: name.to_owned(),
            identity: format!("identity of {name}"),
            created_at: 1_000 * id,
        }
    }

    fn session(id: i64) -> SessionMark {
        SessionMark {
            id,
            began_at: 1_000 * id,
            host: "here".to_owned(),
            pid: 7,
        }
    }

    fn holdings(runs: &[RunMark], last_session: Option<SessionMark>) -> Holdings {
        Holdings {
            runs: runs.to_vec(),
            pruned: Vec::new(),
            last_session,
        }
    }

    #[test]
    fn an_empty_database_takes_any() {
        let from = holdings(&[run(1, "a")], Some(session(4)));
        assert_eq!(may_copy(&from, &Holdings::default(), None), Ok(()));
    }

    #[test]
    fn a_database_takes_the_runs_of_the_one_whose_history_it_has() {
        let from = holdings(&[run(1, "a"), run(2, "b")], Some(session(4)));
        let to = holdings(&[run(1, "a")], Some(session(3)));
        assert_eq!(may_copy(&from, &to, Some(&session(3))), Ok(()));
        // An older copy has not come so far, and a fork has another session of that number.
        let later = SessionMark {
            began_at: 1,
            ..session(3)
        };
        for same_number in [None, Some(&later)] {
            let refused = may_copy(&from, &to, same_number).unwrap_err();
            assert!(matches!(refused, Refusal::NotItsHistory { number: 3, .. }));
            assert!(refused.to_string().contains("1970-01-01T00:00:03.000Z"));
        }
    }

    #[test]
    fn a_number_never_means_two_runs() {
        let from = holdings(&[run(1, "a"), run(2, "b")], None);
        let to = holdings(&[run(1, "a"), run(2, "c")], None);
        let refused = may_copy(&from, &to, None).unwrap_err().to_string();
        assert!(
            refused.starts_with("run 2 is 'b' in FROM and 'c' in TO"),
            "{refused}"
        );
        // A push of the same name and identity that was staged anew is another run.
        let anew = RunMark {
            created_at: 5,
            ..run(1, "a")
        };
        assert!(may_copy(&from, &holdings(&[anew], None), None).is_err());
    }

    #[test]
    fn a_number_of_a_pruned_run_is_taken_too() {
        let mut pruned = holdings(&[], None);
        pruned.pruned = vec![(1, "identity of a".to_owned())];
        let has = |name| holdings(&[run(1, name)], None);
        assert_eq!(may_copy(&pruned, &has("a"), None), Ok(()));
        assert!(may_copy(&pruned, &has("b"), None).is_err());
        assert!(may_copy(&has("b"), &pruned, None).is_err());
    }

    #[test]
    fn a_run_that_has_gone_on_is_copied_anew_and_one_that_was_changed_is_left() {
        let [one, two, three] = [[1; 32], [2; 32], [3; 32]];
        let there = |now, copied| Some(There { now, copied });
        for (from, there, replace, expected) in [
            (one, None, false, Step::Copy),
            (one, there(one, Some(one)), false, Step::Leave),
            (one, there(one, Some(two)), false, Step::Leave),
            (two, there(one, Some(one)), false, Step::CopyAnew),
            (one, there(two, Some(one)), false, Step::Refuse),
            (three, there(two, Some(one)), false, Step::Refuse),
            (one, there(two, None), false, Step::Refuse),
            (one, there(two, Some(one)), true, Step::CopyAnew),
            (one, there(one, Some(one)), true, Step::Leave),
        ] {
            assert_eq!(step(from, there, replace), expected);
        }
    }

    #[test]
    fn what_was_pruned_at_the_source_is_kept() {
        let from = holdings(&[run(2, "b")], None);
        let to = holdings(&[run(1, "a"), run(2, "b")], None);
        assert_eq!(kept(&from, &to), [1]);
    }
}
