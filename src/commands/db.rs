//! `fleetpush db migrate`: bring the database of an older version up to date.

use std::path::Path;

use anyhow::anyhow;

use super::{interrupt::Interrupt, must_exist, session};
use crate::{
    exit::{Exit, Failure},
    settings::{Migrate as Settings, MigrateFile, MigrateServer},
    store::{Opened, ServerStore, Upgrade, free, share_room},
    ui::{
        number::{bytes, counted, duration},
        printer::Printer,
    },
};

/// Brings the database up to date, unless a signal comes first.
pub(super) async fn migrate(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let work = async {
        match settings {
            Settings::File(settings) => bring_up_to_date(settings, printer).await,
            Settings::Server(settings) => on_server(settings, printer).await,
        }
    };
    tokio::select! {
        exit = work => exit,
        () = interrupt.stopped() => {
            printer.say("stopped; the database is intact; run the same command again to continue");
            Ok(Exit::Stopped)
        }
    }
}

/// Says what is to be done, with its time and its room, and does it.
async fn bring_up_to_date(settings: MigrateFile, printer: &Printer) -> Result<Exit, Failure> {
    let database = &settings.database;
    must_exist(database)?;
    if let Some(backup) = &settings.backup {
        must_be_new(backup)?;
    }
    let mut opened = Opened::open(database.file()?, database.consent).await?;
    let upgrade = opened.upgrade().clone();
    let path = opened.path().display().to_string();
    if upgrade.is_done() {
        // Which also refuses the database of a newer version.
        opened.migrate().await?.close().await?;
        let no_backup = settings.backup.map(|_| ", and no backup was made");
        printer.say(&format!(
            "{path} has schema {}: nothing to do{}",
            upgrade.from,
            no_backup.unwrap_or_default()
        ));
        return Ok(Exit::Complete);
    }
    printer.say(&format!(
        "{path} has schema {}; {} to schema {}, about {}",
        upgrade.from,
        counted(upgrade.migrations as u64, "migration"),
        upgrade.to,
        about(&upgrade)
    ));
    let copy = match &settings.backup {
        Some(_) => Some(opened.size().await?),
        None => None,
    };
    let enough = room(&opened, &upgrade, settings.backup.as_deref(), copy, printer);
    if settings.dry_run || enough.is_err() {
        opened.leave().await?;
        enough?;
        printer.say("nothing was done (--dry-run)");
        return Ok(Exit::Complete);
    }
    if let Some(backup) = &settings.backup {
        if let Err(error) = opened.copy(backup).await {
            opened.leave().await?;
            return Err(error.into());
        }
        printer.say(&format!("backup: {}", backup.display()));
    }
    let mut store = opened.migrate().await?;
    if let Some(introduction) = &database.introduction {
        store.introduce(session::of_process(introduction));
    }
    let did = format!(
        "migrated from schema {} to schema {}",
        upgrade.from, upgrade.to
    );
    store.begin_session(None).await?;
    session::end_done(&mut store, did).await;
    let size = store.size()?;
    store.close().await?;
    printer.say(&format!(
        "{path} has schema {} now, and {}",
        upgrade.to,
        bytes(size.unwrap_or_default())
    ));
    Ok(Exit::Complete)
}

/// Makes the schema of a database on a server, or brings it up to date.
async fn on_server(settings: MigrateServer, printer: &Printer) -> Result<Exit, Failure> {
    let MigrateServer { dry_run, server } = settings;
    let mut store = ServerStore::connect(&server.address, server.password.as_ref()).await?;
    let address = store.address().clone();
    let upgrade = store.upgrade().await?;
    let made = if upgrade.from == 0 {
        format!("{address}: schema fleetpush made, version {}", upgrade.to)
    } else {
        format!("{address} has schema {} now", upgrade.to)
    };
    if dry_run {
        printer.say(&format!(
            "{address} has schema {}; {} to schema {}; nothing was done (--dry-run)",
            upgrade.from,
            counted(upgrade.migrations as u64, "migration"),
            upgrade.to
        ));
    } else {
        store.migrate().await?;
        printer.say(&made);
    }
    store.close().await?;
    Ok(Exit::Complete)
}

fn about(upgrade: &Upgrade) -> String {
    if upgrade.takes.as_millis() < 1_000 {
        return "a second".into();
    }
    duration(upgrade.takes)
}

fn must_be_new(backup: &Path) -> Result<(), Failure> {
    let folder = backup.parent().filter(|folder| *folder != Path::new(""));
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Failure::usage(anyhow!(
            "cannot write {}: name a file in a folder that exists and that you may write to",
            backup.display()
        )));
    }
    match backup.symlink_metadata() {
        Ok(_) => Err(Failure::usage(anyhow!(
            "{} exists, and a backup does not replace a file; name another file with --backup",
            backup.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::usage(
            anyhow::Error::new(error).context(format!("cannot look at {}", backup.display())),
        )),
    }
}

/// Says how much room each of the files needs, and fails when a disk has less.
fn room(
    opened: &Opened,
    upgrade: &Upgrade,
    backup: Option<&Path>,
    copy: Option<u64>,
    printer: &Printer,
) -> Result<(), Failure> {
    let database = opened.path();
    let needs = match (backup, copy) {
        (Some(backup), Some(copy)) if share_room(database, backup) => {
            vec![(database, upgrade.room.saturating_add(copy))]
        }
        (Some(backup), Some(copy)) => vec![(database, upgrade.room), (backup, copy)],
        _ => vec![(database, upgrade.room)],
    };
    for (path, needed) in needs {
        printer.say(&enough(path, needed, free(path)?)?);
    }
    Ok(())
}

/// What is said of the room beside a file; an error when it is not enough.
fn enough(path: &Path, needed: u64, free: u64) -> Result<String, Failure> {
    let told = format!(
        "room: {} needed beside {}, {} free",
        bytes(needed),
        path.display(),
        bytes(free)
    );
    if free < needed {
        return Err(Failure::database(anyhow!(
            "{told}; free some space, or name a file on another disk with --backup; nothing was done"
        )));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_too_small_is_refused_before_anything_is_written() {
        let path = Path::new("/data/push.db");
        assert_eq!(
            enough(path, 1_000, 1_000).unwrap(),
            "room: 1.0 kB needed beside /data/push.db, 1.0 kB free"
        );
        let refused = enough(path, 10_000_000_000, 9_000_000_000).unwrap_err();
        assert_eq!(refused.exit(), Exit::Database);
        assert!(refused.message().contains("10 GB needed"));
        assert!(refused.message().contains("nothing was done"));
    }
}
