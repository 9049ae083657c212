//! The account's queues ("Query Queue List", "Query Queue Details"): their names, and what waits in one.

use super::lenient::{self, Field};

pub(super) const LIST_PATH: &str = "/v2/quecrule/r1/openapi/queue/list";
pub(super) const DETAIL_PATH: &str = "/v2/quecrule/r1/openapi/queue/detail";

/// A queue of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedQueue {
    /// The number that the other calls want.
    pub(crate) id: String,
    /// Its whole name.
    pub(crate) name: String,
    /// Whether it takes messages, when that is said.
    pub(crate) state: Option<QueueState>,
}

/// Whether a queue takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueState {
    /// Not yet.
    NotEnabled,
    /// It does.
    Enabled,
    /// No longer: nobody has read it for 30 days.
    Disabled,
}

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Backlog {
    pub(crate) messages: Option<u64>,
    pub(crate) bytes: Option<u64>,
}

/// Reads the list of queues: an array, or an object that has one.
pub(super) fn list(body: &[u8]) -> Vec<ListedQueue> {
    let text = String::from_utf8_lossy(body);
    let mut queues = Vec::new();
    let mut take = |json: &str| queues.extend(queue(json));
    lenient::fields(text.trim_start_matches('\u{feff}'), |field, value| {
        if field != Field::Data {
            return;
        }
        if value.starts_with('[') {
            lenient::items(value, &mut take);
        } else {
            lenient::fields(value, |_, inner| {
                if inner.starts_with('[') {
                    lenient::items(inner, &mut take);
                }
            });
        }
    });
    queues
}

fn queue(json: &str) -> Option<ListedQueue> {
    let (mut id, mut name, mut state) = (None, None, None);
    lenient::fields(json, |field, value| match field {
        Field::Id | Field::QueueId => id = lenient::id(value).map(std::borrow::Cow::into_owned),
        Field::QueueName => name = lenient::id(value).map(std::borrow::Cow::into_owned),
        Field::Status | Field::QueueStatus => {
            state = match lenient::integer(value) {
                Some(0) => Some(QueueState::NotEnabled),
                Some(1) => Some(QueueState::Enabled),
                Some(2) => Some(QueueState::Disabled),
                _ => None,
            };
        }
        _ => {}
    });
    Some(ListedQueue {
        id: id?,
        name: name?,
        state,
    })
}

/// Reads what waits in a queue.
pub(super) fn backlog(body: &[u8]) -> Backlog {
    let text = String::from_utf8_lossy(body);
    let mut backlog = Backlog::default();
    let count = |value| lenient::integer(value).and_then(|count| u64::try_from(count).ok());
    lenient::fields(text.trim_start_matches('\u{feff}'), |field, value| {
        if field == Field::Data {
            lenient::fields(value, |field, value| match field {
                Field::MsgNum => backlog.messages = count(value),
                Field::MsgSize => backlog.bytes = count(value),
                _ => {}
            });
        }
    });
    backlog
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_read_from_a_list_or_a_page() {
        let expected = [
            ListedQueue {
                id: "17".to_owned(),
                name: "a.123.fleet".to_owned(),
                state: Some(QueueState::Enabled),
            },
            ListedQueue {
                id: "18".to_owned(),
                name: "a.123.old".to_owned(),
                state: Some(QueueState::Disabled),
            },
        ];
        let entries = r#"[{"id":17,"queueName":"a.123.fleet","status":1},{"id":"18","queueName":"a.123.old","status":"2"},{"id":19}]"#;
        for body in [
            format!(r#"{{"code":0,"data":{entries}}}"#),
            format!(r#"{{"code":200,"data":{{"total":3,"list":{entries}}}}}"#),
        ] {
            assert_eq!(list(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(list(b"{\"data\":null}"), []);
    }

    #[test]
    fn what_waits_is_read_as_far_as_it_is_said() {
        let body = br#"{"code":200,"data":{"msgNum":"12","msgSize":3456,"consumeRate":0.5}}"#;
        let expected = Backlog {
            messages: Some(12),
            bytes: Some(3456),
        };
        assert_eq!(backlog(body), expected);
        assert_eq!(backlog(b"{\"data\":{\"msgNum\":-1}}"), Backlog::default());
    }
}
