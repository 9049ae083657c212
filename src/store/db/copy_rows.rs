//! Rows on their way into a table of PostgreSQL by `COPY`, in its binary format.

use sqlx::{Arguments as _, Encode, Type, error::BoxDynError};

use super::{
    Db,
    arguments::{Argument, Arguments},
};

/// What the rows begin with: what it is, no flags, and nothing more in the head.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands in place of another row after the last one.
const END: i16 = -1;
/// The length of what is absent.
const ABSENT: i32 = -1;

/// Rows of values, one value after the other.
#[derive(Debug)]
pub(in crate::store) struct CopyRows {
    bytes: Vec<u8>,
    columns: i16,
    /// How many values the last row still needs.
    missing: i16,
    /// The value that is being written.
    value: Arguments,
}

impl CopyRows {
    /// No rows, of so many columns.
    pub(in crate::store) fn of(columns: usize) -> Result<Self, BoxDynError> {
        Ok(Self {
            bytes: HEAD.to_vec(),
            columns: columns.try_into()?,
            missing: 0,
            value: Arguments::default(),
        })
    }

    /// Adds the next value.
    pub(in crate::store) fn add<'t, T>(&mut self, value: T) -> Result<(), BoxDynError>
    where
        T: Encode<'t, Db> + Type<Db>,
    {
        if self.missing == 0 {
            self.missing = self.columns;
            self.bytes.extend_from_slice(&self.columns.to_be_bytes());
        }
        self.missing -= 1;
        self.value.add(value)?;
        for argument in self.value.drain() {
            match argument {
                Argument::Integer(value) => cell(&mut self.bytes, value.map(i64::to_be_bytes))?,
                Argument::Real(value) => cell(&mut self.bytes, value.map(f64::to_be_bytes))?,
                Argument::Text(value) => cell(&mut self.bytes, value)?,
                Argument::Bytes(value) => cell(&mut self.bytes, value)?,
                Argument::List(_) => return Err("a list in a row".into()),
            }
        }
        Ok(())
    }

    /// The bytes of the rows.
    pub(in crate::store) fn len(&self) -> usize {
        self.bytes.len() - HEAD.len()
    }

    /// All that `COPY` takes.
    pub(in crate::store) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&END.to_be_bytes());
        self.bytes
    }
}

/// Writes a value: how many bytes it has, and the bytes.
fn cell(bytes: &mut Vec<u8>, value: Option<impl AsRef<[u8]>>) -> Result<(), BoxDynError> {
    match value {
        Some(value) => {
            let value = value.as_ref();
            bytes.extend_from_slice(&i32::try_from(value.len())?.to_be_bytes());
            bytes.extend_from_slice(value);
        }
        None => bytes.extend_from_slice(&ABSENT.to_be_bytes()),
    }
    Ok(())
}
