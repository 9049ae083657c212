//! Bundles: tasks that travel together and are never merged with others, since a request of them was refused.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::{Next, Settlement};
use crate::{
    model::{BundleId, Class, RunId, Standing},
    store::{Claim, StoreError, journal::Ledger, writes::Writes},
};

/// How the requests of a run stand that were refused and are kept together.
pub(in crate::store) async fn load_standings(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<HashMap<BundleId, Standing>, StoreError> {
    let rows: Vec<(i64, u32, bool)> = sqlx::query_as(
        "SELECT id, refusals, suspect FROM bundle WHERE run_id = ? AND (refusals > 0 OR suspect = 1)",
    )
    .bind(run.0)
    .fetch_all(connection)
    .await?;
    let standing = |refusals, suspect| Standing {
        refusals,
        suspect,
        ..Standing::default()
    };
    Ok(rows
        .into_iter()
        .map(|(bundle, refusals, suspect)| (BundleId(bundle), standing(refusals, suspect)))
        .collect())
}

impl Ledger {
    /// Makes the bundles of a request that is split.
    pub(super) async fn split(
        &mut self,
        writes: &mut Writes<'_>,
        claim: &Claim,
        tasks: &[Settlement],
        standing: Option<Standing>,
    ) -> Result<[Option<BundleId>; 2], StoreError> {
        let mut halves = [None, None];
        let suspect = standing.unwrap_or(claim.standing).suspect;
        let of_size = !suspect
            && tasks
                .iter()
                .all(|task| task.outcome.class == Class::Rejected);
        for second_half in [false, true] {
            let devices = tasks
                .iter()
                .filter(|task| task.next == Next::Split { second_half })
                .count();
            if devices > 0 {
                let made = sqlx::query(
                    "INSERT INTO bundle (run_id, parent_request_id, devices, suspect, of_size) VALUES (?, ?, ?, ?, ?)",
                )
                .bind(self.run.id.0)
                .bind(claim.request.0)
                .bind(devices as i64)
                .bind(suspect)
                .bind(of_size)
                .execute(writes.connection().await?)
                .await?;
                let half = BundleId(made.last_insert_rowid());
                halves[usize::from(second_half)] = Some(half);
                if suspect {
                    let standing = Standing {
                        suspect,
                        ..Standing::default()
                    };
                    self.standings.insert(half, standing);
                }
            }
        }
        Ok(halves)
    }

    /// Keeps the tasks of a refused request together, and remembers how it stands.
    pub(super) async fn keep_together(
        &mut self,
        writes: &mut Writes<'_>,
        claim: &mut Claim,
        tasks: &[Settlement],
        standing: Standing,
    ) -> Result<(), StoreError> {
        let stays = |task: &Settlement| {
            matches!(
                task.next,
                Next::Again {
                    keep_bundle: true,
                    ..
                }
            )
        };
        if !tasks.iter().any(stays) {
            return Ok(());
        }
        let known = |standing: Standing| (standing.refusals, standing.suspect);
        let bundle = match claim.bundle {
            Some(bundle) if known(claim.standing) == known(standing) => bundle,
            Some(bundle) => {
                writes
                    .statement(
                        "UPDATE bundle SET refusals = ?, suspect = ? WHERE id = ?",
                        |values| {
                            values
                                .bind(standing.refusals)
                                .bind(standing.suspect)
                                .bind(bundle.0)
                        },
                    )
                    .await?;
                bundle
            }
            None => {
                let made = sqlx::query(
                    "INSERT INTO bundle (run_id, parent_request_id, devices, refusals, suspect, of_size) VALUES (?, ?, ?, ?, ?, 0)",
                )
                .bind(self.run.id.0)
                .bind(claim.request.0)
                .bind(claim.members.len() as i64)
                .bind(standing.refusals)
                .bind(standing.suspect)
                .execute(writes.connection().await?)
                .await?;
                BundleId(made.last_insert_rowid())
            }
        };
        claim.bundle = Some(bundle);
        self.standings.insert(bundle, standing);
        Ok(())
    }
}
