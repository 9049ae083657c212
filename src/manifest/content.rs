//! What content is that is no manifest, by its first bytes: named for what it is, with the way to make a manifest of it.

use super::FileErrorKind;

/// As much of the beginning as is looked at.
pub(super) const HEAD: usize = 4096;

/// U+FEFF in UTF-8, which some programs put at the beginning of a file.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes after a byte order mark, when there is one.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Why text that begins so cannot be read as a manifest, whatever its name; nothing when it may be one.
pub(super) fn refuse(head: &[u8]) -> Option<FileErrorKind> {
    if let Some(kind) = foreign(head) {
        return Some(kind);
    }
    if let Some(encoding) = wide_encoding(head) {
        return Some(FileErrorKind::Encoding(encoding));
    }
    let first_line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first_line.contains(&0) {
        return Some(FileErrorKind::Binary);
    }
    let text = without_mark(head).trim_ascii_start();
    separator_line(text)
        .map(FileErrorKind::SeparatorLine)
        .or_else(|| is_json_array(text).then_some(FileErrorKind::JsonArray))
        .or_else(|| is_results(text).then_some(FileErrorKind::Results))
}

/// Columns of results that together stand in no manifest.
const OF_RESULTS: [&str; 6] = ["run", "state", "class", "ticket", "attempts", "request_id"];

/// Whether it is what `results` has written: its rows look like a manifest's, and what was sent with them would be lost.
fn is_results(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = str::from_utf8(line.trim_ascii()) else {
        return false;
    };
    if line.starts_with('{') {
        // A line may be longer than what is looked at; its first fields are enough.
        return OF_RESULTS
            .iter()
            .all(|name| line.contains(&format!("\"{name}\":")));
    }
    let names: Vec<&str> = line
        .split([',', ';', '\t'])
        .map(|name| name.trim_matches(['"', ' ']))
        .collect();
    OF_RESULTS.iter().all(|name| names.contains(name))
}

/// The way out for an archive of one file that a command unpacks.
macro_rules! unpack {
    ($command:literal) => {
        concat!(
            "unpack it, `",
            $command,
            " FILE | fleetpush run - --name NAME`, or compress it with gzip or zstd"
        )
    };
}

/// Formats that begin in a way of their own, each with its name and the way out.
#[rustfmt::skip]
const BEGINNINGS: [(&[u8], &str, &str); 20] = [
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook of an old Excel (.xls), or another file of an old Office", SAVE_AS_CSV),
    (b"BZh", "a bzip2 archive", unpack!("bzip2 -dc")),
    (b"\xfd7zXZ\0", "an xz archive", unpack!("xz -dc")),
    (b"\x04\x22\x4d\x18", "an lz4 archive", unpack!("lz4 -dc")),
    (b"LZIP\x01", "an lzip archive", unpack!("lzip -dc")),
    (b"\x89LZO\0", "an lzop archive", unpack!("lzop -dc")),
    (b"\x1f\x9d", "a compress archive (.Z)", unpack!("gzip -dc")),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"\x1f\x8b", "a gzip archive inside another archive", UNPACK_ONCE),
    (b"\x28\xb5\x2f\xfd", "a zstd archive inside another archive", UNPACK_ONCE),
    (b"%PDF-", "a PDF document", EXPORT),
    (b"SQLite format 3\0", "an SQLite database", EXPORT),
    (b"PAR1", "a Parquet file", EXPORT),
    (b"Obj\x01", "an Avro file", EXPORT),
    (b"ARROW1", "an Arrow file", EXPORT),
    (b"{\\rtf", "an RTF document", EXPORT),
    (b"-----BEGIN PGP", "encrypted or signed with PGP", DECRYPT),
    (b"age-encryption.org/", "encrypted with age", DECRYPT),
    (b"\x7fELF", "a program", EXPORT),
];

const SAVE_AS_CSV: &str = "save the sheet as `CSV UTF-8` and give that file";
const EXPORT: &str = "export its rows as CSV or JSONL";
const UNPACK: &str = "unpack it and give the CSV or JSONL inside it";
const UNPACK_ONCE: &str = "unpack it once";
const DECRYPT: &str = "decrypt it first";
const DOWNLOAD: &str =
    "if it was downloaded, it is perhaps a login or an error page; look into it and fetch it again";

/// Another format than text.
pub(super) fn foreign(head: &[u8]) -> Option<FileErrorKind> {
    named(head).map(|(what, way)| FileErrorKind::Foreign { what, way })
}

fn named(head: &[u8]) -> Option<(&'static str, &'static str)> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(zip(head));
    }
    if let Some((_, what, way)) = BEGINNINGS.iter().find(|(beginning, _, _)| {
        head.starts_with(beginning) && (*beginning != b"BZh" || is_bzip2(head))
    }) {
        return Some((what, way));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", UNPACK));
    }
    let text = without_mark(head).trim_ascii_start();
    let begins = |word: &str| {
        text.get(..word.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(word.as_bytes()))
    };
    if begins("<!doctype html") || begins("<html") {
        return Some(("an HTML page", DOWNLOAD));
    }
    begins("<?xml").then_some(("an XML document", EXPORT))
}

/// A workbook is a zip archive; which one it is shows in the names of its first files.
fn zip(head: &[u8]) -> (&'static str, &'static str) {
    let holds = |name: &str| memchr::memmem::find(head, name.as_bytes()).is_some();
    if holds("application/vnd.oasis.opendocument.spreadsheet") {
        ("an OpenDocument workbook (.ods)", SAVE_AS_CSV)
    } else if holds("[Content_Types].xml") || holds("xl/") {
        ("an Excel workbook (.xlsx)", SAVE_AS_CSV)
    } else {
        ("a zip archive", unpack!("unzip -p"))
    }
}

