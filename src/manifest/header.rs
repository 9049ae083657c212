//! The header of delimited text: which delimiter it uses and what its columns mean.

use std::{
    cmp::Reverse,
    collections::HashMap,
    io::{self, BufRead},
};

use memchr::{memchr, memchr_iter};

use crate::model::CodePoint;

use super::{
    FileError, FileErrorKind, FileErrors, ROW_LIMIT, cell,
    column::{Column, Field, classify},
    records::{Record, Records},
    repeated::{Edges, Repeated},
};

/// The delimiters looked for, the likeliest first.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// A header that has been understood.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) delimiter: u8,
    /// The line on which it stands.
    line: u64,
    /// The line after it.
    pub(super) next_line: u64,
    /// The columns' names as written, without blanks around them; empty for a column without a name.
    names: Vec<Box<str>>,
    /// The place of the device key among them.
    pub(super) device_key: usize,
    edges: Edges,
}

impl Header {
    /// Reads the header line; `delimiter` is the one that the file's name tells, when it does.
    pub(super) fn read(
        input: &mut impl BufRead,
        delimiter: Option<u8>,
    ) -> Result<Self, FileErrors> {
        let (text, line) = header_text(input)?;
        let delimiter = delimiter.unwrap_or_else(|| DELIMITERS[likeliest(&text).delimiter.0]);
        let mut records = Records::new(&text[..], delimiter, line);
        let Some(record) = records.read()? else {
            return Err(FileError::whole(FileErrorKind::Empty).into());
        };
        let names: Vec<Box<str>> = record.iter().map(|name| name.trim().into()).collect();
        let quote = record.stray_quote();
        let mut header = Self {
            delimiter,
            line,
            next_line: line + memchr_iter(b'\n', &text).count() as u64,
            edges: Edges::of(&names),
            names,
            device_key: 0,
        };
        let mut errors = Vec::new();
        if let Some((place, stray)) = quote {
            errors.push(header.error(&header.place_name(place), stray.to_string()));
        }
        header.device_key = header.check(&mut errors).unwrap_or_default();
        if let Some(errors) = FileErrors::of_header(errors) {
            return Err(errors);
        }
        if records.read()?.is_some() {
            return Err(FileError::at(
                line,
                FileErrorKind::Header(
                    "the lines end in carriage returns alone; save the file with LF or CRLF".into(),
                ),
            )
            .into());
        }
        Ok(header)
    }

    /// Whether a row with these cells is a header again.
    pub(super) fn is_repeated_by(&self, record: &Record<'_>) -> Option<Repeated> {
        self.edges.repetition(&self.names, self.device_key, record)
    }

    /// The columns' names as written.
    pub(super) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// What the columns mean; nothing for a column without a name.
    pub(super) fn columns(&self) -> impl Iterator<Item = Option<Column<'_>>> {
        self.names.iter().map(|name| classify(name).ok())
    }

    /// Whether every column has a meaning of its own; gives the place of the device key.
    fn check(&self, errors: &mut Vec<FileError>) -> Option<usize> {
        let mut seen = HashMap::new();
        let mut device_key = None;
        let mut meant = false;
        for (place, name) in self.names.iter().enumerate() {
            if name.is_empty() {
                continue;
            }
            let column = match column(name) {
                Ok(column) => column,
                Err(reason) => {
                    meant |= ["`device_key`", "`deviceKey`"]
                        .iter()
                        .any(|key| reason.contains(key));
                    errors.push(self.error(name, reason));
                    continue;
                }
            };
            if let Some(other) = seen.insert(column, name) {
                let reason = if other == name {
                    format!(
                        "the column `{name}` is twice in the header; remove one, or, if it is another label, call it `label.<name>`"
                    )
                } else {
                    format!("the columns `{other}` and `{name}` mean the same; remove one")
                };
                errors.push(self.error(name, reason));
            }
            let of_jsonl = match column {
                Column::Known(Field::DeviceKey) => {
                    device_key.get_or_insert(place);
                    continue;
                }
                Column::Known(Field::Devices) => {
                    meant = true;
                    "is for JSONL; a CSV has one row for each device, its key in `device_key`"
                }
                Column::Known(Field::Params) => {
                    "is for JSONL; a CSV has a column `param.<code>` for each parameter"
                }
                Column::Known(Field::Labels) => {
                    "is for JSONL; a CSV has a column for each label; if it is one, call it `label.labels`"
                }
                _ => continue,
            };
            errors.push(self.error(name, of_jsonl));
        }
        // A name that was perhaps meant to be it has been told.
        if device_key.is_none() && !meant {
            errors.push(FileError::at(
                self.line,
                FileErrorKind::Header(self.without_key()),
            ));
        }
        device_key
    }

    /// What is said of a header without a device key.
    fn without_key(&self) -> String {
        const MOST: usize = 20;
        let names: Vec<_> = self
            .names
            .iter()
            .take(MOST)
            .map(|name| format!("`{}`", cell::shown(name)))
            .collect();
        let more = match self.names.len().saturating_sub(MOST) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let holds = |word: &str| self.names.iter().any(|name| name.contains(word));
        let way = if self.names.iter().any(|name| name.starts_with(['#', '/'])) {
            "delete the line if it is a comment: a manifest begins with its header"
        } else if holds("|") || holds("device_key") || holds("deviceKey") {
            "separate the fields with commas, semicolons or tabs, and put no quotes around a whole line"
        } else {
            "name the column with the keys `device_key`; if there is no header, put one before the first row"
        };
        format!(
            "the header has no column `device_key`; its columns are {}{more}; {way}",
            names.join(", ")
        )
    }

    /// A column's name, or its number when it has none.
    fn place_name(&self, place: usize) -> Box<str> {
        match self.names.get(place) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => (place + 1).to_string().into(),
        }
    }

    fn error(&self, name: &str, reason: impl Into<String>) -> FileError {
        FileError {
            line: Some(self.line),
            column: Some(cell::shown(name).into()),
            kind: FileErrorKind::Header(reason.into()),
        }
    }
}

