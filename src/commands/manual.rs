//! `fleetpush completions` and `fleetpush man`: made from the definition of the command line.

use std::io::Write as _;

use anyhow::Context as _;

use crate::{
    cli,
    exit::{Exit, Failure},
    settings::{CompletionsArgs, ManArgs},
    ui::printer::Printer,
};

/// Prints the completions for a shell.
pub(super) fn completions(args: CompletionsArgs, printer: &Printer) -> Result<Exit, Failure> {
    let script = cli::completions(args.shell)
        .context("cannot write the completions")
        .map_err(Failure::usage)?;
    let mut out = printer.stdout();
    let written = out.write_all(&script).and_then(|()| out.flush());
    Exit::Complete.after_output(written)
}

/// Prints the manual page, or writes all pages into a folder.
pub(super) fn man(args: &ManArgs, printer: &Printer) -> Result<Exit, Failure> {
    if let Some(folder) = &args.out {
        cli::manuals(folder)
            .with_context(|| format!("--out: cannot write manual pages to {}", folder.display()))
            .map_err(Failure::usage)?;
        printer.say(&format!("manual pages are in {}", folder.display()));
        return Ok(Exit::Complete);
    }
    let mut out = printer.stdout();
    let written = cli::manual(&mut out).and_then(|()| out.flush());
    Exit::Complete.after_output(written)
}
