//! Which results database.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use super::{
    Error, Push, Target, credentials,
    source::{Found, Origin, Sources},
};
use crate::{
    cli::{OwnerArgs, keys},
    model::{Consent, ServerAddress, Tags},
};

/// The file name of the simulator's database, beside the platform's.
pub(crate) const SIMULATED: &str = "simulated.db";

/// The results database of a command.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub place: Place,
    /// Whether it is the simulator's, and not a platform's.
    pub simulated: bool,
    /// Whether it is where every command looks when nothing names another, so that the next one need not name it.
    pub usual: bool,
    /// What its owner has been allowed.
    pub consent: Consent,
    /// What a command that writes says of itself.
    pub introduction: Option<Introduction>,
    /// The tags of the run that is meant when none is named: the latest one that has all of them. A new run gets them.
    pub tags: Tags,
}

/// A results database on a server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Where it is.
    pub address: ServerAddress,
    /// The password, unless PostgreSQL's own file has it.
    pub password: Option<SecretString>,
}

impl Server {
    pub(super) fn resolve(address: ServerAddress, sources: &Sources<'_>) -> Result<Self, Error> {
        Ok(Self {
            address,
            password: credentials::database_password(sources)?,
        })
    }
}

/// Where a results database is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    File(PathBuf),
    Server(Server),
}

/// As people are told of it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(server) => server.address.fmt(f),
        }
    }
}

/// The results database of a command that only reads.
#[derive(Debug, Clone)]
pub(crate) struct Readable {
    pub place: Place,
    /// Whether it is the simulator's, and not a platform's.
    pub simulated: bool,
    /// Whether it is where every command looks when nothing names another.
    pub usual: bool,
    /// The tags of the run that is meant when none is named.
    pub tags: Tags,
}

/// What a command that writes says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Its name.
    pub command: &'static str,
    /// `--note`
    pub note: Option<String>,
}

/// The address of a database that is on a server; none when it is a file.
pub(super) fn on_server(named: &Found<PathBuf>) -> Result<Option<ServerAddress>, Error> {
    let Some(text) = named
        .value
        .to_str()
        .filter(|text| ServerAddress::is_meant(text))
    else {
        return Ok(None);
    };
    match ServerAddress::read(text) {
        Ok(address) => Ok(Some(address)),
        Err(reason) => Err(Error::Address {
            origin: named.origin.clone(),
            reason,
        }),
    }
}

impl Readable {
    /// The file; none of a server.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// The database that is named, in a file or on a server, or the usual one.
    pub(super) fn resolve(
        flag: Option<PathBuf>,
        simulated: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        Ok(Database::anywhere(flag, simulated, sources)?.into())
    }
}

impl From<Database> for Readable {
    fn from(database: Database) -> Self {
        let Database {
            place,
            simulated,
            usual,
            consent: _,
            introduction: _,
            tags,
        } = database;
        Self {
            place,
            simulated,
            usual,
            tags,
        }
    }
}

/// A database on a server, for what is done with a file alone.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is done with an SQLite database so far, and {0} is on a PostgreSQL server: name a file with --db (docs/several-machines.md)"
)]
pub(crate) struct OnlyForFile(ServerAddress);

impl Database {
    /// The file; an error of a server.
    pub(crate) fn file(&self) -> Result<&Path, OnlyForFile> {
        match &self.place {
            Place::File(path) => Ok(path),
            Place::Server(server) => Err(OnlyForFile(server.address.clone())),
        }
    }

    /// The database that is named, in a file or on a server, or the usual one.
    pub(super) fn anywhere(
        flag: Option<PathBuf>,
        simulated: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let named = sources.find(&keys::DB, flag.clone())?;
        let address = named.as_ref().map(on_server).transpose()?.flatten();
        match address.filter(|_| !simulated) {
            Some(address) => Ok(Self {
                place: Place::Server(Server::resolve(address, sources)?),
                simulated,
                usual: false,
                consent: Consent::default(),
                introduction: None,
                tags: sources.tags(&[])?,
            }),
            None => Self::resolve(flag, simulated, sources),
        }
    }

    /// Where a push of this command keeps its results.
    pub(super) fn of_push(
        flag: Option<PathBuf>,
        push: &Push,
        command: &'static str,
        owner: OwnerArgs,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let simulated = matches!(push.target, Target::Simulator);
        Self::anywhere(flag, simulated, sources)?.owned(command, owner, sources)
    }

    /// Refuses a file for what only a server can do.
    pub(super) fn must_be_on_server_for(&self, what: &'static str) -> Result<(), Error> {
        match &self.place {
            Place::File(path) => Err(Error::OnlyForServer {
                what,
                path: path.clone(),
            }),
            Place::Server(_) => Ok(()),
        }
    }

    /// Refuses flags that mean something for a file alone, if they are given and this is none.
    pub(super) fn must_be_file_if(
        &self,
        flags: impl IntoIterator<Item = (bool, &'static str)>,
    ) -> Result<(), Error> {
        let Place::Server(server) = &self.place else {
            return Ok(());
        };
        match flags.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => Err(Error::OnlyForFile {
                flag,
                address: server.address.clone(),
                instead: "",
            }),
            None => Ok(()),
        }
    }

    /// The file that is named, or the usual one.
    ///
    /// With `--simulate` only a file named on the command line is taken as it is: what a variable or the config file names is the
    /// platform's, and the simulator keeps its own beside it. Servers are for [`anywhere`](Self::anywhere).
    pub(super) fn resolve(
        flag: Option<PathBuf>,
        simulated: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let mut found = sources.find(&keys::DB, flag)?;
        let named_by_flag = found
            .as_ref()
            .is_some_and(|found| found.origin == Origin::Flag);
        let is_usual = found.is_none();
        if let Some(database) = &found
            && let Some(address) = on_server(database)?
        {
            // The simulator keeps its own in a file in any case: where nothing else is named.
            let origin = database.origin.clone();
            if simulated && named_by_flag {
                return Err(Error::SimulatedOnServer { address, origin });
            }
            found = None;
        }
        let usual = match found {
            Some(found) => found.into_path(),
            None => sources
                .environment
                .database_folder()
                .ok_or(Error::NoDatabase)?
                .join("fleetpush.db"),
        };
        let path = if simulated && !named_by_flag {
            usual.with_file_name(SIMULATED)
        } else {
            usual
        };
        Ok(Self {
            place: Place::File(path),
            simulated,
            usual: is_usual,
            consent: Consent::default(),
            introduction: None,
            tags: sources.tags(&[])?,
        })
    }

    /// The same for a command of this name that writes into it.
    pub(super) fn owned(
        self,
        command: &'static str,
        args: OwnerArgs,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let OwnerArgs {
            note,
            allow_network_filesystem,
            accept_lost_log,
        } = args;
        self.must_be_file_if([
            (allow_network_filesystem, "--allow-network-filesystem"),
            (accept_lost_log, "--accept-lost-log"),
        ])?;
        let allowed = allow_network_filesystem.then_some(true);
        Ok(Self {
            consent: Consent {
                network_filesystem: sources.get(&keys::ALLOW_NETWORK_FILESYSTEM, allowed)?,
                lost_log: accept_lost_log,
                for_moments: false,
            },
            introduction: Some(Introduction { command, note }),
            ..self
        })
    }
}
