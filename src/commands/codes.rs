//! `fleetpush codes`: what a platform code means, and what fleetpush does about it.

use crate::{
    exit::{Exit, Failure},
    model::{Class, RowFormat},
    policy::codes::{self, CodeInfo},
    settings::Codes as Settings,
    ui::{
        format::{Column, Value, writer},
        printer::{OutputError, Printer, unless_closed},
    },
};

const COLUMNS: &[Column] = &[
    Column::shown("code"),
    Column::shown("text"),
    Column::shown("class"),
    Column::shown("whole_request"),
    Column::shown("scope"),
    Column::hidden("source"),
    Column::hidden("reaction"),
    Column::hidden("reaction_whole_request"),
    Column::hidden("note"),
];

/// Prints the table of codes, or all that is known of one. A code that is not in the table is not an error: the push has a rule for it.
pub(super) fn codes(settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    let unknown;
    let infos = match settings.code {
        None => codes::all(),
        Some(code) => {
            unknown = unlisted(code);
            std::slice::from_ref(codes::lookup(code).unwrap_or(&unknown))
        }
    };
    let outcome = match (settings.code, settings.format) {
        (Some(_), RowFormat::Table) => infos.iter().try_for_each(|info| print_one(info, printer)),
        (_, format) => print_rows(infos, format, printer),
    };
    unless_closed(outcome)?;
    Ok(Exit::Complete)
}

/// What holds for a code that is not in the table.
fn unlisted(code: i64) -> CodeInfo {
    CodeInfo {
        code,
        text: "unknown code",
        whole: codes::class_of_whole(code),
        element: codes::class_of_element(code),
        scope: None,
        source: "not documented",
        note: None,
    }
}

fn print_rows(infos: &[CodeInfo], format: RowFormat, printer: &Printer) -> Result<(), OutputError> {
    let mut writer = writer(format, COLUMNS, printer.stdout());
    for info in infos {
        writer.row(&[
            Value::Integer(info.code),
            Value::Own(info.text.into()),
            Value::Own(info.element.name().into()),
            Value::Own(info.whole.name().into()),
            Value::own(info.scope.map(codes::Scope::name)),
            Value::Own(info.source.into()),
            Value::Own(codes::reaction(info.element).into()),
            Value::Own(codes::reaction(info.whole).into()),
            Value::own(info.note),
        ])?;
    }
    writer.finish()
}

fn print_one(info: &CodeInfo, printer: &Printer) -> Result<(), OutputError> {
    use std::io::Write as _;

    let mut out = printer.stdout();
    writeln!(out, "{}  {}", info.code, info.text)?;
    if let Some(note) = info.note {
        writeln!(out, "  note     {note}")?;
    }
    writeln!(out, "  source   {}", info.source)?;
    if let Some(scope) = info.scope {
        writeln!(out, "  scope    {}", scope.name())?;
    }
    let line =
        |what: &str, class: Class| format!("  {what}{}: {}", class.name(), codes::reaction(class));
    if info.whole == info.element {
        writeln!(out, "{}", line("class    ", info.element))?;
    } else {
        writeln!(
            out,
            "{}",
            line("of one device's command     ", info.element)
        )?;
        writeln!(out, "{}", line("of a whole request          ", info.whole))?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(code: Option<i64>, format: RowFormat) -> String {
        let (printer, captured) = Printer::captured(None);
        codes(&Settings { code, format }, &printer).unwrap();
        captured.stdout()
    }

    #[test]
    fn the_table_has_every_code() {
        let table = printed(None, RowFormat::Table);
        assert_eq!(table.lines().count(), codes::all().len() + 1);
        let head: Vec<&str> = table.lines().take(6).collect();
        insta::assert_snapshot!(head.join("\n"), @r"
        CODE   TEXT                                                                      CLASS      WHOLE_REQUEST  SCOPE
        200    OK                                                                        accepted   in_doubt       -
        201    Created                                                                   accepted   in_doubt       -
        401    Unauthorized                                                              rejected   auth           account
        403    Forbidden                                                                 rejected   refused        account
        404    Not Found                                                                 rejected   refused        account
        ");
    }

    #[test]
    fn one_code_is_explained() {
        let told: Vec<String> = [61007, 70000, 70091, 12345]
            .map(|code| printed(Some(code), RowFormat::Table))
            .into();
        insta::assert_snapshot!(told.join("\n"), @r"
        61007  Device message frequency is limited
          note     the frequency of transmitted messages of the device reaches its upper limit
          source   sendServiceData, response status
          scope    device
          class    frequency: pauses this device alone, 2 s doubling to 60 s; fails after --max-snooze of pauses

        70000  Hub service unavailable
          source   sendServiceData, response status
          of one device's command     transient: sends again after 2 s doubling to 5 min, up to --max-attempts, then fails
          of a whole request          outage: pauses the whole run and probes with one request until the platform answers; stops after --max-outage, exit code 3

        70091  The value is not a member of the enumeration
          source   sendServiceData, response status
          scope    payload
          class    rejected: fails; a whole request of several devices is first split in halves until the devices that cause it are alone

        12345  unknown code
          source   not documented
          class    rejected: fails; a whole request of several devices is first split in halves until the devices that cause it are alone
        ");
    }

    #[test]
    fn one_code_as_data() {
        insta::assert_snapshot!(printed(Some(91001), RowFormat::Jsonl), @r#"{"code":91001,"text":"Token does not exist","class":"rejected","whole_request":"auth","scope":"account","source":"sendServiceData, response status","reaction":"fails; a whole request of several devices is first split in halves until the devices that cause it are alone","reaction_whole_request":"logs in once more and sends again; stops with exit code 5 when new tokens are refused too","note":null}"#);
    }

    #[test]
    fn a_reader_who_has_gone_is_no_failure() {
        for code in [None, Some(200)] {
            codes(
                &Settings {
                    code,
                    format: RowFormat::Table,
                },
                &Printer::closed(),
            )
            .unwrap();
        }
    }
}
