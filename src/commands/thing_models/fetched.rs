//! Thing models from the platform: each product's is fetched once, and stored beside the database in case the platform does not answer
//! later.

use std::{
    ffi::OsString,
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use tokio::{runtime::Handle, sync::watch};
use url::form_urlencoded::byte_serialize;

use super::LARGEST;
use crate::{
    budget::Budget,
    clock::{self, Clock},
    commands::{
        interrupt::Interrupt,
        target::{self, Connection},
    },
    exit::Failure,
    files,
    model::{SendResult, Timestamp},
    policy::{self, Signal},
    settings::FetchFrom,
    thing_model::{self, Cause, NoModel, ThingModel},
    ui::number,
};

/// Questions for one model, before the one that was kept is taken.
const ATTEMPTS: u32 = 3;
/// As of the database: what a product can do may be confidential.
const MODE: u32 = 0o600;

/// Models by the platform.
pub(in crate::commands) struct Fetched {
    connection: Connection,
    runtime: Handle,
    /// Where they are kept, if anywhere.
    folder: Option<PathBuf>,
    stop: watch::Receiver<bool>,
}

impl Fetched {
    /// Models of this platform. Nothing is asked yet.
    ///
    /// Fails as a push to it would.
    pub(in crate::commands) async fn new(
        from: &FetchFrom,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let clock = Clock::start();
        let connection = target::connect(&from.push, &Budget::default(), clock).await?;
        Ok(Self {
            connection,
            runtime: Handle::current(),
            folder: from.database.as_deref().map(folder_beside),
            stop: interrupt.stop(),
        })
    }

    /// The model of a product; blocks the thread, which must not be one of the runtime's.
    pub(super) fn wait_for(&self, product_key: &str) -> Result<ThingModel, NoModel> {
        self.runtime.block_on(self.model(product_key))
    }

    /// The model of a product: the platform's, or the one that was kept when the platform gives none.
    pub(in crate::commands) async fn model(
        &self,
        product_key: &str,
    ) -> Result<ThingModel, NoModel> {
        let no_answer = match self.ask(product_key).await {
            Ok((model, text)) => {
                for remark in model.remarks() {
                    tracing::warn!("the thing model of product {product_key}: {remark}");
                }
                if let Some(folder) = &self.folder
                    && let Err(error) = keep(folder, product_key, &text)
                {
                    tracing::warn!(
                        "the thing model of product {product_key} cannot be stored in {}: {error}",
                        folder.display()
                    );
                }
                return Ok(model);
            }
            Err(no_answer) => no_answer,
        };
        let words = no_answer.words;
        let stored = self.folder.as_deref();
        let stored = stored.and_then(|folder| kept(folder, product_key));
        if let Some((model, age)) = stored {
            tracing::warn!(
                "the platform does not return the thing model of product {product_key} ({words}); using the stored one of {} ago",
                number::duration(age)
            );
            return Ok(model);
        }
        Err(NoModel {
            product_key: product_key.into(),
            reason: format!("{words}; give a file with --tsl {product_key}=FILE, or omit --tsl"),
            cause: no_answer.cause,
        })
    }

    /// The model, and the export that it was read from.
    async fn ask(&self, product_key: &str) -> Result<(ThingModel, String), NoAnswer> {
        let mut stop = self.stop.clone();
        let asking = async {
            let mut failed = 0;
            loop {
                let no_answer = match self.connection.platform.thing_model(product_key).await {
                    Ok(text) => {
                        return match thing_model::read(&text) {
                            Ok(model) => Ok((model, text)),
                            Err(error) => {
                                let words = format!("its reply {error}");
                                Err(NoAnswer::other(Cause::Absent, words))
                            }
                        };
                    }
                    Err(result) => NoAnswer::of(&result),
                };
                failed += 1;
                if no_answer.cause != Cause::Unreachable || failed == ATTEMPTS {
                    return Err(no_answer);
                }
                tokio::time::sleep(policy::probe_delay(failed - 1, no_answer.pause)).await;
            }
        };
        tokio::select! {
            answer = asking => answer,
            _ = stop.wait_for(|asked| *asked) => {
                Err(NoAnswer::other(Cause::Unreachable, "stopped by a signal".to_owned()))
            }
        }
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// The model of a product that was kept in the folder, and how old it is.
pub(super) fn kept(folder: &Path, product_key: &str) -> Option<(ThingModel, Duration)> {
    let path = path_in(folder, product_key);
    let written = fs::metadata(&path)
        .and_then(|about| about.modified())
        .ok()?;
    let since = written.duration_since(UNIX_EPOCH).ok()?;
    let text = files::read_small(&path, LARGEST).ok()?;
    let model = thing_model::read(&text).ok()?;
    let since = Timestamp(i64::try_from(since.as_millis()).ok()?);
    Some((model, since.until(clock::wall_now())))
}

/// Where the model of a product is kept. A key may have characters that a file's name must not.
fn path_in(folder: &Path, product_key: &str) -> PathBuf {
    let name: String = byte_serialize(product_key.as_bytes()).collect();
    folder.join(format!("{name}.json"))
}

/// Stores an export in this folder, for the next time.
fn keep(folder: &Path, product_key: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = path_in(folder, product_key);
    let mut file = files::temporary_beside(&path, MODE)?;
    file.write_all(text.as_bytes())?;
    file.persist(&path).map(drop).map_err(|error| error.error)
}

/// `fleetpush.db` has its models in `fleetpush.db.tsl`.
pub(super) fn folder_beside(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".tsl");
    name.into()
}

/// Why there is no model.
struct NoAnswer {
    cause: Cause,
    words: String,
    /// How long the platform asked to wait.
    pause: Option<Duration>,
}

impl NoAnswer {
    /// Judges a question without an answer as a send to one device would be.
    fn of(result: &SendResult) -> Self {
        let judgement = policy::judge(result, 1);
        let outcome = judgement.devices.into_iter().next().map(|one| one.outcome);
        let (code, message) =
            outcome.map_or((None, None), |outcome| (outcome.code, outcome.message));
        let message = message.map_or_else(|| "no reason given".to_owned(), String::from);
        let (cause, pause) = match judgement.signal {
            Signal::Stop { .. } | Signal::Forbidden { .. } => (Cause::Refused, None),
            Signal::Reached => (Cause::Absent, None),
            Signal::Throttled { retry_after, .. } | Signal::Unusable { retry_after, .. } => {
                (Cause::Unreachable, retry_after)
            }
            Signal::Unauthorized { .. } | Signal::Silent => (Cause::Unreachable, None),
        };
        Self {
            cause,
            words: match code {
                Some(code) => format!("{message} (code {code})"),
                None => message,
            },
            pause,
        }
    }

    /// What has nothing to do with the platform's answer.
    fn other(cause: Cause, words: String) -> Self {
        Self {
            cause,
            words,
            pause: None,
        }
    }
}
