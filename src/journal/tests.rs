//! Pushes without a database: whatever replies come, in whatever order, the state of a push and its rows stay right.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use memory::Memory;

use super::{
    request::{Claim, ClaimLimits, Exchange, Next, Record, RequestEnd, Settlement},
    state::PushState,
};
use crate::{
    budget::Budget,
    model::{
        AfterFailure, Class, History, Outcome, RunId, RunState, Sizes, TaskId, TaskState, Ticket,
        Timestamp,
    },
    store::{FinishedRequest, Member, NewRun, PushTransaction, Run},
};

mod chaos;
mod memory;
mod others;
mod rules;
mod told;

/// A push of a run in memory.
struct Push {
    memory: Memory,
    run: Run,
    after_failure: AfterFailure,
    state: PushState,
    /// Claims that have not been recorded.
    out: Vec<Claim>,
    now: Timestamp,
}

impl Push {
    fn of(rows: &[(&str, u8)], after_failure: AfterFailure) -> Self {
        let memory = Memory::of(rows);
        let several = rows
            .iter()
            .map(|(device, _)| device)
            .collect::<HashSet<_>>()
            .len();
        let run = Run {
            id: RunId(1),
            about: NewRun {
                name: "test".into(),
                manifest: "test.csv".into(),
                manifest_path: None,
                manifest_sha256: String::new(),
                defaults: "{}".into(),
                base_url: "simulator".into(),
                identity: String::new(),
            },
            state: RunState::Running,
            created_at: Timestamp(0),
            finished_at: None,
            paused: None,
            last_control: None,
            tasks: rows.len() as u64,
            first_task: TaskId(1),
            end_task: TaskId(rows.len() as i64 + 1),
            ordered: several < rows.len(),
            sizes: Sizes::default(),
            account: None,
            part: None,
        };
        Self {
            state: PushState::new(run.clone(), after_failure, memory.rows(), Budget::default()),
            memory,
            run,
            after_failure,
            out: Vec::new(),
            now: Timestamp(1_000_000),
        }
    }

    /// The process ends, and another one goes on with what is on the disk.
    fn restart(&mut self) {
        self.run.sizes = self.memory.sizes;
        let rows = self.memory.rows();
        self.state = PushState::new(
            self.run.clone(),
            self.after_failure,
            rows,
            Budget::default(),
        );
    }

    /// Records these, claims others, and looks at everything.
    async fn exchange(&mut self, records: Vec<Record>, limits: ClaimLimits) -> Exchange {
        let mut rows = self.memory.transaction();
        let mut exchange = self
            .state
            .exchange(&mut rows, records, limits)
            .await
            .unwrap();
        rows.roll_back().await;
        self.check(&exchange, limits);
        self.out.append(&mut exchange.claims);
        exchange
    }

    fn limits(&self, requests: usize, chunk_size: u32) -> ClaimLimits {
        ClaimLimits {
            requests,
            chunk_size,
            probe: false,
            now: self.now,
        }
    }

    /// Claims so many requests.
    async fn claim(&mut self, requests: usize, chunk_size: u32) -> Exchange {
        let limits = self.limits(requests, chunk_size);
        self.exchange(vec![], limits).await
    }

    /// Records what became of the claim that was made first.
    async fn record(&mut self, end: impl FnOnce(&Claim) -> RequestEnd) -> Exchange {
        let claim = self.out.remove(0);
        let end = end(&claim);
        let limits = self.limits(0, 1);
        self.exchange(vec![Record { claim, end }], limits).await
    }

    fn check(&self, exchange: &Exchange, limits: ClaimLimits) {
        let claims = &exchange.claims;
        assert!(claims.len() <= limits.requests);
        for claim in claims {
            // Every request of a claim has been written before it is handed out.
            let (request, ended) = self.memory.requests[&claim.request];
            assert!(!ended && request.devices == claim.members.len());
            assert!((1..=limits.chunk_size as usize).contains(&claim.members.len()));
            assert!(!limits.probe || (claims.len(), claim.members.len()) == (1, 1));
            for member in &claim.members {
                self.check_member(claim, member);
            }
        }
        // No device is in flight twice.
        let out = self
            .out
            .iter()
            .chain(claims)
            .flat_map(|claim| &claim.members);
        let devices: Vec<&str> = out.map(|member| &*member.device_key).collect();
        assert_eq!(devices.iter().collect::<HashSet<_>>().len(), devices.len());
        // States add up, and another process would count the same.
        let counts = self.state.counts();
        assert_eq!(counts.ended() + counts.pending, counts.tasks);
        assert_eq!(counts.ended(), self.memory.ended.len() as u64);
        assert_eq!(counts.in_flight, devices.len() as u64);
        assert!(counts.snoozing + counts.in_flight <= counts.pending);
        assert_eq!(exchange.next_due, self.memory.next_due());
        assert!(self.state.tasks().waiting.latest() >= self.memory.rows().latest_due);
        let rows = self.memory.rows();
        let another = PushState::new(
            self.run.clone(),
            self.after_failure,
            rows,
            Budget::default(),
        );
        assert_eq!(another.counts(), counts);
    }

    fn check_member(&self, claim: &Claim, member: &Member) {
        // Nothing follows an end, and a task goes out when the one before it has ended well enough.
        assert!(!self.memory.ended.contains_key(&member.task));
        let task = &self.memory.tasks[&member.task];
        assert_eq!(task.payload, claim.payload_id);
        if let Some(previous) = task.previous {
            let (state, _) = self.memory.ended[&previous];
            let blocks = matches!(state, TaskState::Failed | TaskState::InDoubt);
            assert!(!blocks || self.after_failure == AfterFailure::Continue);
        }
    }

    /// How these tasks have ended.
    fn ended(&self, state: TaskState, class: Class) -> usize {
        let ended = self.memory.ended.values();
        ended
            .filter(|ended| **ended == (state, Some(class)))
            .count()
    }
}

/// A reply; what follows for each member.
fn sent(
    claim: &Claim,
    passed: Option<bool>,
    mut of: impl FnMut(usize, &Member) -> (Class, Next),
) -> RequestEnd {
    let tasks = claim.members.iter().enumerate().map(|(n, member)| {
        let (class, next) = of(n, member);
        let accepted = next == Next::End(TaskState::Accepted);
        let throttled = matches!(class, Class::Frequency | Class::Quota);
        Settlement {
            outcome: Outcome {
                class,
                code: accepted.then_some(200),
                message: None,
                ticket: Ticket::new("1234").filter(|_| accepted),
            },
            history: History {
                sends: member.history.sends + 1,
                snoozed: member.history.snoozed + Duration::from_secs(u64::from(throttled)),
                ..member.history
            },
            next,
            next_task_at: None,
        }
    });
    RequestEnd::Sent {
        finished: FinishedRequest::answered(claim.request, None, Timestamp(1)),
        passed,
        together: None,
        refused: None,
        tasks: tasks.collect(),
    }
}

/// Every device accepts.
fn accepted(claim: &Claim) -> RequestEnd {
    sent(claim, Some(true), |_, _| {
        (Class::Accepted, Next::End(TaskState::Accepted))
    })
}

/// The platform refuses the request as a whole: one of several devices is split, a single one fails.
fn rejected(claim: &Claim) -> RequestEnd {
    let devices = claim.members.len();
    sent(claim, Some(false), |n, _| {
        let next = match devices {
            1 => Next::End(TaskState::Failed),
            _ => Next::Split {
                second_half: n >= devices.div_ceil(2),
            },
        };
        (Class::Rejected, next)
    })
}
