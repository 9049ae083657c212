//! Staging a manifest: a thread reads its rows, and they are stored as they arrive.

use std::path::Path;

use anyhow::anyhow;
use tokio::{runtime::Handle, sync::mpsc};

use super::{bad_rows::BadRows, compare::compare, interrupt::Interrupt, thing_models};
use crate::{
    budget::{Budget, Share, Use},
    clock,
    exit::Failure,
    journal::{inventory::Findings, unchanged::skip_unchanged},
    manifest::{Defaults, Entry, Manifest, ManifestError, Warning},
    model::{BadRow, Row},
    preview::{Preview, Survey},
    settings::{DefaultData, ManifestDefaults, ManifestInput},
    store::{NewRun, Past, Staged, Stager, Store},
};

/// Rows that travel together from the reader to the store, at most …
const BATCH: usize = 1000;
/// … and their bytes, about: a row may have megabytes.
const BATCH_BYTES: usize = 4 << 20;
/// Batches that may wait.
const WAITING: usize = 4;

/// Opens a manifest, which takes one reading of it. `None` when a signal came meanwhile.
pub(super) async fn open(
    input: &ManifestInput,
    interrupt: &Interrupt,
) -> Result<Option<Manifest>, Failure> {
    let path = input.path.clone();
    let defaults = defaults(&input.defaults);
    let models = thing_models::models(&input.tsl, input.fetch.as_deref(), interrupt).await?;
    let opening = tokio::task::spawn_blocking(move || {
        let manifest = Manifest::open(&path, defaults)?;
        Ok::<_, ManifestError>(match models {
            Some(models) => manifest.checked_by(models),
            None => manifest,
        })
    });
    tokio::select! {
        opened = opening => Ok(Some(opened.map_err(Failure::usage)??)),
        () = interrupt.stopped() => Ok(None),
    }
}

/// How a run is staged.
pub(super) struct Staging<'p> {
    /// Devices in a chunk.
    pub(super) chunk_size: u32,
    /// Where it is known what devices have accepted last, when that is to be skipped.
    pub(super) unchanged: Option<Past<'p>>,
}

/// What staging came to.
pub(super) struct StagedManifest {
    pub(super) staged: Staged,
    /// What would be sent.
    pub(super) preview: Preview,
    /// What the platform's device list says against rows, when it was asked.
    pub(super) findings: Option<Findings>,
}

/// Stages a run, and gives it with what it would send; `None` when a signal came meanwhile, and no run is left behind then or after an
/// error. Rows whose devices have accepted the same last are skipped if it is given where that is known (`unchanged`). When all rows are
/// in, `review` may look at them; it becomes a run only if that returns without a failure.
pub(super) async fn stage(
    store: &mut Store,
    manifest: Manifest,
    about: &NewRun,
    how: Staging<'_>,
    input: &ManifestInput,
    interrupt: &Interrupt,
    review: impl AsyncFnOnce(&mut Stager<'_>, &Preview) -> Result<(), Failure>,
) -> Result<Option<StagedManifest>, Failure> {
    let Staging {
        chunk_size,
        unchanged,
    } = how;
    let file = manifest.name().to_owned();
    let budget = store.budget().clone();
    let mut stager = store.stage(about, chunk_size, clock::wall_now()).await?;
    let stop = interrupt.stop();
    let asked = stop.clone();
    stager.interrupt_when(move || *asked.borrow()).await?;
    let (batches, read) = mpsc::channel(WAITING);
    let batches = Batches {
        sender: batches,
        budget,
        runtime: Handle::current(),
    };
    let reader = tokio::task::spawn_blocking(move || read_rows(&manifest, &batches));
    let stored = store_rows(&mut stager, read, input, &file, interrupt).await;
    // Whatever went wrong on the way: the reader ends when nobody takes its batches any more.
    let read = reader.await.map_err(Failure::usage)?;
    let problem = match (stored, read) {
        (Ok(Stored::All(rows)), Ok(read)) => match expected(rows, input, &file) {
            Ok(()) => {
                if let Some(warning) = read.warning {
                    tracing::warn!("{file}{warning}");
                }
                let checks = Checks {
                    unchanged,
                    input,
                    file: &file,
                    interrupt,
                };
                match finish(&mut stager, checks, &read.preview, review).await {
                    Ok((made, findings)) => {
                        return Ok(Some(StagedManifest {
                            staged: made,
                            preview: read.preview,
                            findings,
                        }));
                    }
                    Err(failure) => Some(failure),
                }
            }
            Err(failure) => Some(failure),
        },
        (Ok(Stored::Interrupted), _) => None,
        (Ok(Stored::Bad(text)), Ok(_)) => Some(Failure::usage(anyhow!(text))),
        (Ok(Stored::Bad(text)), Err(error)) => Some(Failure::usage(anyhow!(
            "{text}\nand the rest cannot be read: {error}"
        ))),
        (Err(failure), _) => Some(failure),
        (Ok(Stored::All(_)), Err(error)) => Some(error.into()),
    };
    stager.abandon().await?;
    // A statement that was interrupted is no failure.
    let problem = problem.filter(|_| !*stop.borrow());
    problem.map_or(Ok(None), Err)
}

/// What rows are held against when all are in.
struct Checks<'c> {
    unchanged: Option<Past<'c>>,
    input: &'c ManifestInput,
    file: &'c str,
    interrupt: &'c Interrupt,
}

