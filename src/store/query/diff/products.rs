//! Keys are unique within a product alone: where runs have several products, a device is its key together with its product.
//!
//! The statements that find changes know devices by `task.device_key`. While they run, the connection's temporary schema, which SQLite looks
//! into first, has it with the product behind each key. A fleet of one product pays nothing for it.

use std::fmt::Write as _;

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::{model::RunId, store::RunRow, store::db::DbConnection};

const SEVERAL: &str = "SELECT count(*) > 1 FROM (
    SELECT DISTINCT product_key FROM main.payload WHERE run_id IN (SELECT CAST(value AS bigint) FROM json_each(?)) LIMIT 2
) AS products";

/// No key has the separator: it is a control character. The runs whose payloads these are follow, with their tasks: on a server, runs have
/// numbers of their own for their payloads.
const BEGIN: &str = "
CREATE TEMP VIEW task AS
SELECT
    t.id, t.payload_id, t.line, t.labels, t.held, coalesce(p.product_key, '') AS product_key,
    CASE WHEN t.device_key = '' THEN '' ELSE t.device_key || char(31) || coalesce(p.product_key, '') END AS device_key
FROM main.task AS t
LEFT JOIN main.payload AS p ON p.id = t.payload_id AND p.run_id = CASE";

const END: &str = "DROP VIEW temp.task";

/// Whether devices are told apart by their product as well.
#[derive(Debug)]
pub(super) struct Products {
    several: bool,
}

impl Products {
    /// Has the names mean devices with their product, when these runs have several.
    pub(super) async fn begin(
        connection: &mut DbConnection,
        runs: &[RunRow],
    ) -> Result<Self, sqlx::Error> {
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        let several = sqlx::query_scalar(SEVERAL)
            .bind(json!(ids).to_string())
            .fetch_one(&mut *connection)
            .await?;
        if several {
            let mut view = BEGIN.to_owned();
            for run in runs {
                let (first, end) = run.task_ids();
                // Writing to a string cannot fail.
                let _ = write!(
                    view,
                    " WHEN t.id >= {first} AND t.id < {end} THEN {}",
                    run.id.0
                );
            }
            view.push_str(" END");
            // Only words of ours and numbers are in it.
            sqlx::raw_sql(AssertSqlSafe(view))
                .execute(&mut *connection)
                .await?;
        }
        Ok(Self { several })
    }

    /// Whether they are.
    pub(super) fn are_several(&self) -> bool {
        self.several
    }

    /// Has the names mean what they always do.
    pub(super) async fn end(self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        if self.several {
            sqlx::raw_sql(END).execute(connection).await?;
        }
        Ok(())
    }
}
