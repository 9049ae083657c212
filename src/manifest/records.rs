//! Reads delimited text record by record in bounded memory, with the exact line on which each record begins.
//!
//! `csv_core` does the parsing. Its sibling `csv::Reader` is not used, because it cannot bound the length of a record, counts the lines of
//! CRLF files and of files with blank lines wrongly, and passes over a quote that is never closed, which swallows rows.

use std::{io::BufRead, str};

use csv_core::ReadRecordResult;
use memchr::memchr_iter;

use super::{
    FileError, FileErrorKind, ROW_LIMIT,
    content::BYTE_ORDER_MARK,
    quotes::{self, Stray},
};

/// A stream of records.
pub(super) struct Records<R> {
    input: R,
    core: csv_core::Reader,
    delimiter: u8,
    /// The line that the next byte of the input belongs to.
    line: u64,
    /// The fields of the record, one after the other.
    fields: Vec<u8>,
    /// Where in `fields` each ends.
    ends: Vec<usize>,
    /// The record as it stands in the file.
    raw: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// The line on which it begins.
    pub(super) line: u64,
    text: &'a str,
    ends: &'a [usize],
    /// The record as it stands in the file.
    raw: &'a [u8],
    delimiter: u8,
}

impl<'a> Record<'a> {
    /// The number of fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The fields.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> {
        let (text, mut start) = (self.text, 0);
        self.ends.iter().map(move |&end| {
            let field = text.get(start..end).unwrap_or_default();
            start = end;
            field
        })
    }

    pub(super) fn field(&self, place: usize) -> Option<&'a str> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    /// The first field with a quote that is wrong.
    pub(super) fn stray_quote(&self) -> Option<(usize, Stray)> {
        quotes::stray(self.raw, self.delimiter)
    }

    /// Whether the field stands in quotes.
    pub(super) fn is_quoted(&self, place: usize) -> bool {
        quotes::is_quoted(self.raw, self.delimiter, place)
    }

    /// Whether it begins with a byte order mark, as files do and rows do not.
    pub(super) fn begins_with_mark(&self) -> bool {
        self.raw.starts_with(BYTE_ORDER_MARK)
    }

    /// Whether its line ends: the last line of a file that was cut does not.
    pub(super) fn ends_its_line(&self) -> bool {
        self.raw.ends_with(b"\n") || self.raw.ends_with(b"\r")
    }

    /// Whether every field is empty.
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }
}

impl<R: BufRead> Records<R> {
    /// The records of `input`, whose first line has the number `line`.
    pub(super) fn new(input: R, delimiter: u8, line: u64) -> Self {
        Self {
            input,
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            line,
            fields: vec![0; 1024],
            ends: vec![0; 32],
            raw: Vec::new(),
        }
    }

