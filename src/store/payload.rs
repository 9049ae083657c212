//! Payloads, stored once for a run.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::Row as _;

use super::{StoreError, bulk::Bulk, db::DbConnection};
use crate::{
    budget::{Budget, KEPT, Use},
    model::{Payload, PayloadId, Row, RunId},
};

/// The most payloads that are kept in memory at a time; their bytes are of the budget, since one may have megabytes.
const CACHED: usize = 512;
/// The most accepted payloads that are known by heart; any other is marked once more, which changes nothing.
const ACCEPTED_KNOWN: usize = 50_000;

/// Payloads that were used of late.
#[derive(Debug)]
pub(crate) struct PayloadCache {
    loaded: HashMap<PayloadId, Arc<Payload>>,
    kept: Kept,
    /// Payloads known to be marked as accepted.
    accepted: HashSet<PayloadId>,
}

/// How many bytes a cache has taken of the budget.
#[derive(Debug)]
struct Kept {
    budget: Budget,
    bytes: usize,
}

impl Kept {
    fn within(budget: Budget) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Takes bytes for another thing to keep; otherwise all that is kept has to go first.
    fn take(&mut self, bytes: usize) -> bool {
        let fits =
            (self.bytes == 0 || self.bytes + bytes <= KEPT) && self.budget.take(Use::Cache, bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Gives all of them back.
    fn clear(&mut self) {
        self.budget
            .give_back(Use::Cache, std::mem::take(&mut self.bytes));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
    }
}

impl PayloadCache {
    /// A cache within this budget.
    pub(crate) fn within(budget: Budget) -> Self {
        Self {
            loaded: HashMap::new(),
            kept: Kept::within(budget),
            accepted: HashSet::new(),
        }
    }

    /// The payload of this id, when it need not be read.
    pub(crate) fn loaded(&self, id: PayloadId) -> Option<Arc<Payload>> {
        self.loaded.get(&id).map(Arc::clone)
    }

    /// Keeps a payload that was read.
    pub(crate) fn keep(&mut self, id: PayloadId, payload: Payload) -> Arc<Payload> {
        let payload = Arc::new(payload);
        if self.loaded.len() >= CACHED || !self.kept.take(payload.bytes()) {
            self.loaded.clear();
            self.kept.clear();
            self.kept.take(payload.bytes());
        }
        self.loaded.insert(id, Arc::clone(&payload));
        payload
    }

    /// Those of these payloads, which a device has accepted, that are not known to be marked as accepted; they are from now on.
    pub(crate) fn take_unmarked(&mut self, ids: impl Iterator<Item = PayloadId>) -> Vec<PayloadId> {
        let mut new: Vec<PayloadId> = ids.filter(|id| !self.accepted.contains(id)).collect();
        new.sort_unstable();
        new.dedup();
        if self.accepted.len() + new.len() > ACCEPTED_KNOWN {
            self.accepted.clear();
        }
        self.accepted.extend(new.iter().copied());
        new
    }
}

/// The payload of this id, of this run.
pub(super) async fn read_payload(
    connection: &mut DbConnection,
    run: RunId,
    id: PayloadId,
) -> Result<Payload, StoreError> {
    let row = sqlx::query(
        "SELECT product_key, data, qos, is_cache, cache_time, is_cover, extend_para FROM payload WHERE run_id = ? AND id = ?",
    )
    .bind(run.0)
    .bind(id.0)
    .fetch_one(connection)
    .await?;
    Ok(Payload {
        product_key: row.try_get("product_key")?,
        data: row.try_get("data")?,
        qos: row.try_get("qos")?,
        is_cache: row.try_get("is_cache")?,
        cache_time: row.try_get("cache_time")?,
        is_cover: row.try_get("is_cover")?,
        extend_para: row.try_get("extend_para")?,
    })
}

/// The most payloads that are known by their address; their bytes are of the budget.
const SHARED: usize = 1000;

/// Where a payload lies in memory, which tells it apart from every other one that is there at the time.
fn address(payload: &Arc<Payload>) -> usize {
    Arc::as_ptr(payload).addr()
}

/// The first half of a SHA-256: enough to tell payloads apart, half as large in the index.
type PayloadDigest = [u8; 16];

/// Finds or gives the ids of payloads while a run is staged.
#[derive(Debug)]
pub(super) struct Interner {
    run: RunId,
    next_id: i64,
    known: HashMap<PayloadDigest, PayloadId>,
    /// Payloads that rows have shared of late, by their address, so that not each row's is digested. They are kept, since an address
    /// says nothing of a payload that is gone.
    shared: HashMap<usize, (Arc<Payload>, PayloadId)>,
    kept: Kept,
    /// The most digests that are remembered before the database is asked instead.
    most: usize,
    /// Whether `known` has forgotten some, so that an unknown digest may be in the database.
    forgetful: bool,
}

impl Interner {
    pub(super) async fn new(
        connection: &mut DbConnection,
        run: RunId,
        most: usize,
        budget: Budget,
    ) -> Result<Self, StoreError> {
        let next_id = sqlx::query_scalar("SELECT coalesce(max(id), 0) + 1 FROM payload")
            .fetch_one(connection)
            .await?;
        Ok(Self {
            run,
            next_id,
            known: HashMap::new(),
            shared: HashMap::new(),
            kept: Kept::within(budget),
            most,
            forgetful: false,
        })
    }

    /// The ids of the payloads of these rows, in their order; new ones are stored.
    pub(super) async fn intern(
        &mut self,
        connection: &mut DbConnection,
        rows: &[Row],
    ) -> Result<Vec<PayloadId>, StoreError> {
        if self.shared.len() > SHARED {
            self.forget_shared();
        }
        let unknown: Vec<Arc<Payload>> = rows
            .iter()
            .map(|row| &row.payload)
            .filter(|payload| !self.shared.contains_key(&address(payload)))
            .map(Arc::clone)
            .collect();
        let ids = self.intern_unshared(connection, &unknown).await?;
        let bytes = unknown.iter().map(|payload| payload.bytes()).sum();
        let now_shared = unknown.into_iter().zip(ids);
        self.shared
            .extend(now_shared.map(|(payload, id)| (address(&payload), (payload, id))));
        let of_rows = rows
            .iter()
            .map(|row| self.shared[&address(&row.payload)].1)
            .collect();
        if !self.kept.take(bytes) {
            self.forget_shared();
        }
        Ok(of_rows)
    }

    fn forget_shared(&mut self) {
        self.shared.clear();
        self.kept.clear();
    }

    /// The ids of these payloads, in their order; new ones are stored.
    async fn intern_unshared(
        &mut self,
        connection: &mut DbConnection,
        payloads: &[Arc<Payload>],
    ) -> Result<Vec<PayloadId>, StoreError> {
        if self.known.len() > self.most {
            self.known.clear();
            self.forgetful = true;
        }
        let digests: Vec<PayloadDigest> = payloads.iter().map(|payload| digest(payload)).collect();
        if self.forgetful {
            self.look_up(connection, &digests).await?;
        }
        let mut new: Vec<(PayloadId, PayloadDigest, &Arc<Payload>)> = Vec::new();
        let ids = digests
            .iter()
            .zip(payloads)
            .map(|(digest, payload)| {
                *self.known.entry(*digest).or_insert_with(|| {
                    let id = PayloadId(self.next_id);
                    self.next_id += 1;
                    new.push((id, *digest, payload));
                    id
                })
            })
            .collect();
        let run = self.run;
        INSERT
            .run(connection, &new, |query, (id, digest, payload)| {
                query
                    .bind(id.0)
                    .bind(run.0)
                    .bind(digest.to_vec())
                    .bind(&*payload.product_key)
                    .bind(&*payload.data)
                    .bind(payload.qos)
                    .bind(payload.is_cache)
                    .bind(payload.cache_time)
                    .bind(payload.is_cover)
                    .bind(payload.extend_para.as_deref())
            })
            .await?;
        if let (Some((first, ..)), Some((last, ..))) = (new.first(), new.last()) {
            note_services(connection, run, *first, *last).await?;
        }
        Ok(ids)
    }

    /// Remembers those of `digests` that the database has.
    async fn look_up(
        &mut self,
        connection: &mut DbConnection,
        digests: &[PayloadDigest],
    ) -> Result<(), StoreError> {
        let unknown: HashMap<String, PayloadDigest> = digests
            .iter()
            .filter(|digest| !self.known.contains_key(*digest))
            .map(|digest| (hex(digest), *digest))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let names: Vec<&String> = unknown.keys().collect();
        let found: Vec<(String, i64)> = sqlx::query_as(
            "SELECT j.value, p.id FROM json_each(?2) AS j CROSS JOIN payload AS p ON p.run_id = ?1 AND p.digest = unhex(j.value)",
        )
        .bind(self.run.0)
        .bind(json!(names).to_string())
        .fetch_all(connection)
        .await?;
        let found = found
            .into_iter()
            .filter_map(|(name, id)| Some((*unknown.get(&name)?, PayloadId(id))));
        self.known.extend(found);
        Ok(())
    }
}

static INSERT: Bulk = Bulk::insert(
    "INSERT INTO payload (id, run_id, digest, product_key, data, qos, is_cache, cache_time, is_cover, extend_para)",
    "(?,?,?,?,?,?,?,?,?,?)",
    "",
);

/// Notes what services these payloads call, which are new.
pub(super) async fn note_services(
    connection: &mut DbConnection,
    run: RunId,
    first: PayloadId,
    last: PayloadId,
) -> Result<(), sqlx::Error> {
    let statement = match connection {
        DbConnection::Sqlite(_) => sqlx::query(NOTE_SERVICES),
        DbConnection::Postgres(..) => sqlx::query(NOTE_SERVICES_ON_SERVER).bind(run.0),
    };
    statement
        .bind(first.0)
        .bind(last.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// The services of the payloads from ?1 to ?2, as their data has them. An object may have a name twice.
const NOTE_SERVICES: &str = "
INSERT INTO called_service (payload_id, service, product_key)
SELECT DISTINCT p.id, s.key, p.product_key
FROM payload AS p
LEFT JOIN json_each(CASE WHEN json_valid(p.data) AND json_type(p.data) = 'array' THEN p.data END) AS c
    ON c.type = 'object' AND c.value <> '{}'
LEFT JOIN json_each(c.value) AS s
WHERE p.id BETWEEN ?1 AND ?2 ORDER BY p.id";

/// The same of the run ?1 on a server, where the numbers of payloads are those of one run.
const NOTE_SERVICES_ON_SERVER: &str = "
INSERT INTO called_service (run_id, payload_id, service, product_key)
SELECT DISTINCT p.run_id, p.id, s.name, p.product_key
FROM payload AS p
LEFT JOIN LATERAL (
    SELECT m.call FROM json_array_elements(CASE WHEN json_typeof(p.data::json) = 'array' THEN p.data::json ELSE '[]' END) AS m (call)
    WHERE json_typeof(m.call) = 'object'
) AS c ON EXISTS (SELECT FROM json_object_keys(c.call))
LEFT JOIN json_object_keys(c.call) AS s (name) ON true
WHERE p.run_id = ?1 AND p.id BETWEEN ?2 AND ?3";

/// A digest as text, for a statement that takes many of them.
fn hex(digest: &PayloadDigest) -> String {
    format!("{:032x}", u128::from_be_bytes(*digest))
}

fn digest(payload: &Payload) -> PayloadDigest {
    let mut hash = Sha256::new();
    // Each field with its length, so that no two payloads run together into the same bytes.
    let mut text = |field: Option<&str>| {
        let field_or_absent = field.map_or(-1, |field| field.len() as i64);
        hash.update(field_or_absent.to_le_bytes());
        hash.update(field.unwrap_or_default());
    };
    text(Some(&payload.product_key));
    text(Some(&payload.data));
    text(payload.extend_para.as_deref());
    let mut number = |value: Option<i64>| {
        hash.update([u8::from(value.is_some())]);
        hash.update(value.unwrap_or_default().to_le_bytes());
    };
    number(payload.qos.map(i64::from));
    number(payload.is_cache.map(i64::from));
    number(payload.cache_time);
    number(payload.is_cover.map(i64::from));
    let full = hash.finalize();
    let mut half = PayloadDigest::default();
    half.copy_from_slice(&full[..16]);
    half
}
