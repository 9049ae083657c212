//! The manifest: reads what is to be sent to which device from CSV or JSONL, row by row and in bounded memory.
//!
//! A manifest is read twice. [`Manifest::open`] hashes its uncompressed bytes, because the hash is a part of a run's identity;
//! [`Manifest::rows`] reads the rows and fails at the end when the bytes were others. What can be read only once, such as standard input, is
//! copied to a temporary file. Everything here blocks.
//!
//! What a row may say:
//!
//! - An empty cell, and null in JSONL, is as good as absent. An empty line is no row, nor is a line of delimiters only.
//! - Keys go out exactly as written, whatever characters they hold, but blanks around one are refused, and so is one that a spreadsheet
//!   has turned into `8.6E+14`.
//! - Either `data` or `service` with parameters, never both. What a row says wins over the [`Defaults`]; default parameters join the
//!   row's own when both are for one service.
//! - `is_cache` and `is_cover` are `true`, `false`, `1` or `0`.
//! - A parameter in a CSV cell that begins with `[` or `{` is JSON, anything else is a scalar. In JSONL a string is always a scalar.
//! - A wire string goes out unchanged; plain JSON in its place loses the blanks between its tokens and nothing else.
//!
//! Whether a row repeats the one before it is not asked here, and nor is how many bad rows are too many.

mod cell;
mod column;
mod defaults;
mod delimited;
mod draft;
mod encode;
mod error;
mod format;
mod header;
mod json;
mod jsonl;
mod labels;
mod line;
mod memo;
mod records;
mod rows;
mod source;
mod wire;

use std::{
    io::{self, BufRead, BufReader},
    path::Path,
};

use sha2::{Digest, Sha256};

use self::{
    delimited::Delimited,
    encode::Encoder,
    format::{Format, Name},
    jsonl::Jsonl,
    rows::Reader,
    source::{Compression, Hash, Source, Verified},
};

pub use defaults::Defaults;
pub use error::{Fault, ManifestError, Problem};
pub use rows::{Entry, Rows};

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
        let source = Source::spool(input).map_err(|problem| Fault::whole(problem).of(name))?;
        Self::from_source(name.into(), None, source, None, None, encoder)
    }

    /// The rows, from the first on.
    pub fn rows(&self) -> Result<Rows, ManifestError> {
        self.read()
            .map_err(|fault| fault.of(&self.name))
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
        let source = Source::of_path(path).map_err(|problem| Fault::whole(problem).of(&file))?;
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
            let mut stream = source.open(compression)?;
            let format = match format {
                Some(format) => format,
                None => Format::of_content(stream.fill_buf()?),
            };
            Ok((format, source::hash(stream)?))
        };
        let (format, hash) = examine().map_err(|problem| Fault::whole(problem).of(&name))?;
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

    fn read(&self) -> Result<Reader, Fault> {
        let stream = self.source.open(self.compression).map_err(Fault::whole)?;
        let mut input =
            BufReader::with_capacity(stream.capacity(), Verified::new(stream, self.hash));
        format::skip_byte_order_mark(&mut input).map_err(Fault::whole)?;
        let encoder = self.encoder.clone();
        Ok(match self.format {
            Format::Delimited(delimiter) => {
                Reader::Delimited(Box::new(Delimited::new(input, delimiter, encoder)?))
            }
            Format::Jsonl => Reader::Jsonl(Box::new(Jsonl::new(input, encoder))),
        })
    }
}

