//! The settings of `fleetpush verify`.

use std::{path::PathBuf, time::Duration};

use super::{Database, Error, Push, query::asking, source::Sources};
use crate::{
    cli::{MessagesArgs, PaceArgs, VerifyArgs, VerifyingArgs},
    model::{
        CLOCK_TOLERANCE, CanaryProof, DeliveryTolerance, ExpectedAnswer, Rate, RowFormat, Sampling,
        Tsl, VerifyLevel,
    },
};

/// `fleetpush verify`
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// Whether only to show what is found.
    pub dry_run: bool,
    /// How far every accepted command has to have come.
    pub level: VerifyLevel,
    /// What every answer has to have.
    pub expected: Vec<ExpectedAnswer>,
    /// How many may fall short.
    pub tolerate: DeliveryTolerance,
    /// Which accepted commands are asked about.
    pub sampling: Sampling,
    /// The queue, when somebody has set one.
    pub queue: Option<String>,
    /// How long messages are waited for.
    pub wait: Duration,
    /// How far the platform's clock may be from ours.
    pub tolerance: Duration,
    /// The thing models by which entries are named, besides those kept beside the database.
    pub tsl: Vec<Tsl>,
    /// The form of the rows.
    pub format: RowFormat,
    /// Where and how fast to ask.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

/// What a push finds out at its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verifying {
    /// How far every accepted command has to have come.
    pub level: VerifyLevel,
    /// What every answer has to have.
    pub expected: Vec<ExpectedAnswer>,
    /// Which accepted commands the history is asked about.
    pub sampling: Sampling,
    /// The queue, when somebody has set one.
    pub queue: Option<String>,
    /// How long messages are waited for.
    pub wait: Duration,
    /// The most questions a second.
    pub history_rate: Rate,
}

impl Verifying {
    pub(super) fn resolve(args: VerifyingArgs, queue: Option<String>) -> Option<Self> {
        args.verify.then(|| Self::read(args, queue))
    }

    /// How a canary is verified, which `proves` something or not.
    pub(super) fn of_canary(
        args: VerifyingArgs,
        proves: bool,
        queue: Option<String>,
    ) -> Result<Self, Error> {
        let flags = [
            ("--verify-level", args.verify_level.is_some()),
            ("--history-rate", args.history_rate.is_some()),
            ("--expect-answer", !args.expect_answer.is_empty()),
        ];
        if let Some((flag, _)) = flags.into_iter().find(|(_, is_given)| *is_given)
            && !proves
            && !args.verify
        {
            return Err(Error::NothingVerified { flag });
        }
        let verifying = Self::read(args, queue);
        Ok(Self {
            queue: verifying.queue.filter(|_| proves),
            ..verifying
        })
    }

    fn read(args: VerifyingArgs, queue: Option<String>) -> Self {
        let VerifyingArgs {
            verify: _,
            verify_level,
            expect_answer,
            verify_wait,
            sample,
            history_rate,
        } = args;
        Self {
            level: verify_level.unwrap_or_else(|| usual_level(&expect_answer)),
            expected: expect_answer,
            sampling: sample.unwrap_or(Sampling::Usual),
            queue,
            wait: verify_wait.unwrap_or(WAIT),
            history_rate: history_rate.unwrap_or(Rate::HISTORY),
        }
    }

    /// The same as far and as long as the canary of a run has to prove something.
    pub(crate) fn for_canary(&self, proof: &CanaryProof, wait: Duration) -> Self {
        let expected = proof.expected.clone();
        Self {
            level: proof.level.unwrap_or_else(|| usual_level(&expected)),
            expected,
            wait,
            ..self.clone()
        }
    }

    pub(crate) fn of(&self, run: &str, push: &Push, database: &Database) -> Verification {
        let mut push = push.clone();
        // The rate of pushes is another one.
        push.pace.rate = self.history_rate;
        Verification {
            run: Some(run.to_owned()),
            dry_run: false,
            level: self.level,
            expected: self.expected.clone(),
            tolerate: push.recovery.tolerate.deliveries.clone(),
            sampling: self.sampling,
            queue: self.queue.clone(),
            wait: self.wait,
            tolerance: CLOCK_TOLERANCE,
            tsl: Vec::new(),
            format: RowFormat::Table,
            push,
            database: database.clone(),
        }
    }
}

/// Who expects an answer wants one.
fn usual_level(expected: &[ExpectedAnswer]) -> VerifyLevel {
    if expected.is_empty() {
        VerifyLevel::Sent
    } else {
        VerifyLevel::Answered
    }
}

/// Most messages come within seconds; what a device is offline for is not waited for.
const WAIT: Duration = Duration::from_mins(10);

impl Verification {
    pub(super) fn resolve(
        args: VerifyArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let VerifyArgs {
            run,
            dry_run,
            verify_level,
            expect_answer,
            tolerate,
            sample,
            queue,
            amqp_url,
            verify_wait,
            tolerance,
            tsl,
            format,
            target,
            concurrency,
            history_rate,
            max_outage,
            owner,
        } = args;
        let simulated = target.simulate.simulate;
        let pace = PaceArgs {
            chunk_size: None,
            concurrency,
            // The rate of pushes is another one.
            rate: Some(history_rate.unwrap_or(Rate::HISTORY)),
            device_rate: None,
        };
        let mut push = asking(target, pace, max_outage);
        push.messages = MessagesArgs { queue, amqp_url };
        let push = Push::resolve(push, quiet, sources)?;
        let limits = tolerate.into_iter().flat_map(|tolerance| tolerance.0);
        Ok(Self {
            run,
            dry_run,
            level: verify_level.unwrap_or_else(|| usual_level(&expect_answer)),
            expected: expect_answer,
            tolerate: DeliveryTolerance(limits.collect()),
            sampling: sample.unwrap_or(Sampling::Usual),
            queue: (push.listening.as_ref()).map(|listening| listening.queue.clone()),
            wait: verify_wait.unwrap_or(WAIT),
            tolerance: tolerance.unwrap_or(CLOCK_TOLERANCE),
            tsl,
            format: format.unwrap_or(RowFormat::Table),
            push,
            database: Database::anywhere(db, simulated, sources)?
                .owned("verify", owner, sources)?,
        })
    }
}
