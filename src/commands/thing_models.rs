//! The thing models that a manifest is checked against.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, anyhow};

use crate::{
    exit::Failure,
    files,
    model::TslFile,
    thing_model::{self, ModelSource, Models, NoModel, ThingModel},
};

/// The largest export that is read, in bytes: a product has 300 entries at most, of some hundred bytes each (page "Limitations").
const LARGEST: u64 = 16 << 20;

/// The models of the files that `--tsl` names; `None` when it names none.
///
/// Fails when a file is no thing model, or when two are for the same product.
pub(super) fn models(given: &[TslFile]) -> Result<Option<Models>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    let mut files = Files::default();
    for file in given {
        files.add(file)?;
    }
    Ok(Some(Models::new(Arc::new(files))))
}

/// Reads one export.
///
/// Fails when it cannot be read, or is no thing model; what of it is not understood is told and refuses nothing.
pub(super) fn read(file: &TslFile) -> Result<ThingModel, Failure> {
    let name = file.path.display();
    let text = files::read_small(&file.path, LARGEST)
        .with_context(|| format!("--tsl: {name} cannot be read"))
        .map_err(Failure::usage)?;
    let model = thing_model::read(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Failure::usage(anyhow!("--tsl: {name} {error}")))?;
    for remark in model.remarks() {
        tracing::warn!("{name}: {remark}");
    }
    Ok(model)
}

/// Models that were read from files.
#[derive(Debug, Default)]
struct Files {
    of_product: HashMap<String, Arc<ThingModel>>,
    of_all: Option<Arc<ThingModel>>,
}

impl Files {
    fn add(&mut self, file: &TslFile) -> Result<(), Failure> {
        let model = read(file)?;
        let own = model.product_key();
        let before = match file.product_key.as_deref().or(own).map(str::to_owned) {
            Some(product) => self.of_product.insert(product, Arc::new(model)),
            None => self.of_all.replace(Arc::new(model)),
        };
        match before {
            None => Ok(()),
            Some(_) => Err(Failure::usage(anyhow!(
                "--tsl: {} is the second thing model for the same product; name each product, as in --tsl PRODUCT={0}",
                file.path.display()
            ))),
        }
    }
}

impl ModelSource for Files {
    fn model(&self, product_key: &str) -> Result<Option<Arc<ThingModel>>, NoModel> {
        Ok(self
            .of_product
            .get(product_key)
            .or(self.of_all.as_ref())
            .cloned())
    }
}
