//! The thing models that a manifest is checked against.

mod fetched;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};

pub(super) use self::fetched::Fetched;
use super::interrupt::Interrupt;
use crate::{
    exit::Failure,
    files,
    model::Tsl,
    settings::FetchFrom,
    thing_model::{self, ModelSource, Models, NoModel, ThingModel},
    ui::printer::Printer,
};

/// The largest export that is read, in bytes: a product has 300 entries at most, of some hundred bytes each (page "Limitations").
const LARGEST: u64 = 16 << 20;

/// The models that `--tsl` names; `None` when it names none. The platform is asked when a product's model is first needed.
///
/// Fails when a file is no thing model, when two are for the same product, or when the platform cannot be asked at all.
pub(super) async fn models(
    given: &[Tsl],
    from: Option<&FetchFrom>,
    interrupt: &Interrupt,
) -> Result<Option<Models>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    let mut sources = Sources::default();
    for tsl in given {
        match tsl {
            Tsl::File { product_key, path } => sources.add(product_key.as_deref(), path)?,
            Tsl::Fetch => {
                let Some(from) = from else {
                    return Err(Failure::usage(anyhow!(
                        "--tsl fetch needs a platform: give --region, --base-url or --simulate"
                    )));
                };
                sources.fetched = Some(Fetched::new(from, interrupt).await?);
            }
        }
    }
    Ok(Some(Models::new(Arc::new(sources))))
}

/// The models that need no platform: those of the files, and for products without a file what `--tsl fetch` has kept beside the database,
/// when that is a file.
///
/// Fails when a file is no thing model, or when two are for the same product.
pub(super) fn at_hand(given: &[Tsl], database: Option<&Path>) -> Result<Models, Failure> {
    let mut sources = Sources {
        kept_in: database.map(fetched::folder_beside),
        ..Sources::default()
    };
    for tsl in given {
        match tsl {
            Tsl::File { product_key, path } => sources.add(product_key.as_deref(), path)?,
            Tsl::Fetch => {
                return Err(Failure::usage(anyhow!(
                    "--tsl fetch is for check, run, template and verify; this command uses the model that they have stored, without a flag: fetch it with check --tsl fetch, or give a file"
                )));
            }
        }
    }
    Ok(Models::new(Arc::new(sources)))
}

/// The models for reading histories of these products: those of the files, then those that are kept beside the database, then the
/// platform's. With `--tsl fetch` the platform is asked first.
///
/// Fails when a file is no thing model, or when two are for the same product. A model that cannot be had is warned of: entries of its
/// product then have values that cannot be compared.
pub(super) async fn for_history(
    given: &[Tsl],
    from: &FetchFrom,
    products: &[String],
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Models, Failure> {
    let mut sources = Sources::default();
    let mut is_fetch = false;
    for tsl in given {
        match tsl {
            Tsl::File { product_key, path } => sources.add(product_key.as_deref(), path)?,
            Tsl::Fetch => is_fetch = true,
        }
    }
    let folder = from.database.as_deref().map(fetched::folder_beside);
    let mut fetched = None;
    for product_key in products {
        if sources.of_product.contains_key(product_key) || sources.of_all.is_some() {
            continue;
        }
        let kept = folder.as_deref();
        let kept = kept.and_then(|folder| fetched::kept(folder, product_key));
        if let Some((model, _)) = kept.filter(|_| !is_fetch) {
            sources.of_product.insert(product_key.clone(), model.into());
            continue;
        }
        let fetched = match &mut fetched {
            Some(fetched) => fetched,
            none => none.insert(Fetched::new(from, interrupt).await?),
        };
        match fetched.model(product_key).await {
            Ok(model) => {
                sources.of_product.insert(product_key.clone(), model.into());
            }
            Err(missing) => printer.warn(&format!(
                "{missing}; the values of its histories cannot be compared, only their times"
            )),
        }
    }
    Ok(Models::new(Arc::new(sources)))
}

/// Reads one export.
///
/// Fails when it cannot be read, or is no thing model; what of it is not understood is told and refuses nothing.
pub(super) fn read(path: &Path) -> Result<ThingModel, Failure> {
    let name = path.display();
    let text = files::read_small(path, LARGEST)
        .with_context(|| format!("--tsl: {name} cannot be read"))
        .map_err(Failure::usage)?;
    let model = thing_model::read(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Failure::usage(anyhow!("--tsl: {name} {error}")))?;
    for remark in model.remarks() {
        tracing::warn!("{name}: {remark}");
    }
    Ok(model)
}

/// Models from files, and for products without a file from the platform.
#[derive(Debug, Default)]
struct Sources {
    of_product: HashMap<String, Arc<ThingModel>>,
    of_all: Option<Arc<ThingModel>>,
    fetched: Option<Fetched>,
    /// The folder of those that were fetched before, where they are asked for.
    kept_in: Option<PathBuf>,
}

impl Sources {
    fn add(&mut self, product_key: Option<&str>, path: &Path) -> Result<(), Failure> {
        let model = read(path)?;
        let own = model.product_key();
        let before = match product_key.or(own).map(str::to_owned) {
            Some(product) => self.of_product.insert(product, Arc::new(model)),
            None => self.of_all.replace(Arc::new(model)),
        };
        match before {
            None => Ok(()),
            Some(_) => Err(Failure::usage(anyhow!(
                "--tsl: {} is the second thing model for the same product; name each product, as in --tsl PRODUCT={0}",
                path.display()
            ))),
        }
    }
}

impl ModelSource for Sources {
    fn model(&self, product_key: &str) -> Result<Option<Arc<ThingModel>>, NoModel> {
        let of_file = self.of_product.get(product_key).or(self.of_all.as_ref());
        match (of_file, &self.fetched) {
            (Some(model), _) => Ok(Some(model.clone())),
            (None, Some(fetched)) => fetched
                .wait_for(product_key)
                .map(|model| Some(model.into())),
            (None, None) => {
                let kept = self.kept_in.as_deref();
                let kept = kept.and_then(|folder| fetched::kept(folder, product_key));
                Ok(kept.map(|(model, _)| model.into()))
            }
        }
    }
}
