//! The session of a command that writes: who starts it, and how it ended.

use tracing::warn;

use crate::{
    clock,
    engine::Stop,
    exit::{Exit, Failure},
    model::Asker,
    settings::{Introduction, kept_arguments},
    store::{NewSession, Run, SessionEnd, SessionTotals, Store},
};

/// Who starts this process, with what, and why.
pub(super) fn of_process(introduction: &Introduction) -> NewSession {
    NewSession {
        command: introduction.command,
        about: asker(introduction),
        user: user(),
        began_at: clock::process_start(),
    }
}

/// The same, for another process that carries it out.
pub(super) fn asker(introduction: &Introduction) -> Asker {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Asker {
        arguments: kept_arguments(std::env::args_os().skip(1)),
        note: introduction.note.clone(),
        host: host.trim().to_owned(),
        pid: std::process::id(),
        version: env!("VERSION_OF_FLEETPUSH").to_owned(),
    }
}

/// What this process says of itself to others that want a database on a server.
pub(super) fn holder() -> String {
    format!(
        "pid {} on host {}",
        std::process::id(),
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap_or_default()
            .trim()
    )
}

/// Notes how a push, or something like it, ended, and gives what it came to. What cannot be noted is no reason to fail: how the run stands is
/// on the disk.
pub(super) async fn end(store: &mut Store, stop: &Stop, exit: Exit) -> Option<SessionTotals> {
    end_as(
        store,
        SessionEnd {
            stop: stop.name(),
            reason: stop.reason().map(ToOwned::to_owned),
            exit_code: exit as u8,
        },
    )
    .await
}

/// Notes that the session failed, and why.
pub(super) async fn end_failed(store: &mut Store, failure: &Failure) {
    end_as(
        store,
        SessionEnd {
            stop: "error",
            reason: Some(failure.message()),
            exit_code: failure.exit() as u8,
        },
    )
    .await;
}

/// Passes on what a session that has begun came to, and notes its end if it has failed.
pub(super) async fn noted<T, E: Into<Failure>>(
    store: &mut Store,
    result: Result<T, E>,
) -> Result<T, Failure> {
    match result {
        Ok(done) => Ok(done),
        Err(error) => {
            let failure = error.into();
            end_failed(store, &failure).await;
            Err(failure)
        }
    }
}

/// Notes a session that did what it was to do.
pub(super) async fn end_done(store: &mut Store, did: String) {
    end_as(
        store,
        SessionEnd {
            stop: "complete",
            reason: Some(did),
            exit_code: Exit::Complete as u8,
        },
    )
    .await;
}

/// Notes a session that had no reason to send anything, or none that counts now.
pub(super) async fn idle(
    store: &mut Store,
    run: Option<&Run>,
    stop: &'static str,
    reason: Option<String>,
    exit: Exit,
) {
    if let Err(error) = store.begin_session(run).await {
        warn!(%error, "the session could not be noted");
        return;
    }
    let end = SessionEnd {
        stop,
        reason,
        exit_code: exit as u8,
    };
    end_as(store, end).await;
}

async fn end_as(store: &mut Store, end: SessionEnd) -> Option<SessionTotals> {
    match store.end_session(&end, clock::wall_now()).await {
        Ok(totals) => totals,
        Err(error) => {
            warn!(%error, "the end of the session could not be noted");
            None
        }
    }
}

/// The name of the user whose process this is, with who became it by `sudo`.
pub(super) fn user() -> String {
    let id = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(id, &users)
        .map(ToOwned::to_owned)
        .or_else(|| variable("USER"))
        .unwrap_or_else(|| format!("uid {id}"));
    match variable("SUDO_USER").filter(|by| *by != name) {
        Some(by) => format!("{name} (sudo by {by})"),
        None => name,
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The name of this number among lines such as `anna:x:1000:1000:Anna:/home/anna:/bin/sh`.
fn name_of(id: u32, users: &str) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nanna:x:1000:1000::/home/anna:/bin/sh\n";
        assert_eq!(name_of(1000, users), Some("anna"));
        assert_eq!(name_of(0, users), Some("root"));
        assert_eq!(name_of(7, users), None);
    }
}
