//! Accepted ranges: neighbouring first sends that one reply accepted alike, written as one row.
//!
//! Most sends of a push are accepted, and a row for each of them would be most of its cost. A task has a row of its own if it differs in
//! anything but its ticket, or was sent before.

use super::task_end::TaskEnd;
use crate::{
    model::{TaskId, TaskState},
    store::{AcceptedRange, EndedTask},
};

/// The most tasks in one range: the ticket of one task is read out of the row of all of them.
const MOST: usize = 128;
/// Fewer are as well off with rows of their own.
const LEAST: usize = 2;

/// The ranges among these tasks, which are in the order of their ids, and the tasks that belong to none.
pub(super) fn accepted_ranges(ended: Vec<TaskEnd>) -> (Vec<AcceptedRange>, Vec<EndedTask>) {
    let mut ranges = Vec::new();
    // How many tasks follow that are in a range, or not.
    let mut parts = Vec::new();
    for alike in ended.chunk_by(goes_on) {
        for part in alike.chunks(MOST) {
            let range = range_of(part);
            parts.push((part.len(), range.is_some()));
            ranges.extend(range);
        }
    }
    let mut others = Vec::new();
    let mut ended = ended.into_iter();
    for (tasks, in_range) in parts {
        let part = ended.by_ref().take(tasks);
        if in_range {
            part.for_each(drop);
        } else {
            others.extend(part.map(|ending| ending.task));
        }
    }
    (ranges, others)
}

/// Whether a task can stand in the range of the one before it, if that is in one.
fn goes_on(before: &TaskEnd, ending: &TaskEnd) -> bool {
    let ticket_bytes = |task: &EndedTask| task.ticket.as_ref().map(|ticket| ticket.as_str().len());
    let (first, second) = (&before.task, &ending.task);
    second.task.0 == first.task.0 + 1
        && can_stand_in_one(before)
        && can_stand_in_one(ending)
        && second.request == first.request
        && second.code == first.code
        && second.message == first.message
        && ticket_bytes(second) == ticket_bytes(first)
}

/// Whether a task was accepted with a ticket at its first send, outside `due`.
fn can_stand_in_one(ending: &TaskEnd) -> bool {
    let task = &ending.task;
    task.state == TaskState::Accepted && !ending.was_due && task.sends == 1 && task.ticket.is_some()
}

/// The range of these tasks, which go on from one to the next; none when they have to stand alone.
fn range_of(endings: &[TaskEnd]) -> Option<AcceptedRange> {
    let (first, last) = (endings.first()?, endings.last()?);
    if endings.len() < LEAST || !can_stand_in_one(first) {
        return None;
    }
    let ticket_bytes = first.task.ticket.as_ref()?.as_str().len();
    let mut tickets = Vec::with_capacity(ticket_bytes * endings.len());
    for ticket in endings
        .iter()
        .filter_map(|ending| ending.task.ticket.as_ref())
    {
        tickets.extend_from_slice(ticket.as_str().as_bytes());
    }
    Some(AcceptedRange {
        first_task: first.task.task,
        end_task: TaskId(last.task.task.0 + 1),
        request: first.task.request?,
        code: first.task.code?,
        message: first.task.message.clone(),
        ticket_bytes,
        tickets,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Class, RequestId, Ticket};

    fn accepted(task: i64) -> TaskEnd {
        TaskEnd {
            task: EndedTask {
                task: TaskId(task),
                state: TaskState::Accepted,
                class: Some(Class::Accepted),
                code: Some(200),
                message: None,
                ticket: Ticket::new(&format!("{}", 1000 + task)),
                request: Some(RequestId(1)),
                sends: 1,
            },
            was_due: false,
            next_task_at: None,
        }
    }

    /// The ids of each range, and of the others.
    fn found(ended: Vec<TaskEnd>) -> (Vec<(i64, i64)>, Vec<i64>) {
        let (ranges, others) = accepted_ranges(ended);
        (
            ranges
                .iter()
                .map(|range| (range.first_task.0, range.end_task.0))
                .collect(),
            others.iter().map(|task| task.task.0).collect(),
        )
    }

    #[test]
    fn neighbours_accepted_alike_stand_together() {
        let ended = || (1..=5).map(accepted).collect();
        assert_eq!(found(ended()), (vec![(1, 6)], vec![]));
        let (ranges, _) = accepted_ranges(ended());
        assert_eq!(ranges[0].tickets, b"10011002100310041005");
        assert_eq!(ranges[0].ticket_bytes, 4);
    }

    #[test]
    fn what_differs_in_anything_stands_alone() {
        let differences: [fn(&mut TaskEnd); 9] = [
            |ending| ending.task.code = Some(201),
            |ending| ending.task.code = None,
            |ending| ending.task.message = Some("queued".into()),
            |ending| ending.task.ticket = None,
            |ending| ending.task.ticket = Ticket::new("12345"),
            |ending| ending.task.request = Some(RequestId(2)),
            |ending| ending.task.sends = 2,
            |ending| ending.was_due = true,
            |ending| {
                (ending.task.state, ending.task.class) = (TaskState::Failed, Some(Class::Rejected));
            },
        ];
        for (which, differ) in differences.into_iter().enumerate() {
            let mut ended: Vec<_> = (1..=5).map(accepted).collect();
            differ(&mut ended[2]);
            assert_eq!(
                found(ended),
                (vec![(1, 3), (4, 6)], vec![3]),
                "difference {which}"
            );
        }
        let gap: Vec<_> = [1, 2, 4, 6, 7].map(accepted).into();
        assert_eq!(found(gap), (vec![(1, 3), (6, 8)], vec![4]));
    }

    proptest! {
        #[test]
        fn every_task_is_written_once(kinds in prop::collection::vec(0_u8..8, 0..600)) {
            let ended: Vec<_> = kinds
                .iter()
                .zip(1..)
                .map(|(kind, id)| {
                    let mut ending = accepted(id);
                    ending.task.code = Some(if *kind == 0 { 201 } else { 200 });
                    ending.task.sends = if *kind == 1 { 2 } else { 1 };
                    ending
                })
                .collect();
            let (ranges, others) = found(ended);
            let mut written: Vec<i64> = others;
            for (first, end) in ranges {
                prop_assert!((LEAST..=MOST).contains(&((end - first) as usize)));
                written.extend(first..end);
            }
            written.sort_unstable();
            prop_assert_eq!(written, (1..=kinds.len() as i64).collect::<Vec<_>>());
        }
    }
}
