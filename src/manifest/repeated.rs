//! A header that comes again among the rows, as after two files were joined.

use super::records::Record;

/// How a header comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    /// The very same columns.
    Same,
    /// Other columns, so that what the cells after it mean is not known.
    Other,
}

/// With which bytes a cell begins and ends that is perhaps a name of the header or another spelling of the device key's: nearly no key does
/// both, and this is asked of each.
#[derive(Debug)]
pub(super) struct Edges([u8; 256]);

impl Edges {
    const FIRST: u8 = 1;
    const LAST: u8 = 2;

    /// The edges of a header's names, which have no blanks around them.
    pub(super) fn of(names: &[Box<str>]) -> Self {
        let mut edges = [0; 256];
        // Blanks and the byte order mark around a name do not count, nor do the case and the separators of the device key's.
        for byte in 0..=u8::MAX {
            if !byte.is_ascii_graphic() || matches!(byte, b'_' | b'-') {
                edges[usize::from(byte)] = Self::FIRST | Self::LAST;
            }
        }
        let keys = ["devicekey", "DEVICEKEY"];
        for name in names.iter().map(|name| &**name).chain(keys) {
            if let (Some(first), Some(last)) = (name.bytes().next(), name.bytes().last()) {
                edges[usize::from(first)] |= Self::FIRST;
                edges[usize::from(last)] |= Self::LAST;
            }
        }
        Self(edges)
    }

    /// Whether a row is the header again; for each cell the blanks and the byte order mark around it do not count.
    pub(super) fn repetition(
        &self,
        names: &[Box<str>],
        device_key: usize,
        record: &Record<'_>,
    ) -> Option<Repeated> {
        let fits = record.len() == names.len();
        let key = record.field(device_key).unwrap_or_default();
        if fits && !self.are_those_of(key) {
            return None;
        }
        let key = bare(key);
        let is_key = |name: &str| name.len() <= 12 && is_device_key(name);
        let in_place = is_key(key);
        if fits && !in_place && !names.iter().any(|name| **name == *key) {
            return None;
        }
        if !in_place && !record.iter().any(|name| is_key(bare(name))) {
            return None;
        }
        let same = fits && record.iter().map(bare).eq(names.iter().map(|name| &**name));
        Some(if same {
            Repeated::Same
        } else {
            Repeated::Other
        })
    }

    fn are_those_of(&self, cell: &str) -> bool {
        let is = |byte: &u8, edge| self.0[usize::from(*byte)] & edge != 0;
        match cell.as_bytes() {
            [] => true,
            [only] => is(only, Self::FIRST) && is(only, Self::LAST),
            [first, .., last] => is(first, Self::FIRST) && is(last, Self::LAST),
        }
    }
}

/// A cell without the blanks and the byte order mark around it.
fn bare(cell: &str) -> &str {
    cell.trim_matches(|c: char| c == '\u{feff}' || c.is_whitespace())
}

/// Whether a name is that of the device key, however it is written.
fn is_device_key(name: &str) -> bool {
    let letters = name
        .bytes()
        .filter(|byte| !matches!(byte, b'_' | b'-' | b' '));
    letters
        .map(|byte| byte.to_ascii_lowercase())
        .eq(*b"devicekey")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_comes_again_is_known_by_its_edges() {
        let edges = Edges::of(&["device_key".into(), "site".into(), "5th".into(), "".into()]);
        for cell in [
            "device_key",
            " deviceKey ",
            "DEVICE-KEY",
            "_devicekey_",
            "\u{feff}device_key",
            "site",
            "5th",
            "",
        ] {
            assert!(edges.are_those_of(cell), "{cell:?}");
        }
        for cell in ["TH-0001", "DK1", "86012", "dK-A", "y", "5"] {
            assert!(!edges.are_those_of(cell), "{cell:?}");
        }
    }
}
