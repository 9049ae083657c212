//! How a call ends: with its reply, or with what a fault makes of it.

use std::{future::pending, time::Duration};

use hyper::{Response, StatusCode, header};
use serde_json::json;

use super::{
    chance::Question,
    codes,
    platform::{Call, Passed, Platform},
    reply::{Reply, ReplyBody},
    scenario::Fault,
};

/// The connection is to be closed instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulator drops this connection")]
pub(super) struct Dropped;

/// Lets a call through the limit on requests, unless the platform is away, and then ends it as [`finish`] does.
pub(super) async fn limited(
    (platform, call): (&Platform, &Call),
    number: u64,
    fault: impl FnOnce() -> Option<Fault>,
    act: impl FnOnce() -> Reply,
) -> Result<Response<ReplyBody>, Dropped> {
    if let Some(away) = call.playing.outage(call.now).fault() {
        return finish(call, number, Some(away), act).await;
    }
    match platform.pass(call) {
        // The call is in flight until its reply is on its way.
        Passed::Through(queued, _passage) => {
            if !queued.is_zero() {
                tokio::time::sleep(queued).await;
            }
            finish(call, number, fault(), act).await
        }
        Passed::Refused(status, retry_after) => {
            let refuse = || over_limit(call, status, retry_after);
            finish(call, number, None, refuse).await
        }
    }
}

/// Acts, if the fault lets it, then waits for the latency, then ends the call. Acting comes first, so that a client that gives up
/// meanwhile has changed the platform all the same.
pub(super) async fn finish(
    call: &Call,
    number: u64,
    fault: Option<Fault>,
    act: impl FnOnce() -> Reply,
) -> Result<Response<ReplyBody>, Dropped> {
    let playing = &call.playing;
    let acted = fault.is_none_or(Fault::acts).then(act);
    let latency = playing.latency(number);
    // Who has read nothing has nothing to think about.
    let is_unread = fault.is_some_and(Fault::leaves_unread);
    if !latency.is_zero() && !is_unread {
        tokio::time::sleep(latency).await;
    }

    let mut reply = match fault {
        Some(Fault::ResetBefore | Fault::ResetUnread | Fault::ResetAfter) => {
            call.line.reset();
            return Err(Dropped);
        }
        Some(Fault::Hang | Fault::HangActed) => pending().await,
        // Whatever does not act has a page, so there always is a reply.
        _ => fault
            .and_then(|fault| page(fault, call))
            .or(acted)
            .ok_or(Dropped)?,
    };
    if playing.scenario.gzip && accepts_gzip(call) {
        reply = reply.gzipped();
    }
    if playing.scenario.clock_skew_ms != 0
        && let Some(date) = skewed_date(call)
    {
        reply = reply.with(header::DATE, &date);
    }

    let travel = match fault {
        Some(Fault::Cut) => {
            // A head is longer than this whatever its fields, so the cut never comes after the end.
            let shortest_head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n".len();
            let draw = playing.chance.share(Question::CutAt, number);
            let whole = shortest_head + reply.body.len();
            call.line.cut_after((draw * whole as f64) as usize);
            ReplyBody::Whole
        }
        Some(Fault::DeadInPool) => {
            call.line.hang_up();
            ReplyBody::Whole
        }
        Some(Fault::TooLargeUnread) => {
            call.line.reset_after_reply();
            ReplyBody::Whole
        }
        Some(Fault::WrongType) => {
            reply.content_type = "text/html";
            ReplyBody::Whole
        }
        Some(Fault::NotJson) => {
            reply.body.truncate(reply.body.len() / 2);
            ReplyBody::Whole
        }
        Some(Fault::Trickle) => {
            let over = Duration::from_millis(playing.scenario.trickle_ms);
            return Ok(reply.into_response(|body| ReplyBody::trickle(body, over)));
        }
        Some(Fault::Oversized) => {
            let size = playing.scenario.oversized_bytes;
            return Ok(reply.into_response(|body| ReplyBody::padded(body, size)));
        }
        _ => ReplyBody::Whole,
    };
    Ok(reply.into_response(travel))
}

/// The reply to a call that a limit refuses.
fn over_limit(call: &Call, status: StatusCode, retry_after: Option<u64>) -> Reply {
    let reply = Reply::html(status);
    match (&call.playing.scenario.retry_after, retry_after) {
        (None, Some(seconds)) => reply.with(header::RETRY_AFTER, &seconds.to_string()),
        _ => with_retry_after(reply, call),
    }
}

/// What stands in the place of the platform's own reply.
fn page(fault: Fault, call: &Call) -> Option<Reply> {
    let status = match fault {
        Fault::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Fault::TooLargeUnread => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Fault::InternalError | Fault::InternalErrorActed => StatusCode::INTERNAL_SERVER_ERROR,
        Fault::BadGateway | Fault::BadGatewayActed => StatusCode::BAD_GATEWAY,
        Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Page => StatusCode::OK,
        Fault::GatewayTimeout | Fault::GatewayTimeoutActed => StatusCode::GATEWAY_TIMEOUT,
        Fault::ServiceException => return Some(whole(codes::SERVICE_EXCEPTION)),
        Fault::HubUnavailable => return Some(whole(codes::HUB_UNAVAILABLE)),
        Fault::ResetBefore
        | Fault::ResetUnread
        | Fault::ResetAfter
        | Fault::Cut
        | Fault::Hang
        | Fault::HangActed
        | Fault::Trickle
        | Fault::Oversized
        | Fault::WrongType
        | Fault::NotJson
        | Fault::DeadInPool => return None,
    };
    let reply = Reply::html(status);
    Some(match fault {
        Fault::TooManyRequests | Fault::Unavailable => with_retry_after(reply, call),
        _ => reply,
    })
}

/// A refusal of the whole call.
pub(super) fn whole(code: i64) -> Reply {
    Reply::json(&json!({"code": code, "msg": codes::text(code), "data": null}))
}

fn with_retry_after(reply: Reply, call: &Call) -> Reply {
    match &call.playing.scenario.retry_after {
        Some(text) => reply.with(header::RETRY_AFTER, text),
        None => reply,
    }
}

fn accepts_gzip(call: &Call) -> bool {
    call.header(header::ACCEPT_ENCODING)
        .is_some_and(|accepted| accepted.contains("gzip"))
}

/// `Date` as a platform with another clock gives it.
fn skewed_date(call: &Call) -> Option<String> {
    let ahead = call.playing.scenario.clock_skew_ms;
    let time = jiff::Timestamp::from_millisecond(call.now.0.saturating_add(ahead)).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .ok()
}
