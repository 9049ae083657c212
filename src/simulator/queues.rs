//! The calls about queues of messages: which there are (page "Query Queue List"), and what waits in one ("Query Queue Details").

use hyper::{Method, Response};
use serde_json::json;

use super::{
    codes,
    login::Query,
    platform::{Call, Platform},
    question,
    reply::{Reply, ReplyBody},
    respond::{self, Dropped},
};

/// The number of the one queue.
const QUEUE_ID: i64 = 17;
/// The good code of the list, as the vendor's example has it.
const LISTED: i64 = 0;
/// There is no such queue.
const NO_QUEUE: i64 = 16002;

/// Answers a question for the queues, or ends its connection.
pub(super) async fn list(platform: &Platform, call: &Call) -> Result<Response<ReplyBody>, Dropped> {
    let respond_with = |_| {
        let messages = &call.playing.scenario.messages;
        let queue = json!({
            "id": QUEUE_ID,
            "queueName": messages.queue,
            "queueDesc": "",
            "status": messages.queue_status as i64,
        });
        Reply::json(&json!({"code": LISTED, "msg": "", "data": [queue]}))
    };
    let asked = (platform, call, &Method::POST);
    question::answer_by(asked, |stats| &mut stats.queues, respond_with).await
}

/// Answers a question for what waits in a queue, or ends its connection.
pub(super) async fn detail(
    platform: &Platform,
    call: &Call,
) -> Result<Response<ReplyBody>, Dropped> {
    let respond_with = |_| {
        let messages = &call.playing.scenario.messages;
        match Query::parse(call.query()).get("queueId") {
            Some(id) if id == QUEUE_ID.to_string() => Reply::json(&json!({
                "code": codes::OK,
                "msg": codes::text(codes::OK),
                "data": {"msgNum": messages.waiting, "msgSize": messages.waiting_bytes, "consumeRate": 0},
            })),
            Some(_) => {
                Reply::json(&json!({"code": NO_QUEUE, "msg": "Queue does not exist", "data": null}))
            }
            None => respond::whole(codes::PARAMETER_CHECK),
        }
    };
    let asked = (platform, call, &Method::GET);
    question::answer_by(asked, |stats| &mut stats.queues, respond_with).await
}
