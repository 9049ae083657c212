//! A send in doubt that a message of the platform proves: its task is accepted, and not sent again.

use super::{delivery, messages, task_end::TaskEnd};
use crate::{
    model::{CLOCK_TOLERANCE, Class, Proof, TaskState, Ticket, Timestamp},
    policy::{Evidence, EvidenceVerdict},
    store::{EndedTask, MOST_OF_DEVICE, Member, TaskProof, ToldDoubt},
};

/// What was found of a task whose last send is in doubt.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) end: TaskEnd,
    /// What the messages say of it besides.
    pub(super) proof: Option<TaskProof>,
}

/// Whether the last send of a task of `due` may be in doubt. That of a task that is opened again, or that waited for another one, is known
/// to the store alone.
pub(super) fn may_be_in_doubt(member: &Member) -> bool {
    match member.class {
        Some(class) => class == Class::InDoubt,
        None => member.history.sends > 0,
    }
}

/// Ends a task whose last send is in doubt as accepted, where exactly one `INPUT` tells the same command and no other send of ours can have
/// made it: the rule by which `verify` decides a task that has ended in doubt. `None` where that cannot be told.
pub(super) fn found(told: &ToldDoubt) -> Option<Found> {
    // What was not read may fit as well.
    if told.messages.len() > MOST_OF_DEVICE {
        return None;
    }
    let (evidence, ticket) = messages::weighed(&told.doubt, &told.messages, CLOCK_TOLERANCE)?;
    let Evidence {
        verdict: EvidenceVerdict::Adopt { sent_at, .. },
        ..
    } = evidence
    else {
        return None;
    };
    let proof = told
        .messages
        .iter()
        .filter(|message| message.ticket == ticket)
        .map(messages::proof_of)
        .fold(None::<Proof>, |known, new| Some(delivery::fold(known, new)));
    let (task, attempt) = (told.doubt.task, told.sends);
    Some(Found {
        end: TaskEnd {
            task: EndedTask {
                task,
                state: TaskState::Accepted,
                class: Some(Class::Accepted),
                // No reply gave one.
                code: None,
                message: Some(adopted(sent_at).into()),
                ticket: Some(Ticket::new(&ticket)?),
                request: Some(told.request),
                sends: attempt,
            },
            was_due: true,
            next_task_at: None,
        },
        proof: proof.map(|proof| TaskProof {
            task,
            attempt,
            proof,
        }),
    })
}

