//! Devices of a selection, some at a time: however many keys are wanted, each is looked for once, in the order of the index.

use std::collections::{BTreeSet, VecDeque};

use serde::Serialize;
use serde_json::json;

use crate::{
    model::{Devices, RunId},
    store::db::DbConnection,
};

/// Keys that are looked for together: as a rule their tasks make a page that is nearly full, and one that is full asks for another.
const BATCH: usize = 900;

/// Keys of a selection, by and by.
#[derive(Debug)]
pub(super) struct Batches {
    keys: VecDeque<Vec<String>>,
    /// Whether keys that the run does not have are looked for as well.
    noting: bool,
    absent: Vec<String>,
    prefixes: VecDeque<String>,
    /// The last key that the first prefix has given.
    after: Option<String>,
}

impl Batches {
    pub(super) fn new(devices: &Devices) -> Self {
        let Devices { keys, prefixes } = devices.without_overlap();
        let keys: Vec<String> = keys.into_iter().collect();
        Self {
            keys: keys.chunks(BATCH).map(<[String]>::to_vec).collect(),
            noting: false,
            absent: Vec::new(),
            prefixes: prefixes.into_iter().collect(),
            after: None,
        }
    }

    /// Has keys that the run does not have be noted on the way.
    pub(super) fn note_absent(&mut self) {
        self.noting = true;
    }

    /// Keys that the run does not have: those that were noted, and those among the keys that nobody has asked for yet.
    pub(super) async fn into_absent(
        mut self,
        connection: &mut DbConnection,
        run: RunId,
    ) -> Result<Vec<String>, sqlx::Error> {
        for keys in &self.keys {
            self.absent.extend(missing(connection, run, keys).await?);
        }
        Ok(self.absent)
    }

    /// The next keys, never none of them; `None` is the end.
    pub(super) async fn next(
        &mut self,
        connection: &mut DbConnection,
        run: RunId,
    ) -> Result<Option<Vec<String>>, sqlx::Error> {
        if let Some(keys) = self.keys.pop_front() {
            if self.noting {
                // The same pages of the index are read next, for the tasks.
                self.absent.extend(missing(connection, run, &keys).await?);
            }
            return Ok(Some(keys));
        }
        while let Some(prefix) = self.prefixes.front() {
            let mut keys = keys_from(connection, run, prefix, self.after.as_deref()).await?;
            let found = keys.len();
            keys.retain(|key| key.starts_with(prefix.as_str()));
            if found == BATCH && keys.len() == found {
                self.after = keys.last().cloned();
            } else {
                self.prefixes.pop_front();
                self.after = None;
            }
            if !keys.is_empty() {
                return Ok(Some(keys));
            }
        }
        Ok(None)
    }
}

/// The next keys of the run from `first` on, and after `after`.
async fn keys_from(
    connection: &mut DbConnection,
    run: RunId,
    first: &str,
    after: Option<&str>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(match after {
        Some(_) => KEYS_AFTER,
        None => KEYS_FROM,
    })
    .bind(run.0)
    .bind(after.unwrap_or(first))
    .bind(BATCH as i64)
    .fetch_all(connection)
    .await
}

pub(in crate::store) const KEYS_FROM: &str = "SELECT DISTINCT d.device_key FROM device_task AS d WHERE d.run_id = ?1 AND d.device_key >= ?2 ORDER BY d.device_key LIMIT ?3";
pub(in crate::store) const KEYS_AFTER: &str = "SELECT DISTINCT d.device_key FROM device_task AS d WHERE d.run_id = ?1 AND d.device_key > ?2 ORDER BY d.device_key LIMIT ?3";

/// Those of the keys that the run does not have.
pub(in crate::store) async fn absent(
    connection: &mut DbConnection,
    run: RunId,
    keys: &BTreeSet<String>,
) -> Result<Vec<String>, sqlx::Error> {
    let keys: Vec<&String> = keys.iter().collect();
    let mut absent = Vec::new();
    for batch in keys.chunks(BATCH) {
        absent.extend(missing(connection, run, batch).await?);
    }
    Ok(absent)
}

async fn missing<K: Serialize>(
    connection: &mut DbConnection,
    run: RunId,
    keys: &[K],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(ABSENT)
        .bind(run.0)
        .bind(json!(keys).to_string())
        .fetch_all(connection)
        .await
}

pub(in crate::store) const ABSENT: &str = "SELECT j.value FROM json_each(?2) AS j \
     WHERE NOT EXISTS (SELECT 1 FROM device_task AS d WHERE d.run_id = ?1 AND d.device_key = j.value)";
