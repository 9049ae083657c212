//! The listener's half of the inbox.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use sqlx::{AssertSqlSafe, Connection};

use super::{
    super::{
        StoreError,
        bulk::Bulk,
        lock::{Inode, Lock},
        open::{connect, create_folder, open_private},
        place,
    },
    APPLICATION_ID, InboxError, SCHEMAS, version,
};
use crate::{
    model::{Consent, MessageGap, PresenceMessage, QueueMessage, ServerAddress, Timestamp},
    store::{db::DbConnection, postgres::Lease},
};

/// Messages that one transaction of a prune deletes: a commit of a batch waits no longer than that takes.
const PRUNED_AT_ONCE: i64 = 20_000;
/// Pages that go back to the file system at once: 20 MiB.
const FREED_PAGES: i64 = 5_000;
/// Types that are counted apart; a sender that makes up types must not fill the disk.
const MOST_TYPES: i64 = 200;
/// What all further types are counted as.
const FURTHER: &str = "(other types)";

const BEGIN: &str = "BEGIN IMMEDIATE";

static MESSAGES: Bulk = Bulk::insert(
    "INSERT INTO message (kind, ticket, product_key, device_key, code, kv, packet_id, at, recorded_at, digest)",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "ON CONFLICT (ticket, digest) DO NOTHING",
);

static PRESENCE: Bulk = Bulk::insert(
    "INSERT INTO presence (product_key, device_key, online_at, offline_at)",
    "(?, ?, ?, ?)",
    "ON CONFLICT (device_key, product_key) DO UPDATE SET \
         online_at = max(coalesce(presence.online_at, excluded.online_at), coalesce(excluded.online_at, presence.online_at)), \
         offline_at = max(coalesce(presence.offline_at, excluded.offline_at), coalesce(excluded.offline_at, presence.offline_at))",
);

/// An inbox that this process writes, until the value is dropped.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(super) connection: DbConnection,
    pub(super) home: Home,
}

/// Where an inbox is, and by what it is this process's own.
#[derive(Debug)]
pub(super) enum Home {
    File {
        path: PathBuf,
        _lock: Lock,
    },
    Server {
        address: ServerAddress,
        lease: Box<Lease>,
    },
}

/// As people are told of it.
impl fmt::Display for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.home {
            Home::File { path, .. } => path.display().fmt(f),
            Home::Server { address, .. } => address.fmt(f),
        }
    }
}

/// What a batch of messages came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Messages about commands that had not been there.
    pub(crate) new: u64,
    /// Messages about commands that had.
    pub(crate) repeated: u64,
}

