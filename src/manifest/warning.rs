//! What is odd about a manifest and no error: it is used, and whoever looks at the messages is warned.

use std::fmt;

use super::{cell, leftover};

/// One thing that is odd about a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// No line end follows the last row, which began on this line. Such a file may have been cut, and then the row's last value is, too;
    /// nothing else shows that in delimited text.
    NoLineEnd { line: u64 },
    /// Keys of JSONL that look like what an export leaves behind.
    OddKeys(OddKeys),
}

/// Keys that look like what an export leaves behind, and are sent as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddKeys {
    /// The line of the first one.
    line: u64,
    key: Box<str>,
    /// How many follow it.
    more: u64,
}

impl OddKeys {
    /// Counts a key if it is such a one.
    pub(super) fn look_at(found: &mut Option<Self>, line: u64, key: &str) {
        if leftover::in_key(key).is_none() {
            return;
        }
        match found {
            Some(found) => found.more += 1,
            None => {
                *found = Some(Self {
                    line,
                    key: key.into(),
                    more: 0,
                });
            }
        }
    }
}

impl fmt::Display for Warning {
    /// Continues a file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLineEnd { line } => write!(
                f,
                ", line {line}: the last line has no line end; if the file was truncated, its last value is truncated too"
            ),
            Self::OddKeys(OddKeys { line, key, more }) => {
                write!(f, ", line {line}: the key `{}` ", cell::shown(key))?;
                if let Some(leftover) = leftover::in_key(key) {
                    write!(f, "{}; ", leftover.what)?;
                }
                f.write_str("keys of a JSONL manifest are sent unchanged")?;
                match more {
                    0 => Ok(()),
                    1 => f.write_str(" (and 1 more key of this kind)"),
                    more => write!(f, " (and {more} more keys of this kind)"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_keys_are_named_by_the_first_and_counted() {
        let mut found = None;
        for (line, key) in [(1, "DK1"), (2, "NaN"), (3, "8.6E+14"), (4, "9E14")] {
            OddKeys::look_at(&mut found, line, key);
        }
        assert_eq!(
            Warning::OddKeys(found.unwrap()).to_string(),
            ", line 2: the key `NaN` stands for a missing value in a data frame or a database; keys of a JSONL manifest are sent unchanged (and 1 more key of this kind)"
        );
    }
}
