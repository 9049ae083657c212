//! Opening a database as its owner. It is first opened as it is, because its schema may be an older one.

use std::path::{Path, PathBuf};

use rand::RngExt;
use sqlx::{Connection, SqliteConnection, migrate::MigrateError};

use super::{
    Owner, Store, StoreError,
    db::DbConnection,
    file_id::FileId,
    home::{FileHome, Home, ServerHome},
    identity::{Identity, identify, log_path},
    inbox::InboxBeside,
    lock::{Inode, Lock},
    migrate::{self, Upgrade},
    open::{connect, create_folder, open_private},
    owner, place,
    postgres::{Lease, Purpose, ServerStore},
    schema,
    session::Present,
    views,
};
use crate::{
    budget::Budget,
    model::{Consent, Tags},
};

/// A database of this process, before its schema is brought up to date.
#[derive(Debug)]
pub(crate) struct Opened {
    connection: SqliteConnection,
    path: PathBuf,
    is_new: bool,
    lost_log: bool,
    file: FileId,
    lock: Lock,
    upgrade: Upgrade,
}

impl Opened {
    /// Takes the database at `path`, and looks at what it needs.
    pub(crate) async fn open(path: &Path, consent: Consent) -> Result<Self, StoreError> {
        let opened = |reason: String| StoreError::Open {
            path: path.to_owned(),
            reason,
        };
        match std::fs::metadata(path) {
            Ok(file) if file.is_dir() => {
                return Err(opened(format!(
                    "it is a folder; name a file in it, for example {}",
                    path.join("fleetpush.db").display()
                )));
            }
            Ok(file) if !file.is_file() => {
                return Err(opened(
                    "it is not a regular file; name another with --db".into(),
                ));
            }
            _ => create_folder(path, consent)?,
        }
        let file = open_private(path)?;
        // Whatever link it was reached by, so that no two owners take different locks.
        let path = &path.canonicalize().map_err(|source| StoreError::File {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        let mut inode = Inode::take(file, path, !place::is_on_network(path))?;
        let looked = |source| StoreError::File {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let metadata = inode.metadata().map_err(looked)?;
        let allowed = consent.network_filesystem;
        if let Some(reason) = place::refusal(path, &metadata, allowed) {
            return Err(opened(reason));
        }
        let identity = identify(path, &inode.head().map_err(looked)?).await?;
        let lost_log = match identity {
            Identity::New => false,
            Identity::Ours { log_is_lost } => log_is_lost && !Lock::was_left_in_a_seal(path),
            Identity::Foreign => {
                return Err(opened(
                    "it is not a results database of fleetpush, and was not changed; name another with --db".into(),
                ));
            }
        };
        if lost_log && !consent.lost_log {
            return Err(StoreError::LostLog {
                log: log_path(path),
                path: path.to_owned(),
            });
        }
        let lock = Lock::take(path, consent.for_moments)?;
        let mut connection = connect(path, inode)
            .await
            .map_err(|error| opened(error.to_string()))?;
        let upgrade = match migrate::pending(&mut connection).await {
            Ok(upgrade) => upgrade,
            Err(error) => {
                let _ = connection.close().await;
                lock.leave();
                return Err(opened(error.to_string()));
            }
        };
        Ok(Self {
            connection,
            path: path.to_owned(),
            is_new: identity == Identity::New,
            lost_log,
            file: FileId::of(&metadata),
            lock,
            upgrade,
        })
    }

    /// The database file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What brings it up to date.
    pub(crate) fn upgrade(&self) -> &Upgrade {
        &self.upgrade
    }

    /// How many bytes a copy of it takes.
    pub(crate) async fn size(&mut self) -> Result<u64, StoreError> {
        Ok(migrate::size(&mut self.connection).await?)
    }

    /// Copies it as it is to a file that is not there yet.
    pub(crate) async fn copy(&mut self, to: &Path) -> Result<(), StoreError> {
        migrate::copy(&mut self.connection, to).await
    }

    /// Gives it back as it was.
    pub(crate) async fn leave(self) -> Result<(), StoreError> {
        let closed = self.connection.close().await;
        self.lock.leave();
        Ok(closed?)
    }

    /// Brings it up to date, and makes it ready for a command that writes.
    pub(crate) async fn migrate(mut self) -> Result<Store, StoreError> {
        if let Err(error) = schema::migrate(&mut self.connection).await {
            let reason = match error {
                MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                    "it was made by a newer fleetpush; use that version, or give another database with --db".into()
                }
                other => other.to_string(),
            };
            let path = self.path.clone();
            self.leave().await?;
            return Err(StoreError::Open { path, reason });
        }
        if let Err(error) = views::renew(&mut self.connection).await {
            self.leave().await?;
            return Err(error.into());
        }
        let Self {
            mut connection,
            path,
            is_new,
            lost_log,
            file,
            lock,
            upgrade: _,
        } = self;
        owner::take_over(&mut connection, rand::rng().random()).await?;
        let mut store = Store {
            connection: connection.into(),
            messages: InboxBeside::of(&path),
            home: Home::File(FileHome {
                path,
                is_new,
                lost_log,
                file,
                log: None,
                lock,
            }),
            session: Present::default(),
            scope: Tags::default(),
            budget: Budget::default(),
        };
        store.seal().await?;
        store.finish_pruning().await?;
        store.discard_staging().await?;
        Ok(store)
    }
}

impl Store {
    /// Takes a database on a server, unless somebody else holds its lease; `holder` is what to tell others of this process.
    pub(crate) async fn on_server(
        mut server: ServerStore,
        holder: &str,
    ) -> Result<Self, StoreError> {
        server.must_be_current().await?;
        let lease = match Lease::take(&mut server, Purpose::Database, holder).await? {
            Ok(lease) => lease,
            Err(holder) => {
                return Err(StoreError::Leased {
                    address: server.address().clone(),
                    holder: Owner(holder),
                });
            }
        };
        let (connection, access) = server.into_parts();
        let mut store = Self {
            connection: DbConnection::owning(connection),
            messages: InboxBeside::in_tables(),
            home: Home::Server(Box::new(ServerHome {
                access,
                lease,
                canceller: None,
                part: None,
                registered: None,
            })),
            session: Present::default(),
            scope: Tags::default(),
            budget: Budget::default(),
        };
        store.finish_pruning().await?;
        store.discard_staging().await?;
        sqlx::query("SELECT fleetpush.raise_numbers()")
            .execute(&mut store.connection)
            .await?;
        Ok(store)
    }

    /// Opens the database at `path` as [`open_with`](Self::open_with) does, with nothing agreed to.
    #[cfg(test)]
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Consent::default()).await
    }

    /// Opens the database at `path` as its one owner; creates it, and its folder, when it does not exist. What is no database of ours, or
    /// lies where it can have two owners, is left as it is, and so is one whose schema takes long to bring up to date.
    ///
    /// What survives: in WAL mode with `synchronous=FULL` a transaction is on the disk when its commit returns. So neither the end of
    /// the process at any moment nor a loss of power loses a claim that was sent or an outcome that was shown. `NORMAL` would survive
    /// the process but not the power: commands could have been sent of which the database knows nothing. `FULL` costs one flush for
    /// each commit, and since commits are made for groups of requests, no throughput that could be measured.
    pub(crate) async fn open_with(path: &Path, consent: Consent) -> Result<Self, StoreError> {
        let opened = Opened::open(path, consent).await?;
        if opened.upgrade().is_heavy() {
            let error = StoreError::HeavyMigration {
                path: opened.path().to_owned(),
                from: opened.upgrade().from,
                to: opened.upgrade().to,
                takes: opened.upgrade().takes,
            };
            opened.leave().await?;
            return Err(error);
        }
        opened.migrate().await
    }
}
