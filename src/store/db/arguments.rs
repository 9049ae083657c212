//! The values that are bound to a statement, before it is known which of the two drivers they go to.

use sqlx::{
    Encode, IntoArguments, Type, encode::IsNull, error::BoxDynError, postgres::PgArguments,
    sqlite::SqliteArguments,
};

use super::{Db, value::Kind};

/// The value of one placeholder. PostgreSQL wants to know the type of what is absent, too.
#[derive(Debug, Clone)]
pub(in crate::store) enum Argument {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// The values of a statement, in the order of its placeholders.
#[derive(Debug, Default)]
pub(in crate::store) struct Arguments(Vec<Argument>);

impl Arguments {
    pub(super) fn into_sqlite(self) -> Result<SqliteArguments, sqlx::Error> {
        self.into_driver()
    }

    pub(super) fn into_postgres(self) -> Result<PgArguments, sqlx::Error> {
        self.into_driver()
    }

    fn into_driver<A>(self) -> Result<A, sqlx::Error>
    where
        A: sqlx::Arguments,
        for<'q> Option<i64>: Encode<'q, A::Database> + Type<A::Database>,
        for<'q> Option<f64>: Encode<'q, A::Database> + Type<A::Database>,
        for<'q> Option<String>: Encode<'q, A::Database> + Type<A::Database>,
        for<'q> Option<Vec<u8>>: Encode<'q, A::Database> + Type<A::Database>,
    {
        let mut arguments = A::default();
        arguments.reserve(self.0.len(), 0);
        for argument in self.0 {
            match argument {
                Argument::Integer(value) => arguments.add(value),
                Argument::Real(value) => arguments.add(value),
                Argument::Text(value) => arguments.add(value),
                Argument::Bytes(value) => arguments.add(value),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

impl sqlx::Arguments for Arguments {
    type Database = Db;

    fn reserve(&mut self, additional: usize, _: usize) {
        self.0.reserve(additional);
    }

    fn add<'t, T>(&mut self, value: T) -> Result<(), BoxDynError>
    where
        T: Encode<'t, Db> + Type<Db>,
    {
        if value.encode(&mut self.0)?.is_null() {
            self.0.push(match T::type_info() {
                Kind::Real => Argument::Real(None),
                Kind::Text => Argument::Text(None),
                Kind::Bytes => Argument::Bytes(None),
                Kind::Null | Kind::Integer | Kind::Decimal | Kind::Other => Argument::Integer(None),
            });
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoArguments<Db> for Arguments {
    fn into_arguments(self) -> Self {
        self
    }
}

impl<'q, T: Encode<'q, Db>> Encode<'q, Db> for Option<T> {
    fn encode_by_ref(&self, buffer: &mut Vec<Argument>) -> Result<IsNull, BoxDynError> {
        match self {
            Some(value) => value.encode_by_ref(buffer),
            None => Ok(IsNull::Yes),
        }
    }
}

macro_rules! encode {
    ($($type:ty: $value:ident => $argument:expr),*) => {$(
        impl Encode<'_, Db> for $type {
            fn encode_by_ref(&self, buffer: &mut Vec<Argument>) -> Result<IsNull, BoxDynError> {
                let $value = self;
                buffer.push($argument);
                Ok(IsNull::No)
            }
        }
    )*};
}

encode!(
    bool: value => Argument::Integer(Some(i64::from(*value))),
    u8: value => Argument::Integer(Some(i64::from(*value))),
    u16: value => Argument::Integer(Some(i64::from(*value))),
    u32: value => Argument::Integer(Some(i64::from(*value))),
    i32: value => Argument::Integer(Some(i64::from(*value))),
    i64: value => Argument::Integer(Some(*value)),
    f64: value => Argument::Real(Some(*value)),
    &str: value => Argument::Text(Some((*value).to_owned())),
    String: value => Argument::Text(Some(value.clone())),
    Vec<u8>: value => Argument::Bytes(Some(value.clone())),
    &[u8]: value => Argument::Bytes(Some(value.to_vec()))
);
