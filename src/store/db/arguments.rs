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
    /// One value for each of many rows. PostgreSQL alone takes a list.
    List(List),
}

/// A column of values.
#[derive(Debug, Clone)]
pub(in crate::store) enum List {
    Integers(Vec<Option<i64>>),
    Reals(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl List {
    /// A list that begins with this value.
    fn of(first: Argument) -> Result<Self, BoxDynError> {
        Ok(match first {
            Argument::Integer(value) => Self::Integers(vec![value]),
            Argument::Real(value) => Self::Reals(vec![value]),
            Argument::Text(value) => Self::Texts(vec![value]),
            Argument::Bytes(value) => Self::Bytes(vec![value]),
            Argument::List(_) => return Err("a list in a list".into()),
        })
    }

    fn push(&mut self, next: Argument) -> Result<(), BoxDynError> {
        match (self, next) {
            (Self::Integers(values), Argument::Integer(value)) => values.push(value),
            (Self::Reals(values), Argument::Real(value)) => values.push(value),
            (Self::Texts(values), Argument::Text(value)) => values.push(value),
            (Self::Bytes(values), Argument::Bytes(value)) => values.push(value),
            (list, other) => return Err(format!("{other:?} in a list of {list:?}").into()),
        }
        Ok(())
    }
}

/// The values of a statement, in the order of its placeholders.
#[derive(Debug, Default)]
pub(in crate::store) struct Arguments(Vec<Argument>);

/// A text as PostgreSQL can store it, which has no place for U+0000: as `db copy` brings it.
fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

impl Argument {
    /// The same as PostgreSQL can store it.
    fn storable(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.map(storable)),
            Self::List(List::Texts(texts)) => Self::List(List::Texts(
                texts.into_iter().map(|text| text.map(storable)).collect(),
            )),
            other => other,
        }
    }
}

impl Arguments {
    /// Takes all values, as PostgreSQL can store them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Argument> {
        self.0.drain(..).map(Argument::storable)
    }

    pub(super) fn into_sqlite(self) -> Result<SqliteArguments, sqlx::Error> {
        self.into_driver(|_, _| Err("SQLite takes no lists".into()))
    }

    /// The first `most` of them.
    pub(super) fn into_postgres(mut self, most: usize) -> Result<PgArguments, sqlx::Error> {
        self.0.truncate(most);
        self.0 = self.0.into_iter().map(Argument::storable).collect();
        self.into_driver(|arguments: &mut PgArguments, list| match list {
            List::Integers(values) => sqlx::Arguments::add(arguments, values),
            List::Reals(values) => sqlx::Arguments::add(arguments, values),
            List::Texts(values) => sqlx::Arguments::add(arguments, values),
            List::Bytes(values) => sqlx::Arguments::add(arguments, values),
        })
    }

    /// The values of rows of so many columns, one after the other, as one list for each column.
    pub(in crate::store) fn into_columns(self, columns: usize) -> Result<Self, BoxDynError> {
        let mut lists: Vec<List> = Vec::with_capacity(columns);
        for (at, value) in self.0.into_iter().enumerate() {
            match lists.get_mut(at % columns) {
                Some(list) => list.push(value)?,
                None => lists.push(List::of(value)?),
            }
        }
        Ok(Self(lists.into_iter().map(Argument::List).collect()))
    }

    fn into_driver<A>(
        self,
        add_list: impl Fn(&mut A, List) -> Result<(), BoxDynError>,
    ) -> Result<A, sqlx::Error>
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
                Argument::List(list) => add_list(&mut arguments, list),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_text_without_nul() {
        let Argument::Text(Some(text)) = Argument::Text(Some("a\0b".into())).storable() else {
            panic!("it is a text");
        };
        assert_eq!(text, "a\u{fffd}b");
        let list = List::Texts(vec![None, Some("\0".into())]);
        let Argument::List(List::Texts(texts)) = Argument::List(list).storable() else {
            panic!("it is a list of texts");
        };
        assert_eq!(texts, [None, Some("\u{fffd}".into())]);
    }
}
