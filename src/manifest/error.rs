//! What is wrong with a manifest as a whole, or with the flags that stand in for its columns. A single bad row is a
//! [`BadRow`](crate::model::BadRow) instead.

use std::{fmt, io};

use crate::thing_model::NoModel;

/// A manifest cannot be used; nothing of it may be sent. The exit code for it is 2.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A flag that stands in for a column has a value that cannot be sent.
    #[error("{flag}: {reason}")]
    Flag {
        /// The flag as typed, with its dashes.
        flag: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A thing model that rows are to be checked against cannot be had.
    #[error("--tsl: {0}")]
    Model(#[from] NoModel),
    /// The file is at fault.
    #[error("{file}{errors}")]
    File {
        /// The file's name as given, or `standard input`.
        file: Box<str>,
        /// Where in the file, and what.
        errors: FileErrors,
    },
}

/// What is wrong with a file, and where.
#[derive(Debug)]
pub struct FileError {
    /// The line, from 1, when the error belongs to one.
    pub line: Option<u64>,
    /// The column or JSON field at fault, as the file spells it.
    pub column: Option<Box<str>>,
    /// What is wrong.
    pub kind: FileErrorKind,
}

impl FileError {
    /// An error that belongs to no line.
    pub(super) fn whole(kind: FileErrorKind) -> Self {
        Self {
            line: None,
            column: None,
            kind,
        }
    }

    pub(super) fn at(line: u64, kind: FileErrorKind) -> Self {
        Self {
            line: Some(line),
            column: None,
            kind,
        }
    }

    /// Names the file.
    pub(super) fn of(self, file: &str) -> ManifestError {
        FileErrors::from(self).of(file)
    }
}

/// Everything that makes a file unusable, as far as it was read: one error, but for a header that has several.
#[derive(Debug)]
pub struct FileErrors(Vec<FileError>);

impl FileErrors {
    /// As many as are told at once.
    const MOST: usize = 20;

    /// The errors of a header; `None` when there are none.
    pub(super) fn of_header(mut errors: Vec<FileError>) -> Option<Self> {
        errors.truncate(Self::MOST);
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// Names the file.
    pub(super) fn of(self, file: &str) -> ManifestError {
        ManifestError::File {
            file: file.into(),
            errors: self,
        }
    }
}

impl From<FileError> for FileErrors {
    fn from(error: FileError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for FileErrors {
    /// Continues a file name; errors after the first have a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            if place == 0 {
                write!(f, "{error}")?;
            } else {
                write!(
                    f,
                    "\n{}",
                    error.to_string().trim_start_matches([',', ':', ' '])
                )?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for FileError {
    /// Continues a file name: `, line 7, column note: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::whole(error.into())
    }
}

/// What makes a file unusable.
#[derive(Debug, thiserror::Error)]
pub enum FileErrorKind {
    /// The operating system or the decompressor refused.
    #[error("cannot be read: {0}")]
    Read(String),
    /// It was to be kept for a second reading, and the disk refused.
    #[error(
        "cannot be copied to a temporary file: {0}; set TMPDIR to a writable folder with enough space, or give the manifest as a file"
    )]
    Spool(String),
    /// The compressed data stops before its end.
    #[error(
        "the archive is truncated: its compressed data ends too early; create or download it again"
    )]
    Cut,
    /// The name promises a compression that the content does not have.
    #[error(
        "is named like {0}, but its content is not; if it is a plain manifest, name it `.csv` or `.jsonl`, else make or fetch it again"
    )]
    NotCompressed(&'static str),
    /// The compressed data contradicts itself.
    #[error("the {0} archive is damaged ({1}); make or fetch it again")]
    Damaged(&'static str, String),
    /// Something that is neither compressed data nor padding follows the compressed data.
    #[error(
        "the {0} archive is followed by other bytes, which may be lost data; make or fetch it again"
    )]
    Trailing(&'static str),
    /// To unpack it would take memory without need.
    #[error(
        "is compressed with a window that takes more than 128 MiB of memory; compress it again without `--long`, or unpack it: `zstd -dc --long=31 FILE | fleetpush run - --name NAME`"
    )]
    LongWindow,
    /// Another format by its first bytes.
    #[error("is {what}, and a manifest is CSV or JSONL; {way}")]
    Foreign {
        what: &'static str,
        /// What to do.
        way: &'static str,
    },
    /// Bytes that are no text.
    #[error(
        "is not text: its first line has NUL bytes; was the file damaged, or is it of another format? export it again as CSV or JSONL"
    )]
    Binary,
    /// The name promises one format and the content is the other.
    #[error("is named like {named}, but its content is {found}; name it `.{extension}`")]
    OtherFormat {
        /// The format of the name.
        named: &'static str,
        /// The format of the content.
        found: &'static str,
        /// The extension of that format.
        extension: &'static str,
    },
    /// An array of objects where one object a line is wanted.
    #[error(
        "is one JSON array, but a manifest has one object a line; convert it: `jq -c '.[]' FILE > manifest.jsonl`"
    )]
    JsonArray,
    /// What `results` has written.
    #[error(
        "is a list of results, not a manifest; `fleetpush results --as-manifest` writes the same tasks as a manifest"
    )]
    Results,
    /// Objects over several lines.
    #[error(
        "the object spans several lines, but a manifest has one object a line; convert it: `jq -c . FILE > manifest.jsonl`"
    )]
    PrettyPrinted,
    /// A line for Excel before the header.
    #[error(
        "begins with the line `{0}`, which only Excel uses; delete it, fleetpush reads the delimiter from the header"
    )]
    SeparatorLine(Box<str>),
    /// Its bytes are not those that were hashed.
    #[error("changed while it was being read; start again when nothing writes to it")]
    Changed,
    /// Its encoding is UTF-16 or UTF-32.
    #[error("is {0} text; save it as UTF-8, or convert it: `iconv -f {0} -t UTF-8 FILE`")]
    Encoding(&'static str),
    /// Its encoding is not UTF-8.
    #[error(
        "is not UTF-8; save the file as UTF-8, or convert it: `iconv -f WINDOWS-1252 -t UTF-8 FILE` if it comes from Windows"
    )]
    NotUtf8,
    /// It holds no byte but blanks.
    #[error(
        "is empty; a manifest without rows is an error: write a header and a row for each device"
    )]
    Empty,
    /// It holds a header and no row.
    #[error("has no rows; a manifest without rows is an error: write a row for each device")]
    NoRows,
    /// A record is longer than any that makes sense.
    #[error("the row is longer than {} MiB; is a quote left open?", super::ROW_LIMIT >> 20)]
    RowTooLong,
    /// A quoted field runs into the end of the file.
    #[error(
        "a quote opens in this row and never closes: the row is truncated, or the quote is part of the text; if so, double it and put the field in quotes"
    )]
    OpenQuote,
    /// A closing quote in a row of several lines is followed by text, so that the field may have swallowed rows.
    #[error(
        "the row spans several lines and has text after a closing quote; is a quote left open or not doubled?"
    )]
    StrayQuote,
    /// The header, or a column of it, is not usable.
    #[error("{0}")]
    Header(String),
}

impl From<io::Error> for FileErrorKind {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(kind) => kind,
            // Both decompressors report compressed data that stops early in this way.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Cut,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Read(format!(
                "{error}; check the path: a relative one starts at the folder in which the command runs"
            )),
            Err(error) => Self::Read(error.to_string()),
        }
    }
}
