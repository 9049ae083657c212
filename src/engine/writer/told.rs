//! Reports what the platform's messages have proved about sends in doubt.

use tracing::{info, warn};

/// Tells how many tasks they have ended, and why they cannot be read.
pub(super) fn tell(tasks: u64, trouble: Option<String>) {
    if tasks > 0 {
        info!(
            tasks,
            "in doubt, and accepted by a message of the platform: not sent again"
        );
    }
    if let Some(trouble) = trouble {
        warn!(
            "{trouble}; the push continues, and does not look for sends in doubt in its messages"
        );
    }
}
