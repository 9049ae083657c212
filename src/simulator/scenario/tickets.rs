//! The form of tickets.

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::simulator::chance::mix;

/// The form of tickets, in replies, histories and messages: the vendor's pages show all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum TicketForm {
    /// 19 decimal digits.
    #[default]
    Digits,
    /// 24 hexadecimal digits.
    Hex,
    /// A UUID.
    Uuid,
}

impl TicketForm {
    /// The ticket of this number.
    pub(in crate::simulator) fn text(self, number: u64) -> String {
        let other = mix(number);
        match self {
            Self::Digits => number.to_string(),
            Self::Hex => format!("{:08x}{number:016x}", other >> 32),
            Self::Uuid => format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                other >> 32,
                (other >> 16) & 0xffff,
                other & 0xffff,
                number >> 48,
                number & 0xffff_ffff_ffff
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_ticket_has_three_forms_and_none_of_them_repeats() {
        let number = 1_335_004_867_605_954_560;
        assert_eq!(TicketForm::Digits.text(number), "1335004867605954560");
        let hex = TicketForm::Hex.text(number);
        assert_eq!((hex.len(), &hex[8..]), (24, "1286e3da9b120000"));
        let uuid = TicketForm::Uuid.text(number);
        let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert!(uuid.ends_with("-1286-e3da9b120000"), "{uuid}");
        for form in TicketForm::VARIANTS {
            let all: BTreeSet<String> = (number..number + 1000).map(|n| form.text(n)).collect();
            assert_eq!(all.len(), 1000);
        }
    }
}
