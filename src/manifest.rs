//! The manifest: reads what is to be sent to which device from CSV or JSONL, row by row and in bounded memory.
//!
//! A manifest is read twice. [`Manifest::open`] hashes its uncompressed bytes, because the hash is a part of a run's identity;
//! [`Manifest::rows`] reads the rows and fails at the end when the bytes were others. What can be read only once, such as standard input, is
//! copied to a temporary file. Everything here blocks.
//!
//! What a row may say:
//!
//! - An empty cell, and null in JSONL, is as good as absent. An empty line is no row, nor is a line of delimiters only.
//! - Keys go out exactly as written, but blanks around one are refused, and so are characters that nobody sees. Labels and payloads keep
//!   every character.
//! - A key in a CSV cell is refused when it is what spreadsheets, data frames and databases make of one: `8.6E+14`, `860123456789012.0`,
//!   `#N/A`. JSONL says what it means: a string of this look is taken, with a warning, and a number that may have been rounded is not.
//! - A value in a CSV cell is refused when it is `#REF!`, `NaN`, `NULL` or the like, or has blanks around it outside quotes; JSONL says what
//!   it means, and takes them.
//! - A quote that is wrong, a header that comes again and a byte order mark in the middle are refused.
//! - Either `data` or `service` with parameters, never both. What a row says wins over the [`Defaults`]; default parameters join the
//!   row's own when both are for one service.
//! - `is_cache` and `is_cover` are `true`, `false`, `1` or `0`.
//! - A parameter in a CSV cell that begins with `[` or `{` is JSON, anything else is a scalar. In JSONL a string is always a scalar.
//! - A wire string goes out unchanged; plain JSON in its place loses the blanks between its tokens and nothing else.
//!
//! Whether a row repeats the one before it is not asked here, and nor is how many bad rows are too many.

mod cell;
mod column;
mod content;
mod decompress;
mod defaults;
mod delimited;
mod device_list;
mod draft;
mod encode;
mod error;
mod format;
mod header;
mod json;
mod jsonl;
mod labels;
mod leftover;
mod line;
mod memo;
mod quotes;
mod records;
mod repeated;
mod rows;
mod source;
mod warning;
mod wire;

