//! Everything at once, at random.

use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::*;
use crate::{
    journal::request::Refused,
    model::BundleStatus,
    store::{Common, CommonTask},
};

const DEVICES: [&str; 24] = [
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S",
    "T", "U", "V", "W", "X",
];

/// What becomes of a request.
fn end(claim: &Claim, now: Timestamp, random: &mut SmallRng) -> RequestEnd {
    let later = now.after(Duration::from_secs(random.random_range(0..6)));
    let together = |class| {
        let keep = Next::Again {
            due_at: later,
            keep_bundle: true,
        };
        sent(claim, None, |_, _| (class, keep))
    };
    match random.random_range(0..12) {
        0 => RequestEnd::Released,
        1 => together(Class::Transient),
        2 => together(Class::InDoubt),
        3 => sent(claim, None, |_, _| {
            (Class::InDoubt, Next::End(TaskState::InDoubt))
        }),
        4 => as_suspect(together(Class::Outage), random),
        5 | 6 => {
            let mut end = rejected(claim);
            if let RequestEnd::Sent { refused, .. } = &mut end {
                *refused = match random.random_range(0..8) {
                    0 => Some((Refused::Product, 80005)),
                    1..5 => Some((Refused::Payload, 70091)),
                    _ => None,
                };
            }
            end
        }
        _ => {
            let mut end = sent(claim, Some(true), |_, _| one(later, random));
            if let RequestEnd::Sent { tasks, .. } = &mut end {
                for task in tasks {
                    task.next_task_at = Some(later).filter(|_| random.random_bool(0.3));
                }
            }
            end
        }
    }
}

fn as_suspect(mut end: RequestEnd, random: &mut impl Rng) -> RequestEnd {
    if let RequestEnd::Sent { together, .. } = &mut end {
        *together = Some(BundleStatus {
            refusals: random.random_range(1..4),
            suspect: random.random(),
            ..BundleStatus::default()
        });
    }
    end
}

/// What becomes of one device.
fn one(later: Timestamp, random: &mut impl Rng) -> (Class, Next) {
    let again = Next::Again {
        due_at: later,
        keep_bundle: false,
    };
    match random.random_range(0..10) {
        0 => (Class::Rejected, Next::End(TaskState::Failed)),
        1 => (Class::Quota, again),
        2 => (Class::Frequency, again),
        3 => (Class::Frequency, Next::End(TaskState::Failed)),
        4 => (Class::Transient, again),
        _ => (Class::Accepted, Next::End(TaskState::Accepted)),
    }
}

/// Tasks whose devices another run has in flight, or will send something to.
fn common(memory: &Memory, random: &mut impl Rng) -> BTreeMap<TaskId, CommonTask> {
    let whys = [Common::InFlight, Common::Later];
    let tasks = memory.tasks.keys().filter_map(|task| {
        let other = CommonTask {
            run: "other".into(),
            why: whys[random.random_range(0..whys.len())],
        };
        random.random_bool(0.3).then_some((*task, other))
    });
    tasks.collect()
}

/// Pushes at random for a while, then lets every device accept, until nothing is left.
async fn push(rows: &[(&str, u8)], after_failure: AfterFailure, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut push = Push::of(rows, after_failure);
    for step in 0.. {
        assert!(step < 1_000, "it comes to an end");
        let is_rough = step < 60;
        let mut records = Vec::new();
        for _ in 0..random.random_range(0..4) {
            if !push.out.is_empty() {
                let claim = push.out.remove(random.random_range(0..push.out.len()));
                let end = if is_rough {
                    end(&claim, push.now, &mut random)
                } else {
                    accepted(&claim)
                };
                records.push(Record { claim, end });
            }
        }
        push.memory.gate.is_common = is_rough && random.random_bool(0.5);
        push.memory.common = common(&push.memory, &mut random);
        let probe = is_rough && random.random_bool(0.2);
        let limits = ClaimLimits {
            requests: if probe { 1 } else { random.random_range(0..5) },
            chunk_size: random.random_range(1..9),
            probe,
            now: push.now,
        };
        let exchange = push.exchange(records, limits).await;
        if push.state.counts().pending == 0 {
            assert!(push.out.is_empty() && exchange.next_due.is_none());
            break;
        }
        if random.random_bool(0.1) {
            push.restart();
        }
        let seconds = random.random_range(0..4);
        push.now = push.now.after(Duration::from_secs(seconds));
    }
    let counts = push.state.counts();
    assert_eq!((counts.in_flight, counts.snoozing), (0, 0));
    assert_eq!(push.memory.ended.len(), rows.len());
    assert!(push.memory.requests.values().all(|(_, ended)| *ended));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_back_a_push_stays_right_and_comes_to_an_end(
        rows in prop::collection::vec((0..DEVICES.len(), 1_u8..4), 1..60), block: bool, seed: u64,
    ) {
        let rows: Vec<(&str, u8)> = rows.into_iter().map(|(device, payload)| (DEVICES[device], payload)).collect();
        let after_failure = if block { AfterFailure::Block } else { AfterFailure::Continue };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(push(&rows, after_failure, seed));
    }
}
