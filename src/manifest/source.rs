//! Where a manifest's bytes come from: opened twice, decompressed, hashed, and compared with the first reading.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

use super::{
    FileErrorKind, content,
    decompress::{Gunzip, Unzstd},
};
use crate::files::readable;

/// Large enough that a system call and a hash round are worth it.
const BUFFER: usize = 128 * 1024;

/// The largest copy that is kept in memory, in bytes.
const IN_MEMORY: usize = 1 << 20;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// A stream of uncompressed bytes.
pub(super) type Stream = BufReader<Box<dyn Read + Send>>;

/// Something that can be read from the beginning more than once.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A regular file.
    File(PathBuf),
    /// A copy of what could be read only once: in memory as long as it is small, then in a file without a name that vanishes with the
    /// process.
    Spool(Arc<Mutex<SpooledTempFile>>),
}

impl Source {
    /// The file at `path`; what is not a regular file, such as a pipe, is copied.
    pub(super) fn of_path(path: &Path) -> Result<Self, FileErrorKind> {
        // Before it is opened, too: to open a device can have effects of its own.
        readable(path.metadata()?.file_type())?;
        let file = File::open(path)?;
        let kind = file.metadata()?.file_type();
        readable(kind)?;
        if kind.is_file() {
            Ok(Self::File(path.to_owned()))
        } else {
            Self::spool(file)
        }
    }

    /// A copy of `input`.
    pub(super) fn spool(mut input: impl Read) -> Result<Self, FileErrorKind> {
        let full = |error: io::Error| FileErrorKind::Spool(error.to_string());
        let mut file = tempfile::spooled_tempfile(IN_MEMORY);
        let mut buffer = vec![0; BUFFER];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => file.write_all(&buffer[..length]).map_err(full)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self::Spool(Arc::new(Mutex::new(file))))
    }

    /// Whether it was copied.
    pub(super) fn is_spool(&self) -> bool {
        matches!(self, Self::Spool(_))
    }

    /// Its bytes, uncompressed.
    ///
    /// The content tells the compression; `promised` is the one that the name tells, and not to find it there is an error.
    pub(super) fn open(&self, promised: Option<Compression>) -> Result<Stream, FileErrorKind> {
        let raw: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Spool(file) => Box::new(SpoolReader {
                file: Arc::clone(file),
                position: 0,
            }),
        };
        let mut raw = BufReader::with_capacity(BUFFER, raw);
        let head = raw.fill_buf()?;
        let found = Compression::of_content(head);
        if let Some(promised) = promised
            && found != Some(promised)
        {
            return Err(if head.is_empty() {
                FileErrorKind::Empty
            } else if promised.begins_with(head) {
                FileErrorKind::Cut
            } else {
                content::foreign(head).unwrap_or(FileErrorKind::NotCompressed(promised.name()))
            });
        }
        let plain: Box<dyn Read + Send> = match found {
            None => return Ok(raw),
            Some(Compression::Gzip) => Box::new(Gunzip::new(raw)),
            Some(Compression::Zstd) => Box::new(Unzstd::new(raw)?),
        };
        Ok(BufReader::with_capacity(BUFFER, plain))
    }

    /// The first uncompressed bytes.
    pub(super) fn head(&self, promised: Option<Compression>) -> Result<Vec<u8>, FileErrorKind> {
        let mut head = Vec::new();
        let stream = self.open(promised)?;
        stream.take(content::HEAD as u64).read_to_end(&mut head)?;
        Ok(head)
    }
}

/// Reads a spool from a position of its own, so that readers do not disturb one another.
struct SpoolReader {
    file: Arc<Mutex<SpooledTempFile>>,
    position: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.position))?;
        let length = file.read(buffer)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// What a file's extension promises.
    pub(super) fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "gz" => Some(Self::Gzip),
            "zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn of_content(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame of data, or a skippable one, with which archives of parallel compressors begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Whether an archive can begin with bytes that are fewer than it takes to tell.
    fn begins_with(self, bytes: &[u8]) -> bool {
        let beginning: &[u8] = match self {
            Self::Gzip => &[0x1f, 0x8b],
            Self::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
        };
        beginning.starts_with(bytes)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Hashes all of a stream.
pub(super) fn hash(mut stream: Stream) -> Result<Hash, FileErrorKind> {
    let mut hasher = Sha256::new();
    loop {
        let bytes = stream.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hasher.finalize().into());
        }
        hasher.update(bytes);
        let length = bytes.len();
        stream.consume(length);
    }
}

/// Passes a stream on and fails at its end unless it had the hash expected.
pub(super) struct Verified<R> {
    inner: R,
    hasher: Sha256,
    expected: Hash,
}

impl<R> Verified<R> {
    pub(super) fn new(inner: R, expected: Hash) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            expected,
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        let at_end = length == 0 && !buffer.is_empty();
        if at_end && self.hasher.clone().finalize()[..] != self.expected {
            return Err(io::Error::other(FileErrorKind::Changed));
        }
        Ok(length)
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}
