//! How the texts of settings and flags are read: pure functions whose errors say what to write instead.
//!
//! The same function reads a value wherever it stands, so a flag, a variable and a file obey the same bounds.

use std::{fmt::Display, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use jiff::fmt::friendly::{SpanParser, SpanPrinter};

use crate::model::{Age, CanaryVerify, OptionError, ServerAddress};

/// A whole number within bounds.
pub(super) fn whole<T: Copy + FromStr + PartialOrd + Display>(
    text: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("write a whole number from {least} to {most}"))
}

/// A whole number of any size that its type can hold.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a whole number".to_owned())
}

/// A duration with units, `30s` or `1h30m`, within bounds.
pub(super) fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return Err(format!(
            "add a unit, for example {text}s, {text}m or {text}h"
        ));
    }
    let duration = SpanParser::new()
        .parse_unsigned_duration(text)
        .map_err(|_| "write a duration, for example 500ms, 30s, 30m, 1h or 1h30m".to_owned())?;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        let words = |bound| SpanPrinter::new().unsigned_duration_to_string(bound);
        Err(format!(
            "write a duration from {} to {}",
            words(&least),
            words(&most)
        ))
    }
}

/// How long the canary's commands may take to be proved.
pub(super) fn canary_verify(text: &str) -> Result<CanaryVerify, String> {
    if text == "none" {
        return Ok(CanaryVerify::NONE);
    }
    duration(text, Duration::from_secs(1), Duration::from_hours(24))
        .map(CanaryVerify::within)
        .map_err(|error| format!("{error}, or none"))
}

/// Yes or no.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// The whole name of a queue.
pub(super) fn queue(text: &str) -> Result<String, String> {
    /// What a name of AMQP may have.
    const LONGEST: usize = 255;

    let is_sound = text
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || "._-".contains(character));
    if text.is_empty() || text.len() > LONGEST || !is_sound {
        return Err("write the full name of a queue, as in a.123.fleet".to_owned());
    }
    Ok(text.to_owned())
}

/// The address of a message broker; a login in it would be seen by everybody who sees the process.
pub(super) fn amqp_url(text: &str) -> Result<String, String> {
    if text.contains('@') {
        return Err(
            "it contains a user name or a password: remove them, the login is made from FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET"
                .to_owned(),
        );
    }
    if !text.starts_with("amqps://") && !text.starts_with("amqp://") {
        return Err("write it as amqps://HOST:5671/quec-open".to_owned());
    }
    Ok(text.to_owned())
}

/// How long messages are kept: beyond what the platform's queue holds, and not for ever.
pub(super) fn inbox_keep(text: &str) -> Result<Age, String> {
    let age: Age = text
        .parse()
        .map_err(|error: OptionError| error.to_string())?;
    let bounds = Duration::from_hours(1)..=Duration::from_hours(90 * 24);
    if bounds.contains(&age.duration()) {
        Ok(age)
    } else {
        Err("write an age from 1h to 90d".to_owned())
    }
}

/// Text that says something.
pub(super) fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("write something, or leave it out".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A note on why something is done.
pub(super) fn note(text: &str) -> Result<String, String> {
    const MOST: usize = 200;
    let text = not_empty(text)?;
    if text.chars().any(char::is_control) {
        Err("write it in one line, without control characters".to_owned())
    } else if text.chars().count() > MOST {
        Err(format!("write at most {MOST} characters"))
    } else {
        Ok(text)
    }
}

/// The file of the results database: what SQLite or another program would read as something else is no path.
pub(super) fn database(text: &str) -> Result<PathBuf, String> {
    // What is wrong with it is said where no password is repeated.
    if ServerAddress::is_meant(text) {
        return Ok(text.into());
    }
    let is_uri = text
        .split_once(':')
        .is_some_and(|(scheme, rest)| scheme == "file" || rest.starts_with("//"));
    if is_uri || text == ":memory:" {
        return Err(
            "write the path of a file, for example /srv/fleetpush/fleetpush.db, or postgres://USER@HOST/DATABASE; a file whose name begins so is ./NAME".to_owned(),
        );
    }
    if text.ends_with('/') {
        return Err(format!(
            "that is a folder; name a file in it, for example {text}fleetpush.db"
        ));
    }
    not_empty(text).map(PathBuf::from)
}

/// The name of a run: text that a shell, a log line and a table can carry.
pub(super) fn run_name(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) || text.trim() != text || text.is_empty() {
        Err(
            "write a name without control characters and without blanks at its ends, or leave it out"
                .to_owned(),
        )
    } else {
        Ok(text.to_owned())
    }
}

/// The file of a page that is written beside other output: `night-{run}.html`.
pub(super) fn page(text: &str) -> Result<PathBuf, String> {
    if text == "-" {
        return Err(
            "write the name of a file, such as night-{run}.html: stdout has the summary".to_owned(),
        );
    }
    if text.replace("{run}", "").contains(['{', '}']) {
        return Err(
            "only {run} is replaced, by the name of the run, as in night-{run}.html: write no other braces"
                .to_owned(),
        );
    }
    not_empty(text).map(PathBuf::from)
}

/// The rows that a manifest must have: `1000`, or `900-1100`.
pub(super) fn expected_rows(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    match (least.trim().parse::<u64>(), most.trim().parse::<u64>()) {
        (Ok(least), Ok(most)) if least > most => Err(format!(
            "{least} is more than {most}: write the smaller number first"
        )),
        (Ok(least), Ok(most)) => Ok(least..=most),
        _ => Err("write a number of rows, or the least and the most: 1000 or 900-1100".to_owned()),
    }
}

