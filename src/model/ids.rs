//! Integer keys of the store, one type each so that they cannot be confused.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A run: one manifest being pushed to one platform.
    RunId
);
id!(
    /// A part of a run, counted from 0 within the run.
    PartNumber
);
id!(
    /// A task: one device and one payload. Tasks of one run are one range of ids, laid out so that a chunk's tasks stand side by side.
    TaskId
);
id!(
    /// A payload, stored once for a run and shared by its tasks.
    PayloadId
);
id!(
    /// A request: one HTTP POST and its members.
    RequestId
);
id!(
    /// A bundle: tasks that a split keeps together, and that are never merged with others again.
    BundleId
);