/// What a name stands for. One with a character that nobody sees and that would otherwise be ours is refused.
fn column(name: &str) -> Result<Column<'_>, String> {
    if let Some((place, character)) = CodePoint::unseen_in(name) {
        let seen: String = name
            .chars()
            .filter(|c| !CodePoint(*c).is_unseen())
            .collect();
        let way = match classify(seen.trim()) {
            Ok(Column::Label(_)) => return classify(name),
            Ok(_) => format!("write the name anew: `{}`", seen.trim()),
            Err(reason) => reason,
        };
        return Err(format!(
            "has {character}, which is invisible, as character {place}; {way}"
        ));
    }
    classify(name)
}

/// The header's bytes with its line end, and the line on which it stands.
///
/// Quoted names may hold line ends, so a line with an open quote is continued, unless it makes sense as it is: `5" pipe` opens none.
fn header_text(input: &mut impl BufRead) -> Result<(Vec<u8>, u64), FileError> {
    let (mut text, mut line) = (Vec::new(), 1);
    loop {
        let room = (ROW_LIMIT - text.len()) as u64 + 1;
        let read = io::Read::take(&mut *input, room).read_until(b'\n', &mut text)?;
        if text.len() > ROW_LIMIT {
            return Err(FileError::at(line, FileErrorKind::RowTooLong));
        }
        let blank = text.iter().all(u8::is_ascii_whitespace);
        if read == 0 && blank {
            return Err(FileError::whole(FileErrorKind::Empty));
        }
        if blank {
            text.clear();
            line += 1;
            continue;
        }
        let closed = memchr_iter(b'"', &text).count().is_multiple_of(2);
        let is_first_line = memchr(b'\n', &text).is_none_or(|end| end + 1 == text.len());
        if closed || read == 0 || is_first_line && likeliest(&text).known > 0 {
            return Ok((text, line));
        }
    }
}

/// Whether what begins with `head` begins with a header.
pub(super) fn is_one(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    let end = memchr(b'\n', text).unwrap_or(text.len());
    likeliest(&text[..end]).known > 0
}

/// How well a header reads under a delimiter; the order of the members is that of their weight.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// Columns that we know.
    known: usize,
    columns: usize,
    /// The likelier delimiter wins a draw.
    delimiter: Reverse<usize>,
}

/// How the header reads best.
fn likeliest(text: &[u8]) -> Score {
    let score = |place: usize| {
        let (known, columns) = match Records::new(text, DELIMITERS[place], 1).read() {
            Ok(Some(record)) => (known_columns(&record), record.len()),
            Ok(None) => (0, 0),
            // What is wrong is better told than how it would read otherwise.
            Err(_) => (0, usize::MAX),
        };
        Score {
            known,
            columns,
            delimiter: Reverse(place),
        }
    };
    (1..DELIMITERS.len()).map(score).fold(score(0), Ord::max)
}

