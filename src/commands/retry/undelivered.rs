//! `retry --delivery`: accepted commands that the platform has not sent, by evidence.

use anyhow::anyhow;

use super::super::reading::inbox_reader;
use crate::{
    clock,
    engine::settle_run,
    exit::Failure,
    journal::retriable::{NotAgain, again},
    model::TaskFilter,
    settings::Place,
    store::{InboxError, Run, Store},
    ui::printer::Printer,
};

/// What is to be known before such commands are sent again.
pub(super) const MAY_COME_TWICE: &str = "these commands were accepted before: a device may get its command twice, if its sending only seemed to fail or if the platform still sends it";

/// Whether accepted commands are chosen.
pub(super) fn are_chosen(filter: &TaskFilter) -> bool {
    !filter.deliveries.is_empty()
}

/// Fails when the filter names commands that are not to be sent again.
pub(super) fn may_be_chosen(filter: &TaskFilter) -> Result<(), Failure> {
    for delivery in &filter.deliveries {
        let Err(why) = again(*delivery) else { continue };
        let name = delivery.name();
        return Err(Failure::usage(match why {
            NotAgain::MayStillBeSent => anyhow!(
                "--delivery {name}: the platform may still send these commands, so retry does not send them again; it takes send_failed and expired; fleetpush verify looks for evidence of the others"
            ),
            NotAgain::Sent => anyhow!(
                "--delivery {name}: the platform has sent these commands, so retry does not send them again; it takes send_failed and expired; to send them anyway, write a manifest of them and push it: fleetpush results --delivery {name} --as-manifest --out again.jsonl"
            ),
        }));
    }
    Ok(())
}

/// Records what the inbox says, so that what is chosen is what `results` shows. An inbox that cannot be read is warned of.
pub(super) async fn record_messages(
    store: &mut Store,
    place: &Place,
    run: &Run,
    printer: &Printer,
) -> Result<(), Failure> {
    let settled = match inbox_reader(place).await {
        Ok(mut inbox) => settle_run(store, &mut inbox, run, clock::wall_now()).await?,
        Err(InboxError::Missing(_)) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = settled {
        printer.warn(&format!("{error}; its messages are not used"));
    }
    Ok(())
}

/// The failure of a filter that chooses no such command.
pub(super) fn none_chosen(run: &str) -> Failure {
    Failure::usage(anyhow!(
        "run '{run}': no accepted command with this delivery matches the filter; fleetpush verify records the deliveries, and fleetpush results --delivery send_failed,expired lists these commands"
    ))
}
