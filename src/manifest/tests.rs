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
            assert!(
                error.contains("the archive is truncated"),
                "{length}: {error}"
            );
            assert!(error.starts_with(&path.display().to_string()));
        }
        for (content, expected) in [
            (&whole[..1], "the archive is truncated"),
            (b"", "is empty"),
            (b"device_key\nDK1\n", "is named like"),
            (b"PK\x03\x04xl/", "is an Excel workbook"),
        ] {
            let error = open(&folder.file(name, content)).expect_err(name);
            let error = error.to_string();
            assert!(error.contains(expected), "{content:?}: {error}");
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
    for (path, kind) in [
        (folder.0.path(), "folder"),
        (Path::new("/dev/full"), "device"),
    ] {
        let words = format!(": cannot be read: it is a {kind}, not a regular file or a pipe");
        assert!(refusal(path).ends_with(&words));
    }
    assert!(
        refusal(&folder.0.path().join("none.csv"))
            .contains("none.csv: cannot be read: No such file")
    );
    let utf16: Vec<u8> = format!("\u{feff}{CSV}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let reason = refusal(&folder.file("utf16.csv", utf16));
    assert!(
        reason.contains("is UTF-16LE text; save it as UTF-8"),
        "{reason}"
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
