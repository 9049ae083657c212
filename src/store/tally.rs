//! How the tasks of a run have ended, as the tally counts them.

use sqlx::SqliteConnection;

use crate::model::{Class, RunId, TaskState};

/// How many tasks ended in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The state they ended in.
    pub state: TaskState,
    /// The class of the outcome; none for skipped tasks.
    pub class: Option<Class>,
    /// The code that decided, when there was one.
    pub code: Option<i64>,
    /// How many tasks.
    pub tasks: u64,
}

/// How the run's tasks have ended, by state, class and code; the most frequent of a state first.
pub(super) async fn endings(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<Vec<Ending>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT state, class, code, n FROM tally WHERE run_id = ? AND n > 0 ORDER BY state, n DESC, class, code",
    )
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
            Ok(Ending {
                state: TaskState::from_number(state)
                    .ok_or_else(|| damaged(format!("state {state} in tally")))?,
                class: known,
                code: (code != 0).then_some(code),
                tasks: tasks.unsigned_abs(),
            })
        })
        .collect()
}
