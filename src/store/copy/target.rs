//! The side that is written: a database on a server. A part is written in one transaction, and read back before it ends.

use futures::StreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Transaction};

use super::{
    Content, CopySource, Digest, Holdings, Part, SourceError,
    content::{Lines, TableContent},
    tables::{self, Table},
};
use crate::{
    model::{ServerAddress, Timestamp},
    store::postgres::{ServerError, ServerStore},
};

/// Why a part cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Written {
    /// It cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The server has failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// What the server has stored is not what was read.
    #[error(
        "what the server stored in {} is not what was read, and nothing of it was kept: look for triggers or rules on these tables of the \
         schema fleetpush, and remove them",
        tables.join(", ")
    )]
    Differs {
        /// The tables.
        tables: Vec<&'static str>,
    },
}

/// A step of a copy: one transaction, which nobody else's copy is beside.
#[derive(Debug)]
pub(crate) struct CopyTarget<'s> {
    transaction: Transaction<'s, Postgres>,
    address: ServerAddress,
}

impl ServerStore {
    /// Begins a step, and waits until the step of another copy has ended.
    pub(crate) async fn begin_copy(&mut self) -> Result<CopyTarget<'_>, ServerError> {
        let address = self.address().clone();
        let begun = async {
            let mut transaction = self.connection.begin().await?;
            // A push that takes the lease meanwhile waits for the end of the step.
            sqlx::raw_sql("LOCK TABLE copied_run, lease IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut *transaction)
                .await?;
            let has_pushes = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM lease WHERE epoch > 0 AND name <> 'inbox')",
            )
            .fetch_one(&mut *transaction)
            .await?;
            Ok((transaction, has_pushes))
        };
        match begun.await {
            Ok((_, true)) => Err(ServerError::HasPushes { address }),
            Ok((transaction, false)) => Ok(CopyTarget {
                transaction,
                address,
            }),
            Err(error) => Err(ServerError::of(&address, error)),
        }
    }

    /// Has the server look at what has come, so that it answers questions about it fast.
    pub(crate) async fn analyze(&mut self) -> Result<(), ServerError> {
        let every = [
            Part::Run {
                id: 0,
                first_task: 0,
                end_task: 0,
            },
            Part::Beside { kept: Vec::new() },
        ];
        let names: Vec<&str> = every
            .iter()
            .flat_map(tables::of)
            .map(|table| table.name)
            .collect();
        sqlx::raw_sql(AssertSqlSafe(format!("ANALYZE {}", names.join(", "))))
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(())
    }
}

impl CopyTarget<'_> {
    /// What the database has.
    pub(crate) async fn holdings(&mut self) -> Result<Holdings, ServerError> {
        let connection = &mut *self.transaction;
        let found = async {
            Ok(Holdings {
                runs: sqlx::query_as("SELECT id, name, identity, created_at FROM run ORDER BY id")
                    .fetch_all(&mut *connection)
                    .await?,
                pruned: sqlx::query_as("SELECT id, identity FROM pruned_run ORDER BY id")
                    .fetch_all(&mut *connection)
                    .await?,
                last_session: sqlx::query_as(
                    "SELECT id, began_at, host, pid FROM session ORDER BY id DESC LIMIT 1",
                )
                .fetch_optional(&mut *connection)
                .await?,
            })
        };
        found
            .await
            .map_err(|error| ServerError::of(&self.address, error))
    }

    /// What the rows of a part come to.
    pub(crate) async fn content(&mut self, part: &Part) -> Result<Content, ServerError> {
        let mut content = Content::default();
        for table in tables::of(part) {
            let read = read(&mut self.transaction, table, part).await;
            content.push(read.map_err(|error| ServerError::of(&self.address, error))?);
        }
        Ok(content)
    }

    /// The hash with which a run was copied last.
    pub(crate) async fn copied(&mut self, run: i64) -> Result<Option<Digest>, ServerError> {
        let found: Result<Option<Vec<u8>>, sqlx::Error> =
            sqlx::query_scalar("SELECT digest FROM copied_run WHERE run_id = $1")
                .bind(run)
                .fetch_optional(&mut *self.transaction)
                .await;
        let digest = found.map_err(|error| ServerError::of(&self.address, error))?;
        Ok(digest.and_then(|bytes| bytes.try_into().ok()))
    }

    /// Writes a part in place of what is there of it, and reads it back.
    pub(crate) async fn write(
        &mut self,
        source: &mut CopySource,
        part: &Part,
    ) -> Result<Content, Written> {
        for table in tables::of(part) {
            sqlx::raw_sql(AssertSqlSafe(table.delete(part)))
                .execute(&mut *self.transaction)
                .await
                .map_err(|error| ServerError::of(&self.address, error))?;
        }
        let mut read = Content::default();
        for table in tables::of(part) {
            read.push(self.write_table(source, table, part).await?);
        }
        let tables = read.differing(&self.content(part).await?);
        if tables.is_empty() {
            Ok(read)
        } else {
            Err(Written::Differs { tables })
        }
    }

    async fn write_table(
        &mut self,
        source: &mut CopySource,
        table: &Table,
        part: &Part,
    ) -> Result<TableContent, Written> {
        let failed = |error| Written::Server(ServerError::of(&self.address, error));
        let statement = format!("COPY {} ({}) FROM STDIN", table.name, table.columns);
        let mut copy = self
            .transaction
            .copy_in_raw(&statement)
            .await
            .map_err(failed)?;
        let content = source
            .read(table, part, async |lines: &[u8]| {
                copy.send(lines).await.map(drop).map_err(failed)
            })
            .await?;
        copy.finish().await.map_err(failed)?;
        Ok(content)
    }

    /// Keeps with which content a run is there.
    pub(crate) async fn keep(
        &mut self,
        run: i64,
        digest: Digest,
        now: Timestamp,
    ) -> Result<(), ServerError> {
        sqlx::query(
            "INSERT INTO copied_run (run_id, digest, copied_at) VALUES ($1, $2, $3)
             ON CONFLICT (run_id) DO UPDATE SET digest = excluded.digest, copied_at = excluded.copied_at",
        )
        .bind(run)
        .bind(&digest[..])
        .bind(now.0)
        .execute(&mut *self.transaction)
        .await
        .map_err(|error| ServerError::of(&self.address, error))?;
        Ok(())
    }

    /// Ends the step: what was written is on the server's disk when this returns.
    pub(crate) async fn commit(self) -> Result<(), ServerError> {
        let Self {
            transaction,
            address,
        } = self;
        transaction
            .commit()
            .await
            .map_err(|error| ServerError::of(&address, error))
    }

    /// Ends the step with nothing changed.
    pub(crate) async fn leave(self) -> Result<(), ServerError> {
        let Self {
            transaction,
            address,
        } = self;
        transaction
            .rollback()
            .await
            .map_err(|error| ServerError::of(&address, error))
    }
}

/// Reads back the lines of a table.
async fn read(
    connection: &mut PgConnection,
    table: &Table,
    part: &Part,
) -> Result<TableContent, sqlx::Error> {
    let statement = format!("COPY ({}) TO STDOUT", table.select(part));
    let mut lines = Lines::default();
    let mut rows = connection.copy_out_raw(&statement).await?;
    while let Some(line) = rows.next().await {
        // One message of the protocol is one line.
        lines.add(&line?, 1);
    }
    Ok(lines.finish(table.name))
}
