//! The address of a results database on a PostgreSQL server.

use std::fmt;

use url::Url;

/// `postgres://USER@HOST:PORT/DATABASE?sslmode=…`, without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    url: Box<str>,
}

/// Why a text is no address of a database on a server. It does not have the text, in which there may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// There is a password in it.
    #[error(
        "the address of the database has a password in it, which every user of this machine can read in the list of processes: leave it out \
         of the address, and put it into ~/.pgpass (or the file that PGPASSFILE names), or into FLEETPUSH_DB_PASSWORD, or into a file that \
         FLEETPUSH_DB_PASSWORD_FILE names"
    )]
    Password,
    /// It is wrong otherwise.
    #[error("{0}")]
    Wrong(String),
}

/// What the address may say besides, as in PostgreSQL's own programs.
const PARAMETERS: [&str; 8] = [
    "dbname",
    "host",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

const TLS_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

impl ServerAddress {
    /// Whether a text that names a database names one on a server.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| {
            ["postgres", "postgresql"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
        })
    }

    /// Reads an address.
    pub(crate) fn read(text: &str) -> Result<Self, AddressError> {
        let wrong = |reason: String| AddressError::Wrong(reason);
        let url = Url::parse(text).map_err(|error| {
            wrong(format!(
                "the address of the database cannot be read ({error}): write postgres://USER@HOST/DATABASE"
            ))
        })?;
        let mut database = !url.path().trim_matches('/').is_empty();
        if url.password().is_some() {
            return Err(AddressError::Password);
        }
        for (name, value) in url.query_pairs() {
            match &*name {
                "password" => return Err(AddressError::Password),
                "sslmode" if !TLS_MODES.contains(&&*value) => {
                    return Err(wrong(format!(
                        "the address of the database has sslmode={value}: write one of {}",
                        TLS_MODES.join(", ")
                    )));
                }
                "dbname" => database = !value.is_empty(),
                known if PARAMETERS.contains(&known) => {}
                other => {
                    return Err(wrong(format!(
                        "the address of the database has the parameter '{other}', which is unknown: there are {}",
                        PARAMETERS.join(", ")
                    )));
                }
            }
        }
        if !database {
            return Err(wrong(
                "the address of the database names a server and no database: write postgres://USER@HOST/DATABASE".into(),
            ));
        }
        Ok(Self {
            url: url.as_str().into(),
        })
    }

    /// The whole of it.
    pub(crate) fn as_str(&self) -> &str {
        &self.url
    }
}

/// For people: without what it says of the connection.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &*self.url;
        f.write_str(text.split_once('?').map_or(text, |(address, _)| address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        ServerAddress::read(text).unwrap_err().to_string()
    }

    #[test]
    fn an_address_names_a_database_on_a_server() {
        for text in [
            "postgres://pushers@db.example.com:5433/fleet?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgresql:///fleet?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/fleet",
            "postgres:///?dbname=fleet&host=db",
        ] {
            assert!(ServerAddress::is_meant(text), "{text}");
            assert_eq!(ServerAddress::read(text).unwrap().as_str(), text);
        }
        for text in ["fleetpush.db", "postgres", "postgres:x", "mysql://h/d"] {
            assert!(!ServerAddress::is_meant(text), "{text}");
        }
        let address = ServerAddress::read("postgres://me@db/fleet?sslmode=require").unwrap();
        assert_eq!(address.to_string(), "postgres://me@db/fleet");
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in [
            "postgres://me:hush@db/fleet",
            "postgres://me@db/fleet?password=hush",
        ] {
            assert_eq!(ServerAddress::read(text), Err(AddressError::Password));
            assert!(!reason(text).contains("hush"));
            assert!(reason(text).contains("FLEETPUSH_DB_PASSWORD"));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_write() {
        assert!(reason("postgres://db").contains("no database"));
        assert!(reason("postgres://db/").contains("no database"));
        assert!(reason("postgres://db/fleet?sslmode=allow").contains("verify-full"));
        assert!(reason("postgres://db/fleet?ssl=true").contains("'ssl'"));
        assert!(reason("postgres://db:port/fleet").contains("cannot be read"));
    }
}