/// `BZh` might also begin a name: a level and the number of a block, or of the end, follow.
fn is_bzip2(head: &[u8]) -> bool {
    matches!(head.get(3), Some(b'1'..=b'9'))
        && matches!(
            head.get(4..10),
            Some(b"\x31\x41\x59\x26\x53\x59" | b"\x17\x72\x45\x38\x50\x90")
        )
}

/// UTF-16 and UTF-32, with a mark or, as some exports write it, without: their ASCII has zeros in every character.
fn wide_encoding(head: &[u8]) -> Option<&'static str> {
    let plain = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
    Some(match head {
        [0xff, 0xfe, 0, 0, ..] => "UTF-32LE",
        [0, 0, 0xfe, 0xff, ..] => "UTF-32BE",
        [0xff, 0xfe, ..] => "UTF-16LE",
        [0xfe, 0xff, ..] => "UTF-16BE",
        [a, 0, 0, 0, ..] if plain(a) => "UTF-32LE",
        [0, 0, 0, a, ..] if plain(a) => "UTF-32BE",
        [a, 0, b, 0, ..] if plain(a) && plain(b) => "UTF-16LE",
        [0, a, 0, b, ..] if plain(a) && plain(b) => "UTF-16BE",
        _ => return None,
    })
}

/// `sep=;`, with which Excel is told the delimiter and nobody else; gives the line.
fn separator_line(text: &[u8]) -> Option<Box<str>> {
    let line = text.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let word = line.trim_ascii_end();
    let word = word.strip_prefix(b"\"").unwrap_or(word);
    let word = word.strip_suffix(b"\"").unwrap_or(word);
    let is_one = word.len() <= 5 && word.get(..4)?.eq_ignore_ascii_case(b"sep=");
    is_one.then(|| String::from_utf8_lossy(line).trim_end().into())
}

/// Whether an array of objects begins, or an empty one; a name of a column may begin with a bracket, too.
fn is_json_array(text: &[u8]) -> bool {
    text.strip_prefix(b"[")
        .is_some_and(|inner| matches!(inner.trim_ascii_start().first(), None | Some(b'{' | b']')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(head: &[u8]) -> String {
        refuse(head).map_or_else(String::new, |kind| kind.to_string())
    }

    #[test]
    fn results_are_no_manifest() {
        let columns = "run,name,line,product_key,device_key,state,class,code,message,ticket,attempts,request_id,due_at,finished_at,data\n";
        for head in [
            columns.to_owned(),
            columns.replace(',', ";"),
            columns.replace(',', "\",\""),
            r#"{"run":1,"name":"n","line":2,"device_key":"A","state":"failed","class":"offline","ticket":null,"attempts":1,"request_id":1}"#
                .to_owned(),
        ] {
            assert!(matches!(refuse(head.as_bytes()), Some(FileErrorKind::Results)), "{head}");
        }
        for head in [
            "device_key,run,state,class,code\nA,1,failed,offline,61002\n",
            r#"{"device_key":"A","data":"{\"run\":1}","labels":{"state":"x"}}"#,
        ] {
            assert!(refuse(head.as_bytes()).is_none(), "{head}");
        }
    }

    #[test]
    fn what_is_no_manifest_is_named() {
        let mut tar = vec![b'f'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, expected) in [
            (
                &b"PK\x03\x04....[Content_Types].xml"[..],
                "is an Excel workbook",
            ),
            (
                b"PK\x03\x04....mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
                "is an OpenDocument workbook",
            ),
            (b"PK\x03\x04....fleet.csv", "is a zip archive"),
            (b"BZh91AY&SY", "is a bzip2 archive"),
            (b"\xfd7zXZ\0", "is an xz archive"),
            (b"\x1f\x8b\x08", "is a gzip archive inside another"),
            (&tar, "is a tar archive"),
            (b"\n <!DOCTYPE html>", "is an HTML page"),
            (b"SQLite format 3\0", "is an SQLite database"),
            (b"\xff\xfed\0", "is UTF-16LE text; save it as UTF-8"),
            (b"d\0e\0v\0", "is UTF-16LE text"),
            (b"\0d\0e", "is UTF-16BE text"),
            (b"d\0\0\0", "is UTF-32LE text"),
            (b"device\0key\n", "is not text"),
            (b"\0\0\0\0\0\0", "is not text"),
            (b"sep=;\r\ndevice_key", "begins with the line `sep=;`"),
            (
                b"\xef\xbb\xbf\"SEP=,\"\n",
                "begins with the line `\"SEP=,\"`",
            ),
            (b"[\n  {\"a\":1}]", "is one JSON array"),
            (b" [ ]", "is one JSON array"),
            (b"[", "is one JSON array"),
        ] {
            let reason = refusal(head);
            assert!(reason.starts_with(expected), "{head:?}: {reason}");
        }
    }

    #[test]
    fn what_may_be_a_manifest_is_none_of_it() {
        for head in [
            &b""[..],
            b"device_key",
            b"\xef\xbb\xbfdevice_key\n\0\0",
            b"[site],device_key\n",
            b"BZh1,device_key",
            b"separator,device_key",
            b"sep=;device_key",
            b"{\"a\":[]}",
            b"PK,device_key",
            b"\n\n\xff",
        ] {
            assert_eq!(refusal(head), "", "{head:?}");
        }
    }
}
