//! `fleetpush inventory`: the platform's device list as a manifest.

use std::collections::HashSet;

use super::{fleet::Fleet, interrupt::Interrupt, results::went_out, temporary};
use crate::{
    clock,
    exit::{Exit, Failure},
    journal::inventory::Wanted,
    model::ManifestFormat,
    settings::Inventory as Settings,
    ui::{
        inventory::InventoryWriter,
        number::{counted, grouped},
        out_file::Destination,
        printer::{Printer, unless_closed},
    },
};

/// Writes the manifest.
pub(super) async fn inventory(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let destination = Destination::open(settings.out.as_deref())?;
    let wanted = Wanted {
        online: settings.online,
        activated: settings.active.then_some(true),
        seen_since: settings
            .seen_within
            .map(|age| clock::wall_now().before(age.duration())),
    };
    let fleet = Fleet::new(&settings.push, interrupt).await?;
    let folder = temporary::folder()?;
    let mut store = temporary::store(folder.path()).await?;
    let mut lists = store.device_lists().await?;
    let mut products = HashSet::new();
    let mut is_certain = true;
    // All is read before anything is written: a device list that the platform refuses leaves no half of a manifest.
    let mut read = Vec::new();
    for product in &settings.products {
        if !products.insert(product) {
            continue;
        }
        let list = fleet.read(&mut lists, product).await?;
        is_certain &= !list.is_uncertain();
        for remark in list.remarks(product) {
            printer.warn(&remark);
        }
        read.push((product, list));
    }
    fleet.close().await;

    let mut out = match settings.format {
        ManifestFormat::Csv => InventoryWriter::csv(destination.output(printer)?)?,
        ManifestFormat::Jsonl => InventoryWriter::jsonl(destination.output(printer)?),
    };
    let mut written = 0;
    for (product, list) in read {
        let mut of_product = 0;
        let mut after = String::new();
        loop {
            let page = lists.page(product, &after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.device_key);
            for device in page.iter().filter(|device| wanted.takes(device)) {
                if !went_out(out.row(device))? {
                    return Ok(Exit::Complete);
                }
                of_product += 1;
            }
        }
        let taken = if of_product == list.size.own {
            "all written".to_owned()
        } else {
            format!("{} written", grouped(of_product))
        };
        printer.say(&format!(
            "product {product}: {}, {taken}",
            counted(list.size.own, "device")
        ));
        written += of_product;
    }
    unless_closed(out.finish())?;
    destination.keep()?;
    store.close().await?;
    if written == 0 {
        printer.warn("no device was written; a manifest without rows cannot be pushed");
    } else {
        let file = match &settings.out {
            Some(path) if path.as_os_str() != "-" => path.to_string_lossy().into_owned(),
            _ => "FILE".to_owned(),
        };
        printer.say(&format!(
            "to push to them, add what to send: fleetpush check {} --service CODE --param CODE=VALUE",
            crate::ui::repeat::quoted(&file)
        ));
    }
    Ok(if is_certain {
        Exit::Complete
    } else {
        Exit::Failures
    })
}
