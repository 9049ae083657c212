//! Asking a person at the terminal.

use std::io::{self, IsTerminal, Write as _};

use crate::exit::Failure;

/// Asks a question that wants a yes; `None` when there is nobody to ask.
pub(super) async fn confirm(question: String) -> Result<Option<bool>, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr();
        write!(stderr, "{question} [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        io::Result::Ok(answer)
    })
    .await
    .map_err(Failure::usage)?
    .map_err(Failure::usage)?;
    Ok(Some(matches!(
        answer.trim().to_lowercase().as_str(),
        "y" | "yes"
    )))
}
