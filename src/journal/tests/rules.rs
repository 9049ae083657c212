//! What takes several exchanges to come about.

use super::*;
use crate::journal::request::{Finding, Refused};

/// So many devices of one payload, each with one task.
fn fleet(devices: usize) -> Vec<(String, u8)> {
    (0..devices).map(|n| (format!("DK{n:03}"), 1)).collect()
}

fn push_of(rows: &[(String, u8)]) -> Push {
    let rows: Vec<(&str, u8)> = rows
        .iter()
        .map(|(device, payload)| (device.as_str(), *payload))
        .collect();
    Push::of(&rows, AfterFailure::Block)
}

/// The payload is refused, whatever device it is for.
fn payload_refused(claim: &Claim) -> RequestEnd {
    let mut end = rejected(claim);
    if let RequestEnd::Sent { refused, .. } = &mut end {
        *refused = Some((Refused::Payload, 70091));
    }
    end
}

#[tokio::test]
async fn a_payload_that_is_refused_twice_costs_no_third_request() {
    let mut push = push_of(&fleet(100));
    push.claim(2, 10).await;
    assert!(push.record(payload_refused).await.findings.is_empty());
    let found = push.record(payload_refused).await.findings;
    assert!(matches!(found[..], [Finding::Ended { code: 70091, .. }]));
    // The halves of those that were refused, and the first sends.
    while push.claim(4, 10).await.more {
        assert!(push.out.is_empty());
    }
    assert_eq!(push.ended(TaskState::Failed, Class::Rejected), 100);
    assert_eq!(push.state.counts().pending, 0);
}

#[tokio::test]
async fn an_acceptance_in_the_same_exchange_speaks_for_a_payload() {
    let mut push = push_of(&fleet(30));
    push.claim(3, 10).await;
    let ends = [payload_refused, accepted, payload_refused];
    let claims = std::mem::take(&mut push.out);
    let records = claims.into_iter().zip(ends).map(|(claim, end)| Record {
        end: end(&claim),
        claim,
    });
    let limits = push.limits(0, 10);
    let exchange = push.exchange(records.collect(), limits).await;
    assert!(exchange.findings.is_empty());
    push.claim(8, 10).await;
    assert_eq!(push.state.counts().in_flight, 20, "halves go out again");
}

#[tokio::test]
async fn a_limit_is_found_when_both_halves_of_two_requests_pass_and_is_kept() {
    let mut push = push_of(&fleet(60));
    let mut found = Vec::new();
    for _ in 0..2 {
        push.claim(1, 10).await;
        push.record(rejected).await;
        // The halves, and as many first sends, which are no larger.
        push.claim(4, 5).await;
        assert_eq!(push.out.len(), 4);
        for _ in 0..4 {
            found.extend(push.record(accepted).await.findings);
        }
    }
    assert_eq!(found, [Finding::ChunkLimit(5)]);
    push.restart();
    push.claim(1, 10).await;
    assert_eq!(push.out[0].members.len(), 5);
}

#[tokio::test]
async fn halves_that_are_answered_together_prove_as_much() {
    let mut push = push_of(&fleet(60));
    let mut found = Vec::new();
    for _ in 0..2 {
        push.claim(1, 10).await;
        push.record(rejected).await;
        push.claim(4, 5).await;
        let claims = std::mem::take(&mut push.out).into_iter();
        let records = claims.map(|claim| Record {
            end: accepted(&claim),
            claim,
        });
        let limits = push.limits(0, 10);
        found.extend(push.exchange(records.collect(), limits).await.findings);
    }
    assert_eq!(found, [Finding::ChunkLimit(5)]);
    // It is on the disk with the exchange that has found it.
    push.restart();
    push.claim(1, 10).await;
    assert_eq!(push.out[0].members.len(), 5);
}

#[tokio::test]
async fn each_probe_is_of_another_device_and_of_another_payload_as_long_as_there_is_one() {
    let rows = [("A", 1), ("B", 1), ("C", 1), ("D", 2), ("E", 2), ("F", 3)];
    let mut push = Push::of(&rows, AfterFailure::Block);
    let mut payloads = Vec::new();
    let mut devices = HashSet::new();
    for _ in 0..4 {
        let limits = ClaimLimits {
            probe: true,
            ..push.limits(1, 10)
        };
        push.exchange(vec![], limits).await;
        let claim = &push.out[0];
        payloads.push(claim.payload_id.0);
        devices.insert(claim.members[0].device_key.to_string());
        let keep = Next::Again {
            due_at: push.now,
            keep_bundle: false,
        };
        push.record(|claim| sent(claim, None, |_, _| (Class::Outage, keep)))
            .await;
        push.now = push.now.after(Duration::from_secs(1));
    }
    assert_eq!(payloads[..3], [1, 2, 3]);
    assert_eq!(devices.len(), 4);
    // The outage is over: every device is there once.
    while push.state.counts().pending > 0 {
        push.claim(4, 10).await;
        while !push.out.is_empty() {
            push.record(accepted).await;
        }
    }
}

#[tokio::test]
async fn a_blocked_device_ends_with_its_first_failure_and_another_one_goes_on() {
    let rows = [("A", 1), ("A", 2), ("A", 3), ("B", 1), ("B", 2)];
    for (after_failure, blocked) in [(AfterFailure::Block, 2), (AfterFailure::Continue, 0)] {
        let mut push = Push::of(&rows, after_failure);
        push.claim(1, 10).await;
        push.record(|claim| {
            sent(claim, Some(true), |_, member| match &*member.device_key {
                "A" => (Class::Rejected, Next::End(TaskState::Failed)),
                _ => (Class::Accepted, Next::End(TaskState::Accepted)),
            })
        })
        .await;
        assert_eq!(push.ended(TaskState::Failed, Class::Blocked), blocked);
        push.claim(4, 10).await;
        let next: HashSet<&str> = push
            .out
            .iter()
            .flat_map(|claim| &claim.members)
            .map(|member| &*member.device_key)
            .collect();
        assert_eq!(next.contains("A"), blocked == 0);
        assert!(next.contains("B"));
    }
}

#[tokio::test]
async fn suspects_go_when_nothing_else_is_left() {
    let mut push = push_of(&fleet(4));
    push.claim(1, 2).await;
    let keep = Next::Again {
        due_at: push.now,
        keep_bundle: true,
    };
    push.record(|claim| {
        let mut end = sent(claim, None, |_, _| (Class::Outage, keep));
        if let RequestEnd::Sent { together, .. } = &mut end {
            *together = Some(crate::model::BundleStatus {
                refusals: 2,
                suspect: true,
                ..Default::default()
            });
        }
        end
    })
    .await;
    let exchange = push.claim(4, 4).await;
    assert!(
        exchange.claims.is_empty(),
        "they are among those that are out"
    );
    assert_eq!(push.out.len(), 1);
    assert!(!push.out[0].bundle_status.suspect);
    push.record(accepted).await;
    push.claim(4, 4).await;
    assert!(push.out[0].bundle_status.suspect && push.out[0].members.len() == 2);
}
