//! How many requests this process can have in flight with its limit on open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{exit::Failure, settings::Push, ui::printer::Printer};

/// Files that are left to the database, the log and whatever else is opened meanwhile.
const RESERVE: u64 = 64;
/// Files that one request may need: its connection, and another while a name is resolved or where the simulator is in this process.
const EACH: u64 = 2;
/// Files that are taken for open where nobody says.
const GUESS: u64 = 32;

/// What a process may open, and does.
#[derive(Debug, Clone, Copy)]
struct Files {
    open: u64,
    soft: u64,
    /// None if nothing limits it.
    hard: Option<u64>,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
struct Fit {
    /// The soft limit to set.
    soft: u64,
    /// Requests at a time; 0 when not even one fits.
    concurrency: u32,
}

/// Raises the limit on open files as far as is needed and allowed, and gives the settings with no more requests at a time than then fit.
pub(super) fn fit(settings: &Push, printer: &Printer) -> Result<Push, Failure> {
    let wanted = settings.pace.concurrency;
    let mut settings = settings.clone();
    let limit = getrlimit(Resource::Nofile);
    let Some(soft) = limit.current else {
        return Ok(settings);
    };
    let files = Files {
        open: open_files(),
        soft,
        hard: limit.maximum,
    };
    let mut fit = fitted(files, wanted);
    if fit.soft > soft {
        let raised = Rlimit {
            current: Some(fit.soft),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit on open files was not raised");
            let hard = Some(soft);
            fit = fitted(Files { hard, ..files }, wanted);
        }
    }
    let most = fit.soft;
    if fit.concurrency == 0 {
        return Err(Failure::usage(anyhow::anyhow!(
            "this process may open {most} files, which is too few for a push: raise the limit (ulimit -n 1024)"
        )));
    }
    if fit.concurrency < wanted {
        let fits = fit.concurrency;
        let needed = files.open + RESERVE + EACH * u64::from(wanted);
        printer.say(&format!(
            "this process may open {most} files, which is enough for {fits} requests at a time and not for --concurrency {wanted}: \
             sends {fits} at a time; to send more, raise the limit (ulimit -n {needed})"
        ));
        settings.pace.concurrency = fits;
    }
    Ok(settings)
}

fn fitted(files: Files, wanted: u32) -> Fit {
    let base = files.open + RESERVE;
    let needed = base + EACH * u64::from(wanted);
    let allowed = files.hard.map_or(needed, |hard| needed.min(hard));
    let soft = files.soft.max(allowed);
    let fits = soft.saturating_sub(base) / EACH;
    Fit {
        soft,
        concurrency: u32::try_from(fits).unwrap_or(u32::MAX).min(wanted),
    }
}

/// Files that this process has open.
fn open_files() -> u64 {
    ["/proc/self/fd", "/dev/fd"]
        .into_iter()
        .find_map(|folder| std::fs::read_dir(folder).ok())
        .map_or(GUESS, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(soft: u64, hard: Option<u64>) -> Files {
        Files {
            open: 36,
            soft,
            hard,
        }
    }

    #[test]
    fn the_soft_limit_is_raised_as_far_as_is_needed_and_never_lowered() {
        for (soft, hard, then) in [
            (1024, None, 2148),
            (1024, Some(1 << 20), 2148),
            (1 << 19, Some(1 << 20), 1 << 19),
        ] {
            let fit = fitted(files(soft, hard), 1024);
            assert_eq!((fit.soft, fit.concurrency), (then, 1024));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let fit = |hard: u64| fitted(files(hard.min(64), Some(hard)), 1024);
        assert_eq!((fit(1024).soft, fit(1024).concurrency), (1024, 462));
        assert_eq!(fit(102).concurrency, 1);
        assert_eq!(fit(101).concurrency, 0);
        assert_eq!(fit(10).concurrency, 0);
    }

    #[test]
    fn the_open_files_are_counted() {
        assert!(open_files() > 0);
    }
}
