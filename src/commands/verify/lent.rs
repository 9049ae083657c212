//! A database that is owned only while something is read or recorded.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use anyhow::anyhow;

use crate::{
    commands::{hold::hold_for_moments, interrupt::Interrupt, open_existing_or_owner},
    exit::Failure,
    settings::Database,
    store::{Owner, Run, Store, StoreError},
    ui::printer::Printer,
};

/// Between two looks at whether another process has let the database go.
const PAUSE: Duration = Duration::from_millis(500);

/// Takes the database again and again, and waits while another process owns it; or has it all the time, as part of a push.
pub(super) struct Lent<'a> {
    database: Database,
    /// The database of the push, between two uses.
    held: Option<&'a mut Store>,
    interrupt: &'a Interrupt,
    printer: &'a Printer,
    /// The run about which something is recorded, once it is known: on a server it is taken together with the database.
    run: Option<Run>,
    /// The row of this process among the sessions, once it has one.
    session: Option<i64>,
    /// Whether it has been told that somebody else owns the database.
    is_told: bool,
}

impl<'a> Lent<'a> {
    pub(super) fn new(database: &Database, interrupt: &'a Interrupt, printer: &'a Printer) -> Self {
        let mut database = database.clone();
        database.consent.for_moments = true;
        Self {
            database,
            held: None,
            interrupt,
            printer,
            run: None,
            session: None,
            is_told: false,
        }
    }

    /// Uses a database that is owned all the time.
    pub(super) fn of_push(
        store: &'a mut Store,
        database: &Database,
        interrupt: &'a Interrupt,
        printer: &'a Printer,
    ) -> Self {
        Self {
            held: Some(store),
            ..Self::new(database, interrupt, printer)
        }
    }

    /// Takes the database; `None` when it is another process's, and somebody has asked for a stop.
    pub(super) async fn take(&mut self) -> Result<Option<Taken<'a>>, Failure> {
        if let Some(store) = self.held.take() {
            return Ok(Some(Taken::Held(store)));
        }
        loop {
            match self.own().await? {
                Ok(store) => return Ok(Some(Taken::Owned(Box::new(store)))),
                Err(owner) if !self.is_told => {
                    self.is_told = true;
                    self.printer.say(&format!(
                        "waiting: another process uses the database ({owner}); verify continues when it has ended"
                    ));
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.interrupt.stopped() => return Ok(None),
            }
        }
    }

    /// Has the run be taken together with the database from now on. Fails when another process has it, unless that is to be waited for.
    pub(super) async fn record_about(
        &mut self,
        run: &Run,
        taken: &mut Taken<'a>,
        waits: bool,
    ) -> Result<(), Failure> {
        if !waits {
            hold_for_moments(taken, run, &self.database.place).await?;
        }
        self.run = Some(run.clone());
        Ok(())
    }

    /// Takes the database, and the run; gives who has one of them, if somebody has.
    async fn own(&self) -> Result<Result<Store, Owner>, Failure> {
        let mut store = match open_existing_or_owner(&self.database, self.printer).await? {
            Ok(store) => store,
            Err(owner) => return Ok(Err(owner)),
        };
        if let Some(run) = &self.run {
            match store.hold_run(run).await {
                Err(StoreError::RunHeld { holder, .. }) => {
                    store.close().await?;
                    return Ok(Err(holder));
                }
                held => held?,
            }
            if store.run_by_id(run.id).await?.is_none() {
                return Err(Failure::usage(anyhow!(
                    "run '{}' was deleted while it was verified",
                    run.about.name
                )));
            }
        }
        if let Some(session) = self.session {
            store.continue_session(session).await?;
        }
        Ok(Ok(store))
    }

    /// Lets it go.
    pub(super) async fn give_back(&mut self, taken: Taken<'a>) -> Result<(), Failure> {
        match taken {
            Taken::Held(store) => self.held = Some(store),
            Taken::Owned(store) => {
                self.session = store.session_row().or(self.session);
                store.close().await?;
            }
        }
        Ok(())
    }
}

/// The database, for a moment.
pub(super) enum Taken<'a> {
    Owned(Box<Store>),
    Held(&'a mut Store),
}

impl Deref for Taken<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        match self {
            Self::Owned(store) => store,
            Self::Held(store) => store,
        }
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        match self {
            Self::Owned(store) => store,
            Self::Held(store) => store,
        }
    }
}
