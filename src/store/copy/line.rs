//! A row of SQLite as a line of PostgreSQL's `COPY`, byte for byte as PostgreSQL writes the same row.

use sqlx::{Decode, Row as _, ValueRef as _};

use crate::store::db::{Db, DbRow, Kind, ValueRef};

/// What stands for U+0000, which PostgreSQL has no place for.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Appends the line of a row.
pub(super) fn append(line: &mut Vec<u8>, row: &DbRow) -> Result<(), sqlx::Error> {
    for place in 0..row.len() {
        if place > 0 {
            line.push(b'\t');
        }
        field(line, row.try_get_raw(place)?).map_err(sqlx::Error::Decode)?;
    }
    line.push(b'\n');
    Ok(())
}

fn field(line: &mut Vec<u8>, value: ValueRef<'_>) -> Result<(), sqlx::error::BoxDynError> {
    if value.is_null() {
        line.extend_from_slice(b"\\N");
        return Ok(());
    }
    match *value.type_info() {
        Kind::Integer => {
            let number = <i64 as Decode<Db>>::decode(value)?;
            line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        Kind::Bytes => bytes(line, <&[u8] as Decode<Db>>::decode(value)?),
        _ => text(line, <&str as Decode<Db>>::decode(value)?),
    }
    Ok(())
}

fn bytes(line: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    line.extend_from_slice(b"\\\\x");
    for byte in bytes {
        line.push(DIGITS[usize::from(byte >> 4)]);
        line.push(DIGITS[usize::from(byte & 15)]);
    }
}

fn text(line: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            0 => line.extend_from_slice(REPLACEMENT),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            0x08 => line.extend_from_slice(b"\\b"),
            0x0b => line.extend_from_slice(b"\\v"),
            0x0c => line.extend_from_slice(b"\\f"),
            other => line.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;
    use crate::store::db::DbConnection;

    async fn line(sql: &'static str) -> String {
        let mut connection = DbConnection::connect("sqlite::memory:").await.unwrap();
        let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
        let mut line = Vec::new();
        append(&mut line, &row).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[tokio::test]
    async fn a_row_is_a_line_of_fields() {
        assert_eq!(
            line("SELECT 1, -9223372036854775808, NULL, 'a', '', x'00ff', x''").await,
            "1\t-9223372036854775808\t\\N\ta\t\t\\\\x00ff\t\\\\x\n"
        );
    }

    #[tokio::test]
    async fn what_would_end_a_field_is_written_out() {
        assert_eq!(
            line(r"SELECT 'a' || char(9) || char(10) || char(13) || char(8) || char(11) || char(12) || '\N' || char(1), 'ü' || char(0)").await,
            "a\\t\\n\\r\\b\\v\\f\\\\N\u{1}\tü\u{fffd}\n"
        );
    }
}
