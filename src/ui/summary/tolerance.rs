//! What of a complete run's failures is tolerated, and what is not.

use std::fmt::Write as _;

use crate::{
    model::{LimitCount, Tolerance},
    ui::{
        number::counted,
        report::{ClassObject, LimitObject, ToleranceObject},
    },
};

/// A paragraph of its own after the report, or nothing when nothing went wrong or nobody tolerates anything.
pub(super) fn text(tolerance: &Tolerance) -> String {
    let mut out = String::new();
    let Tolerance { limits, unlimited } = tolerance;
    if limits.is_empty() || (unlimited.is_empty() && limits.iter().all(|limit| limit.part == 0)) {
        return out;
    }
    out.push_str(if tolerance.is_kept() {
        "\ntolerated, so the exit code is 0:\n"
    } else {
        "\nnot all failures are tolerated (exit code 1):\n"
    });
    for limit in limits.iter().filter(|limit| limit.part > 0) {
        let verdict = if limit.holds() {
            "tolerated"
        } else {
            "too many"
        };
        let _ = writeln!(out, "  {verdict}: {}", limit.words());
    }
    for (class, tasks) in unlimited {
        let _ = writeln!(
            out,
            "  without a limit: {} of class {}",
            counted(*tasks, "task"),
            class.name()
        );
    }
    out
}

/// The same for programs; nothing when nobody tolerates anything.
pub(super) fn object(tolerance: &Tolerance) -> Option<ToleranceObject> {
    let Tolerance { limits, unlimited } = tolerance;
    if limits.is_empty() {
        return None;
    }
    let limits = limits.iter().map(|counted| {
        let LimitCount { limit, part, whole } = counted;
        LimitObject {
            limit: limit.to_string(),
            tasks: *part,
            of: *whole,
            kept: counted.holds(),
        }
    });
    let unlimited = unlimited.iter().map(|(class, tasks)| ClassObject {
        class: class.name(),
        tasks: *tasks,
    });
    Some(ToleranceObject {
        kept: tolerance.is_kept(),
        limits: limits.collect(),
        unlimited: unlimited.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Class, Tally, TaskState},
        policy,
    };

    fn tolerance(tolerate: &str, offline: u64, rejected: u64) -> Tolerance {
        let ended = [
            (TaskState::Accepted, Class::Accepted, 100 - offline),
            (TaskState::Failed, Class::Offline, offline),
            (TaskState::Failed, Class::Rejected, rejected),
        ]
        .map(|(state, class, tasks)| {
            let class = Some(class);
            let code = None;
            (Tally { state, class, code }, tasks)
        });
        policy::tolerance(&tolerate.parse().unwrap(), &ended)
    }

    #[test]
    fn what_is_tolerated_is_told_with_its_limit() {
        let told = [
            tolerance("offline<5%;in_doubt<3", 3, 0),
            tolerance("offline<5%", 9, 1),
            tolerance("offline<5%", 0, 0),
            tolerance("nothing", 3, 1),
        ]
        .map(|tolerance| text(&tolerance));
        insta::assert_snapshot!(told.join("---\n"), @r"

        tolerated, so the exit code is 0:
          tolerated: 3 of 100 ended tasks are offline (--tolerate 'offline<5%')
        ---

        not all failures are tolerated (exit code 1):
          too many: 9 of 101 ended tasks are offline (--tolerate 'offline<5%')
          without a limit: 1 task of class rejected
        ---
        ---
        ");
    }

    #[test]
    fn programs_get_every_limit() {
        insta::assert_snapshot!(
            serde_json::to_string(&object(&tolerance("offline<5%;in_doubt<3", 9, 1))).unwrap(),
            @r#"{"kept":false,"limits":[{"limit":"offline<5%","tasks":9,"of":101,"kept":false},{"limit":"in_doubt<3","tasks":0,"of":101,"kept":true}],"unlimited":[{"class":"rejected","tasks":1}]}"#
        );
        assert!(object(&tolerance("nothing", 9, 1)).is_none());
    }
}
