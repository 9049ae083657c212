//! A list of devices: a key a line, or the column of a manifest or of results.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, BufRead, Read},
    path::Path,
};

use serde_json::Value;

use super::{content::without_mark, format::Name, source::Source};

/// The names of the column, and of the field in JSON.
const NAMES: [&str; 2] = ["device_key", "deviceKey"];

/// Why a list of devices cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {reason}", place(*.line))]
pub(crate) struct DeviceListError {
    file: Box<str>,
    line: Option<u64>,
    reason: String,
}

fn place(line: Option<u64>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

/// Device keys, each with its line.
type Lines = BTreeMap<String, u64>;

/// What is wrong, and in which line.
type Reason = (Option<u64>, String);

/// The device keys in the file at `path`; `-` is standard input. Compressed files are read as manifests are.
///
/// Fails when it cannot be read, holds no key, or a line of it is none.
pub(crate) fn device_list(path: &Path) -> Result<BTreeSet<String>, DeviceListError> {
    Ok(device_lines(path)?.into_keys().collect())
}

/// The same, each key with the first line that has it.
pub(crate) fn device_lines(path: &Path) -> Result<Lines, DeviceListError> {
    let named = |file: &str| {
        let file = file.into();
        move |(line, reason): Reason| DeviceListError { file, line, reason }
    };
    if path == Path::new("-") {
        return keys(io::stdin().lock()).map_err(named("standard input"));
    }
    let file = path.display().to_string();
    let compression = Name::of(path).compression;
    Source::of_path(path)
        .and_then(|source| source.open(compression))
        .map_err(whole)
        .and_then(keys)
        .map_err(named(&file))
}

fn whole(kind: impl fmt::Display) -> Reason {
    (None, kind.to_string())
}

fn keys(input: impl Read) -> Result<Lines, Reason> {
    let mut input = io::BufReader::new(input);
    let mut first = Vec::new();
    let mut blank = 0;
    loop {
        first.clear();
        if input.read_until(b'\n', &mut first).map_err(whole)? == 0 {
            return Err(whole("has no device key; write one key a line"));
        }
        if !without_mark(&first).trim_ascii().is_empty() {
            break;
        }
        blank += 1;
    }
    let head = without_mark(&first).to_vec();
    let line = str::from_utf8(&head)
        .map_err(|_| {
            (
                Some(blank + 1),
                "is not UTF-8; save the file as UTF-8".to_owned(),
            )
        })?
        .trim();
    let column = [b',', b';', b'\t'].into_iter().find_map(|delimiter| {
        let place = header(line, delimiter)?;
        Some((delimiter, place))
    });
    let is_json = line.starts_with('{');
    let rest = io::Cursor::new(head).chain(input);
    let keys = match column {
        Some((delimiter, place)) => of_column(rest, delimiter, place, blank)?,
        None if is_json => of_objects(rest, blank)?,
        None => of_lines(rest, blank)?,
    };
    if keys.is_empty() {
        return Err(whole("has no device key below its header"));
    }
    Ok(keys)
}

/// Where the column stands in a header.
fn header(line: &str, delimiter: u8) -> Option<usize> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .from_reader(line.as_bytes());
    let record = reader.records().next()?.ok()?;
    record.iter().position(|name| NAMES.contains(&name.trim()))
}

fn of_column(input: impl Read, delimiter: u8, place: usize, before: u64) -> Result<Lines, Reason> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(input);
    let mut keys = Lines::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map(|position| position.line() + before);
            (line, "cannot be read as CSV in UTF-8".to_owned())
        })?;
        let line = record.position().map(|position| position.line() + before);
        let Some(key) = record.get(place) else {
            return Err((line, "has no column device_key".to_owned()));
        };
        // Results have rows without a key: the invalid ones.
        if !key.trim().is_empty() {
            keys.entry(key.to_owned()).or_insert(line.unwrap_or(0));
        }
    }
    Ok(keys)
}

fn of_objects(input: impl BufRead, before: u64) -> Result<Lines, Reason> {
    let mut keys = Lines::new();
    for (n, line) in (before + 1..).zip(input.lines()) {
        let line = line.map_err(|error| (Some(n), error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |reason: String| (Some(n), reason);
        let object: Value =
            serde_json::from_str(&line).map_err(|error| wrong(format!("is not JSON: {error}")))?;
        let found: Vec<&Value> = match &object["devices"] {
            Value::Array(devices) => devices.iter().collect(),
            _ => vec![&object],
        };
        for device in found {
            let named = NAMES.iter().find_map(|name| device.get(name));
            let key = match named.unwrap_or(device) {
                Value::String(key) => key.clone(),
                Value::Number(key) => key.to_string(),
                _ => return Err(wrong("has no device_key".to_owned())),
            };
            keys.entry(key).or_insert(n);
        }
    }
    Ok(keys)
}

fn of_lines(input: impl BufRead, before: u64) -> Result<Lines, Reason> {
    let mut keys = Lines::new();
    for (n, line) in (before + 1..).zip(input.lines()) {
        let line = line.map_err(|error| (Some(n), error.to_string()))?;
        let key = line.trim();
        if key.contains(|letter: char| letter.is_whitespace() || ",;\"".contains(letter)) {
            return Err((
                Some(n),
                "is not a device key; write one key a line, or begin with a header that has the column device_key"
                    .to_owned(),
            ));
        }
        if !key.is_empty() {
            keys.entry(key.to_owned()).or_insert(n);
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        keys(text.as_bytes()).unwrap().into_keys().collect()
    }

    fn refused(text: &str) -> (Option<u64>, String) {
        keys(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_key_a_line_a_column_and_objects_are_read() {
        for text in [
            "A1\nB2\n",
            "\u{feff}\r\n B2\r\n\r\nA1",
            "device_key,product_key\nA1,P\nB2,P\n",
            "run;state;deviceKey\n1;failed;\"A1\"\n1;failed;B2\n1;failed;\n",
            "\u{feff}product_key\tdevice_key\nP\tA1\nP\tB2\n",
            "{\"device_key\":\"A1\"}\n\n{\"deviceKey\":\"B2\",\"state\":\"failed\"}\n",
            "{\"devices\":[\"A1\",{\"deviceKey\":\"B2\"}]}\n",
        ] {
            assert_eq!(list(text), ["A1", "B2"], "{text:?}");
        }
        assert_eq!(list("0007"), ["0007"]);
        let lines =
            |text: &str| -> Vec<u64> { keys(text.as_bytes()).unwrap().into_values().collect() };
        assert_eq!(lines("\nB2\nA1\nB2\n"), [3, 2]);
        assert_eq!(lines("\ndevice_key\nB2\nA1\n"), [4, 3]);
        assert_eq!(
            lines("{\"devices\":[\"B2\"]}\n{\"device_key\":\"A1\"}\n"),
            [2, 1]
        );
    }

    #[test]
    fn what_is_no_list_is_told_by_its_line() {
        assert_eq!(refused("\n \n").0, None);
        assert_eq!(refused("A1\nB2,C3\n").0, Some(2));
        assert_eq!(refused("\nkey,product\nA1,P\n").0, Some(2));
        assert_eq!(
            refused("{\"device_key\":\"A\"}\n{\"key\":\"B\"}\n").0,
            Some(2)
        );
        assert_eq!(refused("{\"device_key\":\"A\"}\nB\n").0, Some(2));
        assert_eq!(refused("state,device_key\nfailed,A\nfailed\n").0, Some(3));
        assert_eq!(refused("device_key\n").0, None);
        assert!(keys(&b"\xff\xfeA\x00"[..]).is_err());
    }
}
