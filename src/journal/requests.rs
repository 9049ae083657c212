//! The requests of a push: their numbers, their payloads, and their share of the memory budget.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use super::{bundle::Bundles, refusal::Refusals, request::Claim, room::Room, task_end::TaskEnd};
use crate::{
    budget::Budget,
    model::{BundleId, Class, Payload, PayloadId, RequestId, TaskState},
    store::{Changes, EndedTask, Member, NewRequest, PayloadCache, PushTransaction, StoreError},
};

/// What a push knows of its requests.
#[derive(Debug)]
pub(super) struct Requests {
    /// Free numbers. Nobody else uses them, so that requests are counted here and rows of any number inserted at once.
    numbers: VecDeque<Range<i64>>,
    pub(super) room: Room,
    pub(super) payloads: PayloadCache,
    /// The payloads of the probes of this outage.
    probed: Vec<PayloadId>,
}

/// Tasks that are to be claimed together.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) payload_id: PayloadId,
    pub(super) bundle: Option<BundleId>,
    pub(super) members: Vec<Member>,
}

/// What came of tasks that were to be claimed.
#[derive(Debug)]
pub(super) enum Made {
    Claim(Claim),
    /// They end, since their payload is refused as such.
    Refused(Vec<TaskEnd>),
    /// They have to wait until others are done, and are as they were.
    NoRoom(Chunk),
}

impl Requests {
    /// Requests whose memory is of this budget.
    pub(super) fn within(budget: Budget) -> Self {
        Self {
            numbers: VecDeque::new(),
            room: Room::within(budget.clone()),
            payloads: PayloadCache::within(budget),
            probed: Vec::new(),
        }
    }

    /// Gets numbers for so many requests.
    pub(super) async fn have_numbers<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        requests: usize,
    ) -> Result<(), StoreError> {
        while self.count_numbers() < requests as u64 {
            self.numbers.push_back(rows.request_numbers().await?);
        }
        Ok(())
    }

    fn count_numbers(&self) -> u64 {
        let counts = self
            .numbers
            .iter()
            .map(|numbers| numbers.end.abs_diff(numbers.start));
        counts.fold(0, u64::saturating_add)
    }

    fn next_number(&mut self) -> RequestId {
        loop {
            let front = self.numbers.front_mut().expect("claims have numbers");
            match front.next() {
                Some(number) => return RequestId(number),
                None => drop(self.numbers.pop_front()),
            }
        }
    }

    /// Makes a request of these tasks if there is room, whatever the room if it is a `probe`; or ends them when their payload is refused
    /// as such.
    pub(super) fn make(
        &mut self,
        chunk: Chunk,
        payload: Arc<Payload>,
        refusals: &Refusals,
        bundles: &Bundles,
        probe: bool,
    ) -> Made {
        if let Some(reason) = refusals.of(chunk.payload_id, &payload.product_key) {
            let message = format!("not sent: payload refused in request {}", reason.request);
            let ended = chunk.members.into_iter().map(|member| TaskEnd {
                task: EndedTask {
                    task: member.task,
                    state: TaskState::Failed,
                    class: Some(Class::Rejected),
                    code: Some(reason.code),
                    message: Some(message.as_str().into()),
                    ticket: None,
                    request: None,
                    sends: member.history.sends,
                },
                was_due: member.was_due,
                next_task_at: None,
            });
            return Made::Refused(ended.collect());
        }
        if probe {
            self.room.force(&payload, chunk.members.len());
        } else if !self.room.take(&payload, chunk.members.len()) {
            return Made::NoRoom(chunk);
        }
        let request = self.next_number();
        Made::Claim(Claim {
            request,
            payload_id: chunk.payload_id,
            payload,
            bundle: chunk.bundle,
            bundle_status: bundles.bundle_status(chunk.bundle),
            members: chunk.members,
        })
    }

    /// The payloads of the probes of this outage.
    pub(super) fn probed(&self) -> &[PayloadId] {
        &self.probed
    }

    /// Notes the payload of a probe.
    pub(super) fn probe(&mut self, payload: PayloadId) {
        if !self.probed.contains(&payload) {
            self.probed.push(payload);
        }
    }

    /// The outage is over.
    pub(super) fn forget_probes(&mut self) {
        self.probed.clear();
    }
}

