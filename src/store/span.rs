//! Spans: neighbouring first sends that one reply accepted alike, written as one row (`accepted_span`).
//!
//! A fleet that accepts is most of a push, and a row for each of its devices would be most of its cost. What is not alike in everything
//! but its ticket, or not sent for the first time, has a row of `outcome` as ever.

use super::{StoreError, bulk::Bulk, end::Ended, writes::Writes};
use crate::model::{RequestId, TaskState, Timestamp};

/// The most tasks in one span: the ticket of one task is read out of the row of all of them.
const MOST: usize = 128;
/// Fewer are as well off with rows of their own.
const LEAST: usize = 2;

/// A condition on the task of this id: that it stands in no span. A span is found by its key, since spans do not overlap.
macro_rules! in_no_span {
    ($task:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM accepted_span AS g WHERE g.first_task = \
             (SELECT max(first_task) FROM accepted_span WHERE first_task <= ",
            $task,
            ") AND g.end_task > ",
            $task,
            ")"
        )
    };
}
pub(super) use in_no_span;

/// Neighbouring tasks that one request ended alike.
#[derive(Debug)]
struct Span {
    first_task: i64,
    end_task: i64,
    request: RequestId,
    code: i64,
    message: Option<Box<str>>,
    ticket_bytes: usize,
    tickets: Vec<u8>,
}

static SPAN: Bulk = Bulk::insert(
    "INSERT INTO accepted_span (first_task, end_task, request_id, code, message, ticket_bytes, tickets, finished_at)",
    "(?,?,?,?,?,?,?,?)",
    "",
);

/// Writes the spans among these tasks, which are in the order of their ids, and gives the tasks that belong to none.
pub(super) async fn write_spans<'e>(
    writes: &mut Writes<'_>,
    ended: &'e [Ended],
    now: Timestamp,
) -> Result<Vec<&'e Ended>, StoreError> {
    let (spans, others) = spans(ended);
    writes
        .bulk(&SPAN, spans, |values, span| {
            values
                .bind(span.first_task)
                .bind(span.end_task)
                .bind(span.request.0)
                .bind(span.code)
                .bind(span.message.map(String::from))
                .bind(span.ticket_bytes as i64)
                .bind(span.tickets)
                .bind(now.0)
        })
        .await?;
    Ok(others)
}

fn spans(ended: &[Ended]) -> (Vec<Span>, Vec<&Ended>) {
    let mut spans = Vec::new();
    let mut others = Vec::new();
    for alike in ended.chunk_by(goes_on) {
        for part in alike.chunks(MOST) {
            match Span::of(part) {
                Some(span) => spans.push(span),
                None => others.extend(part),
            }
        }
    }
    (spans, others)
}

/// Whether a task can stand in the span of the one before it, if that is in one.
fn goes_on(before: &Ended, task: &Ended) -> bool {
    let ticket_bytes = |task: &Ended| task.ticket.as_ref().map(|ticket| ticket.as_str().len());
    task.task.0 == before.task.0 + 1
        && can_stand_in_one(before)
        && can_stand_in_one(task)
        && task.request == before.request
        && task.code == before.code
        && task.message == before.message
        && ticket_bytes(task) == ticket_bytes(before)
}

/// Whether a task was accepted with a ticket at its first send, outside `due`.
fn can_stand_in_one(task: &Ended) -> bool {
    task.state == TaskState::Accepted && !task.was_due && task.sends == 1 && task.ticket.is_some()
}

impl Span {
    /// The span of these tasks, which go on from one to the next; none when they have to stand alone.
    fn of(tasks: &[Ended]) -> Option<Self> {
        let (first, last) = (tasks.first()?, tasks.last()?);
        if tasks.len() < LEAST || !can_stand_in_one(first) {
            return None;
        }
        let ticket_bytes = first.ticket.as_ref()?.as_str().len();
        let mut tickets = Vec::with_capacity(ticket_bytes * tasks.len());
        for ticket in tasks.iter().filter_map(|task| task.ticket.as_ref()) {
            tickets.extend_from_slice(ticket.as_str().as_bytes());
        }
        Some(Self {
            first_task: first.task.0,
            end_task: last.task.0 + 1,
            request: first.request?,
            code: first.code?,
            message: first.message.clone(),
            ticket_bytes,
            tickets,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Class, TaskId, Ticket};

    fn accepted(task: i64) -> Ended {
        Ended {
            task: TaskId(task),
            state: TaskState::Accepted,
            class: Some(Class::Accepted),
            code: Some(200),
            message: None,
            ticket: Ticket::new(&format!("{}", 1000 + task)),
            request: Some(RequestId(1)),
            sends: 1,
            was_due: false,
            next_task_at: None,
        }
    }

    /// The ids of each span, and of the others.
    fn found(ended: &[Ended]) -> (Vec<(i64, i64)>, Vec<i64>) {
        let (spans, others) = spans(ended);
        (
            spans
                .iter()
                .map(|span| (span.first_task, span.end_task))
                .collect(),
            others.iter().map(|task| task.task.0).collect(),
        )
    }

    #[test]
    fn neighbours_accepted_alike_stand_together() {
        let ended: Vec<_> = (1..=5).map(accepted).collect();
        assert_eq!(found(&ended), (vec![(1, 6)], vec![]));
        let (spans, _) = spans(&ended);
        assert_eq!(spans[0].tickets, b"10011002100310041005");
        assert_eq!(spans[0].ticket_bytes, 4);
    }

    #[test]
    fn what_differs_in_anything_stands_alone() {
        let differences: [fn(&mut Ended); 9] = [
            |task| task.code = Some(201),
            |task| task.code = None,
            |task| task.message = Some("queued".into()),
            |task| task.ticket = None,
            |task| task.ticket = Ticket::new("12345"),
            |task| task.request = Some(RequestId(2)),
            |task| task.sends = 2,
            |task| task.was_due = true,
            |task| (task.state, task.class) = (TaskState::Failed, Some(Class::Rejected)),
        ];
        for (which, differ) in differences.into_iter().enumerate() {
            let mut ended: Vec<_> = (1..=5).map(accepted).collect();
            differ(&mut ended[2]);
            assert_eq!(
                found(&ended),
                (vec![(1, 3), (4, 6)], vec![3]),
                "difference {which}"
            );
        }
        let gap: Vec<_> = [1, 2, 4, 6, 7].map(accepted).into();
        assert_eq!(found(&gap), (vec![(1, 3), (6, 8)], vec![4]));
    }

    proptest! {
        #[test]
        fn every_task_is_written_once(kinds in prop::collection::vec(0_u8..8, 0..600)) {
            let ended: Vec<_> = kinds
                .iter()
                .zip(1..)
                .map(|(kind, id)| Ended {
                    code: Some(if *kind == 0 { 201 } else { 200 }),
                    sends: if *kind == 1 { 2 } else { 1 },
                    ..accepted(id)
                })
                .collect();
            let (spans, others) = found(&ended);
            let mut written: Vec<i64> = others;
            for (first, end) in spans {
                prop_assert!((LEAST..=MOST).contains(&((end - first) as usize)));
                written.extend(first..end);
            }
            written.sort_unstable();
            prop_assert_eq!(written, (1..=kinds.len() as i64).collect::<Vec<_>>());
        }
    }
}
