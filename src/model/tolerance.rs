//! How a complete run stands to what `--tolerate` allows.

use super::{Class, Limit};

/// How a complete run stands to what `--tolerate` allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tolerance {
    /// Each limit, and what was counted for it.
    pub(crate) limits: Vec<LimitCount>,
    /// What went wrong and has no limit, by class.
    pub(crate) unlimited: Vec<(Class, u64)>,
}

/// A limit and what was counted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitCount {
    pub(crate) limit: Limit,
    /// Tasks that it limits.
    pub(crate) part: u64,
    /// Tasks that a share is taken of.
    pub(crate) whole: u64,
}

impl LimitCount {
    /// Whether the limit is kept.
    pub(crate) fn holds(&self) -> bool {
        self.limit.holds(self.part, self.whole)
    }

    /// `3 of 100 ended tasks are offline (--tolerate 'offline<5%')`.
    pub(crate) fn words(&self) -> String {
        let Self { limit, part, whole } = self;
        let what = limit.counted.words();
        format!("{part} of {whole} ended tasks {what} (--tolerate '{limit}')")
    }
}

impl Tolerance {
    /// Whether all that went wrong is limited, and every limit is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.unlimited.is_empty() && self.limits.iter().all(LimitCount::holds)
    }
}