    /// The next record, or nothing at the end. An error is final.
    pub(super) fn read(&mut self) -> Result<Option<Record<'_>>, FileError> {
        self.skip_blank_lines()?;
        let line = self.line;
        let Some((text, fields)) = self.parse(line)? else {
            return Ok(None);
        };
        let several_lines = self.line - line > u64::from(self.raw.ends_with(b"\n"));
        // A quote left open in one row and an ordinary one in a later row swallow all the rows between them without any other sign.
        if several_lines && let Some((field, _)) = quotes::stray(&self.raw, self.delimiter) {
            return Err(FileError {
                column: Some((field + 1).to_string().into()),
                ..FileError::at(line, FileErrorKind::StrayQuote)
            });
        }
        let ends = &self.ends[..fields];
        let text = utf8(&self.fields[..text], ends).map_err(|field| FileError {
            line: Some(line),
            column: Some((field + 1).to_string().into()),
            kind: FileErrorKind::NotUtf8,
        })?;
        Ok(Some(Record {
            line,
            text,
            ends,
            raw: &self.raw,
            delimiter: self.delimiter,
        }))
    }

    /// Goes to the first byte of the next record, so that its line is known before it is parsed.
    fn skip_blank_lines(&mut self) -> Result<(), FileError> {
        loop {
            let input = self.input.fill_buf()?;
            let blank = input
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            if blank == 0 {
                return Ok(());
            }
            self.line += newlines(&input[..blank]);
            self.input.consume(blank);
        }
    }

    /// Parses one record; gives the length of its text and the number of its fields.
    fn parse(&mut self, line: u64) -> Result<Option<(usize, usize)>, FileError> {
        self.raw.clear();
        let (mut text, mut fields) = (0, 0);
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            if at_end && self.raw.is_empty() {
                return Ok(None);
            }
            // A last line without a line end gets one; inside an open quote it does not end the record, which is how that shows.
            let input = if at_end { b"\n" } else { input };
            let (result, read, written, ended) =
                self.core
                    .read_record(input, &mut self.fields[text..], &mut self.ends[fields..]);
            if !at_end {
                self.line += newlines(&input[..read]);
                self.raw.extend_from_slice(&input[..read]);
                self.input.consume(read);
            }
            text += written;
            fields += ended;
            if self.raw.len() > ROW_LIMIT {
                return Err(FileError::at(line, FileErrorKind::RowTooLong));
            }
            match result {
                ReadRecordResult::Record => return Ok(Some((text, fields))),
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::InputEmpty if at_end => {
                    return Err(FileError::at(line, FileErrorKind::OpenQuote));
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::End => return Ok(None),
            }
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// The fields as text; else the number of the first field that is none.
fn utf8<'a>(bytes: &'a [u8], ends: &[usize]) -> Result<&'a str, usize> {
    let at = match str::from_utf8(bytes) {
        // Text can be valid only across a border of two fields.
        Ok(text) => match ends.iter().position(|&end| !text.is_char_boundary(end)) {
            None => return Ok(text),
            Some(field) => return Err(field),
        },
        Err(error) => error.valid_up_to(),
    };
    Err(ends.iter().filter(|&&end| end <= at).count())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    type Read = Vec<(u64, Vec<String>)>;

    fn read(bytes: &[u8]) -> Result<Read, String> {
        // A tiny buffer puts its border into every place of a record.
        let mut records = Records::new(BufReader::with_capacity(3, bytes), b',', 1);
        let mut all = Vec::new();
        while let Some(record) = records.read().map_err(|error| error.to_string())? {
            let fields = record.iter().map(Into::into).collect();
            all.push((record.line, fields));
        }
        Ok(all)
    }

    fn lines(text: &str) -> Vec<u64> {
        let records = read(text.as_bytes()).expect(text);
        records.into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_record_knows_the_line_on_which_it_begins() {
        for (text, expected) in [
            ("a\nb\nc\n", vec![1, 2, 3]),
            ("a\r\nb\r\nc", vec![1, 2, 3]),
            ("\n\na\r\n\r\n\nb\n", vec![3, 6]),
            ("\"a\n1\",x\nb\n", vec![1, 3]),
            ("\"a\r\n1\"\r\n\"b\n\n\"\r\nc", vec![1, 3, 6]),
            ("", vec![]),
            ("\n\n", vec![]),
        ] {
            assert_eq!(lines(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_a_fault() {
        for text in ["a\nb,\"x\nc\n", "\"", "a\n\"b"] {
            let error = read(text.as_bytes()).expect_err(text);
            assert!(error.contains("never closes"), "{error}");
        }
        assert_eq!(lines("a,\"b\""), [1]);
    }

    #[test]
    fn rows_swallowed_by_a_stray_quote_are_a_fault() {
        let text = "k,note\n1,\"left open\n2,plain\n3,\"quoted\"\n4,x\n";
        assert_eq!(
            read(text.as_bytes()),
            Err(format!(", line 2, column 2: {}", FileErrorKind::StrayQuote))
        );
        // The same at the end of the file, where no line end follows.
        assert!(read(b"1,\"a\n2,\"b").is_err_and(|error| error.contains(", line 1, column 2: ")));
        for fine in [
            "1,\"a \"\"b\"\"\nc\"\n",
            "1,5\" pipe,\"a\nb\"\r\n",
            "1,a\"b\n2,\"c\"d\n",
            "\"\"\"\n\",x,\n",
        ] {
            assert!(read(fine.as_bytes()).is_ok(), "{fine:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_a_fault_with_line_and_field() {
        for (bytes, field) in [
            (&b"a,b\nc,d\xfc,e\n"[..], 2),
            (b"a\n\xc3,x\n", 1),
            (b"a\nb,\xc3,\xa4\n", 2),
        ] {
            let error = read(bytes).expect_err("no text");
            let place = format!(", line 2, column {field}: is not UTF-8");
            assert!(error.starts_with(&place), "{error}");
        }
    }

    #[test]
    fn the_length_of_a_record_is_bounded() {
        let text = format!("a\n\"{}", "x\n".repeat(ROW_LIMIT));
        let mut records = Records::new(text.as_bytes(), b',', 1);
        assert!(records.read().is_ok_and(|record| record.is_some()));
        let error = records.read().map(|_| ()).expect_err("a fault");
        assert!(matches!(error.kind, FileErrorKind::RowTooLong));
        assert_eq!(error.line, Some(2));
        assert!(records.fields.len() <= 2 * ROW_LIMIT);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn what_looks_like_csv_is_read_or_refused(text in "[a\",\r\n]{0,60}") {
            if let Ok(records) = read(text.as_bytes()) {
                let lines: Vec<_> = records.iter().map(|(line, _)| *line).collect();
                prop_assert!(lines.is_sorted());
                // Only bare carriage returns put two records into one line.
                if !text.contains('\r') {
                    prop_assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
                }
            }
        }

        #[test]
        fn any_text_comes_back(rows in vec(vec(any::<String>(), 3), 1..5)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let mut line = 1;
            let mut expected = Vec::new();
            for row in rows {
                // A record of empty fields is written as `,,` and comes back as such.
                writer.write_record(&row).expect("a vector takes everything");
                let inside: usize = row.iter().map(|field| field.matches('\n').count()).sum();
                expected.push((line, row));
                line += 1 + inside as u64;
            }
            let bytes = writer.into_inner().expect("a vector takes everything");
            prop_assert_eq!(read(&bytes), Ok(expected));
        }
    }
}
