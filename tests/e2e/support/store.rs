//! The places where a push can have its results, for tests that say the same of each of them.

use std::{
    collections::HashSet,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{Postgres, Site};

/// Where a push has its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    File,
    Server,
}

impl Store {
    /// Those that there are on this machine.
    pub(crate) fn all() -> Vec<Self> {
        match Postgres::shared() {
            None => vec![Self::File],
            Some(_) => vec![Self::File, Self::Server],
        }
    }

    /// A site with this manifest, whose results are there.
    pub(crate) fn site(self, manifest: &str) -> Site {
        match self {
            Self::File => Site::with(manifest),
            Self::Server => Site::on_server(manifest).expect("there is a server"),
        }
    }
}

/// Does the same with each store.
pub(crate) fn each_store(play: impl Fn(Store)) {
    for store in Store::all() {
        let played = catch_unwind(AssertUnwindSafe(|| play(store)));
        assert!(played.is_ok(), "with {store:?}");
    }
}

/// Whether tests play all that they have, and not only what there is time for whenever something changes: `FLEETPUSH_TEST_LONG`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("FLEETPUSH_TEST_LONG").is_some()
}

/// Each case with a file; with a server one of each kind unless the tests are to be [long](is_long).
pub(crate) fn with_each_store<Case: Copy, Kind: Eq + Hash>(
    cases: &[Case],
    kind: impl Fn(&Case) -> Kind,
) -> Vec<(Store, Case)> {
    let mut all = Vec::new();
    for store in Store::all() {
        let mut seen = HashSet::new();
        let is_whole = store == Store::File || is_long();
        let chosen = cases
            .iter()
            .filter(|case| seen.insert(kind(case)) || is_whole);
        all.extend(chosen.map(|case| (store, *case)));
    }
    all
}
