//! The cells of an answer.

use sqlx::{Decode, Row as _, ValueRef as _};

use super::Cell;
use crate::store::db::{Db, DbRow, Kind, ValueRef};

/// The cells of a row.
pub(in crate::store) fn cells(row: &DbRow) -> Result<Vec<Cell>, sqlx::Error> {
    (0..row.len())
        .map(|index| cell(row.try_get_raw(index)?))
        .collect()
}

fn cell(value: ValueRef<'_>) -> Result<Cell, sqlx::Error> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().into_owned();
    let decoded = match kind {
        Kind::Integer => Decode::<Db>::decode(value).map(Cell::Integer),
        Kind::Real => Decode::<Db>::decode(value).map(Cell::Real),
        Kind::Bytes => Decode::<Db>::decode(value).map(Cell::Blob),
        Kind::Null | Kind::Text => Decode::<Db>::decode(value).map(Cell::Text),
        Kind::Decimal => value.written().map(decimal),
        Kind::Other => value.written().map(|text| Cell::Text(text.to_owned())),
    };
    decoded.map_err(sqlx::Error::Decode)
}

/// A sum of whole numbers is a decimal number in PostgreSQL, and a whole one in SQLite.
fn decimal(text: &str) -> Cell {
    if let Ok(whole) = text.parse() {
        return Cell::Integer(whole);
    }
    text.parse()
        .map_or_else(|_| Cell::Text(text.to_owned()), Cell::Real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_number_is_whole_where_it_can_be() {
        assert_eq!(decimal("12"), Cell::Integer(12));
        assert_eq!(decimal("-0.5"), Cell::Real(-0.5));
    }
}