fn known_columns(record: &Record<'_>) -> usize {
    record
        .iter()
        .filter(|name| matches!(classify(name.trim()), Ok(Column::Known(_))))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Header, String> {
        Header::read(&mut text.as_bytes(), None).map_err(|error| error.to_string())
    }

    fn refusal(text: &str) -> String {
        read(text).expect_err(text)
    }

    #[test]
    fn the_delimiter_is_read_off_the_header() {
        for (text, delimiter) in [
            ("device_key,site\n", b','),
            ("device_key;site\r\n", b';'),
            ("device_key\tsite", b'\t'),
            ("device_key", b','),
            ("\"note, with commas, many\";device_key\n", b';'),
            ("device_key;5\" pipe;site\nDK1;x;y\n", b';'),
            ("site, or place;floor, or level;device_key;a\n", b';'),
        ] {
            assert_eq!(
                read(text).map(|header| header.delimiter),
                Ok(delimiter),
                "{text:?}"
            );
        }
    }

    #[test]
    fn blanks_around_names_and_before_the_header_do_not_matter() {
        let header = read("\r\n\n device_key , site \nDK1,x").expect("a header");
        assert_eq!(header.names(), ["device_key".into(), "site".into()]);
        assert_eq!((header.line, header.next_line), (3, 4));
    }

    #[test]
    fn names_may_hold_line_ends() {
        let header = read("device_key,\"two\nlines\"\nDK1,x\n").expect("a header");
        assert_eq!(&*header.names()[1], "two\nlines");
        assert_eq!(header.next_line, 3);
    }

    #[test]
    fn columns_of_one_meaning_are_refused_by_name() {
        assert_eq!(
            refusal("device_key,deviceKey\n"),
            ", line 1, column deviceKey: the columns `device_key` and `deviceKey` mean the same; remove one"
        );
        assert_eq!(
            refusal("device_key,site,site\n"),
            ", line 1, column site: the column `site` is twice in the header; remove one, or, if it is another label, call it `label.<name>`"
        );
        assert_eq!(
            refusal("device_key,site,label.site\n"),
            ", line 1, column label.site: the columns `site` and `label.site` mean the same; remove one"
        );
        assert!(refusal("device_key,param.a,param.a\n").contains("is twice"));
        assert!(read("device_key,param.site,site,,\n").is_ok());
    }

    #[test]
    fn a_header_without_a_device_key_says_what_it_has() {
        assert_eq!(
            refusal("DK1,PK1\nDK2,PK1\n"),
            ", line 1: the header has no column `device_key`; its columns are `DK1`, `PK1`; name the column with the keys `device_key`; if there is no header, put one before the first row"
        );
    }

    #[test]
    fn near_misses_and_columns_of_jsonl_are_refused() {
        assert_eq!(
            refusal("device_key,qoss\n"),
            ", line 1, column qoss: did you mean `qos`? if it is a label, call it `label.qoss`"
        );
        for name in ["devices", "params", "labels"] {
            assert!(refusal(&format!("device_key,{name}\n")).contains("is for JSONL"));
        }
    }

    #[test]
    fn every_mistake_of_a_header_is_told() {
        assert_eq!(
            refusal("x,\u{feff}device_key,qoss, \"site\",params,param.a,param.a\n"),
            ", line 1, column \"site\": has blanks before its opening quote, so that blanks and quotes would be sent; remove them, or put the whole field in quotes\n\
             line 1, column \\u{feff}device_key: has U+FEFF (byte order mark), which is invisible, as character 1; write the name anew: `device_key`\n\
             line 1, column qoss: did you mean `qos`? if it is a label, call it `label.qoss`\n\
             line 1, column params: is for JSONL; a CSV has a column `param.<code>` for each parameter\n\
             line 1, column param.a: the column `param.a` is twice in the header; remove one, or, if it is another label, call it `label.<name>`"
        );
        let many: Vec<_> = (0..30).map(|n| format!("params.{n}")).collect();
        assert_eq!(
            refusal(&format!("device_key,{}\n", many.join(",")))
                .lines()
                .count(),
            20
        );
        for text in [
            "a|device_key|b\n",
            "device_key:site\n",
            "\"device_key,site\"\n",
        ] {
            assert!(
                refusal(text).contains("separate the fields with commas"),
                "{text}"
            );
        }
        assert!(refusal("# keys\ndevice_key\n").contains("delete the line if it is a comment"));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert!(refusal("").contains("is empty"));
        assert!(refusal("\n \r\n").contains("is empty"));
        assert!(refusal("device_key,site\rDK1,x\r").contains("carriage returns alone"));
        assert!(refusal("device_key,\"site\n").contains("never closes"));
        assert!(refusal(&format!("device_key,{}", "x".repeat(ROW_LIMIT))).contains("longer than"));
    }
}
