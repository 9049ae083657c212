//! What to do with the results database itself.

use std::path::{Path, PathBuf};

use super::{
    Database, Error, Origin,
    database::{Server, on_server},
    source::{Found, Sources},
};
use crate::{
    cli::{CopyArgs, MigrateArgs, OwnerArgs, keys},
    model::ServerAddress,
};

/// `fleetpush db migrate`
#[derive(Debug)]
pub(crate) enum Migrate {
    /// A file.
    File(MigrateFile),
    /// A database on a server.
    Server(MigrateServer),
}

/// `fleetpush db migrate` of a file
#[derive(Debug, Clone)]
pub(crate) struct MigrateFile {
    /// The file for a copy of the database as it is.
    pub backup: Option<PathBuf>,
    /// Whether only to say what is to be done.
    pub dry_run: bool,
    /// The results database.
    pub database: Database,
}

/// `fleetpush db migrate` of a database on a server
#[derive(Debug)]
pub(crate) struct MigrateServer {
    /// Whether only to say what is to be done.
    pub dry_run: bool,
    /// The database.
    pub server: Server,
}

/// `fleetpush db copy`
#[derive(Debug)]
pub(crate) struct Copy {
    /// The file that is read.
    pub from: PathBuf,
    /// The database that gets its runs.
    pub to: Server,
    /// Whether runs that were changed there are copied anew.
    pub replace: bool,
}

impl Migrate {
    pub(super) fn resolve(
        args: MigrateArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let named = sources.find(&keys::DB, db.clone())?;
        let address = named.as_ref().map(on_server).transpose()?.flatten();
        if let Some(address) = address.filter(|_| !args.simulate.simulate) {
            return MigrateServer::resolve(args, address, sources).map(Self::Server);
        }
        let MigrateArgs {
            backup,
            dry_run,
            simulate,
            owner,
        } = args;
        Ok(Self::File(MigrateFile {
            backup,
            dry_run,
            database: Database::resolve(db, simulate.simulate, sources)?.owned(
                "db migrate",
                owner,
                sources,
            )?,
        }))
    }
}

impl MigrateServer {
    fn resolve(
        args: MigrateArgs,
        address: ServerAddress,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let MigrateArgs {
            backup,
            dry_run,
            simulate: _,
            owner:
                OwnerArgs {
                    allow_network_filesystem,
                    accept_lost_log,
                    note,
                },
        } = args;
        for (given, flag, instead) in [
            (
                backup.is_some(),
                "--backup",
                "; pg_dump --schema=fleetpush makes a backup",
            ),
            (allow_network_filesystem, "--allow-network-filesystem", ""),
            (accept_lost_log, "--accept-lost-log", ""),
            (note.is_some(), "--note", ""),
        ] {
            if given {
                return Err(Error::OnlyForFile {
                    flag,
                    address,
                    instead,
                });
            }
        }
        Ok(Self {
            dry_run,
            server: Server::resolve(address, sources)?,
        })
    }
}

impl Copy {
    pub(super) fn resolve(
        args: CopyArgs,
        db: Option<&Path>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let CopyArgs { from, to, replace } = args;
        if db.is_some() {
            return Err(Error::CopyWithDb);
        }
        // It is no --db, and is not called so.
        let on_server = |argument: &'static str, value: PathBuf| {
            let found = Found {
                value,
                origin: Origin::Flag,
            };
            on_server(&found).map_err(|error| match error {
                Error::Address { reason, .. } => Error::AddressArgument { argument, reason },
                error => error,
            })
        };
        match (on_server("FROM", from.clone())?, on_server("TO", to)?) {
            (None, Some(address)) => Ok(Self {
                from,
                to: Server::resolve(address, sources)?,
                replace,
            }),
            _ => Err(Error::CopyOf),
        }
    }
}
