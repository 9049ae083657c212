//! The product's promise as one check: the database and the platform tell the same story.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Attempt, Journal, Sim, Task};

/// A device and what is sent to it.
type Command<'a> = (&'a str, &'a str, &'a str);

/// What both sides say of one command.
#[derive(Debug, Default)]
struct Story {
    delivered: usize,
    /// Tickets that the platform gave and the database does not have.
    unknown_tickets: usize,
    /// Attempts that may or may not have been acted on.
    in_doubt: usize,
    /// Acceptances whose reply named no ticket.
    without_ticket: usize,
    accepted: usize,
}

/// Fails the test unless every row is in one state and the states add up, the attempts are counted right, every ticket of the database
/// was given by the platform for that command, and whatever the platform did beyond that is explained by an attempt in doubt.
pub(crate) fn agree(journal: &Journal, sim: &Sim) {
    adds_up(journal);
    let deliveries = sim.deliveries();
    let attempts = attempts_by_task(journal);
    let known: HashSet<&str> = journal
        .attempts
        .iter()
        .filter_map(|attempt| attempt.ticket.as_deref())
        .collect();
    let mut stories: BTreeMap<Command, Story> = BTreeMap::new();
    let mut given: HashMap<&str, Command> = HashMap::new();
    for delivery in &deliveries {
        let command = (
            delivery.product_key.as_str(),
            delivery.device_key.as_str(),
            delivery.data.as_str(),
        );
        given.insert(&delivery.ticket, command);
        let story = stories.entry(command).or_default();
        story.delivered += 1;
        story.unknown_tickets += usize::from(!known.contains(delivery.ticket.as_str()));
    }
    for task in &journal.tasks {
        let attempts = attempts.get(&key(task)).map_or(&[][..], Vec::as_slice);
        assert_eq!(task.attempts, attempts.len() as i64, "{task:?}");
        let numbers: Vec<i64> = attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(
            numbers,
            (1..=task.attempts).collect::<Vec<_>>(),
            "the attempts are numbered without a gap: {task:?}"
        );
        let (Some(product), Some(data)) = (&task.product_key, &task.data) else {
            assert_eq!(task.class.as_deref(), Some("invalid"), "{task:?}");
            continue;
        };
        let command = (product.as_str(), task.device_key.as_str(), data.as_str());
        let story = stories.entry(command).or_default();
        for attempt in attempts {
            if let Some(ticket) = &attempt.ticket {
                assert_eq!(
                    given.get(ticket.as_str()),
                    Some(&command),
                    "the platform gave another ticket: {attempt:?}"
                );
            }
            match attempt.outcome.as_str() {
                "in_doubt" => story.in_doubt += 1,
                "accepted" => {
                    story.accepted += 1;
                    story.without_ticket += usize::from(attempt.ticket.is_none());
                }
                _ => {}
            }
        }
        if task.state == "accepted" {
            let last = attempts.last().expect("an accepted task has been sent");
            assert_eq!(last.outcome, "accepted", "{task:?}");
            assert_eq!(last.ticket, task.ticket, "{task:?}");
        }
    }
    for (command, story) in &stories {
        assert!(
            story.unknown_tickets <= story.in_doubt + story.without_ticket,
            "the database lacks a ticket of {command:?}: {story:?}"
        );
        assert!(
            (story.accepted..=story.accepted + story.in_doubt).contains(&story.delivered),
            "no attempt explains what was delivered to {command:?}: {story:?}"
        );
    }
}

/// Fails the test when a device has got an earlier command after the acceptance of a later one was recorded. The commands of a device are
/// told apart by what is sent, which grows from row to row.
pub(crate) fn nothing_older_follows(journal: &Journal, sim: &Sim) {
    let accepted: HashSet<&str> = journal
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "accepted")
        .filter_map(|attempt| attempt.ticket.as_deref())
        .collect();
    let mut latest: HashMap<String, String> = HashMap::new();
    for delivery in sim.deliveries() {
        if let Some(latest) = latest.get(&delivery.device_key) {
            assert!(
                *latest <= delivery.data,
                "{} of {} after {latest}",
                delivery.data,
                delivery.device_key
            );
        }
        if accepted.contains(delivery.ticket.as_str()) {
            latest.insert(delivery.device_key, delivery.data);
        }
    }
}

/// Every row is in one state, and every view counts the same.
fn adds_up(journal: &Journal) {
    for (run, number) in journal.runs.iter().zip(1..) {
        let tasks = || journal.tasks.iter().filter(|task| task.run == number);
        let count = |state: &str| tasks().filter(|task| task.state == state).count() as i64;
        assert_eq!(
            run.accepted + run.failed + run.in_doubt + run.pending + run.skipped,
            run.tasks,
            "{run:?}"
        );
        assert_eq!(tasks().count() as i64, run.tasks, "{run:?}");
        let counted = [
            count("accepted"),
            count("failed"),
            count("in_doubt"),
            count("pending") + count("in_flight"),
            count("in_flight"),
            count("skipped"),
        ];
        let told = [
            run.accepted,
            run.failed,
            run.in_doubt,
            run.pending,
            run.in_flight,
            run.skipped,
        ];
        assert_eq!(counted, told, "{run:?}");
        if run.state == "complete" {
            assert_eq!((run.pending, run.in_flight), (0, 0), "{run:?}");
        }
    }
}

fn attempts_by_task(journal: &Journal) -> HashMap<(i64, i64, &str), Vec<&Attempt>> {
    let mut attempts: HashMap<_, Vec<_>> = HashMap::new();
    for attempt in &journal.attempts {
        attempts
            .entry((attempt.run, attempt.line, attempt.device_key.as_str()))
            .or_default()
            .push(attempt);
    }
    attempts
}

fn key(task: &Task) -> (i64, i64, &str) {
    (task.run, task.line, task.device_key.as_str())
}
