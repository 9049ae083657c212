//! What becomes of a command after it was taken: histories and messages say the same of it.

use super::{
    chance::{Chance, Question, hash},
    scenario::{Fate, History},
};

/// How long a device takes for its answer, as in the vendor's example.
pub(super) const ANSWER_MS: i64 = 69;

/// What has become of a command, by the share that it belongs to.
pub(super) fn fate(history: &History, chance: Chance, ticket: &str) -> Fate {
    let subject = hash(ticket);
    let draw = chance.share(Question::Fate, subject);
    if draw < history.queued {
        Fate::Queued
    } else if draw < history.queued + history.send_failed {
        Fate::SendFailed
    } else if chance.within(history.answered, Question::Answered, subject) {
        Fate::Answered
    } else {
        Fate::Sent
    }
}
