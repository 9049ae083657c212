//! Prevents that a device is sent something older than what it has accepted since.

use anyhow::anyhow;

use super::{confirm::confirm, interrupt::Interrupt};
use crate::{
    exit::Failure,
    store::{Run, Stale, Store},
    ui::{number::counted, printer::Printer, repeat::quoted},
};

/// Lets a run go on when nothing of it is stale or when somebody agrees to that: by `--allow-stale`, or asked at the terminal. `false`
/// when a signal came instead of an answer.
pub(super) async fn guard(
    store: &mut Store,
    run: &Run,
    allow: bool,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<bool, Failure> {
    let Some(stale) = store.stale(run).await? else {
        return Ok(true);
    };
    let what = describe(run, &stale);
    if allow {
        printer.warn(&what);
        return Ok(true);
    }
    let answer = tokio::select! {
        answer = confirm(format!("{what}; send it anyway?")) => answer?,
        () = interrupt.stopped() => return Ok(false),
    };
    match answer {
        Some(true) => Ok(true),
        Some(false) => Err(Failure::usage(anyhow!(
            "not confirmed; nothing has been sent"
        ))),
        None => {
            let way_out = if run.state.is_unfinished() {
                format!("end it with fleetpush cancel {}", quoted(&run.about.name))
            } else {
                "leave them as they are".to_owned()
            };
            Err(Failure::usage(anyhow!(
                "{what}; {way_out}, or send it anyway with --allow-stale"
            )))
        }
    }
}

fn describe(run: &Run, stale: &Stale) -> String {
    let Stale {
        devices,
        example,
        newer,
    } = stale;
    format!(
        "run '{}' has tasks for {} older than what was accepted since, for example to {example} by run '{newer}'",
        run.about.name,
        counted(*devices, "device"),
    )
}
