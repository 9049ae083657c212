//! Sends in doubt that messages tell of.

use super::*;
use crate::{
    model::{InDoubtSend, InDoubtTask, MessageKind, TimeRange},
    store::{InboxMessage, ToldDoubt},
};

/// Every reply is lost: the tasks are due again.
fn lost(claim: &Claim) -> RequestEnd {
    sent(claim, None, |_, _| {
        let next = Next::Again {
            due_at: Timestamp(1_001_000),
            keep_bundle: true,
        };
        (Class::InDoubt, next)
    })
}

/// A message tells of a task's only send.
fn tell(push: &mut Push, task: TaskId) {
    let (data, at) = (r#"[{"reboot":[{"delay":"5"}]}]"#, Timestamp(1_000_010));
    let device_key = push.memory.tasks[&task].device_key.clone();
    let window = TimeRange {
        from: Timestamp(1_000_000),
        to: Timestamp(1_000_100),
    };
    let told = ToldDoubt {
        doubt: InDoubtTask {
            task,
            line: 2,
            product_key: "PK".into(),
            device_key: device_key.as_str().into(),
            data: data.into(),
            sends: vec![InDoubtSend { attempt: 1, window }],
            competing: Vec::new(),
            recorded: HashSet::new(),
        },
        request: push.memory.requests.keys().next().copied().unwrap(),
        sends: 1,
        messages: vec![InboxMessage {
            id: 1,
            kind: MessageKind::Input,
            ticket: format!("9{}", task.0),
            product_key: "PK".to_owned(),
            device_key,
            code: Some("reboot".to_owned()),
            kv: Some(r#"{"delay":"5"}"#.to_owned()),
            packet_id: None,
            at,
            recorded_at: at,
        }],
    };
    push.memory.told.insert(task, told);
}

fn task_of(push: &Push, device: &str, payload: i64) -> TaskId {
    let mut tasks = push.memory.tasks.iter();
    let found = tasks.find(|(_, task)| task.device_key == device && task.payload.0 == payload);
    *found.unwrap().0
}

#[tokio::test]
async fn what_a_message_tells_of_is_not_sent_again_and_the_devices_next_task_goes() {
    let rows = [("A", 1), ("B", 1), ("C", 1), ("A", 2), ("C", 2)];
    let mut push = Push::of(&rows, AfterFailure::Block);
    push.claim(1, 10).await;
    push.record(lost).await;
    let told = [task_of(&push, "A", 1), task_of(&push, "B", 1)];
    for task in told {
        tell(&mut push, task);
    }
    // Not yet due: nothing is looked up.
    assert_eq!(push.claim(4, 10).await.told, 0);
    push.now = Timestamp(1_001_000);
    let exchange = push.claim(4, 10).await;
    assert_eq!((exchange.told, exchange.more), (2, true));
    assert_eq!(push.ended(TaskState::Accepted, Class::Accepted), 2);
    let proofs: HashSet<_> = push.memory.proofs.iter().map(|one| one.task).collect();
    assert_eq!(proofs, HashSet::from(told));
    let out = |push: &Push| -> Vec<(String, i64)> {
        let members = push.out.iter().flat_map(|claim| {
            let device = |member: &Member| (member.device_key.to_string(), claim.payload_id.0);
            claim.members.iter().map(device)
        });
        members.collect()
    };
    assert_eq!(out(&push), [("C".to_owned(), 1)], "of it nothing is told");
    push.claim(4, 10).await;
    assert_eq!(out(&push)[1..], [("A".to_owned(), 2)]);
}

#[tokio::test]
async fn a_probe_is_no_send_in_doubt_that_a_message_tells_of() {
    let mut push = Push::of(&[("A", 1), ("B", 1)], AfterFailure::Block);
    push.claim(1, 10).await;
    push.record(lost).await;
    for device in ["A", "B"] {
        let task = task_of(&push, device, 1);
        tell(&mut push, task);
    }
    push.now = Timestamp(1_001_000);
    let limits = ClaimLimits {
        probe: true,
        ..push.limits(1, 10)
    };
    let exchange = push.exchange(vec![], limits).await;
    assert_eq!((exchange.told, push.out.len()), (2, 0));
    assert_eq!(push.state.counts().pending, 0);
}

#[tokio::test]
async fn a_claim_looks_up_a_bounded_number_and_sends_none_that_it_has_not_looked_up() {
    let names: Vec<String> = (0..2500).map(|n| format!("D{n:04}")).collect();
    let rows: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut push = Push::of(&rows, AfterFailure::Block);
    push.claim(1, 2500).await;
    push.record(lost).await;
    for name in &names {
        let task = task_of(&push, name, 1);
        tell(&mut push, task);
    }
    push.now = Timestamp(1_001_000);
    let mut told = Vec::new();
    loop {
        let exchange = push.claim(1, 2500).await;
        told.push(exchange.told);
        assert!(push.out.is_empty());
        if !exchange.more {
            break;
        }
    }
    told.retain(|told| *told > 0);
    assert_eq!(told, [1000, 1000, 500]);
    assert_eq!(push.state.counts().accepted, 2500);
}
