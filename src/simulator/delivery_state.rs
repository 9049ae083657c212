//! What becomes of a command after it was taken: histories and messages say the same of it.

use super::{
    chance::{Chance, Question, hash},
    scenario::{DeliveryState, History},
};

/// How long a device takes for its answer, as in the vendor's example.
pub(super) const ANSWER_MS: i64 = 69;

/// What has become of a command, by the share that it belongs to.
pub(super) fn delivery_state(history: &History, chance: Chance, ticket: &str) -> DeliveryState {
    let subject = hash(ticket);
    let draw = chance.share(Question::DeliveryState, subject);
    if draw < history.queued {
        DeliveryState::Queued
    } else if draw < history.queued + history.send_failed {
        DeliveryState::SendFailed
    } else if chance.within(history.answered, Question::Answered, subject) {
        DeliveryState::Answered
    } else {
        DeliveryState::Sent
    }
}
