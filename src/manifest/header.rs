//! The header of delimited text: which delimiter it uses and what its columns mean.

use std::{
    cmp::Reverse,
    collections::HashMap,
    io::{self, BufRead},
};

use memchr::{memchr, memchr_iter};

use super::{
    Fault, Problem, ROW_LIMIT,
    column::{Column, Field, classify},
    records::{Record, Records},
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
}

impl Header {
    /// Reads the header line; `delimiter` is the one that the file's name tells, when it does.
    pub(super) fn read(input: &mut impl BufRead, delimiter: Option<u8>) -> Result<Self, Fault> {
        let (text, line) = header_text(input)?;
        let delimiter = delimiter.unwrap_or_else(|| DELIMITERS[likeliest(&text).delimiter.0]);
        let mut records = Records::new(&text[..], delimiter, line);
        let Some(record) = records.read()? else {
            return Err(Fault::whole(Problem::Empty));
        };
        let names: Vec<Box<str>> = record.iter().map(|name| name.trim().into()).collect();
        let mut header = Self {
            delimiter,
            line,
            next_line: line + memchr_iter(b'\n', &text).count() as u64,
            names,
            device_key: 0,
        };
        header.device_key = header.check()?;
        if records.read()?.is_some() {
            return Err(Fault::at(
                line,
                Problem::Header(
                    "the lines end in carriage returns alone; save the file with LF or CRLF".into(),
                ),
            ));
        }
        Ok(header)
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
    fn check(&self) -> Result<usize, Fault> {
        let mut seen = HashMap::new();
        let mut device_key = None;
        for (place, name) in self.names.iter().enumerate() {
            if name.is_empty() {
                continue;
            }
            let column = classify(name).map_err(|reason| self.fault(name, reason))?;
            if let Some(other) = seen.insert(column, name) {
                return Err(self.fault(
                    name,
                    if other == name {
                        format!("the column `{name}` stands twice in the header")
                    } else {
                        format!("the columns `{other}` and `{name}` mean the same; leave one out")
                    },
                ));
            }
            match column {
                Column::Known(Field::DeviceKey) => device_key = Some(place),
                Column::Known(Field::Devices) => {
                    return Err(self.fault(
                        name,
                        "is for JSONL; a CSV has one row for each device, its key in `device_key`",
                    ));
                }
                Column::Known(Field::Params) => {
                    return Err(self.fault(
                        name,
                        "is for JSONL; a CSV has a column `param.<code>` for each parameter",
                    ));
                }
                Column::Known(Field::Labels) => {
                    return Err(self.fault(
                        name,
                        "is for JSONL; a CSV has a column for each label; if it is one, call it `label.labels`",
                    ));
                }
                _ => {}
            }
        }
        device_key.ok_or_else(|| {
            let names: Vec<_> = self.names.iter().map(|name| format!("`{name}`")).collect();
            Fault::at(
                self.line,
                Problem::Header(format!(
                    "the header has no column `device_key`; its columns are {}",
                    names.join(", ")
                )),
            )
        })
    }

    fn fault(&self, name: &str, reason: impl Into<String>) -> Fault {
        Fault {
            line: Some(self.line),
            column: Some(name.into()),
            problem: Problem::Header(reason.into()),
        }
    }
}

/// The header's bytes with its line end, and the line on which it stands.
///
/// Quoted names may hold line ends, so a line with an open quote is continued, unless it makes sense as it is: `5" pipe` opens none.
fn header_text(input: &mut impl BufRead) -> Result<(Vec<u8>, u64), Fault> {
    let (mut text, mut line) = (Vec::new(), 1);
    loop {
        let room = (ROW_LIMIT - text.len()) as u64 + 1;
        let read = io::Read::take(&mut *input, room).read_until(b'\n', &mut text)?;
        if text.len() > ROW_LIMIT {
            return Err(Fault::at(line, Problem::RowTooLong));
        }
        let blank = text.iter().all(u8::is_ascii_whitespace);
        if read == 0 && blank {
            return Err(Fault::whole(Problem::Empty));
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
        Header::read(&mut text.as_bytes(), None).map_err(|fault| fault.to_string())
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
            ", line 1, column deviceKey: the columns `device_key` and `deviceKey` mean the same; leave one out"
        );
        assert_eq!(
            refusal("device_key,site,site\n"),
            ", line 1, column site: the column `site` stands twice in the header"
        );
        assert_eq!(
            refusal("device_key,site,label.site\n"),
            ", line 1, column label.site: the columns `site` and `label.site` mean the same; leave one out"
        );
        assert!(refusal("device_key,param.a,param.a\n").contains("stands twice"));
        assert!(read("device_key,param.site,site,,\n").is_ok());
    }

    #[test]
    fn a_header_without_a_device_key_says_what_it_has() {
        assert_eq!(
            refusal("DK1,PK1\nDK2,PK1\n"),
            ", line 1: the header has no column `device_key`; its columns are `DK1`, `PK1`"
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
    fn what_is_no_header_is_refused() {
        assert!(refusal("").contains("is empty"));
        assert!(refusal("\n \r\n").contains("is empty"));
        assert!(refusal("device_key,site\rDK1,x\r").contains("carriage returns alone"));
        assert!(refusal("device_key,\"site\n").contains("never closed"));
        assert!(refusal(&format!("device_key,{}", "x".repeat(ROW_LIMIT))).contains("longer than"));
    }
}
