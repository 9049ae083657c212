//! The platform's id of an accepted command.

/// A ticket, kept as the text that the platform gave.
///
/// Tickets are decimal strings of 19 digits, above 2^53 (platform notes, "Numbers in replies"), so they never pass through a float.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Ticket(Box<str>);

impl Ticket {
    /// The most bytes that a ticket has. What is longer is none, and must not bloat the database.
    pub const MAX_BYTES: usize = 512;

    /// A ticket of this text; empty text is no ticket, and neither is one that is too long.
    pub fn new(text: &str) -> Option<Self> {
        (1..=Self::MAX_BYTES)
            .contains(&text.len())
            .then(|| Self(text.into()))
    }

    /// The ticket's text, exactly as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ticket as an integer, when its text is what that integer prints as; the store then needs 8 bytes for it.
    pub fn as_integer(&self) -> Option<i64> {
        let digits = self.0.as_bytes();
        let canonical = digits.iter().all(u8::is_ascii_digit)
            && (digits.len() == 1 || digits.first() != Some(&b'0'));
        if canonical { self.0.parse().ok() } else { None }
    }
}

impl std::fmt::Display for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_numbers_become_integers() {
        let integer = |text| Ticket::new(text).and_then(|ticket| ticket.as_integer());
        assert_eq!(
            integer("1335004867605954560"),
            Some(1_335_004_867_605_954_560)
        );
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer("0"), Some(0));
        for text in ["", "007", "+7", "-7", "9223372036854775808", "a1", "1.0"] {
            assert_eq!(integer(text), None, "{text:?}");
        }
    }
}
