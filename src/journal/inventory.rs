//! Why a task must not be sent, or may fail, according to the platform's device list.

use std::{collections::BTreeMap, fmt};

use crate::{
    model::{ListedDevice, Timestamp},
    store::{Listed, ListedRow},
};

/// What speaks against a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mismatch {
    /// The product's list does not have the device.
    Unknown,
    /// Another product's has.
    OtherProduct,
    /// The device takes raw data only, and would answer 70063.
    Raw,
    /// The device has never been activated.
    Inactive,
    /// The device is offline.
    Offline,
}

impl Mismatch {
    /// All, in the order in which they are told.
    pub(crate) const ALL: [Self; 5] = [
        Self::Unknown,
        Self::OtherProduct,
        Self::Raw,
        Self::Inactive,
        Self::Offline,
    ];

    /// Whether the platform surely refuses the task, so that it must not go out. The others may have changed by the time of the push.
    pub(crate) fn refuses(self) -> bool {
        matches!(self, Self::Unknown | Self::OtherProduct | Self::Raw)
    }

    /// It in a few words, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Unknown => "not in the device list",
            Self::OtherProduct => "of another product",
            Self::Raw => "with raw data",
            Self::Inactive => "never activated",
            Self::Offline => "offline",
        }
    }

    /// Its name for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::OtherProduct => "other_product",
            Self::Raw => "raw",
            Self::Inactive => "inactive",
            Self::Offline => "offline",
        }
    }
}

/// What speaks against a task, if anything does; of several things the one that weighs most.
pub(crate) fn mismatch(listed: Listed) -> Option<Mismatch> {
    let state = match listed {
        Listed::Nowhere => return Some(Mismatch::Unknown),
        Listed::Elsewhere => return Some(Mismatch::OtherProduct),
        Listed::Here(state) => state,
    };
    // What the platform does not say speaks against nothing.
    if state.raw == Some(true) {
        Some(Mismatch::Raw)
    } else if state.activated == Some(false) {
        Some(Mismatch::Inactive)
    } else if state.online == Some(false) {
        Some(Mismatch::Offline)
    } else {
        None
    }
}

/// Which devices of a list are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Online, or offline.
    pub(crate) online: Option<bool>,
    /// Activated, or not.
    pub(crate) activated: Option<bool>,
    /// Online now, or since then.
    pub(crate) seen_since: Option<Timestamp>,
}

impl Wanted {
    /// Whether the device is one of them. What the platform does not say is not what is wanted.
    pub(crate) fn takes(&self, device: &ListedDevice) -> bool {
        let state = device.state;
        let is = |wanted: Option<bool>, told| wanted.is_none() || wanted == told;
        is(self.online, state.online)
            && is(self.activated, state.activated)
            && self.seen_since.is_none_or(|since| {
                state.online == Some(true) || device.last_online.is_some_and(|at| at >= since)
            })
    }
}

/// Rows that are named of each kind.
const EXAMPLES: usize = 20;

/// What was found of all rows: numbers, and the first rows of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Findings {
    kinds: BTreeMap<Mismatch, (u64, Vec<ListedRow>)>,
}

impl Findings {
    /// Takes in a row. Rows come in any order.
    pub(crate) fn add(&mut self, mismatch: Mismatch, row: ListedRow) {
        let (count, rows) = self.kinds.entry(mismatch).or_default();
        *count += 1;
        let at = rows.partition_point(|other| *other < row);
        rows.insert(at, row);
        rows.truncate(EXAMPLES);
    }

    /// How many rows there are of a kind.
    pub(crate) fn count(&self, mismatch: Mismatch) -> u64 {
        self.kinds.get(&mismatch).map_or(0, |(count, _)| *count)
    }

    /// The first of them, by line.
    pub(crate) fn examples(&self, mismatch: Mismatch) -> &[ListedRow] {
        self.kinds
            .get(&mismatch)
            .map_or(&[], |(_, rows)| rows.as_slice())
    }

    /// Rows that must not go out.
    pub(crate) fn refused(&self) -> u64 {
        let refusing = Mismatch::ALL.into_iter().filter(|kind| kind.refuses());
        refusing.map(|kind| self.count(kind)).sum()
    }
}

/// Why a row must not go out, for the view `results`; `listed_under` as in [`ListedRow`].
pub(crate) struct MismatchReason<'r> {
    pub(crate) mismatch: Mismatch,
    pub(crate) product_key: &'r str,
    pub(crate) listed_under: Option<&'r str>,
}

