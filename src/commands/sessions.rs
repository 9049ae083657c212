//! `fleetpush sessions`: each start of a command that writes.

use super::{reading, runs::latest};
use crate::{
    exit::{Exit, Failure},
    model::RowFormat,
    settings::Sessions as Settings,
    store::{Presence, SessionRow},
    ui::{
        format::{Column, Value, writer},
        printer::{OutputError, Printer, unless_closed},
    },
};

/// The columns of the view `sessions`.
const COLUMNS: &[Column] = &[
    Column::shown("session"),
    Column::hidden("run"),
    Column::shown("name"),
    Column::shown("command"),
    Column::hidden("arguments"),
    Column::shown("note"),
    Column::shown("user"),
    Column::hidden("host"),
    Column::hidden("pid"),
    Column::hidden("version"),
    Column::shown("began_at"),
    Column::shown("ended_at"),
    Column::shown("stop"),
    Column::hidden("reason"),
    Column::shown("exit_code"),
    Column::shown("sent"),
    Column::shown("accepted"),
    Column::shown("failed"),
    Column::shown("in_doubt"),
    Column::hidden("requests"),
    Column::hidden("sends"),
    Column::hidden("staging_ms"),
    Column::hidden("canary_ms"),
    Column::hidden("sending_ms"),
    Column::hidden("paused_ms"),
];

/// Lists the sessions, the oldest first; with a limit the latest ones.
pub(super) async fn sessions(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    // Before the rows: a session that ends meanwhile has its end then.
    let presence = reading::presence_at(&settings.database).await;
    let mut reader = reading::open(&settings.database, printer).await?;
    let sessions = match &settings.run {
        Some(run) => {
            let run = reader.find_run_ever(run).await?;
            reader.sessions_of(run).await?
        }
        None => reader.sessions().await?,
    };
    reader.close().await?;
    if sessions.is_empty() {
        printer.say("no session is recorded: runs of earlier versions of fleetpush have none");
    }
    unless_closed(print(
        latest(&sessions, settings.limit),
        &presence,
        settings.format,
        printer,
    ))?;
    Ok(Exit::Complete)
}

fn print(
    sessions: &[SessionRow],
    presence: &Presence,
    format: RowFormat,
    printer: &Printer,
) -> Result<(), OutputError> {
    let mut writer = writer(format, COLUMNS, printer.stdout());
    for session in sessions {
        let foreign = Value::Foreign;
        writer.row(&[
            Value::Integer(session.session),
            Value::integer(session.run),
            Value::foreign(session.name.as_deref()),
            foreign(&session.command),
            Value::Json(&session.arguments),
            Value::foreign(session.note.as_deref()),
            foreign(&session.user),
            foreign(&session.host),
            Value::Integer(session.pid),
            foreign(&session.version),
            foreign(&session.began_at),
            Value::foreign(session.ended_at.as_deref()),
            Value::foreign(stop(session, presence, format)),
            Value::foreign(session.reason.as_deref()),
            Value::integer(session.exit_code),
            Value::Integer(session.sent),
            Value::Integer(session.accepted),
            Value::Integer(session.failed),
            Value::Integer(session.in_doubt),
            Value::Integer(session.requests),
            Value::Integer(session.sends),
            Value::Integer(session.staging_ms),
            Value::Integer(session.canary_ms),
            Value::Integer(session.sending_ms),
            Value::Integer(session.paused_ms),
        ])?;
    }
    writer.finish()
}

/// Why a session ended. One without an end is at work only while somebody owns the database.
fn stop<'s>(session: &'s SessionRow, presence: &Presence, format: RowFormat) -> Option<&'s str> {
    let is_killed = session.stop.as_deref() == Some("killed")
        || (session.is_open && *presence == Presence::Nobody);
    match (is_killed, format) {
        (true, RowFormat::Table) => Some("killed or lost power"),
        (true, _) => Some("killed"),
        (false, _) => session.stop.as_deref(),
    }
}
