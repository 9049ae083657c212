//! What refusals of whole requests say together: that the platform has a limit of devices, or that a payload or product is refused as such.

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection};

use super::{Claim, Finding, StoreError, journal::Ledger, writes::Writes};
use crate::{
    journal::chunk_limit,
    model::{BundleId, PayloadId, RequestId, RunId},
};

/// What a refusal of a whole request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The payload.
    Payload,
    /// The product.
    Product,
}

/// A refusal that ends a payload or product needs this many devices …
const DEVICES: i64 = 20;
/// … in this many requests, and none accepted.
const REQUESTS: i64 = 2;

/// Payloads and products that are not sent any more.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    payloads: HashMap<PayloadId, Ending>,
    products: HashMap<Box<str>, Ending>,
}

/// Why a payload or product is not sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) code: i64,
    pub(super) request: RequestId,
}

impl Refusals {
    pub(super) async fn load(
        connection: &mut SqliteConnection,
        run: RunId,
    ) -> Result<Self, StoreError> {
        let mut refusals = Self::default();
        let rows = sqlx::query(
            "SELECT payload_id, product_key, code, request_id FROM refusal WHERE run_id = ? AND ended = 1",
        )
        .bind(run.0)
        .fetch_all(connection)
        .await?;
        for row in rows {
            let ending = Ending {
                code: row.try_get("code")?,
                request: RequestId(row.try_get("request_id")?),
            };
            match row.try_get::<Option<i64>, _>("payload_id")? {
                Some(payload) => {
                    refusals.payloads.insert(PayloadId(payload), ending);
                }
                None => {
                    refusals
                        .products
                        .insert(row.try_get("product_key")?, ending);
                }
            }
        }
        Ok(refusals)
    }

    /// Why this payload is not sent any more, if so.
    pub(super) fn of(&self, payload: PayloadId, product_key: &str) -> Option<Ending> {
        self.payloads
            .get(&payload)
            .or_else(|| self.products.get(product_key))
            .copied()
    }
}

impl Ledger {
    /// Notes that a request passed or was rejected as a whole. Gives the device limit when that has now been found.
    pub(super) async fn size_answered(
        &mut self,
        writes: &mut Writes<'_>,
        claim: &Claim,
        passed: bool,
    ) -> Result<Option<u32>, StoreError> {
        let devices = claim.members.len() as u32;
        let mut sizes = self.run.sizes;
        if passed {
            sizes = chunk_limit::passed(sizes, devices);
        }
        if let Some(bundle) = claim.bundle
            && let Some((whole, half)) = self
                .bundle_answered(writes.connection().await?, bundle, devices, passed)
                .await?
        {
            sizes = chunk_limit::halves_passed(sizes, whole, half);
        }
        let known = std::mem::replace(&mut self.run.sizes, sizes);
        if known == sizes {
            return Ok(None);
        }
        let run = self.run.id.0;
        writes
            .statement(
                "UPDATE run SET passed_size = ?, chunk_limit = ?, limit_hints = ? WHERE id = ?",
                |values| {
                    values
                        .bind(sizes.passed)
                        .bind(sizes.limit)
                        .bind(sizes.hints)
                        .bind(run)
                },
            )
            .await?;
        Ok(sizes.limit.filter(|_| sizes.limit != known.limit))
    }

