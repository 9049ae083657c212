//! Who may do what at the message broker: the answers that `RabbitMQ`'s HTTP authentication backend asks for. A listener logs in there as
//! the vendor documents it, and may consume queues and nothing else.

use hyper::{Method, StatusCode};

use super::{
    login::{self, Query},
    platform::Call,
    reply::Reply,
};

/// Answers one question of the broker; `asked` is what follows `broker/` in its path.
pub(super) fn answer(call: &Call, asked: &str) -> Reply {
    if call.head.method != Method::POST {
        return Reply::html(StatusCode::METHOD_NOT_ALLOWED);
    }
    let form = Query::parse(&String::from_utf8_lossy(&call.body));
    let field = |name| form.get(name).unwrap_or_default();
    let is_allowed = match asked {
        "user" => {
            let pair = (field("username"), field("password"));
            login::check_pair(pair, &call.playing.scenario, call.now).is_ok()
        }
        "vhost" => true,
        "resource" => field("resource") == "queue" && field("permission") == "read",
        // Nobody who listens publishes.
        "topic" => false,
        _ => return Reply::html(StatusCode::NOT_FOUND),
    };
    let word = if is_allowed { "allow" } else { "deny" };
    Reply::text(StatusCode::OK, "text/plain", word)
}
