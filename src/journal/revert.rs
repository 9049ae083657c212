//! Reverts a run: for each of its devices and services, what the device had accepted last before.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    model::{Class, RunId, TaskState, TaskStatus, Timestamp},
    store::{Acceptance, ResultRow},
};

/// How long the platform keeps a cached command for a device that is not there, when the command does not say (specification, `cacheTime`).
const CACHE_SECONDS: i64 = 600;

/// Why a device is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeftOut {
    /// It accepted something newer of the service, or may have got it.
    Newer,
    /// Nothing earlier is known.
    NothingEarlier,
    /// What it had accepted before was pruned by a version that kept no payloads.
    PayloadGone,
    /// It had accepted the same before.
    Same,
}

impl LeftOut {
    /// The name in a list of those that are left out.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newer => "newer",
            Self::NothingEarlier => "nothing_earlier",
            Self::PayloadGone => "payload_gone",
            Self::Same => "same",
        }
    }

    /// The words for a person.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Newer => "accepted something newer since, or may have got it",
            Self::NothingEarlier => "accepted nothing earlier that is known",
            Self::PayloadGone => {
                "accepted something earlier whose payload is no longer known, since its run has been pruned"
            }
            Self::Same => "had accepted the same before",
        }
    }
}

/// Whether the device accepted the task's command, or may have got it.
pub(crate) fn may_have_got(row: &ResultRow, was_in_doubt: bool) -> bool {
    matches!(
        row.status,
        TaskStatus::Ended(TaskState::Accepted | TaskState::InDoubt)
    ) || was_in_doubt
        || row.class == Some(Class::InDoubt)
}

/// What a device is to get back of a service of this run, or why it is left out. `own` are the last requests of the device's tasks of the
/// run that call the service, and `others` what it accepted of the service in other runs, or may have got.
///
/// Requests are numbered as they are recorded, in all runs together. A time decides nothing here: the clock of a push may have been wrong.
/// Where a request is not known, the runs' numbers decide.
pub(crate) fn before<'a>(
    run: RunId,
    own: &[i64],
    others: &'a [Acceptance],
) -> Result<&'a Acceptance, LeftOut> {
    let (Some(&first), Some(&last)) = (own.iter().min(), own.iter().max()) else {
        return Err(LeftOut::NothingEarlier);
    };
    let is_vague = others.iter().any(|other| other.request.is_none());
    let is_newer = |other: &Acceptance| match other.request {
        Some(request) if !is_vague => request > last,
        _ => other.run > run.0,
    };
    let is_earlier = |other: &Acceptance| match other.request {
        Some(request) if !is_vague => request < first,
        _ => other.run < run.0,
    };
    if others.iter().any(is_newer) {
        return Err(LeftOut::Newer);
    }
    let earlier = others
        .iter()
        .filter(|other| !other.in_doubt && is_earlier(other))
        .max_by_key(|other| {
            let by_run = is_vague.then_some(other.run);
            (by_run, other.request, other.at, other.line)
        })
        .ok_or(LeftOut::NothingEarlier)?;
    if earlier.payload.is_none() {
        return Err(LeftOut::PayloadGone);
    }
    Ok(earlier)
}

/// The services that a payload's data calls, in their order; none when it has another shape.
pub(crate) fn services(data: &str) -> Vec<String> {
    calls(data)
        .map(|calls| calls.into_iter().flat_map(BTreeMap::into_keys).collect())
        .unwrap_or_default()
}

/// The part of the data that calls this service, its text kept; none when it calls no such service.
pub(crate) fn only(data: &str, service: &str) -> Option<String> {
    let calls = calls(data)?;
    if calls
        .iter()
        .all(|call| call.keys().all(|called| called == service))
        && !calls.is_empty()
    {
        return Some(data.to_owned());
    }
    let name = serde_json::Value::from(service).to_string();
    let parts: Vec<String> = calls
        .iter()
        .filter_map(|call| call.get(service))
        .map(|parameters| format!("{{{name}:{}}}", parameters.get()))
        .collect();
    (!parts.is_empty()).then(|| format!("[{}]", parts.join(",")))
}

