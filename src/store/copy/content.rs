//! What rows come to: how many, and a hash of them.

use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// The rows of a part, table by table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    tables: Vec<TableContent>,
}

/// The rows of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableContent {
    pub(super) table: &'static str,
    pub(super) rows: u64,
    pub(super) digest: Digest,
}

impl Content {
    pub(super) fn push(&mut self, table: TableContent) {
        self.tables.push(table);
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// One hash for all of them.
    pub(crate) fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        for TableContent {
            table,
            rows,
            digest,
        } in &self.tables
        {
            hash.update(format!("{table} {rows}\n"));
            hash.update(digest);
        }
        hash.finalize().into()
    }

    /// The tables whose rows are others than there.
    pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let of_other = |name: &str| other.tables.iter().find(|table| table.table == name);
        self.tables
            .iter()
            .filter(|table| of_other(table.table) != Some(*table))
            .map(|table| table.table)
            .collect()
    }
}

/// Adds up the lines of a table.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rows: u64,
    hash: Sha256,
}

impl Lines {
    /// Takes whole lines, so many.
    pub(super) fn add(&mut self, lines: &[u8], rows: u64) {
        self.rows += rows;
        self.hash.update(lines);
    }

    pub(super) fn finish(self, table: &'static str) -> TableContent {
        TableContent {
            table,
            rows: self.rows,
            digest: self.hash.finalize().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(lines: &[&str]) -> Content {
        let mut content = Content::default();
        for (table, line) in ["run", "task"].into_iter().zip(lines) {
            let mut added = Lines::default();
            added.add(line.as_bytes(), 1);
            content.push(added.finish(table));
        }
        content
    }

    #[test]
    fn what_differs_is_named_and_changes_the_hash() {
        let (one, other) = (content(&["1\n", "2\n"]), content(&["1\n", "3\n"]));
        assert_eq!(one.differing(&one.clone()), [] as [&str; 0]);
        assert_eq!(one.digest(), content(&["1\n", "2\n"]).digest());
        assert_eq!(one.differing(&other), ["task"]);
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.rows(), 2);
    }

    #[test]
    fn how_lines_are_handed_over_makes_no_difference() {
        let mut whole = Lines::default();
        whole.add(b"1\n2\n", 2);
        let mut parts = Lines::default();
        parts.add(b"1\n", 1);
        parts.add(b"2\n", 1);
        assert_eq!(whole.finish("run"), parts.finish("run"));
    }
}
