//! The way of a call through the platform.

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
};

use super::{
    admin,
    chance::Question,
    history, inventory,
    platform::{Call, Platform},
    queues,
    reply::{Reply, ReplyBody},
    respond::{self, Dropped},
    scenario::Scenario,
    send::{self, Arrived},
    stats::Counters,
    thing_model,
    tokens::Tokens,
    wire::ConnectionHandle,
};
use crate::model::Timestamp;

const LOGIN: &str = "/v2/quecauth/accessKeyAuthrize/accessKeyLogin";
const REFRESH: &str = "/v2/quecauth/accessKeyAuthrize/refreshToken";
const SEND: &str = "/v2/deviceshadow/r3/openapi/dm/sendServiceData";
const TSL: &str = "/v2/quectsl/openapi/product/export/tslFile";
const HISTORY: &str = "/v2/quecdatastorage/r1/openapi/device/data/history";

const DEVICES: &str = "/v2/devicemgr/r3/openapi/product/device/overview";
const QUEUES: &str = "/v2/quecrule/r1/openapi/queue/list";
const QUEUE: &str = "/v2/quecrule/r1/openapi/queue/detail";
const PRODUCTS: &str = "/v2/quecproductmgr/r3/openapi/products";

/// The largest request body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Answers one call, or ends its connection.
pub(super) async fn serve(
    platform: &Platform,
    line: ConnectionHandle,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Dropped> {
    let (head, body) = request.into_parts();
    let (playing, now) = (platform.playing(), platform.now());
    let is_send = head.uri.path() == SEND && head.method == Method::POST;
    let arrived = is_send.then(|| Arrived::new(platform, &playing));
    let body = if arrived.as_ref().is_some_and(|head| head.leaves_unread(now)) {
        Bytes::new()
    } else {
        match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let reply = Reply::html(StatusCode::PAYLOAD_TOO_LARGE);
                return Ok(reply.into_response(ReplyBody::Whole));
            }
            Err(_) => return Err(Dropped),
        }
    };
    let call = Call {
        line,
        playing,
        now,
        head,
        body,
    };
    if let Some(arrived) = arrived {
        return arrived.answer(platform, &call).await;
    }
    if let Some(endpoint) = call.head.uri.path().strip_prefix("/__simulator/") {
        let reply = admin::answer(platform, &call, endpoint);
        return Ok(reply.into_response(ReplyBody::Whole));
    }
    match call.head.uri.path() {
        SEND => Ok(send::only_post()),
        HISTORY => history::answer(platform, &call).await,
        TSL => thing_model::answer(platform, &call).await,
        DEVICES => inventory::devices(platform, &call).await,
        PRODUCTS => inventory::products(platform, &call).await,
        QUEUES => queues::list(platform, &call).await,
        QUEUE => queues::detail(platform, &call).await,
        LOGIN => log_in(platform, &call, Tokens::log_in).await,
        REFRESH => log_in(platform, &call, Tokens::refresh).await,
        _ => Ok(Reply::html(StatusCode::NOT_FOUND).into_response(ReplyBody::Whole)),
    }
}

async fn log_in(
    platform: &Platform,
    call: &Call,
    answer: fn(&Tokens, &Counters, (&hyper::Method, &str), &Scenario, Timestamp) -> Reply,
) -> Result<Response<ReplyBody>, Dropped> {
    let playing = &call.playing;
    let number = platform.next_login();
    let act = || {
        let asked = (&call.head.method, call.query());
        answer(
            &platform.tokens,
            &platform.counters,
            asked,
            &playing.scenario,
            call.now,
        )
    };
    let away = playing
        .outage(call.now)
        .fault()
        .filter(|_| !playing.scenario.outage_spares_logins);
    if away.is_some() {
        return respond::finish(call, number, away, act).await;
    }
    let fault =
        playing
            .chance
            .alternative(&playing.scenario.login_faults, Question::LoginFault, number);
    if let Some(fault) = fault {
        *platform.counters.lock().faults.entry(fault).or_default() += 1;
    }
    respond::finish(call, number, fault, act).await
}