/// What is written of claims before anybody sees them.
pub(super) fn write_claims(changes: &mut Changes, claims: &[Claim]) {
    for claim in claims {
        // The members of a first send are a range of tasks; those of another one name their request.
        let range = match (claim.members.first(), claim.members.last()) {
            (Some(first), Some(last)) if !first.was_due => Some((first.task, last.task)),
            _ => None,
        };
        changes.requests.push(NewRequest {
            request: claim.request,
            payload: claim.payload_id,
            bundle: claim.bundle,
            range,
            devices: claim.members.len(),
        });
        let due = claim.members.iter().filter(|member| member.was_due);
        changes
            .in_flight
            .extend(due.map(|member| (member.task, claim.request)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::TaskId,
        store::{RefusalKey, RefusalRow},
    };

    fn payload() -> Arc<Payload> {
        Arc::new(Payload::plain("PK", "[1]"))
    }

    fn chunk(tasks: &[i64], was_due: bool) -> Chunk {
        Chunk {
            payload_id: PayloadId(1),
            bundle: None,
            members: tasks
                .iter()
                .map(|task| Member {
                    was_due,
                    ..Member::never_sent(TaskId(*task), format!("DK{task}").into())
                })
                .collect(),
        }
    }

    fn claimed(requests: &mut Requests, chunk: Chunk) -> Claim {
        let bundles = Bundles::new(BundleId(1), []);
        match requests.make(chunk, payload(), &Refusals::default(), &bundles, false) {
            Made::Claim(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_first_send_is_a_range_and_another_one_names_its_tasks() {
        let mut requests = Requests::within(Budget::default());
        requests.numbers.push_back(7..i64::MAX);
        let first = claimed(&mut requests, chunk(&[3, 5, 9], false));
        let again = claimed(&mut requests, chunk(&[4, 6], true));
        let mut changes = Changes::default();
        write_claims(&mut changes, &[first, again]);
        let found: Vec<_> = changes
            .requests
            .iter()
            .map(|new| (new.request.0, new.range, new.devices))
            .collect();
        let range = Some((TaskId(3), TaskId(9)));
        assert_eq!(found, [(7, range, 3), (8, None, 2)]);
        let in_flight = [(TaskId(4), RequestId(8)), (TaskId(6), RequestId(8))];
        assert_eq!(changes.in_flight, in_flight);
    }

    #[test]
    fn what_is_refused_ends_unsent_and_takes_no_number() {
        let mut requests = Requests::within(Budget::default());
        requests.numbers.push_back(7..i64::MAX);
        let key = RefusalKey {
            payload: None,
            product_key: "PK".into(),
        };
        let refusals = Refusals::new(vec![RefusalRow {
            key,
            code: 80005,
            request: RequestId(5),
            requests: 2,
            devices: 20,
            ended: true,
        }]);
        let bundles = Bundles::new(BundleId(1), []);
        let made = requests.make(chunk(&[1, 2], true), payload(), &refusals, &bundles, true);
        let Made::Refused(ended) = made else {
            panic!("{made:?}")
        };
        assert_eq!(ended.len(), 2);
        assert!(ended.iter().all(|ending| {
            ending.was_due
                && ending.task.state == TaskState::Failed
                && ending.task.code == Some(80005)
                && ending.task.message.as_deref() == Some("not sent: payload refused in request 5")
        }));
        assert_eq!(
            claimed(&mut requests, chunk(&[3], false)).request,
            RequestId(7)
        );
    }

    #[test]
    fn a_probe_goes_whatever_the_room_and_no_payload_counts_twice() {
        let mut requests = Requests::within(Budget::default());
        requests.numbers.push_back(1..i64::MAX);
        for payload in [1, 2, 1] {
            requests.probe(PayloadId(payload));
        }
        assert_eq!(requests.probed(), [PayloadId(1), PayloadId(2)]);
        requests.forget_probes();
        assert!(requests.probed().is_empty());
    }
}
