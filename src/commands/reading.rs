//! Opening the results database for a command that only shows it.

use crate::{
    clock,
    engine::settle_for_reader,
    exit::Failure,
    settings::{Place, Readable},
    store::{
        InboxError, InboxReader, Looked, Presence, ReadError, Reader, ServerStore, inbox_path,
        presence,
    },
    ui::printer::Printer,
};

/// Puts what the inbox says of these tasks beside what is recorded, for this reader. An inbox that cannot be read is warned of: what is
/// recorded is shown. Says whether it has messages that may be of use.
pub(super) async fn settle(
    reader: &mut Reader,
    place: &Place,
    looked: Looked<'_>,
    printer: &Printer,
) -> Result<bool, Failure> {
    let mut inbox = match inbox_reader(place).await {
        Ok(inbox) => inbox,
        Err(InboxError::Missing(_)) => return Ok(false),
        Err(error) => {
            printer.warn(&format!("{error}; its messages are not shown"));
            return Ok(false);
        }
    };
    // What was received before the run was made says nothing of it.
    let is_of_use = match (inbox.latest(1).await, looked) {
        (Ok(latest), Looked::Run(run)) => latest
            .iter()
            .any(|message| message.recorded_at >= run.created_at),
        (latest, _) => latest.map_or(true, |latest| !latest.is_empty()),
    };
    if !is_of_use {
        return Ok(false);
    }
    let settled = settle_for_reader(reader, &mut inbox, looked, clock::wall_now()).await?;
    if let Err(error) = settled {
        printer.warn(&format!("{error}; its messages are not shown"));
    }
    Ok(true)
}

/// Opens the inbox of a database for reading.
pub(super) async fn inbox_reader(place: &Place) -> Result<InboxReader, InboxError> {
    match place {
        Place::File(path) => InboxReader::open(&inbox_path(path)).await,
        Place::Server(server) => {
            let server = ServerStore::connect(&server.address, server.password.as_ref()).await?;
            InboxReader::on_server(server).await
        }
    }
}

/// Opens a database for reading.
pub(super) async fn reader_of(place: &Place) -> Result<Reader, ReadError> {
    match place {
        Place::File(path) => Reader::open(path).await,
        Place::Server(server) => {
            let server = ServerStore::connect(&server.address, server.password.as_ref()).await?;
            Reader::on_server(server).await
        }
    }
}

/// Opens the database for reading, with a warning when part of what was recorded is missing.
pub(super) async fn open(database: &Readable, printer: &Printer) -> Result<Reader, ReadError> {
    let mut reader = reader_of(&database.place).await?.scoped(&database.tags);
    if let Some(log) = reader.lost_log().await? {
        printer.warn(&format!(
            "the write-ahead log {} is missing: the last results of the last push are not shown; put the log back beside the database",
            log.display()
        ));
    }
    Ok(reader)
}

/// Whether somebody owns the database. What keeps that from being found out is told by whoever reads it next.
pub(super) async fn presence_at(database: &Readable) -> Presence {
    match &database.place {
        Place::File(path) => presence(path),
        Place::Server(_) => presence_on_server(&database.place)
            .await
            .unwrap_or(Presence::Unknown),
    }
}

/// Whether somebody listens into the inbox of a database.
pub(super) async fn inbox_presence(place: &Place) -> Presence {
    match place {
        Place::File(path) => presence(&inbox_path(path)),
        Place::Server(server) => {
            let listened = async {
                let server =
                    ServerStore::connect(&server.address, server.password.as_ref()).await?;
                InboxReader::presence_on(server).await
            };
            listened.await.unwrap_or(Presence::Unknown)
        }
    }
}

async fn presence_on_server(place: &Place) -> Result<Presence, ReadError> {
    let mut reader = reader_of(place).await?;
    let presence = reader.presence().await?;
    reader.close().await?;
    Ok(presence)
}
