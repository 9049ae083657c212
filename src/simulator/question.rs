//! What all questions that change nothing have in common: how they are asked, who may ask, and how their answers are cut into pages.

use hyper::{Method, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    codes,
    login::Query,
    platform::{Call, Platform},
    reply::{Reply, ReplyBody},
    respond::{self, Dropped},
    scenario::AuthRefusal,
    stats::Stats,
};

/// The entries on a page when the client does not say how many it wants.
const PAGE_SIZE: usize = 10;

/// Answers one question that is asked by GET, as [`answer_by`] does.
pub(super) async fn answer(
    platform: &Platform,
    call: &Call,
    count: impl FnOnce(&mut Stats) -> &mut u64,
    respond_with: impl FnOnce(u64) -> Reply,
) -> Result<Response<ReplyBody>, Dropped> {
    answer_by((platform, call, &Method::GET), count, respond_with).await
}

/// Answers one question, or ends its connection: counts it, lets it through the limits, and tells what is asked if the token is good.
/// `respond_with` gets the question's number, from 1.
pub(super) async fn answer_by(
    (platform, call, method): (&Platform, &Call, &Method),
    count: impl FnOnce(&mut Stats) -> &mut u64,
    respond_with: impl FnOnce(u64) -> Reply,
) -> Result<Response<ReplyBody>, Dropped> {
    if call.head.method != *method {
        let reply =
            Reply::html(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, method.as_str());
        return Ok(reply.into_response(ReplyBody::Whole));
    }
    let number = {
        let mut stats = platform.counters.lock();
        let asked = count(&mut stats);
        *asked += 1;
        *asked
    };
    let act = || {
        let scenario = &call.playing.scenario;
        let token = call.header(header::AUTHORIZATION);
        match platform.tokens.check(token, scenario, call.now) {
            Ok(()) => respond_with(number),
            Err(code) => match scenario.auth_refusal {
                AuthRefusal::Code => respond::whole(code),
                AuthRefusal::Status => Reply::html(StatusCode::UNAUTHORIZED),
            },
        }
    };
    respond::limited((platform, call), number, || None, act).await
}

/// A whole number of the query; the error is the code of the refusal.
pub(super) fn number(query: &Query, name: &str) -> Result<Option<i64>, i64> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| codes::PARAMETER_CHECK)
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paging {
    /// From 1.
    pub(super) page: usize,
    /// Entries on a page, at least 1.
    pub(super) size: usize,
}

impl Paging {
    /// Reads the query; the error is the code of the refusal.
    pub(super) fn parse(query: &Query) -> Result<Self, i64> {
        let count = |name, default: usize| match number(query, name)? {
            Some(n) => usize::try_from(n)
                .ok()
                .filter(|n| *n > 0)
                .ok_or(codes::PARAMETER_CHECK),
            None => Ok(default),
        };
        Ok(Self {
            page: count("pageNum", 1)?,
            size: count("pageSize", PAGE_SIZE)?,
        })
    }

    /// Its place in the list, which may lie behind the end of it.
    pub(super) fn range(self) -> std::ops::Range<usize> {
        let begin = (self.page - 1).saturating_mul(self.size);
        begin..begin.saturating_add(self.size)
    }

    /// The page of a list that is at hand as a whole.
    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        let end = self.range().end.min(all.len());
        all.get(self.range().start..end).unwrap_or_default()
    }

    /// The answer with this page of a list that has `total` entries.
    pub(super) fn reply(self, data: &impl Serialize, total: usize) -> Reply {
        let data = serde_json::to_value(data).unwrap_or(Value::Null);
        Reply::json(&json!({
            "code": codes::OK,
            "msg": codes::text(codes::OK),
            "data": data,
            "pageNum": self.page,
            "pageSize": self.size,
            "pages": total.div_ceil(self.size),
            "total": total,
        }))
    }
}
