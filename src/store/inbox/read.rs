//! The readers' half of the inbox.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, FromRow, sqlite::SqliteConnectOptions};

use super::{InboxError, version};
use crate::{
    model::{GapCause, MessageGap, MessageKind, Timestamp},
    store::{Presence, db::DbConnection, presence},
};

/// How long a query waits for a lock; the listener holds one for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is read of a message.
pub(super) const COLUMNS: &str = "SELECT id, kind, ticket, product_key, device_key, code, kv, packet_id, at, recorded_at FROM message";

/// A message about a command, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxMessage {
    /// Its position: later messages have higher ones, and none is given twice.
    pub(crate) id: i64,
    /// What it says.
    pub(crate) kind: MessageKind,
    /// The ticket, as the platform wrote it.
    pub(crate) ticket: String,
    /// The product of the device.
    pub(crate) product_key: String,
    pub(crate) device_key: String,
    /// The service, of `INPUT` and `OUTPUT`.
    pub(crate) code: Option<String>,
    /// The values by name, as JSON text, of `INPUT` and `OUTPUT`.
    pub(crate) kv: Option<String>,
    /// The number of the packet, which wraps.
    pub(crate) packet_id: Option<i64>,
    /// The platform's time.
    pub(crate) at: Timestamp,
    /// When it was recorded.
    pub(crate) recorded_at: Timestamp,
}

/// The most messages about one device that are read of a time.
pub(crate) const MOST_OF_DEVICE: usize = 500;

/// A device, and from when on messages about it are wanted, by the platform's clock.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Since<'a> {
    pub(in crate::store) product_key: &'a str,
    pub(in crate::store) device_key: &'a str,
    pub(in crate::store) from: Timestamp,
}

/// When a device last came online and went offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DevicePresence {
    /// The last time that it came online, if it is known.
    pub(crate) online_at: Option<Timestamp>,
    /// The last time that it went offline, if it is known.
    pub(crate) offline_at: Option<Timestamp>,
}

/// Messages that were counted and not kept.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct OtherCount {
    /// Their type, or what was wrong with them in parentheses.
    pub(crate) kind: String,
    /// How many.
    pub(crate) messages: i64,
}

/// What a message says of the command with its ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketMessage {
    pub(crate) kind: MessageKind,
    pub(crate) ticket: Box<str>,
    pub(crate) device_key: Box<str>,
    /// The platform's time.
    pub(crate) at: Timestamp,
    /// The values by name, as JSON text, of `OUTPUT`.
    pub(crate) answer: Option<Box<str>>,
}

/// How far an inbox has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxPlace {
    /// Its name, which no other has.
    pub(crate) inbox: String,
    /// The position of its last message.
    pub(crate) position: i64,
}

/// The product and the key of a device that a message is about.
pub(crate) type MessageDevice = (Box<str>, Box<str>);

/// The schema since which an inbox has a name.
const NAMED_SINCE: usize = 2;

/// A row of [`OF_TICKETS`].
type TicketRow<'a> = (&'a str, Box<str>, Box<str>, i64, Option<Box<str>>);

/// As one text: a row of its own for each costs several times as much.
const OF_TICKETS: &str = "SELECT json_group_array(json_array(m.kind, m.ticket, m.device_key, m.at, CASE WHEN m.kind = 'output' THEN m.kv END)) \
     FROM json_each(?) AS j CROSS JOIN message AS m ON m.ticket = j.value";

#[derive(FromRow)]
pub(super) struct Row {
    id: i64,
    kind: String,
    ticket: String,
    product_key: String,
    device_key: String,
    code: Option<String>,
    kv: Option<String>,
    packet_id: Option<i64>,
    at: i64,
    recorded_at: i64,
}

/// An inbox, open for reading alone.
#[derive(Debug)]
pub(crate) struct InboxReader {
    pub(super) connection: DbConnection,
    /// The file, if it is one.
    pub(super) file: Option<PathBuf>,
}

impl InboxReader {
    /// Opens the inbox at `path`; [`InboxError::Missing`] when nobody has listened yet.
    pub(crate) async fn open(path: &Path) -> Result<Self, InboxError> {
        Self::open_within(path, BUSY_TIMEOUT).await
    }