impl Inbox {
    /// Opens the inbox at `path` as its one listener; makes it, and its folder, when there is none.
    pub(crate) async fn open(path: &Path, consent: Consent) -> Result<Self, InboxError> {
        let opened = |reason: String| InboxError::Open {
            inbox: path.display().to_string(),
            reason,
        };
        if std::fs::metadata(path).is_ok_and(|file| !file.is_file()) {
            return Err(opened("it is no regular file".to_owned()));
        }
        create_folder(path, consent)?;
        let file = open_private(path)?;
        let path = &path.canonicalize().map_err(|source| StoreError::File {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        let inode = Inode::take(file, path, !place::is_on_network(path)).map_err(owned)?;
        let metadata = inode.metadata().map_err(|source| StoreError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        if let Some(reason) = place::refusal(path, &metadata, consent.network_filesystem) {
            return Err(opened(reason));
        }
        must_be_ours_or_empty(path).await?;
        let lock = Lock::take(path, false).map_err(owned)?;
        // There is no seal: what is lost of an inbox is sent again by the queue, or is in the history.
        lock.end_seal().map_err(|source| StoreError::File {
            action: "write the lock file of",
            path: path.to_owned(),
            source,
        })?;
        let mut connection: DbConnection = connect(path, inode)
            .await
            .map_err(|error| opened(error.to_string()))?
            .into();
        migrate(&mut connection, path).await?;
        Ok(Self {
            connection,
            home: Home::File {
                path: path.to_owned(),
                _lock: lock,
            },
        })
    }

    /// The file.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        match &self.home {
            Home::File { path, .. } => path,
            Home::Server { .. } => panic!("it is on a server"),
        }
    }

    /// Records a batch of messages of a queue in one transaction. When this returns without an error it is on the disk.
    pub(crate) async fn record(
        &mut self,
        queue: &str,
        messages: &[QueueMessage],
        now: Timestamp,
    ) -> Result<Recorded, InboxError> {
        let (mut commands, mut presences) = (Vec::new(), Vec::new());
        let mut others: Vec<(&str, i64)> = Vec::new();
        for message in messages {
            match message {
                QueueMessage::Command(command) => commands.push(command),
                QueueMessage::Presence(presence) => presences.push(presence),
                QueueMessage::Other { kind, .. } => {
                    match others.iter_mut().find(|(known, _)| known == kind) {
                        Some((_, count)) => *count += 1,
                        None => others.push((kind, 1)),
                    }
                }
            }
        }
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        let before: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM message")
            .fetch_one(&mut *transaction)
            .await?;
        let given = commands.len() as u64;
        MESSAGES
            .run(&mut transaction, commands, |values, message| {
                values
                    .bind(message.kind.name())
                    .bind(&message.ticket)
                    .bind(&message.product_key)
                    .bind(&message.device_key)
                    .bind(message.code.as_deref())
                    .bind(message.kv.as_deref())
                    .bind(message.packet_id)
                    .bind(message.at.unwrap_or(now).0)
                    .bind(now.0)
                    .bind(message.digest)
            })
            .await?;
        // Nobody else writes, and ids only grow: those that a conflict left out do not count.
        let new: i64 = sqlx::query_scalar("SELECT count(*) FROM message WHERE id > ?")
            .bind(before)
            .fetch_one(&mut *transaction)
            .await?;
        PRESENCE
            .run(
                &mut transaction,
                latest(presences, now),
                |values, (device, at)| {
                    values
                        .bind(device.0)
                        .bind(device.1)
                        .bind(at[1].map(|at| at.0))
                        .bind(at[0].map(|at| at.0))
                },
            )
            .await?;
        for (kind, count) in others {
            sqlx::query(
                "INSERT INTO other (kind, messages, last_at) \
                 SELECT CASE WHEN EXISTS (SELECT 1 FROM other WHERE kind = ?1) OR (SELECT count(*) FROM other) < ?2 THEN ?1 ELSE ?3 END, \
                 ?4, ?5 WHERE true ON CONFLICT (kind) DO UPDATE SET messages = other.messages + excluded.messages, last_at = excluded.last_at",
            )
            .bind(kind)
            .bind(MOST_TYPES)
            .bind(FURTHER)
            .bind(count)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        }
        note_listened(&mut transaction, queue, now).await?;
        transaction.commit().await?;
        Ok(Recorded {
            new: new as u64,
            repeated: given - new as u64,
        })
    }

    /// Notes that a queue is listened to at this moment, also when nothing comes.
    pub(crate) async fn listened(&mut self, queue: &str, now: Timestamp) -> Result<(), InboxError> {
        // On a server only a transaction looks at the lease.
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        note_listened(&mut transaction, queue, now).await?;
        Ok(transaction.commit().await?)
    }

    /// Until when the queue was listened to last, if ever.
    pub(crate) async fn listened_until(
        &mut self,
        queue: &str,
    ) -> Result<Option<Timestamp>, InboxError> {
        let until: Option<i64> = sqlx::query_scalar("SELECT until FROM listened WHERE queue = ?")
            .bind(queue)
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(until.map(Timestamp))
    }

    /// Records a time of which messages are missing. One that overlaps the last gap of the same queue and cause, or follows it at once,
    /// extends that.
    pub(crate) async fn record_gap(
        &mut self,
        gap: &MessageGap,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        let extended = sqlx::query(
            "UPDATE gap SET from_at = min(from_at, ?2), to_at = max(to_at, ?3) WHERE id = \
             (SELECT id FROM gap WHERE queue = ?1 AND cause = ?4 AND from_at <= ?3 AND to_at >= ?2 ORDER BY to_at DESC, id DESC LIMIT 1)",
        )
        .bind(&gap.queue)
        .bind(gap.from.0)
        .bind(gap.to.0)
        .bind(gap.cause.name())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if extended == 0 {
            sqlx::query(
                "INSERT INTO gap (queue, from_at, to_at, cause, recorded_at) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(&gap.queue)
            .bind(gap.from.0)
            .bind(gap.to.0)
            .bind(gap.cause.name())
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Deletes messages that were recorded before `before`, the oldest first and not too many at once. True when there may be more.
    ///
    /// Gaps that ended before go as well; what is known of devices' connections stays, a row for each device.
    pub(crate) async fn prune(&mut self, before: Timestamp) -> Result<bool, InboxError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        // In the order of ids, which is that of the times of recording but for a clock that was set: no index of times is needed.
        let deleted = sqlx::query(
            "DELETE FROM message WHERE id IN (SELECT id FROM (SELECT id, recorded_at FROM message ORDER BY id LIMIT ?) AS oldest WHERE recorded_at < ?)",
        )
        .bind(PRUNED_AT_ONCE)
        .bind(before.0)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        sqlx::query("DELETE FROM gap WHERE to_at < ?")
            .bind(before.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        if deleted > 0
            && let DbConnection::Sqlite(connection) = &mut self.connection
        {
            sqlx::query(AssertSqlSafe(format!(
                "PRAGMA incremental_vacuum({FREED_PAGES})"
            )))
            .execute(connection)
            .await?;
        }
        Ok(deleted == PRUNED_AT_ONCE as u64)
    }

    /// Has it look as if a later version had written it.
    #[cfg(test)]
    pub(super) async fn set_version_for_test(&mut self, version: usize) {
        let pragma = format!("PRAGMA user_version = {version}");
        sqlx::query(AssertSqlSafe(pragma))
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// Closes the inbox in order.
    pub(crate) async fn close(mut self) -> Result<(), InboxError> {
        let file = match (self.home, &mut self.connection) {
            (Home::Server { lease, .. }, DbConnection::Postgres(connection, _)) => {
                lease.give_back(connection).await?;
                None
            }
            // Its lock is kept until the connection is closed.
            (home, _) => Some(home),
        };
        self.connection.close().await?;
        drop(file);
        Ok(())
    }
}

/// The product and the key of a device.
type Device<'a> = (&'a str, &'a str);

/// When each device last went offline and came online. One statement changes a row of PostgreSQL once.
fn latest(
    messages: Vec<&PresenceMessage>,
    now: Timestamp,
) -> BTreeMap<Device<'_>, [Option<Timestamp>; 2]> {
    let mut latest = BTreeMap::<_, [Option<Timestamp>; 2]>::new();
    for message in messages {
        let device = (&*message.product_key, &*message.device_key);
        let at = &mut latest.entry(device).or_default()[usize::from(message.is_online)];
        *at = (*at).max(Some(message.at.unwrap_or(now)));
    }
    latest
}

async fn note_listened(
    connection: &mut DbConnection,
    queue: &str,
    now: Timestamp,
) -> Result<(), InboxError> {
    sqlx::query(
        "INSERT INTO listened (queue, began_at, until) VALUES (?1, ?2, ?2) \
         ON CONFLICT (queue) DO UPDATE SET until = max(listened.until, excluded.until)",
    )
    .bind(queue)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Looks before anything is written, so that another program's file stays as it is.
async fn must_be_ours_or_empty(path: &Path) -> Result<(), InboxError> {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        return Ok(());
    }
    let foreign = |_| {
        InboxError::Open {
        inbox: path.display().to_string(),
        reason: "it is no inbox of fleetpush, and has been left as it is; move it away, or give another database with --db".to_owned(),
    }
    };
    let mut connection: DbConnection = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .connect()
        .await
        .map_err(foreign)?
        .into();
    let looked = version(&mut connection, path).await;
    connection.close().await?;
    match looked {
        Err(InboxError::Sql(error)) => Err(foreign(error)),
        other => other.map(drop),
    }
}

async fn migrate(connection: &mut DbConnection, path: &Path) -> Result<(), InboxError> {
    let from = version(connection, path).await?;
    for (number, schema) in SCHEMAS.iter().enumerate().skip(from) {
        let mut transaction = connection.begin_with(BEGIN).await?;
        sqlx::raw_sql(*schema).execute(&mut *transaction).await?;
        for pragma in [
            format!("PRAGMA application_id = {APPLICATION_ID}"),
            format!("PRAGMA user_version = {}", number + 1),
        ] {
            sqlx::query(AssertSqlSafe(pragma))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// The lock of an inbox belongs to a listener, not to a push.
fn owned(error: StoreError) -> InboxError {
    match error {
        StoreError::Owned { path, owner } => InboxError::Owned {
            inbox: path.display().to_string(),
            owner: owner.to_string(),
        },
        other => other.into(),
    }
}
