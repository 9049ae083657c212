//! A row's cells before they are judged, whichever format they came from.

use std::borrow::Cow;

use super::{column::Field, wire::Value};

/// What a row says, cell by cell. An absent or empty cell is not in it.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    cells: [Option<Value<'a>>; Field::ALL.len()],
    /// The parameters, in the row's order.
    pub(super) params: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Draft<'a> {
    /// Puts a cell in place; gives back the one that was there.
    pub(super) fn set(&mut self, field: Field, value: Value<'a>) -> Option<Value<'a>> {
        self.cells[field as usize].replace(value)
    }

    /// The cell of `field`.
    pub(super) fn get(&self, field: Field) -> Option<&Value<'a>> {
        self.cells[field as usize].as_ref()
    }

    /// The text of the cell of `field`.
    pub(super) fn text(&self, field: Field) -> Result<Option<&str>, CellError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Json(_)) => Err(CellError::of(
                field,
                "is an array or object and has to be text",
            )),
        }
    }

    /// The cell of `field`, read by `parse`.
    pub(super) fn parsed<T>(
        &self,
        field: Field,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, CellError> {
        self.text(field)?
            .map(|text| parse(text).map_err(|reason| CellError::of(field, reason)))
            .transpose()
    }

    /// The parameter `code`.
    pub(super) fn param(&self, code: &str) -> Option<&Value<'a>> {
        self.params
            .iter()
            .find_map(|(name, value)| (name == code).then_some(value))
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellError {
    pub(super) place: Place,
    /// Lower case, no full stop.
    pub(super) reason: String,
}

/// Where in a row an error is; the reader knows how the file spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The row as a whole.
    Row,
    /// A known column.
    Field(Field),
    /// The parameter of this code.
    Param(Box<str>),
    /// A column under the name that stands in the file.
    Named(Box<str>),
}

/// Everything that is wrong with a row, as far as it has been read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CellErrors(Vec<CellError>);

impl CellErrors {
    pub(super) fn push(&mut self, error: CellError) {
        self.0.push(error);
    }

    /// What was read, or nothing after its error has been noted.
    pub(super) fn keep<T>(&mut self, read: Result<T, CellError>) -> Option<T> {
        read.map_err(|error| self.push(error)).ok()
    }

    /// `value`, unless anything is wrong; the errors then stay here.
    pub(super) fn unless_any<T>(&self, value: Option<T>) -> Option<T> {
        value.filter(|_| self.0.is_empty())
    }

    /// The errors, in the order in which they were found.
    pub(super) fn into_iter(self) -> impl Iterator<Item = CellError> {
        self.0.into_iter()
    }
}

impl CellError {
    pub(super) fn of_row(reason: impl Into<String>) -> Self {
        Self {
            place: Place::Row,
            reason: reason.into(),
        }
    }

    pub(super) fn of(field: Field, reason: impl Into<String>) -> Self {
        Self {
            place: Place::Field(field),
            reason: reason.into(),
        }
    }

    pub(super) fn of_param(code: &str, reason: impl Into<String>) -> Self {
        Self {
            place: Place::Param(code.into()),
            reason: reason.into(),
        }
    }

    pub(super) fn named(name: &str, reason: impl Into<String>) -> Self {
        Self {
            place: Place::Named(name.into()),
            reason: reason.into(),
        }
    }
}