fn calls(data: &str) -> Option<Vec<BTreeMap<String, &RawValue>>> {
    serde_json::from_str(data).ok()
}

/// Until when the platform may still give the task's command to the device; none when it keeps none.
pub(crate) fn cached_until(row: &ResultRow) -> Option<Timestamp> {
    if row.is_cache != Some(true) {
        return None;
    }
    let seconds = row.cache_time.unwrap_or(CACHE_SECONDS);
    row.finished_at
        .map(|at| Timestamp(at.0.saturating_add(seconds.saturating_mul(1000))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PayloadId;

    #[test]
    fn a_service_is_taken_out_of_the_data_with_its_text() {
        let both = r#"[{"a":[{"x":"1.0"}]},{"b":[{"y":[{"0":"2"}]}]},{"a":[{"z":"3"}]}]"#;
        assert_eq!(
            only(both, "a").unwrap(),
            r#"[{"a":[{"x":"1.0"}]},{"a":[{"z":"3"}]}]"#
        );
        assert_eq!(only(both, "b").unwrap(), r#"[{"b":[{"y":[{"0":"2"}]}]}]"#);
        assert_eq!(only(both, "c"), None);
        let alone = r#"[ {"a": [{"x":"1"}]} ]"#;
        assert_eq!(only(alone, "a").unwrap(), alone, "to the byte");
        assert_eq!(services(both), ["a", "b", "a"]);
        for data in ["{}", "[]", "no json", "[1]"] {
            assert_eq!(only(data, "a"), None, "{data}");
            assert_eq!(services(data), Vec::<String>::new(), "{data}");
        }
    }

    fn own(at: i64) -> ResultRow {
        ResultRow {
            id: 1,
            line: 2,
            product_key: Some("PK".into()),
            device_key: "DK".into(),
            status: TaskStatus::Ended(TaskState::Accepted),
            class: Some(Class::Accepted),
            code: Some(200),
            message: None,
            ticket: None,
            attempts: 1,
            request_id: Some(1),
            due_at: None,
            finished_at: Some(Timestamp(at)),
            data: None,
            labels: None,
            qos: None,
            is_cache: Some(true),
            cache_time: None,
            is_cover: None,
            extend_para: None,
            delivery: None,
            delivery_at: None,
        }
    }

    /// Its clock was the further ahead the earlier it was.
    fn other(request: i64, in_doubt: bool, payload: Option<i64>) -> Acceptance {
        Acceptance {
            device_key: "DK".into(),
            product_key: "PK".into(),
            service: "a".into(),
            run: request,
            line: 2,
            request: Some(request),
            at: Timestamp(-request),
            payload: payload.map(PayloadId::Past),
            in_doubt,
        }
    }

    #[test]
    fn the_last_acceptance_before_counts_unless_something_newer_came() {
        let chosen = |others: &[Acceptance]| {
            before(RunId(100), &[200, 100], others).map(|other| other.request)
        };
        let accepted = |request| other(request, false, Some(request));
        assert_eq!(
            chosen(&[accepted(10), accepted(50), accepted(20)]),
            Ok(Some(50))
        );
        assert_eq!(chosen(&[accepted(50), accepted(150)]), Ok(Some(50)));
        assert_eq!(chosen(&[accepted(50), accepted(201)]), Err(LeftOut::Newer));
        assert_eq!(
            chosen(&[accepted(50), other(201, true, None)]),
            Err(LeftOut::Newer)
        );
        assert_eq!(chosen(&[accepted(40), other(50, true, None)]), Ok(Some(40)));
        assert_eq!(chosen(&[]), Err(LeftOut::NothingEarlier));
        assert_eq!(chosen(&[other(50, false, None)]), Err(LeftOut::PayloadGone));
        let nothing = before(RunId(100), &[], &[]);
        assert_eq!(nothing, Err(LeftOut::NothingEarlier));
    }

    #[test]
    fn where_a_request_is_not_known_the_runs_decide() {
        let of = |run, request| Acceptance {
            run,
            request,
            ..other(1, false, Some(1))
        };
        let chosen = |others: &[Acceptance]| before(RunId(7), &[70], others).map(|other| other.run);
        assert_eq!(chosen(&[of(6, None), of(5, Some(50))]), Ok(6));
        assert_eq!(chosen(&[of(5, None), of(6, Some(60))]), Ok(6));
        assert_eq!(chosen(&[of(8, None)]), Err(LeftOut::Newer));
        // An older run that was sent again.
        assert_eq!(chosen(&[of(6, Some(60)), of(5, Some(65))]), Ok(5));
        assert_eq!(chosen(&[of(5, Some(71))]), Err(LeftOut::Newer));
        assert_eq!(chosen(&[of(8, Some(60))]), Ok(8));
        // The requests that are known decide nothing beside one that is not.
        assert_eq!(chosen(&[of(5, None), of(6, Some(90))]), Ok(6));
        // Its own, which stand among those of a run without requests, are neither earlier nor newer.
        let none = Err(LeftOut::NothingEarlier);
        assert_eq!(chosen(&[of(7, None)]), none);
        assert_eq!(chosen(&[of(7, Some(70))]), none);
        let several = before(RunId(7), &[70, 80], &[of(7, Some(75))]).map(|_| ());
        assert_eq!(several, none.map(|_: i64| ()));
    }

    #[test]
    fn whoever_may_have_got_it_is_taken_back() {
        use TaskState::{Accepted, Failed, InDoubt};

        let of = |state, class| ResultRow {
            status: TaskStatus::Ended(state),
            class: Some(class),
            ..own(1)
        };
        for (row, was_in_doubt, may) in [
            (of(Accepted, Class::Accepted), false, true),
            (of(InDoubt, Class::InDoubt), false, true),
            (of(Failed, Class::Offline), false, false),
            (of(Failed, Class::Offline), true, true),
            // Sent again after a doubt, and not ended.
            (
                ResultRow {
                    status: TaskStatus::Pending,
                    ..of(Failed, Class::InDoubt)
                },
                false,
                true,
            ),
            (
                ResultRow {
                    status: TaskStatus::Pending,
                    class: None,
                    ..own(1)
                },
                false,
                false,
            ),
        ] {
            assert_eq!(
                may_have_got(&row, was_in_doubt),
                may,
                "{row:?} {was_in_doubt}"
            );
        }
    }

    #[test]
    fn each_reason_has_a_name_and_words() {
        let told: Vec<String> = [
            LeftOut::Newer,
            LeftOut::NothingEarlier,
            LeftOut::PayloadGone,
            LeftOut::Same,
        ]
        .map(|why| format!("{}: {}", why.name(), why.words()))
        .into();
        insta::assert_snapshot!(told.join("\n"), @r"
        newer: accepted something newer since, or may have got it
        nothing_earlier: accepted nothing earlier that is known
        payload_gone: accepted something earlier whose payload is no longer known, since its run has been pruned
        same: had accepted the same before
        ");
    }

    #[test]
    fn a_cached_command_is_kept_for_its_time() {
        assert_eq!(cached_until(&own(1000)), Some(Timestamp(601_000)));
        let of = |is_cache, cache_time| ResultRow {
            is_cache,
            cache_time,
            ..own(1000)
        };
        assert_eq!(
            cached_until(&of(Some(true), Some(60))),
            Some(Timestamp(61_000))
        );
        assert_eq!(cached_until(&of(Some(false), Some(60))), None);
        assert_eq!(cached_until(&of(None, None)), None);
    }
}
