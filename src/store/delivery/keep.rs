//! How evidence about sends is written.

use super::{TaskProof, number_of, source_number};
use crate::{
    model::Timestamp,
    store::db::DbConnection,
    store::{
        bulk::{Bulk, Values},
        writes::Writes,
    },
};

static KEEP: Bulk = Bulk::insert(
    "INSERT INTO delivery (task_id, attempt, delivery, evidence, at, recorded_at)",
    "(?,?,?,?,?,?)",
    "ON CONFLICT (task_id, attempt) DO UPDATE SET delivery = excluded.delivery, evidence = excluded.evidence, at = excluded.at, \
     recorded_at = excluded.recorded_at",
);

static KEEP_ANSWER: Bulk = Bulk::insert(
    "INSERT INTO delivery_answer (task_id, attempt, answer)",
    "(?,?,?)",
    "ON CONFLICT (task_id, attempt) DO UPDATE SET answer = excluded.answer",
);

/// Writes what is known of sends.
pub(super) async fn put(
    connection: &mut DbConnection,
    proofs: &[TaskProof],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    KEEP.run(connection, proofs, |values, one| row(values, one, now))
        .await?;
    KEEP_ANSWER
        .run(connection, &answers(proofs), answer_row)
        .await
}

/// The same as part of a push, of sends of which nothing was known.
pub(in crate::store) async fn keep(
    writes: &mut Writes<'_>,
    proofs: &[TaskProof],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    writes
        .bulk(&KEEP, proofs, |values, one| row(values, one, now))
        .await?;
    let answers = answers(proofs);
    writes.bulk(&KEEP_ANSWER, &answers, answer_row).await
}

fn row(values: Values, one: &TaskProof, now: Timestamp) -> Values {
    values
        .bind(one.task.0)
        .bind(i64::from(one.attempt))
        .bind(number_of(one.proof.delivery))
        .bind(source_number(one.proof.source))
        .bind(one.proof.at.map(|at| at.0))
        .bind(now.0)
}

fn answers(proofs: &[TaskProof]) -> Vec<(&TaskProof, &str)> {
    let answers = proofs
        .iter()
        .filter_map(|one| Some((one, one.proof.answer.as_deref()?)));
    answers.collect()
}

fn answer_row(values: Values, (one, answer): &(&TaskProof, &str)) -> Values {
    values
        .bind(one.task.0)
        .bind(i64::from(one.attempt))
        .bind((*answer).to_owned())
}
