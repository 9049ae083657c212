//! What the answers of the platform prove about the token.

use crate::model::Answer;

/// What an answer proves about the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenVerdict {
    /// It was taken.
    Accepted,
    /// It was refused.
    Refused,
}

/// Whether an answer proves that the token was taken, or refused. Nothing is proved by an answer that could come from in front of the
/// check, as an overload's or a proxy's.
pub(super) fn verdict(answer: &Answer) -> Option<TokenVerdict> {
    if answer.http_status == 401 || matches!(answer.code, Some(401 | 91001 | 91004)) {
        return Some(TokenVerdict::Refused);
    }
    let reached_devices = answer
        .elements
        .iter()
        .flatten()
        .any(|element| match element.code {
            // The request was looked at, and perhaps nothing else.
            Some(50000 | 50005 | 50007 | 70000) => false,
            Some(_) => true,
            None => element.ticket.is_some(),
        });
    (reached_devices || matches!(answer.code, Some(200 | 201))).then_some(TokenVerdict::Accepted)
}
