//! The verification at the end of a push.

use super::{
    interrupt::Interrupt,
    verify::{AfterPush, verify_after},
};
use crate::{
    exit::{Exit, Failure},
    settings::{Database, Push},
    ui::printer::Printer,
};

/// What a push works with.
#[derive(Clone, Copy)]
pub(super) struct With<'a> {
    pub(super) push: &'a Push,
    pub(super) database: &'a Database,
    pub(super) interrupt: &'a Interrupt,
    pub(super) printer: &'a Printer,
}

impl<'a> With<'a> {
    pub(super) fn new(
        push: &'a Push,
        database: &'a Database,
        interrupt: &'a Interrupt,
        printer: &'a Printer,
    ) -> Self {
        Self {
            push,
            database,
            interrupt,
            printer,
        }
    }
}

/// Verifies a complete run where that is asked for, and gives the exit code of both: what the run itself came to prevails.
pub(super) async fn verified(
    run: &str,
    own: Exit,
    after: AfterPush,
    with: With<'_>,
) -> Result<Exit, Failure> {
    let With {
        push: settings,
        database,
        interrupt,
        printer,
    } = with;
    let Some(verifying) = &settings.verifying else {
        return Ok(own);
    };
    let verification = verifying.of(run, settings, database);
    let verified = Box::pin(verify_after(verification, after, interrupt, printer)).await;
    match (own, verified) {
        (Exit::Complete, verified) => verified,
        (own, Ok(_)) => Ok(own),
        (own, Err(failure)) => {
            printer.warn(&format!("verify has failed: {}", failure.message()));
            Ok(own)
        }
    }
}
