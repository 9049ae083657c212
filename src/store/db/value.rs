//! The values of a row, and how they are read: an integer of any width, text, bytes, a real number.

use std::{borrow::Cow, fmt};

use sqlx::{
    Decode, Postgres, Sqlite, Type, TypeInfo, ValueRef as _,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValue, PgValueRef},
    sqlite::{SqliteTypeInfo, SqliteValue, SqliteValueRef},
};

use super::Db;

/// What a value is. Numbers and truth values are one kind, since SQLite keeps them as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Null,
    Integer,
    Real,
    Text,
    Bytes,
    /// A number of PostgreSQL with any number of digits.
    Decimal,
    /// None that a statement of ours yields.
    Other,
}

impl Kind {
    fn of_sqlite(info: &SqliteTypeInfo) -> Self {
        Self::named(info.name())
    }

    fn of_postgres(info: &PgTypeInfo) -> Self {
        Self::named(info.name())
    }

    fn named(name: &str) -> Self {
        match name {
            "NULL" => Self::Null,
            "INTEGER" | "BOOLEAN" | "BOOL" | "INT8" | "INT4" | "INT2" => Self::Integer,
            "REAL" | "FLOAT8" | "FLOAT4" => Self::Real,
            "TEXT" | "VARCHAR" | "NAME" | "unknown" => Self::Text,
            "BLOB" | "BYTEA" => Self::Bytes,
            "NUMERIC" => Self::Decimal,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TypeInfo for Kind {
    fn is_null(&self) -> bool {
        *self == Self::Null
    }

    fn name(&self) -> &str {
        match self {
            Self::Null => "nothing",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Decimal => "decimal",
            Self::Other => "another type",
        }
    }
}

/// A value of a row.
pub(in crate::store) enum ValueRef<'r> {
    Sqlite(SqliteValueRef<'r>),
    Postgres(PgValueRef<'r>),
}

/// A value that is kept.
pub(in crate::store) enum Value {
    Sqlite(SqliteValue),
    Postgres(PgValue),
}

impl<'r> ValueRef<'r> {
    /// The value as its engine writes it, of whatever type: of PostgreSQL's what came as text.
    pub(in crate::store) fn written(self) -> Result<&'r str, BoxDynError> {
        match self {
            Self::Sqlite(value) => <&str as Decode<Sqlite>>::decode(value),
            Self::Postgres(value) => value.as_str(),
        }
    }
}

impl<'r> sqlx::ValueRef<'r> for ValueRef<'r> {
    type Database = Db;

    fn to_owned(&self) -> Value {
        match self {
            Self::Sqlite(value) => Value::Sqlite(sqlx::ValueRef::to_owned(value)),
            Self::Postgres(value) => Value::Postgres(sqlx::ValueRef::to_owned(value)),
        }
    }

    fn type_info(&self) -> Cow<'_, Kind> {
        Cow::Owned(match self {
            Self::Sqlite(value) => Kind::of_sqlite(&value.type_info()),
            Self::Postgres(value) => Kind::of_postgres(&value.type_info()),
        })
    }

    fn is_null(&self) -> bool {
        match self {
            Self::Sqlite(value) => value.is_null(),
            Self::Postgres(value) => value.is_null(),
        }
    }
}

impl sqlx::Value for Value {
    type Database = Db;

    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Sqlite(value) => ValueRef::Sqlite(value.as_ref()),
            Self::Postgres(value) => ValueRef::Postgres(value.as_ref()),
        }
    }

    fn type_info(&self) -> Cow<'_, Kind> {
        Cow::Owned(sqlx::ValueRef::type_info(&self.as_ref()).into_owned())
    }

    fn is_null(&self) -> bool {
        sqlx::ValueRef::is_null(&self.as_ref())
    }
}

/// Reads a value as the driver does, and not as another type.
fn decode<'r, D, T>(value: D::ValueRef<'r>) -> Result<T, BoxDynError>
where
    D: sqlx::Database,
    T: Decode<'r, D> + Type<D>,
{
    let found = value.type_info();
    if !found.is_null() && !T::compatible(&found) {
        return Err(format!(
            "the value is of the type {}, and not {}",
            found.name(),
            T::type_info().name()
        )
        .into());
    }
    drop(found);
    T::decode(value)
}

/// Types that both drivers read in the same way.
macro_rules! as_the_drivers_do {
    ($($type:ty => $kind:expr, $owned:ty;)*) => {$(
        impl Type<Db> for $type {
            fn type_info() -> Kind {
                $kind
            }
        }

        impl<'r> Decode<'r, Db> for $owned {
            fn decode(value: ValueRef<'r>) -> Result<Self, BoxDynError> {
                match value {
                    ValueRef::Sqlite(value) => decode::<Sqlite, Self>(value),
                    ValueRef::Postgres(value) => decode::<Postgres, Self>(value),
                }
            }
        }
    )*};
}

as_the_drivers_do!(
    f64 => Kind::Real, f64;
    str => Kind::Text, &'r str;
    String => Kind::Text, String;
    [u8] => Kind::Bytes, &'r [u8];
    Vec<u8> => Kind::Bytes, Vec<u8>;
);

impl Type<Db> for i64 {
    fn type_info() -> Kind {
        Kind::Integer
    }
}

impl<'r> Decode<'r, Db> for i64 {
    fn decode(value: ValueRef<'r>) -> Result<Self, BoxDynError> {
        match value {
            ValueRef::Sqlite(value) => decode::<Sqlite, Self>(value),
            ValueRef::Postgres(value) => {
                // A condition in a list of columns is a truth value there, and a number in SQLite.
                let info = value.type_info().into_owned();
                match info.name() {
                    "BOOL" => decode::<Postgres, bool>(value).map(Self::from),
                    "INT4" => decode::<Postgres, i32>(value).map(Self::from),
                    _ => decode::<Postgres, Self>(value),
                }
            }
        }
    }
}

/// Types that are stored as an integer.
macro_rules! as_integers {
    ($($type:ty),*) => {$(
        impl Type<Db> for $type {
            fn type_info() -> Kind {
                Kind::Integer
            }
        }

        impl<'r> Decode<'r, Db> for $type {
            fn decode(value: ValueRef<'r>) -> Result<Self, BoxDynError> {
                Ok(<i64 as Decode<Db>>::decode(value)?.try_into()?)
            }
        }
    )*};
}

as_integers!(u8, u16, u32, i32);

impl Type<Db> for bool {
    fn type_info() -> Kind {
        Kind::Integer
    }
}

impl<'r> Decode<'r, Db> for bool {
    fn decode(value: ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(<i64 as Decode<Db>>::decode(value)? != 0)
    }
}
