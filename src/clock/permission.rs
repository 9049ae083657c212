//! A permission that ends by itself, unless somebody prolongs it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// How often it is looked whether one has ended. The clock of timers stands still in suspend.
const LOOK: Duration = Duration::from_millis(500);

/// Whether something may be done at this moment. Its end is a time of a clock that runs on while the machine is suspended, so that a process
/// that wakes up after hours does not go on where it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permission(Option<Arc<AtomicU64>>);

impl Permission {
    /// One that never ends.
    pub(crate) fn unlimited() -> Self {
        Self(None)
    }

    /// One that ends at this time after the start of the machine.
    pub(crate) fn until(end: Duration) -> Self {
        Self(Some(Arc::new(AtomicU64::new(end.as_millis() as u64))))
    }

    /// Has it and its clones end at another time.
    pub(crate) fn end_at(&self, end: Duration) {
        if let Some(known) = &self.0 {
            known.store(end.as_millis() as u64, Ordering::Release);
        }
    }

    /// Whether it holds.
    pub(crate) fn holds(&self) -> bool {
        self.0.is_none() || self.holds_at(since_boot())
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        if self.0.is_none() {
            std::future::pending::<()>().await;
        }
        while self.holds() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn holds_at(&self, now: Duration) -> bool {
        self.0
            .as_ref()
            .is_none_or(|end| (now.as_millis() as u64) < end.load(Ordering::Acquire))
    }
}

/// The time since the machine was started, that which it was suspended for included.
pub(crate) fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    // On other systems this one runs on in suspend.
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_its_end_for_every_clone() {
        let (just_before, end) = (Duration::from_millis(999_999), Duration::from_secs(1_000));
        let permission = Permission::until(end);
        let clone = permission.clone();
        assert!(clone.holds_at(just_before));
        assert!(!clone.holds_at(end));
        permission.end_at(end + Duration::from_secs(1));
        assert!(clone.holds_at(end));
        permission.end_at(Duration::ZERO);
        assert!(!clone.holds());
        assert!(Permission::unlimited().holds());
        assert!(Permission::until(since_boot() + Duration::from_mins(1)).holds());
    }
}