/// What makes two pushes the same: the manifest's [`Manifest::sha256`], the [`Defaults::canonical`] flags, and the target (a base URL, or
/// the word `simulator`). 64 lower-case hexadecimal digits.
pub fn identity(sha256: &str, defaults_canonical: &str, target: &str) -> String {
    // None of the parts can hold a line end, so no two triples give the same text.
    let text = format!("{sha256}\n{defaults_canonical}\n{target}\n");
    source::hex(&Sha256::digest(text))
}
#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::PathBuf};

    use flate2::{Compression, write::GzEncoder};
    use tempfile::TempDir;

    use super::*;

    const CSV: &str = "device_key,product_key,data\nDK1,PK1,[]\nDK2,PK1,[]\n";

    /// A folder for one test's files.
    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(TempDir::new().expect("a temporary folder"))
        }

        fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, content).expect("a writable folder");
            path
        }
    }

    fn open(path: &Path) -> Result<Manifest, ManifestError> {
        Manifest::open(path, Defaults::default())
    }

    fn keys(manifest: &Manifest) -> Result<Vec<String>, String> {
        manifest
            .rows()
            .and_then(|rows| {
                rows.map(|entry| {
                    entry.map(|entry| match entry {
                        Entry::Row(row) => row.device_key.into(),
                        Entry::Bad(error) => error.to_string(),
                    })
                })
                .collect()
            })
            .map_err(|error| error.to_string())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 1).expect("a vector takes everything")
    }

    /// Text that does not compress well, so that an archive can be cut in its middle.
    fn long_csv() -> String {
        let rows = (0..2000_u32).map(|n| {
            let key = n.wrapping_mul(2_654_435_761);
            format!("DK{key},PK{key},[{key}]\n")
        });
        rows.fold(CSV.to_owned(), |text, row| text + &row)
    }

    #[test]
    fn compression_changes_neither_rows_nor_hash() {
        let folder = Folder::new();
        let (first, second) = CSV.as_bytes().split_at(30);
        let plain = open(&folder.file("fleet.csv", CSV)).expect("a manifest");
        assert_eq!(plain.stem(), Some("fleet"));
        assert_eq!(plain.sha256(), source::hex(&Sha256::digest(CSV)));
        for (name, content) in [
            ("fleet.csv.gz", gzip(CSV.as_bytes())),
            ("fleet.csv.zst", zstd(CSV.as_bytes())),
            // Archives of several parts, as parallel compressors and plain concatenation make them.
            ("parts.csv.gz", [gzip(first), gzip(second)].concat()),
            ("parts.csv.zst", [zstd(first), zstd(second)].concat()),
            (
                "skippable.csv.zst",
                [&b"\x50\x2a\x4d\x18\x01\0\0\0x"[..], &zstd(CSV.as_bytes())].concat(),
            ),
            ("unnamed", gzip(CSV.as_bytes())),
        ] {
            let manifest = open(&folder.file(name, content)).expect(name);
            assert_eq!(manifest.sha256(), plain.sha256(), "{name}");
            assert_eq!(
                keys(&manifest),
                Ok(vec!["DK1".into(), "DK2".into()]),
                "{name}"
            );
        }
    }

    #[test]
    fn a_cut_archive_is_refused_when_it_is_opened() {
        let folder = Folder::new();
        for (name, whole) in [
            ("fleet.csv.gz", gzip(long_csv().as_bytes())),
            ("fleet.csv.zst", zstd(long_csv().as_bytes())),
        ] {
            for length in [whole.len() / 2, whole.len() - 1, 5] {
                let path = folder.file(name, &whole[..length]);
                let error = open(&path).expect_err(name).to_string();
                assert!(error.contains("the archive is cut"), "{length}: {error}");
                assert!(error.starts_with(&path.display().to_string()));
            }
            for length in [0, 1] {
                let path = folder.file(name, &whole[..length]);
                let error = open(&path).expect_err(name).to_string();
                assert!(error.contains("is named like"), "{length}: {error}");
            }
        }
    }

    #[test]
    fn standard_input_is_kept_and_can_be_read_again() {
        for content in [CSV.as_bytes(), &gzip(CSV.as_bytes()), &zstd(CSV.as_bytes())] {
            let manifest = Manifest::from_reader("standard input", content, Defaults::default());
            let manifest = manifest.expect("a manifest");
            assert_eq!((manifest.name(), manifest.stem()), ("standard input", None));
            assert_eq!(manifest.sha256(), source::hex(&Sha256::digest(CSV)));
            // Two readings at once do not disturb each other.
            let rows = manifest.rows().expect("a header");
            assert_eq!(keys(&manifest), Ok(vec!["DK1".into(), "DK2".into()]));
            assert_eq!(rows.count(), 2);
        }
    }

    #[test]
    fn the_format_is_seen_by_content_when_the_name_does_not_tell() {
        let folder = Folder::new();
        let line = "\u{feff}\n{\"deviceKey\":\"DK9\",\"productKey\":\"P\",\"data\":[]}";
        for name in ["fleet", "fleet.txt", "fleet.json", "fleet.jsonl"] {
            let manifest = open(&folder.file(name, line)).expect(name);
            assert_eq!(keys(&manifest), Ok(vec!["DK9".into()]), "{name}");
        }
        let tsv = "\u{feff}device_key\tproduct_key\tdata\r\nDK1\tPK1\t[1,2]\r\n";
        for name in ["fleet.tsv", "fleet"] {
            let manifest = open(&folder.file(name, tsv)).expect(name);
            assert_eq!(keys(&manifest), Ok(vec!["DK1".into()]), "{name}");
        }
    }

    #[test]
    fn a_file_that_changes_between_the_readings_is_refused() {
        let folder = Folder::new();
        let path = folder.file("fleet.csv", CSV);
        let manifest = open(&path).expect("a manifest");
        for content in [
            CSV.replace("DK2", "DK3"),
            format!("{CSV}DK3,PK1,[]\n"),
            CSV[..40].into(),
        ] {
            folder.file("fleet.csv", content);
            let error = keys(&manifest).expect_err("another file");
            assert!(error.contains("changed while it was being read"), "{error}");
        }
        folder.file("fleet.csv", CSV);
        assert!(keys(&manifest).is_ok());
    }

    #[test]
    fn a_manifest_without_rows_is_refused() {
        let folder = Folder::new();
        for (name, content, expected) in [
            ("a.csv", "", "is empty"),
            ("b.csv", "\n\n", "is empty"),
            ("c.csv", "device_key\n", "has no rows"),
            ("d.csv", "device_key,site\n,\n\n", "has no rows"),
            ("e.jsonl", "\n \n", "has no rows"),
            ("f.jsonl", "", "has no rows"),
        ] {
            let path = folder.file(name, content);
            let manifest = open(&path).expect(name);
            let error = keys(&manifest).expect_err(name);
            assert!(
                error.starts_with(&format!("{}: {expected}", path.display())),
                "{error}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_at_all_says_why() {
        let folder = Folder::new();
        let refusal = |path: &Path| open(path).expect_err("no manifest").to_string();
        assert!(refusal(folder.0.path()).ends_with(": cannot be read: is a directory"));
        assert!(
            refusal(&folder.0.path().join("none.csv"))
                .contains("none.csv: cannot be read: No such file")
        );
        let utf16: Vec<u8> = format!("\u{feff}{CSV}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let manifest = open(&folder.file("utf16.csv", utf16)).expect("readable");
        assert!(
            keys(&manifest)
                .expect_err("UTF-16")
                .ends_with("is UTF-16; save it as UTF-8")
        );
    }

    #[test]
    fn nothing_follows_an_error() {
        let folder = Folder::new();
        let path = folder.file(
            "a.csv",
            b"device_key,product_key,data\n\xff,,\nDK1,PK1,[]\n",
        );
        let mut rows = open(&path).expect("readable").rows().expect("a header");
        let error = rows.next().expect("an error").expect_err("an error");
        let place = format!("{}, line 2, column device_key: ", path.display());
        assert!(error.to_string().starts_with(&place), "{error}");
        assert!(rows.next().is_none());
    }

    #[test]
    fn the_samples_are_good_manifests() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        let list = Defaults {
            product_key: Some("PK0001".into()),
            service: Some("setMode".into()),
            params: vec![("mode".into(), "1".into())],
            ..Defaults::default()
        };
        for (name, defaults, expected) in [
            ("fleet.csv", Defaults::default(), 319),
            ("nested.jsonl", Defaults::default(), 29),
            ("devices.csv", list, 12),
        ] {
            let manifest = Manifest::open(&samples.join(name), defaults).expect(name);
            let entries: Vec<_> = manifest.rows().expect(name).map(Result::unwrap).collect();
            for entry in &entries {
                assert!(matches!(entry, Entry::Row(_)), "{name}: {entry:?}");
            }
            assert_eq!(entries.len(), expected, "{name}");
        }
    }

    #[test]
    fn every_part_is_a_part_of_the_identity() {
        let sha = source::hex(&Sha256::digest(CSV));
        let flags = Defaults::default().canonical();
        let own = identity(&sha, &flags, "simulator");
        assert_eq!(own, identity(&sha, &flags, "simulator"));
        assert_eq!(own.len(), 64);
        let other = Defaults {
            qos: Some(1),
            ..Defaults::default()
        };
        for changed in [
            identity(&source::hex(&Sha256::digest("")), &flags, "simulator"),
            identity(&sha, &other.canonical(), "simulator"),
            identity(&sha, &flags, "https://iot-api.acceleronix.io"),
        ] {
            assert_ne!(own, changed);
        }
        // Written down, since another value would make every rerun a new push.
        assert_eq!(
            identity("ab", "{}", "simulator"),
            source::hex(&Sha256::digest("ab\n{}\nsimulator\n"))
        );
    }
}