    /// The same for a reader that waits for locks for no longer than `busy`.
    pub(super) async fn open_within(path: &Path, busy: Duration) -> Result<Self, InboxError> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(InboxError::Missing(path.display().to_string()));
            }
            // A listener has just begun to make it.
            Ok(file) if file.len() == 0 => {
                return Err(InboxError::Missing(path.display().to_string()));
            }
            _ => {}
        }
        let mut connection: DbConnection = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(busy)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|error| InboxError::Open {
                inbox: path.display().to_string(),
                reason: error.to_string(),
            })?
            .into();
        if version(&mut connection, path).await? == 0 {
            connection.close().await?;
            return Err(InboxError::Missing(path.display().to_string()));
        }
        Ok(Self {
            connection,
            file: Some(path.to_owned()),
        })
    }

    /// Whether somebody receives messages into it, as far as that is known.
    pub(crate) async fn listener(&mut self) -> Result<Presence, InboxError> {
        match &self.file {
            Some(file) => Ok(presence(file)),
            None => self.listener_on_server().await,
        }
    }

    /// The messages after this position in the order in which they were recorded, at most `limit`.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "who follows the inbox reads it")
    )]
    pub(crate) async fn after(
        &mut self,
        position: i64,
        limit: u32,
    ) -> Result<Vec<InboxMessage>, InboxError> {
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE id > ? ORDER BY id LIMIT ?"
        )))
        .bind(position)
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await?;
        messages(rows)
    }

    /// The messages with this ticket, in the order in which they were recorded.
    pub(crate) async fn of_ticket(
        &mut self,
        ticket: &str,
    ) -> Result<Vec<InboxMessage>, InboxError> {
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE ticket = ? ORDER BY id"
        )))
        .bind(ticket)
        .fetch_all(&mut self.connection)
        .await?;
        messages(rows)
    }

    /// What messages with one of these tickets say, in no order.
    pub(crate) async fn of_tickets(
        &mut self,
        tickets: &[&str],
    ) -> Result<Vec<TicketMessage>, InboxError> {
        let listed: String = sqlx::query_scalar(OF_TICKETS)
            .bind(serde_json::json!(tickets).to_string())
            .fetch_one(&mut self.connection)
            .await?;
        let rows: Vec<TicketRow<'_>> = serde_json::from_str(&listed)
            .map_err(|error| InboxError::Damaged(format!("a message cannot be read: {error}")))?;
        let message = |(kind, ticket, device_key, at, answer): TicketRow<'_>| {
            Ok(TicketMessage {
                kind: kind_of(kind)?,
                ticket,
                device_key,
                at: Timestamp(at),
                answer,
            })
        };
        rows.into_iter().map(message).collect()
    }

    /// The latest messages, at most `limit`.
    pub(crate) async fn latest(&mut self, limit: u32) -> Result<Vec<InboxMessage>, InboxError> {
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} ORDER BY id DESC LIMIT ?"
        )))
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await?;
        messages(rows)
    }

    /// Which inbox it is, and how far it has come; none of one that has no name yet, which the next listener gives it.
    pub(crate) async fn place(&mut self) -> Result<Option<InboxPlace>, InboxError> {
        if let Some(file) = &self.file
            && version(&mut self.connection, file).await? < NAMED_SINCE
        {
            return Ok(None);
        }
        let inbox = sqlx::query_scalar("SELECT uid FROM identity")
            .fetch_one(&mut self.connection)
            .await?;
        let position = self.position().await?;
        Ok(Some(InboxPlace { inbox, position }))
    }

    /// The devices that messages after this position are about; none when they are more than `most`.
    pub(crate) async fn devices_after(
        &mut self,
        position: i64,
        most: usize,
    ) -> Result<Option<Vec<MessageDevice>>, InboxError> {
        let listed: String = sqlx::query_scalar(
            "SELECT json_group_array(json_array(product_key, device_key)) FROM \
             (SELECT DISTINCT product_key, device_key FROM message WHERE id > ? LIMIT ?) AS later",
        )
        .bind(position)
        .bind(most as i64 + 1)
        .fetch_one(&mut self.connection)
        .await?;
        let devices: Vec<MessageDevice> = serde_json::from_str(&listed)
            .map_err(|error| InboxError::Damaged(format!("a device cannot be read: {error}")))?;
        Ok((devices.len() <= most).then_some(devices))
    }

    /// The position of the last message, which only grows; 0 without one.
    pub(crate) async fn position(&mut self) -> Result<i64, InboxError> {
        let last: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM message")
            .fetch_one(&mut self.connection)
            .await?;
        Ok(last.unwrap_or(0))
    }

    /// The messages about commands to this device, in the order in which they were recorded.
    pub(crate) async fn of_device(
        &mut self,
        product_key: &str,
        device_key: &str,
    ) -> Result<Vec<InboxMessage>, InboxError> {
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE device_key = ? AND product_key = ? ORDER BY id"
        )))
        .bind(device_key)
        .bind(product_key)
        .fetch_all(&mut self.connection)
        .await?;
        messages(rows)
    }

    /// When this device last came online and went offline; none when no message has said so.
    pub(crate) async fn presence(
        &mut self,
        product_key: &str,
        device_key: &str,
    ) -> Result<Option<DevicePresence>, InboxError> {
        let row: Option<(Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT online_at, offline_at FROM presence WHERE device_key = ? AND product_key = ?",
        )
        .bind(device_key)
        .bind(product_key)
        .fetch_optional(&mut self.connection)
        .await?;
        Ok(row.map(|(online_at, offline_at)| DevicePresence {
            online_at: online_at.map(Timestamp),
            offline_at: offline_at.map(Timestamp),
        }))
    }

    /// The messages that were counted and not kept, by type.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "who looks for the cause of silence reads it")
    )]
    pub(crate) async fn others(&mut self) -> Result<Vec<OtherCount>, InboxError> {
        Ok(
            sqlx::query_as("SELECT kind, messages FROM other ORDER BY kind")
                .fetch_all(&mut self.connection)
                .await?,
        )
    }

    /// The times of which messages are missing, the earliest first.
    pub(crate) async fn gaps(&mut self) -> Result<Vec<MessageGap>, InboxError> {
        let rows: Vec<(String, i64, i64, String)> =
            sqlx::query_as("SELECT queue, from_at, to_at, cause FROM gap ORDER BY from_at, id")
                .fetch_all(&mut self.connection)
                .await?;
        Ok(rows
            .into_iter()
            .map(|(queue, from, to, cause)| MessageGap {
                queue,
                from: Timestamp(from),
                to: Timestamp(to),
                cause: if cause == GapCause::Full.name() {
                    GapCause::Full
                } else {
                    GapCause::Away
                },
            })
            .collect())
    }

    /// Since when and until when somebody has listened, over all queues; none when nobody has.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "who looks for the cause of silence reads it")
    )]
    pub(crate) async fn listened(&mut self) -> Result<Option<(Timestamp, Timestamp)>, InboxError> {
        let (began, until): (Option<i64>, Option<i64>) =
            sqlx::query_as("SELECT min(began_at), max(until) FROM listened")
                .fetch_one(&mut self.connection)
                .await?;
        Ok(began
            .zip(until)
            .map(|(began, until)| (Timestamp(began), Timestamp(until))))
    }

    /// Closes the inbox.
    pub(crate) async fn close(self) -> Result<(), InboxError> {
        Ok(self.connection.close().await?)
    }
}

pub(super) fn messages(rows: Vec<Row>) -> Result<Vec<InboxMessage>, InboxError> {
    let message = |row: Row| {
        Ok(InboxMessage {
            id: row.id,
            kind: kind_of(&row.kind)?,
            ticket: row.ticket,
            product_key: row.product_key,
            device_key: row.device_key,
            code: row.code,
            kv: row.kv,
            packet_id: row.packet_id,
            at: Timestamp(row.at),
            recorded_at: Timestamp(row.recorded_at),
        })
    };
    rows.into_iter().map(message).collect()
}

fn kind_of(name: &str) -> Result<MessageKind, InboxError> {
    let mut kinds = MessageKind::ALL.into_iter();
    kinds
        .find(|kind| kind.name() == name)
        .ok_or_else(|| InboxError::Damaged(format!("a message is of kind '{name}'")))
}
