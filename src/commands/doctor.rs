//! `fleetpush doctor`: try what a push needs, and send nothing.

mod finding;
mod machine;
mod messages;
mod platform;
mod server;

use std::io::Write as _;

use serde_json::json;

use self::finding::{Finding, Status};
use crate::{
    exit::{Exit, Failure},
    model::SummaryFormat,
    settings::{Doctor as Settings, Place},
    ui::{
        printer::Printer,
        text::{clean, clean_json},
    },
};

/// Looks at everything, and exits as a push would that meets the first failure.
pub(super) async fn doctor(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let mut findings = platform::look(&settings).await;
    findings.extend(match &settings.database.place {
        Place::File(path) => machine::look(path, settings.network_allowed).await,
        Place::Server(server) => server::look(server).await,
    });
    let failed = findings
        .iter()
        .find(|finding| finding.status == Status::Fail);
    let exit = failed.map_or(Exit::Complete, |finding| finding.exit);
    let mut out = printer.stdout();
    let written = match settings.format {
        SummaryFormat::Text => findings
            .iter()
            .flat_map(Finding::lines)
            .try_for_each(|line| writeln!(out, "{}", clean(&line))),
        SummaryFormat::Json => {
            let findings: Vec<_> = findings.iter().map(Finding::json).collect();
            let report = json!({ "exit_code": exit as u8, "checks": findings });
            writeln!(out, "{}", clean_json(&report.to_string()))
        }
    };
    exit.after_output(written.and_then(|()| out.flush()))
}
