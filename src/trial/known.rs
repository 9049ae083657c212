//! A push that knows the limit.

/// The pace of somebody who knows the limit: even, and pauses are kept to.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    interval: f64,
    slack: f64,
    pub(super) due: f64,
}

impl Known {
    pub(super) fn at(rate: f64, slack: f64) -> Self {
        Self {
            interval: 1.0 / rate,
            slack,
            due: 0.0,
        }
    }

    pub(super) fn from(self, begins: f64) -> Self {
        Self {
            due: begins,
            ..self
        }
    }

    pub(super) fn take(&mut self, now: f64) -> Result<(), f64> {
        if self.due > now {
            return Err(self.due);
        }
        self.due = self.due.max(now - self.slack) + self.interval;
        Ok(())
    }
}