/// The message of a task whose ticket comes from a message that was made then.
pub(crate) fn adopted(issued_at: Timestamp) -> String {
    format!("adopted from a message of the platform: issued at {issued_at}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::{
        CompetingSend, Delivery, EvidenceSource, History, InDoubtSend, InDoubtTask, MessageKind,
        RequestId, TaskId, TimeRange,
    };
    use crate::store::InboxMessage;

    const SENT: i64 = 1_000_000;
    const MODE: &str = r#"[{"setMode":[{"mode":"1"}]}]"#;

    fn message(kind: MessageKind, ticket: &str, at: i64) -> InboxMessage {
        InboxMessage {
            id: at,
            kind,
            ticket: ticket.to_owned(),
            product_key: "PK".to_owned(),
            device_key: "D".to_owned(),
            code: (kind == MessageKind::Input).then(|| "setMode".to_owned()),
            kv: (kind == MessageKind::Input).then(|| r#"{"mode":"1"}"#.to_owned()),
            packet_id: None,
            at: Timestamp(at),
            recorded_at: Timestamp(at),
        }
    }

    fn told(messages: Vec<InboxMessage>) -> ToldDoubt {
        let window = TimeRange {
            from: Timestamp(SENT),
            to: Timestamp(SENT + 100),
        };
        ToldDoubt {
            doubt: InDoubtTask {
                task: TaskId(7),
                line: 2,
                product_key: "PK".into(),
                device_key: "D".into(),
                data: MODE.into(),
                sends: vec![InDoubtSend { attempt: 2, window }],
                competing: Vec::new(),
                recorded: HashSet::new(),
            },
            request: RequestId(9),
            sends: 2,
            messages,
        }
    }

    fn input(ticket: &str) -> InboxMessage {
        message(MessageKind::Input, ticket, SENT + 10)
    }

    #[test]
    fn one_input_of_the_same_command_ends_the_task_with_its_ticket_and_delivery() {
        let Found { end, proof } = found(&told(vec![input("11")])).unwrap();
        assert_eq!((end.task.state, end.task.sends), (TaskState::Accepted, 2));
        assert_eq!(end.task.request, Some(RequestId(9)));
        assert_eq!(end.task.ticket, Ticket::new("11"));
        assert_eq!(
            end.task.message.as_deref(),
            Some("adopted from a message of the platform: issued at 1970-01-01T00:16:40.010Z")
        );
        assert!(end.was_due);
        let TaskProof { attempt, proof, .. } = proof.unwrap();
        assert_eq!((attempt, proof.delivery), (2, Delivery::Queued));
        assert_eq!(proof.source, EvidenceSource::Input);
        // What else has its ticket goes with it, and nothing else.
        let acknowledged = message(MessageKind::ReqackSucc, "11", SENT + 20);
        let another = message(MessageKind::Output, "12", SENT + 30);
        let with_more = told(vec![input("11"), acknowledged, another]);
        let proof = found(&with_more).unwrap().proof.unwrap().proof;
        assert_eq!(proof.delivery, Delivery::Sent);
    }

    #[test]
    fn what_cannot_be_told_is_sent_again() {
        let different = |change: fn(&mut InboxMessage)| {
            let mut message = input("11");
            change(&mut message);
            told(vec![message])
        };
        let mut contested = told(vec![input("11")]);
        contested.doubt.competing.push(CompetingSend {
            window: contested.doubt.sends[0].window,
            data: MODE.into(),
        });
        let mut recorded = told(vec![input("11")]);
        recorded.doubt.recorded.extend(Ticket::new("11"));
        let mut several_services = told(vec![input("11")]);
        several_services.doubt.data =
            r#"[{"setMode":[{"mode":"1"}]},{"reboot":[{"delay":"5"}]}]"#.into();
        let many = |count: usize| {
            let others = (1..count as i64).map(|n| message(MessageKind::Output, "12", SENT + n));
            told(others.chain([input("11")]).collect())
        };
        assert!(found(&many(MOST_OF_DEVICE)).is_some());
        for (why, told) in [
            ("nothing is told", told(Vec::new())),
            ("several fit", told(vec![input("11"), input("12")])),
            ("it tells no values", different(|message| message.kv = None)),
            (
                "it tells other values",
                different(|message| message.kv = Some(r#"{"mode":"2"}"#.to_owned())),
            ),
            (
                "it tells another service",
                different(|message| message.code = Some("reboot".to_owned())),
            ),
            (
                "it is of another time",
                different(|message| message.at = Timestamp(SENT + 3_600_000)),
            ),
            (
                "it is no input",
                told(vec![message(MessageKind::ReqackSucc, "11", SENT + 10)]),
            ),
            ("another send may have made it", contested),
            ("it is another send's", recorded),
            ("the send has several services", several_services),
            ("not all of them were read", many(MOST_OF_DEVICE + 1)),
        ] {
            assert!(found(&told).is_none(), "{why}");
        }
    }

    #[test]
    fn only_a_task_whose_last_send_may_be_in_doubt_is_looked_up() {
        for (class, sends, expected) in [
            (Some(Class::InDoubt), 1, true),
            (Some(Class::Offline), 1, false),
            (Some(Class::Frequency), 3, false),
            (Some(Class::Blocked), 1, false),
            // It waited for another task of its device.
            (None, 0, false),
            // The same, or a retry has opened it again.
            (None, 2, true),
        ] {
            let member = Member {
                class,
                history: History {
                    sends,
                    ..History::default()
                },
                ..Member::never_sent(TaskId(1), "D".into())
            };
            assert_eq!(may_be_in_doubt(&member), expected, "{class:?} {sends}");
        }
    }
}
