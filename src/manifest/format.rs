//! What a manifest is, by its name, or by its first bytes when the name does not tell.

use std::{io::BufRead, path::Path};

use super::{
    FileErrorKind,
    content::{self, BYTE_ORDER_MARK, without_mark},
    header,
    source::Compression,
};

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

impl Format {
    /// The format of what begins with `head`; `named` is the one that the name promises.
    ///
    /// Fails when the content is something else than a manifest, or than the name promises.
    pub(super) fn of(head: &[u8], named: Option<Self>) -> Result<Self, FileErrorKind> {
        if let Some(kind) = content::refuse(head) {
            return Err(kind);
        }
        let found = Self::of_content(head);
        match (named, found) {
            (None, found) => Ok(found),
            (Some(Self::Delimited(_)), Self::Jsonl) => Err(FileErrorKind::OtherFormat {
                named: "CSV",
                found: "JSONL",
                extension: "jsonl",
            }),
            (Some(Self::Jsonl), Self::Delimited(_)) if header::is_one(without_mark(head)) => {
                Err(FileErrorKind::OtherFormat {
                    named: "JSONL",
                    found: "CSV",
                    extension: "csv",
                })
            }
            (Some(named), _) => Ok(named),
        }
    }

    /// The format of content: an object at the beginning makes it JSONL.
    fn of_content(head: &[u8]) -> Self {
        if without_mark(head).trim_ascii_start().starts_with(b"{") {
            Self::Jsonl
        } else {
            Self::Delimited(None)
        }
    }
}

/// Passes over a byte order mark.
pub(super) fn skip_byte_order_mark(stream: &mut impl BufRead) -> Result<(), FileErrorKind> {
    if stream.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        stream.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
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
        let of = |text: &str, named| Format::of(text.as_bytes(), named);
        for text in [" \n{\"a\":1}", "\u{feff}{}", "\u{feff}\n{"] {
            assert_eq!(of(text, None).ok(), Some(Format::Jsonl), "{text}");
        }
        for text in ["device_key\nDK1", "", "[site]", "\"{\",b"] {
            assert_eq!(of(text, None).ok(), Some(Format::Delimited(None)), "{text}");
        }
    }

    #[test]
    fn content_of_the_other_format_is_told() {
        let refusal = |text: &str, named| {
            let kind = Format::of(text.as_bytes(), Some(named)).expect_err(text);
            kind.to_string()
        };
        assert_eq!(
            refusal("\u{feff}{\"a\":1}", Format::Delimited(None)),
            "is named like CSV, but its content is JSONL; name it `.jsonl`"
        );
        assert_eq!(
            refusal("\nsite;device_key\nx;DK1", Format::Jsonl),
            "is named like JSONL, but its content is CSV; name it `.csv`"
        );
        // What is neither is told line by line.
        assert!(Format::of(b"DK1\nDK2\n", Some(Format::Jsonl)).is_ok());
    }
}