use std::{
    io::{self, BufReader},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::thing_model::Models;

use self::{
    delimited::Delimited,
    encode::Encoder,
    format::{Format, Name},
    jsonl::Jsonl,
    rows::RowReader,
    source::{Compression, Hash, Source, Verified},
};

pub use defaults::Defaults;
pub(crate) use device_list::{device_lines, device_list};
pub(crate) use error::{FileError, FileErrorKind, FileErrors, ManifestError};
pub use rows::Entry;
pub(crate) use rows::Rows;
pub(crate) use warning::Warning;

/// The longest row, in bytes: room for a hundred thousand device keys in one line, and a bound for the memory of a row whose quote is
/// never closed.
const ROW_LIMIT: usize = 4 << 20;

/// A manifest that can be read.
#[derive(Debug)]
pub struct Manifest {
    name: Box<str>,
    stem: Option<Box<str>>,
    source: Source,
    format: Format,
    compression: Option<Compression>,
    hash: Hash,
    encoder: Encoder,
}

impl Manifest {
    /// Opens and hashes the manifest at `path`, which takes one reading of it; `-` is standard input.
    ///
    /// Fails when it cannot be read to its end, is a cut archive, or when `defaults` cannot be sent.
    pub fn open(path: &Path, defaults: Defaults) -> Result<Self, ManifestError> {
        if path == Path::new("-") {
            Self::from_reader("standard input", io::stdin().lock(), defaults)
        } else {
            Self::from_path(path, Encoder::new(defaults)?)
        }
    }

    /// Keeps what comes out of `input` in an unnamed temporary file while hashing it; `name` is for messages.
    ///
    /// Fails as [`Manifest::open`] does.
    pub fn from_reader(
        name: &str,
        input: impl io::Read,
        defaults: Defaults,
    ) -> Result<Self, ManifestError> {
        let encoder = Encoder::new(defaults)?;
        let source = Source::spool(input).map_err(|kind| FileError::whole(kind).of(name))?;
        Self::from_source(name.into(), None, source, None, None, encoder)
    }

    /// Checks the payload of each row against the thing model of its product; one that does not fit makes a bad row.
    pub(crate) fn checked_by(mut self, models: Models) -> Self {
        self.encoder.set_models(models);
        self
    }

    /// The products whose rows were read and that have no thing model, though some have one; none when rows are not checked by one.
    ///
    /// Fails when the model of a product could not be had: then nothing is known of its rows.
    pub(crate) fn unchecked_products(&self) -> Result<Vec<Box<str>>, ManifestError> {
        let models = self.encoder.models();
        Ok(models
            .map(Models::unchecked)
            .transpose()?
            .unwrap_or_default())
    }

    /// The rows, from the first on.
    pub fn rows(&self) -> Result<Rows, ManifestError> {
        self.read()
            .map_err(|errors| errors.of(&self.name))
            .map(|reader| Rows::new(&self.name, reader))
    }

    /// The manifest's name for messages: the path as given, or `standard input`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's name without its folder and the extensions that we know, for the name of a run; none for standard input and pipes.
    pub fn stem(&self) -> Option<&str> {
        self.stem.as_deref()
    }

    /// The SHA-256 of the uncompressed bytes, in 64 lower-case hexadecimal digits.
    pub fn sha256(&self) -> String {
        source::hex(&self.hash)
    }

    fn from_path(path: &Path, encoder: Encoder) -> Result<Self, ManifestError> {
        let file = path.display().to_string();
        let name = Name::of(path);
        let source = Source::of_path(path).map_err(|kind| FileError::whole(kind).of(&file))?;
        // A pipe's name, such as /dev/fd/63, says nothing about what comes out of it.
        let stem = (!source.is_spool()).then_some(name.stem);
        Self::from_source(file, stem, source, name.format, name.compression, encoder)
    }

    fn from_source(
        name: String,
        stem: Option<String>,
        source: Source,
        format: Option<Format>,
        compression: Option<Compression>,
        encoder: Encoder,
    ) -> Result<Self, ManifestError> {
        let examine = || {
            let format = Format::of(&source.head(compression)?, format)?;
            Ok((format, source::hash(source.open(compression)?)?))
        };
        let (format, hash) = examine().map_err(|kind| FileError::whole(kind).of(&name))?;
        Ok(Self {
            name: name.into(),
            stem: stem.map(Into::into),
            source,
            format,
            compression,
            hash,
            encoder,
        })
    }

    fn read(&self) -> Result<RowReader, FileErrors> {
        let stream = self
            .source
            .open(self.compression)
            .map_err(FileError::whole)?;
        let mut input =
            BufReader::with_capacity(stream.capacity(), Verified::new(stream, self.hash));
        format::skip_byte_order_mark(&mut input).map_err(FileError::whole)?;
        let encoder = self.encoder.clone();
        Ok(match self.format {
            Format::Delimited(delimiter) => {
                RowReader::Delimited(Box::new(Delimited::new(input, delimiter, encoder)?))
            }
            Format::Jsonl => RowReader::Jsonl(Box::new(Jsonl::new(input, encoder))),
        })
    }
}

/// What makes two pushes the same: the manifest's [`Manifest::sha256`], the [`Defaults::canonical`] flags, and the target (a base URL, or
/// the word `simulator`). 64 lower-case hexadecimal digits.
pub(crate) fn identity(sha256: &str, defaults_canonical: &str, target: &str) -> String {
    // None of the parts can hold a line end, so no two triples give the same text.
    let text = format!("{sha256}\n{defaults_canonical}\n{target}\n");
    source::hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests;