/// Makes what is in a run, if neither the device list nor `review` has anything against it.
async fn finish(
    stager: &mut Stager<'_>,
    checks: Checks<'_>,
    preview: &Preview,
    review: impl AsyncFnOnce(&mut Stager<'_>, &Preview) -> Result<(), Failure>,
) -> Result<(Staged, Option<Findings>), Failure> {
    let Checks {
        unchanged,
        input,
        file,
        interrupt,
    } = checks;
    stager.arrange(clock::wall_now()).await?;
    let findings = match (&input.fetch, input.inventory) {
        (Some(from), Some(inventory)) => {
            let skip = inventory.skip_unknown;
            Some(compare(stager, &from.push, skip, file, interrupt).await?)
        }
        _ => None,
    };
    if let Some(past) = unchanged {
        skip_unchanged(stager, past, clock::wall_now()).await?;
    }
    review(stager, preview).await?;
    Ok((stager.finish(clock::wall_now()).await?, findings))
}

enum Stored {
    /// The manifest to its end, so many rows.
    All(u64),
    /// Rows that cannot be sent: what is told of them.
    Bad(String),
    Interrupted,
}

/// What travels from the reader to the store.
enum Batch {
    Rows(Vec<Row>, Share),
    Bad(BadRow),
}

/// Where the reader's thread puts what it has read.
struct Batches {
    sender: mpsc::Sender<Batch>,
    budget: Budget,
    runtime: Handle,
}

impl Batches {
    /// Hands rows over as soon as there is memory for others; false when the store has given up.
    fn rows(&self, rows: Vec<Row>, bytes: usize) -> bool {
        let share = self.budget.share(Use::Batches, bytes);
        let share = self.runtime.block_on(share);
        self.sender.blocking_send(Batch::Rows(rows, share)).is_ok()
    }

    /// Hands a row over that is wrong; false when the store has given up.
    fn bad(&self, error: BadRow) -> bool {
        self.sender.blocking_send(Batch::Bad(error)).is_ok()
    }
}

/// What is known of rows that have been read.
struct Read {
    /// What is odd about them.
    warning: Option<Warning>,
    /// What they would send.
    preview: Preview,
}

/// Reads every row, and counts what it would send.
fn read_rows(manifest: &Manifest, batches: &Batches) -> Result<Read, ManifestError> {
    let mut entries = manifest.rows()?;
    let mut survey = Survey::default();
    let mut rows = Vec::with_capacity(BATCH);
    let mut bytes = 0;
    for entry in &mut entries {
        // The store takes nothing any more when it has given up, and then says why itself.
        let goes_on = match entry? {
            Entry::Row(row) => {
                survey.note(&row);
                bytes += row.bytes();
                rows.push(row);
                true
            }
            Entry::Bad(error) => batches.bad(error),
        };
        let is_full = rows.len() == BATCH || bytes >= BATCH_BYTES;
        let goes_on = goes_on
            && (!is_full || {
                let full = std::mem::replace(&mut rows, Vec::with_capacity(BATCH));
                batches.rows(full, std::mem::take(&mut bytes))
            });
        if !goes_on {
            break;
        }
    }
    batches.rows(rows, bytes);
    for product in manifest.unchecked_products()? {
        tracing::warn!(
            "--tsl: product {product} has no thing model here; its payloads are not checked against one"
        );
    }
    Ok(Read {
        warning: entries.warning(),
        preview: survey.finish(&entries.implied_labels()),
    })
}

async fn store_rows(
    stager: &mut Stager<'_>,
    mut read: mpsc::Receiver<Batch>,
    input: &ManifestInput,
    file: &str,
    interrupt: &Interrupt,
) -> Result<Stored, Failure> {
    let mut bad = BadRows::default();
    let mut whole = true;
    let mut rows = 0;
    loop {
        let batch = tokio::select! {
            batch = read.recv() => batch,
            () = interrupt.stopped() => return Ok(Stored::Interrupted),
        };
        match batch {
            None => break,
            // Its share is kept until they are stored.
            Some(Batch::Rows(batch, _share)) => {
                rows += batch.len() as u64;
                // Nothing is sent of a manifest with bad rows, so that storing the others would be in vain.
                if bad.is_empty() {
                    stager.rows(batch).await?;
                }
            }
            Some(Batch::Bad(error)) if input.skip_invalid => {
                rows += 1;
                stager.invalid(&[error], clock::wall_now()).await?;
            }
            Some(Batch::Bad(error)) => {
                whole = bad.add(error);
                if !whole {
                    break;
                }
            }
        }
    }
    if bad.is_empty() {
        Ok(Stored::All(rows))
    } else {
        Ok(Stored::Bad(bad.text(file, whole)))
    }
}

/// Refuses a manifest, called `file`, whose number of rows is not what `--expect-rows` wants. It is the same whether or not the push has
/// begun: one that is complete has still not sent what was expected.
pub(super) fn expected(rows: u64, input: &ManifestInput, file: &str) -> Result<(), Failure> {
    let Some(expected) = input.expect_rows.as_ref() else {
        return Ok(());
    };
    if expected.contains(&rows) {
        return Ok(());
    }
    let (least, most) = (expected.start(), expected.end());
    let wanted = if least == most {
        least.to_string()
    } else {
        format!("{least} to {most}")
    };
    Err(Failure::usage(anyhow!(
        "{file}: it has {rows} rows, but --expect-rows is {wanted}; nothing is sent"
    )))
}

/// The default name of a run: the manifest's stem and the beginning of its identity.
pub(super) fn default_name(
    manifest: &Manifest,
    path: &Path,
    identity: &str,
) -> Result<String, Failure> {
    let stem = manifest.stem().ok_or_else(|| {
        Failure::usage(anyhow!(
            "a run of {} has no name of its own: give one with --name",
            path.display()
        ))
    })?;
    Ok(format!("{stem}-{}", &identity[..8]))
}

/// The settings' defaults in the manifest's words.
pub(super) fn defaults(settings: &ManifestDefaults) -> Defaults {
    let ManifestDefaults {
        product_key,
        data,
        qos,
        cache_seconds,
        cover,
    } = settings.clone();
    let (data, service, params) = match data {
        None => (None, None, Vec::new()),
        Some(DefaultData::Wire(data)) => (Some(data), None, Vec::new()),
        Some(DefaultData::Service { code, params }) => (None, Some(code), params),
    };
    Defaults {
        product_key,
        service,
        params,
        data,
        qos,
        cache_time: cache_seconds,
        cover,
    }
}
