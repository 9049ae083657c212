//! What a manifest is, by its name, or by its first bytes when the name does not tell.

use std::{io::BufRead, path::Path};

use super::{Problem, source::Compression};

/// The two families of formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// CSV and its siblings; the delimiter, when the name tells it.
    Delimited(Option<u8>),
    /// One JSON object a line.
    Jsonl,
}

/// What a file's name tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The file name without the extensions that we know.
    pub(super) stem: String,
    pub(super) format: Option<Format>,
    pub(super) compression: Option<Compression>,
}

impl Name {
    /// Reads a path's last part.
    pub(super) fn of(path: &Path) -> Self {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (name, compression) = split(name, Compression::of_extension);
        let (stem, format) = split(name, |extension| match extension {
            "csv" => Some(Format::Delimited(None)),
            "tsv" | "tab" => Some(Format::Delimited(Some(b'\t'))),
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            _ => None,
        });
        Self {
            stem,
            format,
            compression,
        }
    }
}

/// Takes the extension off when `known` knows it.
fn split<T>(name: String, known: impl FnOnce(&str) -> Option<T>) -> (String, Option<T>) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => {
            match known(&extension.to_ascii_lowercase()) {
                Some(meaning) => (stem.to_owned(), Some(meaning)),
                None => (name, None),
            }
        }
        _ => (name, None),
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Format {
    /// The format of content: an object at the beginning makes it JSONL.
    pub(super) fn of_content(first: &[u8]) -> Self {
        let first = first.strip_prefix(BYTE_ORDER_MARK).unwrap_or(first);
        if first.trim_ascii_start().starts_with(b"{") {
            Self::Jsonl
        } else {
            Self::Delimited(None)
        }
    }
}

/// Passes over a byte order mark; refuses the ones of UTF-16, as whose text nothing else would make sense.
pub(super) fn skip_byte_order_mark(stream: &mut impl BufRead) -> Result<(), Problem> {
    match stream.fill_buf()? {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(Problem::Utf16),
        bytes if bytes.starts_with(BYTE_ORDER_MARK) => {
            stream.consume(BYTE_ORDER_MARK.len());
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_format_and_compression() {
        let csv = Some(Format::Delimited(None));
        let tsv = Some(Format::Delimited(Some(b'\t')));
        for (path, stem, format, compression) in [
            ("fleet.csv", "fleet", csv, None),
            (
                "/a/b.c/fleet.v2.CSV.GZ",
                "fleet.v2",
                csv,
                Some(Compression::Gzip),
            ),
            ("fleet.tsv.zst", "fleet", tsv, Some(Compression::Zstd)),
            ("fleet.jsonl", "fleet", Some(Format::Jsonl), None),
            ("fleet.ndjson", "fleet", Some(Format::Jsonl), None),
            (
                "fleet.json.gz",
                "fleet",
                Some(Format::Jsonl),
                Some(Compression::Gzip),
            ),
            ("fleet.gz", "fleet", None, Some(Compression::Gzip)),
            ("fleet.txt", "fleet.txt", None, None),
            ("fleet", "fleet", None, None),
            (".csv", ".csv", None, None),
        ] {
            let expected = Name {
                stem: stem.into(),
                format,
                compression,
            };
            assert_eq!(Name::of(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn content_tells_the_format() {
        assert_eq!(Format::of_content(b" \n{\"a\":1}"), Format::Jsonl);
        assert_eq!(Format::of_content(b"\xef\xbb\xbf{}"), Format::Jsonl);
        for text in ["device_key\nDK1", "", "[1]", "\"{\",b"] {
            let format = Format::of_content(text.as_bytes());
            assert_eq!(format, Format::Delimited(None), "{text}");
        }
    }
}
