//! Devices that another run has too, which somebody else pushes.

use super::*;
use crate::store::{Common, CommonTask, LEFT};

#[tokio::test]
async fn what_a_younger_run_has_is_left_to_it_and_the_rest_goes() {
    let mut push = Push::of(&[("A", 1), ("B", 1), ("C", 2)], AfterFailure::Block);
    push.memory.gate.is_common = true;
    let stale = CommonTask {
        run: "younger".into(),
        why: Common::Stale,
    };
    push.memory.common.insert(TaskId(2), stale);
    let limits = push.limits(9, 10);
    push.exchange(Vec::new(), limits).await;
    let sent: Vec<i64> = push
        .out
        .iter()
        .flat_map(|claim| claim.members.iter().map(|member| member.task.0))
        .collect();
    assert_eq!(sent, [1, 3]);
    let records = push.out.drain(..).map(|claim| {
        let end = accepted(&claim);
        Record { claim, end }
    });
    let records = records.collect();
    let exchange = push.exchange(records, limits).await;
    assert_eq!(exchange.next_due, Some(LEFT));
    assert_eq!(push.state.counts().pending, 1);
    assert_eq!(
        push.state.others().left().unwrap(),
        "1 task is older than a command of a newer run for the same device, for example for B (run 'younger')"
    );
    assert_eq!(
        push.state.tasks().waiting.latest(),
        None,
        "nobody waits for it"
    );
}
