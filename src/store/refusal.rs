//! What refusals of whole requests say together: that the platform has a limit of devices, or that a payload or product is refused as such.

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection};

use super::{Claim, Finding, StoreError, journal::Ledger};
use crate::model::{BundleId, PayloadId, RequestId, RunId};

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
    /// Notes whether a bundle was refused as a whole; a part of one that passes says nothing of the whole. Gives the device limit when both halves of a request have now passed.
    pub(super) async fn bundle_answered(
        &mut self,
        connection: &mut SqliteConnection,
        bundle: BundleId,
        devices: usize,
        passed: bool,
    ) -> Result<Option<u32>, StoreError> {
        sqlx::query(
            "UPDATE bundle SET passed = ?1 WHERE id = ?2 AND passed IS NULL AND (NOT ?1 OR devices = ?3)",
        )
        .bind(passed)
        .bind(bundle.0)
        .bind(devices as i64)
        .execute(&mut *connection)
        .await?;
        if !passed {
            return Ok(None);
        }
        let (halves, both_passed, devices): (i64, bool, u32) = sqlx::query_as(
            "SELECT count(*), min(coalesce(passed, 0)), max(devices) FROM bundle \
             WHERE parent_request_id = (SELECT parent_request_id FROM bundle WHERE id = ?)",
        )
        .bind(bundle.0)
        .fetch_one(&mut *connection)
        .await?;
        let is_news = self.run.chunk_limit.is_none_or(|limit| devices < limit);
        if halves < 2 || !both_passed || !is_news {
            return Ok(None);
        }
        sqlx::query("UPDATE run SET chunk_limit = ? WHERE id = ?")
            .bind(devices)
            .bind(self.run.id.0)
            .execute(connection)
            .await?;
        self.run.chunk_limit = Some(devices);
        Ok(Some(devices))
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
