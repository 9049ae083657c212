//! The tally: how many tasks of a run have ended how.

use crate::{
    model::{Class, RunId, Tally, TaskState},
    store::db::DbConnection,
};

/// How the run's tasks have ended, the most frequent of a state first.
const ENDINGS: &str = "SELECT state, class, code, n FROM tally WHERE run_id = ? AND n > 0 ORDER BY state, n DESC, class, code";

/// How the run's tasks have ended, by state, class and code; the most frequent of a state first.
pub(super) async fn endings(
    connection: &mut DbConnection,
    run: RunId,
) -> Result<Vec<(Tally, u64)>, sqlx::Error> {
    read_tally(connection, run, ENDINGS).await
}

/// Reads counts of ended tasks: state, class, code and number, with 0 for no class and no code.
pub(super) async fn read_tally(
    connection: &mut DbConnection,
    run: RunId,
    select: &'static str,
) -> Result<Vec<(Tally, u64)>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(select)
        .bind(run.0)
        .fetch_all(connection)
        .await?;
    let damaged = |what: String| sqlx::Error::Decode(what.into());
    rows.into_iter()
        .map(|(state, class, code, tasks)| {
            let known = Class::from_number(class);
            if class != 0 && known.is_none() {
                return Err(damaged(format!("class {class} in tally")));
            }
            let key = Tally {
                state: TaskState::from_number(state)
                    .ok_or_else(|| damaged(format!("state {state} in tally")))?,
                class: known,
                code: (code != 0).then_some(code),
            };
            Ok((key, tasks.unsigned_abs()))
        })
        .collect()
}
