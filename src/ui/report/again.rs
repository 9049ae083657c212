//! Sends that did not settle their task, in words.

use crate::{
    model::Class,
    ui::number::{counted, grouped},
};

/// `10 sends were throttled and 12 temporarily refused: sent again after a pause`; nothing when there were none.
pub(super) fn words(sends: &[(Class, u64)]) -> String {
    let of = |wanted: fn(Class) -> bool| -> u64 {
        sends
            .iter()
            .filter(|(class, _)| wanted(*class))
            .map(|(_, sends)| sends)
            .sum()
    };
    let throttled = of(|class| matches!(class, Class::Frequency | Class::Quota));
    let others = of(|class| !matches!(class, Class::Frequency | Class::Quota));
    let what = match (throttled, others) {
        (0, 0) => return String::new(),
        (_, 0) => format!("{} throttled", were(throttled)),
        (0, _) => format!("{} temporarily refused", were(others)),
        (_, _) => format!(
            "{} throttled and {} temporarily refused",
            were(throttled),
            grouped(others)
        ),
    };
    format!("{what}: sent again after a pause")
}

/// `1 send was`, `7 sends were`.
fn were(sends: u64) -> String {
    format!(
        "{} {}",
        counted(sends, "send"),
        if sends == 1 { "was" } else { "were" }
    )
}