impl fmt::Display for MismatchReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = self.product_key;
        match (self.mismatch, self.listed_under) {
            (Mismatch::OtherProduct, Some(other)) => write!(
                f,
                "the device belongs to product {other} and not to {product}: correct product_key"
            ),
            (Mismatch::Unknown | Mismatch::OtherProduct, _) => write!(
                f,
                "product {product} has no such device: correct device_key or product_key"
            ),
            (Mismatch::Raw, _) => f.write_str(
                "the device's data format is raw, and it accepts no thing-model commands (70063)",
            ),
            (Mismatch::Inactive, _) => f.write_str("the device has never been activated"),
            (Mismatch::Offline, _) => f.write_str("the device is offline"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ListedState;

    #[test]
    fn what_weighs_most_is_told_and_what_is_not_known_speaks_against_nothing() {
        let state = |online, activated, raw| {
            mismatch(Listed::Here(ListedState {
                online,
                activated,
                raw,
            }))
        };
        assert_eq!(state(None, None, None), None);
        assert_eq!(state(Some(true), Some(true), Some(false)), None);
        assert_eq!(state(Some(false), None, None), Some(Mismatch::Offline));
        assert_eq!(
            state(Some(false), Some(false), None),
            Some(Mismatch::Inactive)
        );
        assert_eq!(
            state(Some(false), Some(false), Some(true)),
            Some(Mismatch::Raw)
        );
        assert_eq!(mismatch(Listed::Nowhere), Some(Mismatch::Unknown));
        assert_eq!(mismatch(Listed::Elsewhere), Some(Mismatch::OtherProduct));
        let refusing = Mismatch::ALL.map(Mismatch::refuses);
        assert_eq!(refusing, [true, true, true, false, false]);
    }

    #[test]
    fn each_kind_has_a_name_and_words_and_a_reason() {
        let told = Mismatch::ALL.map(|mismatch| {
            let reason = MismatchReason {
                mismatch,
                product_key: "PK",
                listed_under: None,
            };
            format!("{}: {}; {reason}", mismatch.name(), mismatch.words())
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        unknown: not in the device list; product PK has no such device: correct device_key or product_key
        other_product: of another product; product PK has no such device: correct device_key or product_key
        raw: with raw data; the device's data format is raw, and it accepts no thing-model commands (70063)
        inactive: never activated; the device has never been activated
        offline: offline; the device is offline
        ");
        let elsewhere = MismatchReason {
            mismatch: Mismatch::OtherProduct,
            product_key: "PK",
            listed_under: Some("OTHER"),
        };
        assert_eq!(
            elsewhere.to_string(),
            "the device belongs to product OTHER and not to PK: correct product_key"
        );
    }

    #[test]
    fn a_device_is_wanted_by_what_the_platform_says_of_it() {
        let device = |online, last_online: Option<i64>| ListedDevice {
            state: ListedState {
                online,
                activated: Some(true),
                raw: None,
            },
            last_online: last_online.map(Timestamp),
            ..ListedDevice::default()
        };
        let seen = Wanted {
            seen_since: Some(Timestamp(100)),
            ..Wanted::default()
        };
        for (online, last_online, expected) in [
            (Some(true), None, true),
            (Some(false), Some(100), true),
            (Some(false), Some(99), false),
            (None, None, false),
        ] {
            assert_eq!(seen.takes(&device(online, last_online)), expected);
        }
        let online = |online| Wanted {
            online,
            activated: Some(true),
            seen_since: None,
        };
        let offline = device(Some(false), None);
        assert_eq!(
            [None, Some(true), Some(false)].map(|wanted| online(wanted).takes(&offline)),
            [true, false, true]
        );
        let silent = ListedDevice::default();
        assert!(!online(None).takes(&silent) && Wanted::default().takes(&silent));
    }

    #[test]
    fn the_first_rows_by_line_are_kept_and_all_are_counted() {
        let mut findings = Findings::default();
        // They come in no order.
        for line in (1..=50).map(|n| n * 7 % 51) {
            findings.add(
                Mismatch::Unknown,
                ListedRow {
                    line,
                    device_key: "D".to_owned(),
                    product_key: "PK".to_owned(),
                    listed_under: None,
                },
            );
        }
        let lines: Vec<u64> = findings
            .examples(Mismatch::Unknown)
            .iter()
            .map(|row| row.line)
            .collect();
        assert_eq!(lines, (1..=20).collect::<Vec<_>>());
        assert_eq!((findings.refused(), findings.count(Mismatch::Raw)), (50, 0));
    }
}
