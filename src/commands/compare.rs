//! Compares a manifest with the platform's device lists while it is staged (`--inventory`).

use std::{collections::HashSet, fmt::Write as _};

use anyhow::anyhow;

use super::{fleet::Fleet, interrupt::Interrupt};
use crate::{
    clock,
    exit::Failure,
    journal::inventory::{Findings, Mismatch, MismatchReason, mismatch},
    model::TaskId,
    settings::Push,
    store::{Listed, ListedRow, Stager},
    ui::number::counted,
};

/// Devices without a list that has them that are asked for one by one: a list that moved may have missed them.
const ASKED: usize = 100;
/// Questions for them in other products.
const ASKED_ELSEWHERE: usize = 100;
/// Rows that are told at once.
const TOLD: usize = 20;
/// Rows that are named of those that only warn.
const NAMED: usize = 3;

/// Reads the device lists of the manifest's products, and holds every row against them. Rows that the platform would surely refuse are
/// recorded as failed if `skip_unknown`; else they are a failure. Others are only warned of.
pub(super) async fn compare(
    stager: &mut Stager<'_>,
    push: &Push,
    skip_unknown: bool,
    file: &str,
    interrupt: &Interrupt,
) -> Result<Findings, Failure> {
    let fleet = Fleet::new(push, interrupt).await?;
    let mut uncertain = HashSet::new();
    for (product, _) in stager.products().await? {
        let mut lists = stager.device_lists().await?;
        let list = fleet.read(&mut lists, &product).await?;
        for remark in list.remarks(&product) {
            tracing::warn!("{remark}");
        }
        if list.is_uncertain() {
            uncertain.insert(product);
        }
    }
    let (asked, unasked) = missing(stager, &uncertain).await?;
    if ask(stager, &fleet, &asked).await? {
        tracing::debug!("devices that were missing in a list were found");
    }
    fleet.close().await;
    let findings = look(stager, false).await?;
    if let Some(product) = unasked {
        return Err(Failure::stopped(anyhow!(
            "{file}: the device list of product {product} keeps changing, and more than {ASKED} devices are missing from it: nothing has been sent; run the same command again, or omit --inventory"
        )));
    }
    warn(&findings, file);
    if findings.refused() > 0 {
        if !skip_unknown {
            return Err(Failure::usage(anyhow!(told(&findings, file))));
        }
        look(stager, true).await?;
    }
    Ok(findings)
}

/// The first devices that no list has, each once; and the product of one that is left out and may be missing from its list only.
async fn missing(
    stager: &mut Stager<'_>,
    uncertain: &HashSet<String>,
) -> Result<(Vec<ListedRow>, Option<String>), Failure> {
    let mut found: Vec<ListedRow> = Vec::new();
    let mut met = HashSet::new();
    let mut from = None;
    while let Some((tasks, next)) = stager.listed_tasks(from).await? {
        from = Some(next);
        for task in tasks {
            let row = task.row;
            let key = (row.product_key.clone(), row.device_key.clone());
            if task.listed != Listed::Nowhere || met.contains(&key) {
                continue;
            }
            if found.len() < ASKED {
                met.insert(key);
                found.push(row);
            } else if uncertain.contains(&row.product_key) {
                return Ok((found, Some(row.product_key)));
            }
        }
    }
    Ok((found, None))
}

/// Asks for devices one by one, first in their own product and then in others; true when one was found, which the lists then have.
async fn ask(stager: &mut Stager<'_>, fleet: &Fleet, asked: &[ListedRow]) -> Result<bool, Failure> {
    let mut lost = Vec::new();
    let mut is_found = false;
    for row in asked {
        match fleet.device(&row.product_key, &row.device_key).await? {
            Some(device) => {
                let mut lists = stager.device_lists().await?;
                lists.note(&row.product_key, 0, &[device]).await?;
                is_found = true;
            }
            None => lost.push(row),
        }
    }
    if lost.is_empty() {
        return Ok(is_found);
    }
    // To say where it belongs is a kindness: an account that may not list its products does without.
    let Ok(products) = fleet.products().await? else {
        return Ok(is_found);
    };
    let listed: HashSet<String> = stager
        .products()
        .await?
        .into_iter()
        .map(|(product, _)| product)
        .collect();
    let others: Vec<_> = products
        .into_iter()
        .map(|product| product.product_key)
        .filter(|product| !listed.contains(product))
        .collect();
    let mut questions = 0;
    for row in lost {
        for product in &others {
            if questions == ASKED_ELSEWHERE {
                return Ok(is_found);
            }
            questions += 1;
            if let Some(device) = fleet.device(product, &row.device_key).await? {
                let mut lists = stager.device_lists().await?;
                lists.note(product, 0, &[device]).await?;
                is_found = true;
                break;
            }
        }
    }
    Ok(is_found)
}

/// Looks at every row; those that must not go out are recorded as failed if `holds_back`.
async fn look(stager: &mut Stager<'_>, holds_back: bool) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    let mut from: Option<TaskId> = None;
    while let Some((tasks, next)) = stager.listed_tasks(from).await? {
        from = Some(next);
        let mut held = Vec::new();
        for task in tasks {
            let Some(mismatch) = mismatch(task.listed) else {
                continue;
            };
            if holds_back && mismatch.refuses() {
                held.push((task.task, reason(mismatch, &task.row)));
            }
            findings.add(mismatch, task.row);
        }
        if !held.is_empty() {
            stager.hold_back(&held, clock::wall_now()).await?;
        }
    }
    Ok(findings)
}

fn reason(mismatch: Mismatch, row: &ListedRow) -> String {
    let reason = MismatchReason {
        mismatch,
        product_key: &row.product_key,
        listed_under: row.listed_under.as_deref(),
    };
    reason.to_string()
}

/// The rows that must not go out, by line.
fn told(findings: &Findings, file: &str) -> String {
    let refused = findings.refused();
    let refusing = Mismatch::ALL.into_iter().filter(|kind| kind.refuses());
    let mut rows: Vec<(&ListedRow, Mismatch)> = refusing
        .flat_map(|kind| findings.examples(kind).iter().map(move |row| (row, kind)))
        .collect();
    rows.sort_unstable();
    rows.truncate(TOLD);
    let mut text = format!(
        "{file}: by the platform's device list, {} cannot be sent; nothing has been sent",
        counted(refused, "row")
    );
    for (row, mismatch) in &rows {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\nline {}, device {}: {}",
            row.line,
            row.device_key,
            reason(*mismatch, row)
        );
    }
    let more = refused - rows.len() as u64;
    if more > 0 {
        let _ = write!(text, "\nand {}", counted(more, "more row"));
    }
    text.push_str("\ncorrect them, or record them as failed and go on with --skip-unknown");
    text
}

/// Warns of rows that may fail.
fn warn(findings: &Findings, file: &str) {
    for kind in Mismatch::ALL.into_iter().filter(|kind| !kind.refuses()) {
        let count = findings.count(kind);
        if count == 0 {
            continue;
        }
        let named: Vec<String> = findings
            .examples(kind)
            .iter()
            .take(NAMED)
            .map(|row| format!("line {}, device {}", row.line, row.device_key))
            .collect();
        let more = match count - named.len() as u64 {
            0 => String::new(),
            more => format!("; and {}", counted(more, "more row")),
        };
        let what = match kind {
            Mismatch::Inactive => "that has never been activated",
            _ => "that is offline now",
        };
        tracing::warn!(
            "{file}: {} for a device {what} ({}{more})",
            counted(count, "row"),
            named.join("; ")
        );
    }
}
