//! A database that is owned only for the moment in which something is read or recorded.

use std::time::Duration;

use crate::{
    commands::{interrupt::Interrupt, open_existing_or_owner},
    exit::Failure,
    settings::Database,
    store::Store,
    ui::printer::Printer,
};

/// Between two looks at whether another process has let the database go.
const PAUSE: Duration = Duration::from_millis(500);

/// Takes the database again and again, and waits while another process owns it.
pub(super) struct Lent<'a> {
    database: Database,
    interrupt: &'a Interrupt,
    printer: &'a Printer,
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
            interrupt,
            printer,
            session: None,
            is_told: false,
        }
    }

    /// Takes the database; `None` when it is another process's, and somebody has asked for a stop.
    pub(super) async fn take(&mut self) -> Result<Option<Store>, Failure> {
        loop {
            match open_existing_or_owner(&self.database, self.printer).await? {
                Ok(mut store) => {
                    if let Some(session) = self.session {
                        store.continue_session(session).await?;
                    }
                    return Ok(Some(store));
                }
                Err(owner) if !self.is_told => {
                    self.is_told = true;
                    self.printer.say(&format!(
                        "waiting: another process uses the database ({owner}); verify goes on when it has ended"
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

    /// Lets it go.
    pub(super) async fn give_back(&mut self, store: Store) -> Result<(), Failure> {
        self.session = store.session_row().or(self.session);
        Ok(store.close().await?)
    }
}
