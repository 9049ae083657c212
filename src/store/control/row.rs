//! Control requests of a database on a server: rows of the table `control`.
//!
//! Any process may write them beside the owner, over a connection of its own. The server lets one of two statements change a row: either
//! the owner begins to act on a request, or somebody else takes it back.

use sqlx::{PgConnection, postgres::PgRow};

use super::{ControlRequest, ControlledRun, TakenBack};
use crate::{
    model::{Asker, Control, ControlAction, RunId, Timestamp},
    store::postgres::{ServerAccess, ServerError, ServerStore},
};

/// The rows of a database.
#[derive(Debug)]
pub(crate) struct ControlRows {
    access: ServerAccess,
    /// None when it has to be made anew.
    connection: Option<PgConnection>,
}

/// A row.
#[derive(sqlx::FromRow)]
struct RequestRow {
    id: String,
    run_id: i64,
    created_at: i64,
    action: String,
    begun: bool,
    asked_by: String,
    asked_at: i64,
    asker: Option<String>,
}

impl RequestRow {
    /// None when a later version has an action that this one does not know.
    fn request(self) -> Option<ControlRequest> {
        let action = ControlAction::ALL
            .into_iter()
            .find(|action| action.name() == self.action)?;
        Some(ControlRequest {
            run: ControlledRun {
                id: RunId(self.run_id),
                created_at: Timestamp(self.created_at),
            },
            begun: self.begun,
            control: Control {
                action,
                by: self.asked_by,
                at: Timestamp(self.asked_at),
                id: self.id,
                asker: self
                    .asker
                    .and_then(|text| serde_json::from_str::<Asker>(&text).ok()),
            },
        })
    }
}

/// All rows, with what may follow.
macro_rules! select {
    ($more:literal) => {
        concat!(
            "SELECT id, run_id, created_at, action, begun = 1 AS begun, asked_by, asked_at, asker FROM fleetpush.control ",
            $more
        )
    };
}

impl ControlRows {
    /// Those of this server, to which a connection is made when it is needed.
    pub(super) fn at(access: ServerAccess) -> Self {
        Self {
            access,
            connection: None,
        }
    }

    /// Those of this server, over its connection.
    pub(super) fn over(server: ServerStore) -> Self {
        let (connection, access) = server.into_parts();
        Self {
            access,
            connection: Some(connection),
        }
    }

    /// Executes a statement; gives how many rows it has changed.
    async fn change(
        &mut self,
        statement: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<u64, ServerError> {
        let mut connection = self.connected().await?;
        let done = statement
            .execute(&mut connection)
            .await
            .map_err(|error| ServerError::of(&self.access.address, error))?;
        self.connection = Some(connection);
        Ok(done.rows_affected())
    }

    async fn read(
        &mut self,
        statement: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<Vec<PgRow>, ServerError> {
        let mut connection = self.connected().await?;
        let rows = statement
            .fetch_all(&mut connection)
            .await
            .map_err(|error| ServerError::of(&self.access.address, error))?;
        self.connection = Some(connection);
        Ok(rows)
    }

    /// The connection, to be put back when it has not failed.
    async fn connected(&mut self) -> Result<PgConnection, ServerError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Ok(self.access.connect().await?.into_parts().0),
        }
    }

    async fn requests(
        &mut self,
        statement: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<Vec<ControlRequest>, ServerError> {
        let rows = self.read(statement).await?;
        let read = rows.iter().map(<RequestRow as sqlx::FromRow<_>>::from_row);
        let rows: Vec<RequestRow> = read
            .collect::<Result<_, _>>()
            .map_err(|error| ServerError::of(&self.access.address, error))?;
        Ok(rows.into_iter().filter_map(RequestRow::request).collect())
    }

    pub(super) async fn ask(
        &mut self,
        run: ControlledRun,
        control: &Control,
    ) -> Result<(), ServerError> {
        let asker = control
            .asker
            .as_ref()
            .and_then(|asker| serde_json::to_string(asker).ok());
        let statement = sqlx::query(
            "WITH gone AS (DELETE FROM fleetpush.control WHERE run_id = $2 AND action = $4 AND begun = 0) \
             INSERT INTO fleetpush.control (id, run_id, created_at, action, asked_by, asked_at, asker) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&control.id)
        .bind(run.id.0)
        .bind(run.created_at.0)
        .bind(control.action.name())
        .bind(&control.by)
        .bind(control.at.0)
        .bind(asker);
        self.change(statement).await?;
        Ok(())
    }

    pub(super) async fn of_run(&mut self, run: RunId) -> Result<Vec<ControlRequest>, ServerError> {
        let statement = sqlx::query(select!("WHERE run_id = $1 ORDER BY asked_at, id")).bind(run.0);
        self.requests(statement).await
    }

    pub(super) async fn all(&mut self) -> Result<Vec<ControlRequest>, ServerError> {
        self.requests(sqlx::query(select!("ORDER BY asked_at, id")))
            .await
    }

    pub(super) async fn begin(&mut self, control: &Control) -> Result<bool, ServerError> {
        let statement =
            sqlx::query("UPDATE fleetpush.control SET begun = 1 WHERE id = $1").bind(&control.id);
        Ok(self.change(statement).await? > 0)
    }

    pub(super) async fn end(
        &mut self,
        action: ControlAction,
        run: RunId,
    ) -> Result<(), ServerError> {
        let statement =
            sqlx::query("DELETE FROM fleetpush.control WHERE run_id = $1 AND action = $2")
                .bind(run.0)
                .bind(action.name());
        self.change(statement).await?;
        Ok(())
    }

    pub(super) async fn delete(&mut self, control: &Control) -> Result<(), ServerError> {
        let statement =
            sqlx::query("DELETE FROM fleetpush.control WHERE id = $1").bind(&control.id);
        self.change(statement).await?;
        Ok(())
    }

    pub(super) async fn take_back(
        &mut self,
        action: ControlAction,
        run: RunId,
    ) -> Result<TakenBack, ServerError> {
        let statement = sqlx::query(
            "DELETE FROM fleetpush.control WHERE run_id = $1 AND action = $2 AND begun = 0",
        )
        .bind(run.0)
        .bind(action.name());
        if self.change(statement).await? > 0 {
            Ok(TakenBack::Taken)
        } else if self.is_begun(action, run).await? {
            Ok(TakenBack::TooLate)
        } else {
            Ok(TakenBack::Nothing)
        }
    }

    pub(super) async fn is_begun(
        &mut self,
        action: ControlAction,
        run: RunId,
    ) -> Result<bool, ServerError> {
        let statement = sqlx::query(
            "SELECT 1 FROM fleetpush.control WHERE run_id = $1 AND action = $2 AND begun = 1",
        )
        .bind(run.0)
        .bind(action.name());
        Ok(!self.read(statement).await?.is_empty())
    }
}
