//! Why an engine refuses a statement, with the place of the word that it names.

use sqlx::{error::DatabaseError, postgres::PgDatabaseError, postgres::PgErrorPosition};

use super::{Place, PlaceLine, SqlError, UnknownName, tokens::tokens};
use crate::store::reader::Reader;

/// SQLite's result code `SQLITE_READONLY`, whatever it stands for in detail.
const READ_ONLY: i32 = 8;

/// An engine's refusal.
pub(super) fn refused(reader: &Reader, sql: &str, error: sqlx::Error) -> SqlError {
    let told = error.as_database_error();
    let refusal = told.and_then(|told| match told.try_downcast_ref::<PgDatabaseError>() {
        Some(told) => by_postgres(sql, told),
        None => by_sqlite(sql, told),
    });
    refusal.unwrap_or_else(|| reader.failure(error).into())
}

/// PostgreSQL's refusal; none when the database failed. Class 42 of its codes is what is wrong with a statement, 22 with a value in it.
fn by_postgres(sql: &str, told: &PgDatabaseError) -> Option<SqlError> {
    let message = told.message().to_owned();
    let quoted = || message.split('"').nth(1).map(str::to_owned);
    let last = |name: String| name.rsplit('.').next().unwrap_or_default().to_owned();
    let unknown = match told.code() {
        "25006" => return Some(SqlError::Writes),
        "42P01" => quoted().map(|name| UnknownName::Table(last(name))),
        // column x does not exist, column t.x does not exist, column "x" does not exist
        "42703" => message
            .split(' ')
            .nth(1)
            .map(|name| UnknownName::Column(last(name.replace('"', "")))),
        code if code.starts_with("42") || code.starts_with("22") => None,
        _ => return None,
    };
    let place = match told.position() {
        Some(PgErrorPosition::Original(at)) => {
            let place = sql.char_indices().nth(at.saturating_sub(1));
            let offset = place.map_or(sql.trim_end().len(), |(offset, _)| offset);
            Some(Place::at(sql, offset))
        }
        _ => None,
    };
    Some(SqlError::Refused {
        message,
        place: PlaceLine(place),
        unknown,
    })
}

/// SQLite's refusal; none when the database failed.
fn by_sqlite(sql: &str, told: &dyn DatabaseError) -> Option<SqlError> {
    let code: i32 = told.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    if code & 0xff == READ_ONLY {
        return Some(SqlError::Writes);
    }
    // What is wrong with the statement has the code SQLITE_ERROR; all else is the database's.
    if code & 0xff != 1 {
        return None;
    }
    let message = told.message().to_owned();
    let after = |lead: &str| message.strip_prefix(lead).map(str::to_owned);
    let last = |name: String| name.rsplit('.').next().unwrap_or_default().to_owned();
    let unknown = after("no such table: ")
        .map(|name| UnknownName::Table(last(name)))
        .or_else(|| after("no such column: ").map(|name| UnknownName::Column(last(name))));
    let near = match &unknown {
        Some(UnknownName::Table(name) | UnknownName::Column(name)) => Some(name.clone()),
        None => named(&message),
    };
    let place = if message == "incomplete input" {
        Some(Place::at(sql, sql.trim_end().len()))
    } else {
        near.and_then(|near| find(sql, &near))
    };
    Some(SqlError::Refused {
        message,
        place: PlaceLine(place),
        unknown,
    })
}

/// The word that a message is about: `near "FORM": syntax error`, `no such function: f`, `ambiguous column name: run`.
fn named(message: &str) -> Option<String> {
    if let Some(rest) = message.strip_prefix("near \"") {
        return rest.rsplit_once("\": ").map(|(near, _)| near.to_owned());
    }
    message
        .split_once(": ")
        .map(|(_, name)| name.rsplit('.').next().unwrap_or_default().to_owned())
}

/// The place of a word, when it stands once in the statement or first where it stands several times.
fn find(sql: &str, wanted: &str) -> Option<Place> {
    tokens(sql)
        .into_iter()
        .find(|(_, word)| {
            word.eq_ignore_ascii_case(wanted)
                || word.trim_matches(['"', '`', '[', ']', '\'']) == wanted
        })
        .map(|(offset, _)| Place::at(sql, offset))
}