/// A code of the platform, or the first and the last of several: `61002`, `70090-70094`.
pub(super) fn codes(text: &str) -> Result<RangeInclusive<i64>, String> {
    if let Ok(code) = text.parse() {
        return Ok(code..=code);
    }
    match text.split_once('-') {
        Some((first, last)) => match (first.parse::<i64>(), last.parse::<i64>()) {
            (Ok(first), Ok(last)) if first > last => Err(format!(
                "{first} is more than {last}: write the smaller code first"
            )),
            (Ok(first), Ok(last)) => Ok(first..=last),
            _ => Err(CODES.to_owned()),
        },
        None => Err(CODES.to_owned()),
    }
}

const CODES: &str = "write a code such as 61002, or the first and the last of several: 70090-70094";

/// How often a task was sent: `3`, `3-5`, or `3-` for three times and more.
pub(super) fn attempts(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let most = if most.is_empty() {
        Some(u64::MAX)
    } else {
        most.parse().ok()
    };
    match (least.parse::<u64>(), most) {
        (Ok(least), Some(most)) if least > most => Err(format!(
            "{least} is more than {most}: write the smaller number first"
        )),
        (Ok(least), Some(most)) => Ok(least..=most),
        _ => Err("write how often, for example 3, 3-5, or 3- for three times and more".to_owned()),
    }
}

/// A label and a value of it: `NAME=VALUE`; the value is all that follows the first `=`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE, for example site=Oslo".to_owned()),
    }
}

/// One parameter of a service: `CODE=VALUE`; the value is all that follows the first `=`.
pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((code, value)) if !code.trim().is_empty() => {
            Ok((code.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write CODE=VALUE, for example raw1=AA".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn codes_attempts_and_labels_are_read() {
        assert_eq!(codes("61002"), Ok(61002..=61002));
        assert_eq!(codes("70090-70094"), Ok(70090..=70094));
        assert_eq!(codes("-1"), Ok(-1..=-1));
        assert_eq!(attempts("3"), Ok(3..=3));
        assert_eq!(attempts("3-5"), Ok(3..=5));
        assert_eq!(attempts("3-"), Ok(3..=u64::MAX));
        assert_eq!(label("site=a=b"), Ok(("site".into(), "a=b".into())));
        assert_eq!(label("site="), Ok(("site".into(), String::new())));
        for text in ["", "x", "1-x", "5-3", "-"] {
            assert!(codes(text).is_err(), "{text:?}");
            assert!(attempts(text).is_err(), "{text:?}");
        }
        assert!(label("site").is_err() && label("=Oslo").is_err());
    }

    use super::*;

    fn any_duration(text: &str) -> Result<Duration, String> {
        duration(text, Duration::ZERO, Duration::MAX)
    }

    #[test]
    fn a_database_is_a_file() {
        for text in [
            "push.db",
            "/srv/push.db",
            "./file:x.db",
            "a:b.db",
            "C:push.db",
        ] {
            assert_eq!(database(text), Ok(PathBuf::from(text)));
        }
        for text in [
            "",
            ":memory:",
            "file:x.db",
            "file:///srv/x.db",
            "sqlite://x.db",
            "mysql://host/db",
            "runs/",
        ] {
            assert!(database(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(any_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(any_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(any_duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(
            any_duration("30"),
            Err("add a unit, for example 30s, 30m or 30h".to_owned())
        );
        for text in ["", "-30s", "30s ago", "soon", "1d", "30 parsecs"] {
            assert!(any_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_keep_to_their_bounds() {
        let minute = Duration::from_mins(1);
        let bounded = |text| duration(text, Duration::from_secs(1), minute);
        assert_eq!(bounded("60s"), Ok(minute));
        assert_eq!(
            bounded("61s"),
            Err("write a duration from 1s to 1m".to_owned())
        );
        assert!(bounded("999ms").is_err());
    }

    #[test]
    fn whole_numbers_keep_to_their_bounds() {
        assert_eq!(whole("1", 1, 10), Ok(1));
        assert_eq!(whole("10", 1, 10), Ok(10));
        for text in ["0", "11", "-1", "1.5", "", "ten"] {
            assert_eq!(
                whole(text, 1, 10),
                Err("write a whole number from 1 to 10".to_owned())
            );
        }
    }

    #[test]
    fn expected_rows_are_a_number_or_a_range() {
        assert_eq!(expected_rows("7"), Ok(7..=7));
        assert_eq!(expected_rows("900-1100"), Ok(900..=1100));
        for text in ["", "-", "5-", "-5", "5-4", "many", "1-2-3"] {
            assert!(expected_rows(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_parameter_keeps_its_value_untouched() {
        let pair = |code: &str, value: &str| Ok((code.to_owned(), value.to_owned()));
        assert_eq!(parameter("raw1=AA"), pair("raw1", "AA"));
        assert_eq!(parameter("text=a=b "), pair("text", "a=b "));
        assert_eq!(parameter("text="), pair("text", ""));
        assert!(parameter("raw1").is_err());
        assert!(parameter("=AA").is_err());
    }

    #[test]
    fn a_run_name_can_be_typed_and_shown() {
        assert!(run_name("night-2026-11-22").is_ok());
        for text in ["", " a", "a ", "a\nb", "a\u{1b}[2J"] {
            assert!(run_name(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_survives_printing(milliseconds in 0u64..1_000_000_000) {
            let written = Duration::from_millis(milliseconds);
            let text = SpanPrinter::new().unsigned_duration_to_string(&written);
            prop_assert_eq!(any_duration(&text), Ok(written));
        }
    }
}
