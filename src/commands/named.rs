//! The run that a command names, or the latest one.

use crate::{
    exit::Failure,
    model::RunId,
    store::{FindError, Run, Store},
};

/// The run of this name, or else of this number.
pub(super) async fn named(store: &mut Store, name: &str) -> Result<Run, Failure> {
    let mut found = store.run_by_name(name).await?;
    if found.is_none()
        && let Ok(number) = name.parse()
    {
        found = store.run_by_id(RunId(number)).await?;
    }
    if let Some(run) = found {
        return Ok(run);
    }
    let runs = store.all_runs().await?;
    let names = runs.into_iter().rev().map(|run| run.about.name).collect();
    Err(FindError::among(store.shown().as_ref(), names, name).into())
}

/// The run of this name, or else of this number; without one, the latest run.
pub(super) async fn named_or_latest(store: &mut Store, name: Option<&str>) -> Result<Run, Failure> {
    if let Some(name) = name {
        return named(store, name).await;
    }
    let latest = store.scoped_runs().await?.pop();
    let (path, tags) = (store.shown().into(), store.scope().clone());
    latest.ok_or_else(|| {
        if tags.is_empty() {
            FindError::NoRun(path).into()
        } else {
            FindError::NoTagged { path, tags }.into()
        }
    })
}
