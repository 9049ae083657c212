//! What a push needs of a PostgreSQL server: a database with our schema, the rights to write into it, and answers that come soon.

use std::time::{Duration, Instant};

use super::finding::{Finding, chain};
use crate::{
    exit::Exit,
    settings::Server,
    store::{Presence, ReadError, Reader, ServerStore},
    ui::number::{counted, duration},
};

/// The database with its schema.
const DATABASE: &str = "database";
/// What its user may do.
const RIGHTS: &str = "rights";
/// How long it takes to answer.
const LATENCY: &str = "latency";

/// A push waits for several answers in each exchange, so that a server that is farther away bounds its rate.
const FAR: Duration = Duration::from_millis(20);
/// A server that is asked for longer than this does not answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Answers that are waited for; the soonest counts.
const ANSWERS: usize = 5;

/// Looks at all of it.
pub(super) async fn look(server: &Server) -> Vec<Finding> {
    match tokio::time::timeout(PATIENCE, findings(server)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => unusable(chain(&error)),
        Err(_) => unusable(format!(
            "{} does not answer within {}",
            server.address,
            duration(PATIENCE)
        )),
    }
}

async fn findings(server: &Server) -> Result<Vec<Finding>, ReadError> {
    let connected = ServerStore::connect(&server.address, server.password.as_ref()).await?;
    let mut reader = Reader::on_server(connected).await?;
    let runs = reader.runs().await?.len() as u64;
    let presence = reader.presence().await?;
    let missing = reader.missing_rights().await?;
    let mut soonest = Duration::MAX;
    for _ in 0..ANSWERS {
        let asked = Instant::now();
        reader.presence().await?;
        soonest = soonest.min(asked.elapsed());
    }
    reader.close().await?;
    let mut what = format!("{} has {}", server.address, counted(runs, "run"));
    // Another run can be pushed meanwhile.
    if let Presence::Owned { owner } = presence {
        what = format!("{what}, and another process ({owner}) pushes one");
    }
    Ok(vec![
        Finding::ok(DATABASE, what),
        rights(&missing),
        latency(soonest),
    ])
}

fn unusable(message: String) -> Vec<Finding> {
    let reason = "not tested, because the database cannot be used";
    vec![
        Finding::fail(DATABASE, Exit::Database, message),
        Finding::skip(RIGHTS, reason),
        Finding::skip(LATENCY, reason),
    ]
}

fn rights(missing: &[String]) -> Finding {
    let Some(first) = missing.first() else {
        return Finding::ok(RIGHTS, "the user may write results");
    };
    let others = match missing.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Finding::fail(
        RIGHTS,
        Exit::Database,
        format!("the user lacks {first}{others}"),
    )
    .todo("grant the rights, or name the user in the address who has run fleetpush db migrate")
}

fn latency(soonest: Duration) -> Finding {
    let message = format!(
        "the server answers in {:.1} ms",
        soonest.as_secs_f64() * 1e3
    );
    if soonest > FAR {
        Finding::warn(LATENCY, message)
            .todo("push from a machine that is nearer to the server: a push waits for several answers for each few requests")
    } else {
        Finding::ok(LATENCY, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_far_away_is_worth_a_look() {
        assert!(latency(FAR).lines()[0].starts_with("ok    latency"));
        let far = latency(FAR + Duration::from_millis(1)).lines();
        assert!(far[0].starts_with("warn  latency"), "{far:?}");
        assert!(far[0].contains("21.0 ms"), "{far:?}");
    }

    #[test]
    fn the_first_right_that_is_missing_is_named() {
        let rights = |missing: &[&str]| {
            let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
            rights(&missing).lines()[0].clone()
        };
        assert!(rights(&[]).starts_with("ok    rights"));
        let one = rights(&["UPDATE on lease"]);
        assert!(one.ends_with("the user lacks UPDATE on lease"), "{one}");
        let two = rights(&["UPDATE on lease", "INSERT on task"]);
        assert!(two.ends_with("UPDATE on lease and 1 more"), "{two}");
    }
}