    /// Notes whether a bundle was rejected as a whole; a part of one that passes says nothing of the whole. Gives the size of the request
    /// and of its larger half when both halves of a request that was rejected have now passed.
    async fn bundle_answered(
        &self,
        connection: &mut SqliteConnection,
        bundle: BundleId,
        devices: u32,
        passed: bool,
    ) -> Result<Option<(u32, u32)>, StoreError> {
        sqlx::query(
            "UPDATE bundle SET passed = ?1 WHERE id = ?2 AND passed IS NULL AND (NOT ?1 OR devices = ?3)",
        )
        .bind(passed)
        .bind(bundle.0)
        .bind(devices)
        .execute(&mut *connection)
        .await?;
        if !passed {
            return Ok(None);
        }
        let (halves, both_passed, half, whole): (i64, bool, u32, u32) = sqlx::query_as(
            "SELECT count(*), min(coalesce(b.passed, 0) AND b.of_size), max(b.devices), max(q.devices) \
             FROM bundle AS b JOIN request AS q ON q.id = b.parent_request_id \
             WHERE b.parent_request_id = (SELECT parent_request_id FROM bundle WHERE id = ?)",
        )
        .bind(bundle.0)
        .fetch_one(&mut *connection)
        .await?;
        Ok((halves >= 2 && both_passed).then_some((whole, half)))
    }

    /// Counts a refusal of a payload or product as such, and ends it when that is beyond doubt.
    ///
    /// Only refusals of different devices count: the first refused half of a request says no more than the request did, since its
    /// culprit may stand there, while the other half's devices may be innocent.
    pub(super) async fn note_refusal(
        &mut self,
        connection: &mut SqliteConnection,
        claim: &Claim,
        refused: Refused,
        code: i64,
    ) -> Result<Option<Finding>, StoreError> {
        let (new_requests, new_devices) = match claim.bundle {
            None => (1, claim.members.len() as i64),
            Some(bundle) => {
                let refused_halves: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM bundle WHERE passed = 0 \
                     AND parent_request_id = (SELECT parent_request_id FROM bundle WHERE id = ?)",
                )
                .bind(bundle.0)
                .fetch_one(&mut *connection)
                .await?;
                (i64::from(refused_halves > 1), 0)
            }
        };
        let payload = match refused {
            Refused::Payload => Some(claim.payload_id),
            Refused::Product => None,
        };
        let product_key = &*claim.payload.product_key;
        let (requests, devices): (i64, i64) = sqlx::query_as(
            "INSERT INTO refusal (run_id, payload_id, product_key, code, request_id, requests, devices) VALUES (?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (run_id, product_key, coalesce(payload_id, 0)) DO UPDATE SET code = excluded.code, \
             request_id = excluded.request_id, requests = requests + excluded.requests, devices = devices + excluded.devices \
             WHERE ended = 0 RETURNING requests, devices",
        )
        .bind(self.run.id.0)
        .bind(payload.map(|payload| payload.0))
        .bind(product_key)
        .bind(code)
        .bind(claim.request.0)
        .bind(new_requests)
        .bind(new_devices)
        .fetch_optional(&mut *connection)
        .await?
        // Ended already: this request was under way.
        .unwrap_or_default();
        if requests < REQUESTS || devices < DEVICES {
            return Ok(None);
        }
        let accepted: bool = match payload {
            Some(payload) => sqlx::query_scalar("SELECT accepted FROM payload WHERE id = ?")
                .bind(payload.0)
                .fetch_one(&mut *connection)
                .await?,
            None => sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM payload WHERE run_id = ? AND product_key = ? AND accepted = 1)",
            )
            .bind(self.run.id.0)
            .bind(product_key)
            .fetch_one(&mut *connection)
            .await?,
        };
        if accepted {
            return Ok(None);
        }
        sqlx::query(
            "UPDATE refusal SET ended = 1 WHERE run_id = ? AND product_key = ? AND payload_id IS ?",
        )
        .bind(self.run.id.0)
        .bind(product_key)
        .bind(payload.map(|payload| payload.0))
        .execute(connection)
        .await?;
        let ending = Ending {
            code,
            request: claim.request,
        };
        let what = if let Some(payload) = payload {
            self.refusals.payloads.insert(payload, ending);
            let data = claim.payload.shortened_data();
            format!("a payload of product {product_key} ({data})")
        } else {
            self.refusals.products.insert(product_key.into(), ending);
            format!("product {product_key}")
        };
        Ok(Some(Finding::Ended { code, what }))
    }
}
