use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    manifest::{Defaults, Warning},
    model::Payload,
};

fn read_bytes(bytes: &[u8]) -> Result<Vec<Entry>, FileError> {
    let encoder = Encoder::new(Defaults::default()).expect("good defaults");
    let mut reader = Jsonl::new(bytes, encoder);
    let mut entries = Vec::new();
    while let Some(entry) = reader.read()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn read(text: &str) -> Vec<Entry> {
    read_bytes(text.as_bytes()).expect(text)
}

fn row(line: &str) -> Row {
    match <[Entry; 1]>::try_from(read(line)) {
        Ok([Entry::Row(row)]) => row,
        other => panic!("{line}: {other:?}"),
    }
}

fn bad(line: &str) -> String {
    match <[Entry; 1]>::try_from(read(line)) {
        Ok([Entry::Bad(error)]) => error.to_string(),
        other => panic!("{line}: {other:?}"),
    }
}

/// The request example of the specification.
const BODY: &str = r#"{"isCache":true,"data":"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]","qos":1,"devices":["DK00001"],"productKey":"PK0001","isCover":true,"cacheTime":360}"#;

#[test]
fn the_body_of_a_request_is_a_line() {
    assert_eq!(
        row(BODY),
        Row {
            line: 1,
            device_key: "DK00001".into(),
            payload: Payload {
                product_key: "PK0001".into(),
                data: r#"[{"fuwu":[{"raw1":"AA"}]}]"#.into(),
                qos: Some(1),
                is_cache: Some(true),
                cache_time: Some(360),
                is_cover: Some(true),
                extend_para: None,
            }
            .into(),
            labels: None,
        }
    );
}

#[test]
fn plain_json_loses_its_blanks_and_nothing_else() {
    let line = r#"{"device_key":"D","product_key":"P","data":[ {"z": [ {"n": 1.0}, {"m":"a b"} ]} , {"e":1e5} ], "extend_para": {"x": [1.50]}}"#;
    let payload = row(line).payload;
    assert_eq!(
        &*payload.data,
        r#"[{"z":[{"n":1.0},{"m":"a b"}]},{"e":1e5}]"#
    );
    assert_eq!(payload.extend_para.as_deref(), Some(r#"{"x":[1.50]}"#));
}

#[test]
fn params_become_a_command() {
    let line = r#"{"deviceKey":"D","productKey":"P","service":"fuwu","params":{"raw1":"[1]","limits":[1,2],"gone":null,"cfg":{"a":true},"empty":""},"param.x":1.0}"#;
    assert_eq!(
        &*row(line).payload.data,
        r#"[{"fuwu":[{"raw1":"[1]"},{"limits":[{"0":"1"},{"0":"2"}]},{"cfg":[{"a":"true"}]},{"empty":""},{"x":"1.0"}]}]"#
    );
}

#[test]
fn other_fields_and_labels_are_labels() {
    let line = r#"{"deviceKey":"D","productKey":"P","data":[],"site":"Köln","floor":-1,"gone":null,"labels":{"data":"x","ok":true},"label.qos":1.0}"#;
    assert_eq!(
        row(line).labels.as_deref(),
        Some(r#"{"site":"Köln","floor":"-1","data":"x","ok":"true","qos":"1.0"}"#)
    );
}

#[test]
fn every_device_of_a_line_is_an_entry() {
    let line = r#"{"devices":["D1",42,"",{},"D2","D1"],"productKey":"P","data":[]}"#;
    let entries: Vec<_> = read(line)
        .into_iter()
        .map(|entry| match entry {
            Entry::Row(row) => row.device_key.to_string(),
            Entry::Bad(error) => error.to_string(),
        })
        .collect();
    assert_eq!(
        entries,
        [
            "D1",
            "42",
            "line 1, column devices[2]: is empty; fill it in, or delete the row",
            "line 1, column devices[3]: has to be text",
            "D2",
            "D1"
        ]
    );
    // What is wrong with the line is wrong for each of them.
    let errors: Vec<_> = read(r#"{"devices":["D1","D2"],"data":[]}"#)
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Bad(error) => Some((error.device_key, error.errors[0].column.clone())),
            Entry::Row(_) => None,
        })
        .collect();
    let column = Some(Box::from("product_key"));
    assert_eq!(
        errors,
        [("D1".into(), column.clone()), ("D2".into(), column)]
    );
}

#[test]
fn keys_may_be_whole_numbers_that_no_program_rounds_and_no_others() {
    let line = |key: &str| format!(r#"{{"deviceKey":{key},"productKey":7,"data":[]}}"#);
    let row = row(&line("9007199254740991"));
    assert_eq!(&*row.device_key, "9007199254740991");
    assert_eq!(&*row.payload.product_key, "7");
    for key in [
        "8.6e14",
        "1.0",
        "860123456789012.0",
        "-1",
        "1E5",
        "9007199254740992",
        "89860123456789012345",
        "898601234567890123456789",
    ] {
        let reason = bad(&line(key));
        assert!(
            reason.contains("may have been rounded; write the key as text"),
            "{key}: {reason}"
        );
        let text = serde_json::json!(key).to_string();
        assert_eq!(&*self::row(&line(&text)).device_key, key);
    }
    for key in ["true", "[1]", "{}"] {
        assert!(bad(&line(key)).contains("has to be text"), "{key}");
    }
}

#[test]
fn a_key_is_what_a_string_says_and_an_odd_one_is_warned_of() {
    let lines = "{\"device_key\":\"D1\",\"product_key\":\"P\",\"data\":[]}\n\
                 {\"devices\":[\"D2\",\"#N/A\"],\"product_key\":\"P\",\"data\":[]}\n\
                 {\"devices\":[\"NaN\"],\"product_key\":\"P\",\"data\":5}\n\
                 {\"devices\":[\"860123456789012.0\"],\"product_key\":\"8.6E+14\",\"data\":[]}\n";
    let encoder = Encoder::new(Defaults::default()).expect("good defaults");
    let mut reader = Jsonl::new(lines.as_bytes(), encoder);
    let mut keys = Vec::new();
    while let Some(entry) = reader.read().expect("lines") {
        if let Entry::Row(row) = entry {
            keys.push((row.device_key, row.payload.product_key.clone()));
        }
    }
    assert_eq!(
        keys,
        [
            ("D1".into(), "P".into()),
            ("D2".into(), "P".into()),
            ("#N/A".into(), "P".into()),
            ("860123456789012.0".into(), "8.6E+14".into())
        ]
    );
    let warning = Warning::OddKeys(reader.odd_keys().cloned().expect("odd keys")).to_string();
    assert!(
        warning.starts_with(", line 2: the key `#N/A` is an error of a spreadsheet; ")
            && warning.ends_with("(and 2 more keys of this kind)"),
        "{warning}"
    );
}

#[test]
fn a_bad_line_names_field_and_reason() {
    let with = |fields: &str| format!(r#"{{"deviceKey":"D","productKey":"P",{fields}}}"#);
    for (line, expected) in [
        (
            r#"{"deviceKey":"D" "data":1}"#.into(),
            "line 1: is not JSON: expected `,` or `}`, character 18",
        ),
        (
            "{".into(),
            "line 1: is not JSON: EOF while parsing an object, character 1; a line is one whole JSON object",
        ),
        (
            "[{}]".into(),
            "line 1: is a JSON array; a manifest has one object a line",
        ),
        (
            "7".into(),
            "line 1: is JSON, but not an object; a line is one object",
        ),
        (
            r#"{"data":[],"productKey":"P"}"#.into(),
            "line 1, column device_key: the line names no device",
        ),
        (
            r#"{"deviceKey":null,"data":[],"productKey":"P"}"#.into(),
            "line 1, column deviceKey: the line names no device",
        ),
        (
            r#"{"devicekey":"D","data":[]}"#.into(),
            "line 1, column devicekey: did you mean `device_key`? if it is a label, call it `label.devicekey`",
        ),
        (
            r#"{"deviceKey":"D","productKey":1.5,"data":[]}"#.into(),
            "line 1, column productKey: is the number 1.5",
        ),
        (
            with(r#""data":[],"devices":["E"]"#),
            "line 1, column devices: `devices` excludes `device_key`",
        ),
        (
            with(r#""data":[],"device_key":"D""#),
            "line 1, column device_key: `device_key` is twice in the line, in both spellings",
        ),
        (
            with(r#""data":[],"data":[]"#),
            "line 1: is not JSON: the key `data` is twice in one object",
        ),
        (
            with(r#""data":[{"a":1,"a":2}]"#),
            "line 1: is not JSON: the key `a` is twice in one object",
        ),
        (with(r#""data":5"#), "line 1, column data: is a bare value"),
        (with(r#""data":"""#), "line 1, column data: is not JSON"),
        (
            with(r#""data":[],"qos":1.5"#),
            "line 1, column qos: \"1.5\" is not a whole number from 0 to 2",
        ),
        (
            with(r#""data":[],"isCache":[]"#),
            "line 1, column isCache: is an array or object",
        ),
        (
            with(r#""data":[],"extendPara":1"#),
            "line 1, column extendPara: is JSON, but not an object",
        ),
        (
            with(r#""data":[],"where":{"x":1}"#),
            "line 1, column where: is not a field that fleetpush knows",
        ),
        (
            with(r#""data":[],"a":1,"labels":{"a":1}"#),
            "line 1, column a: the label is given twice",
        ),
        (
            with(r#""service":"s","params":[1]"#),
            "line 1, column params: has to be an object",
        ),
        (
            with(r#""service":"","params":{}"#),
            "line 1, column service: is empty",
        ),
        (
            with(r#""service":"s","param.a":1,"params":{"a":1}"#),
            "line 1, column param.a: the parameter is given twice",
        ),
        (
            with(r#""service":"s","params":{"a":{"b":[1]}}"#),
            "line 1, column params.a: `a.b` is nested deeper",
        ),
    ] {
        let reason = bad(&line);
        assert!(reason.starts_with(expected), "{line}: {reason}");
    }
}

#[test]
fn an_object_over_several_lines_is_told_once() {
    for text in ["{\n\"deviceKey\":\"D\"\n}\n", "\n{\"a\":1,\n\n  \"b\":2}"] {
        let error = read_bytes(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains("spans several lines"), "{error}");
    }
    // A line that is cut is one bad row.
    let entries = read(&format!("{{\"a\":\n{BODY}\n"));
    assert!(matches!(entries[..], [Entry::Bad(_), Entry::Row(_)]));
}

#[test]
fn every_mistake_of_a_line_is_told() {
    let line = r#"{"devices":["D1","D\u00002"],"qos":9,"isCache":"x","siet":{},"service":"s","params":{"a":{"b":[1]},"c":[[1]]}}"#;
    let entries = read(line);
    let told: Vec<_> = entries
        .iter()
        .map(|entry| match entry {
            Entry::Bad(error) => error.to_string(),
            Entry::Row(row) => panic!("{row:?}"),
        })
        .collect();
    for column in [
        "product_key: the row has no",
        "qos:",
        "isCache:",
        "siet:",
        "params.a:",
        "params.c:",
    ] {
        assert!(
            told.iter()
                .all(|told| told.contains(&format!("column {column}"))),
            "{told:#?}"
        );
    }
    assert!(
        !told[0].contains("devices[")
            && told[1].contains("line 1, column devices[1]: \"D\\u{0}2\" has U+0000")
    );
    let reason = bad(r#"{"qos":9,"data":[],"productKey":"P"}"#);
    assert!(
        reason.contains("names no device") && reason.contains("column qos"),
        "{reason}"
    );
}

#[test]
fn a_mark_before_a_line_is_told() {
    let entries = read(&format!("{BODY}\n\u{feff}{BODY}\n"));
    let [Entry::Row(_), Entry::Bad(error)] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert!(
        error
            .to_string()
            .starts_with("line 2: begins with a byte order mark (U+FEFF)")
    );
}

#[test]
fn a_line_that_is_no_json_says_what_to_do() {
    for (line, expected) in [
        ("{\"a\":1},", "remove the comma at the end of the line"),
        ("{\"a\":1}{}", "a line is one object alone"),
        ("{'a':1}", "JSON takes double quotes"),
        ("{\"a\":NaN}", "leave the field out or write `null`"),
        (
            "DK1",
            "a list of keys is a CSV with the header `device_key`",
        ),
    ] {
        let reason = bad(line);
        assert!(
            reason.starts_with("line 1: is not JSON: ") && reason.contains(expected),
            "{line}: {reason}"
        );
    }
}

#[test]
fn lines_are_counted_through_blank_ones() {
    let entries = read(&format!("\n  \r\n{BODY}\r\n\n{{}}"));
    assert!(matches!(&entries[0], Entry::Row(row) if row.line == 3));
    assert!(matches!(&entries[1], Entry::Bad(error) if error.line == 5));
    assert_eq!(entries.len(), 2);
}

#[test]
fn a_line_without_end_is_passed_over_in_bounded_memory() {
    let encoder = Encoder::new(Defaults::default()).expect("good defaults");
    let text = format!("{}\n{BODY}\n", "x".repeat(ROW_LIMIT * 2));
    let mut reader = Jsonl::new(text.as_bytes(), encoder);
    let Ok(Some(Entry::Bad(error))) = reader.read() else {
        panic!("no error");
    };
    assert!(
        error
            .to_string()
            .starts_with("line 1: the line is longer than 4 MiB")
    );
    assert!(reader.text.capacity() <= 2 * ROW_LIMIT);
    assert!(matches!(reader.read(), Ok(Some(Entry::Row(row))) if row.line == 2));
}

#[test]
fn text_that_is_not_utf_8_names_its_line() {
    let error = read_bytes(b"\n{\"a\":\"\xff\"}").expect_err("not UTF-8");
    assert!(error.to_string().starts_with(", line 2: is not UTF-8"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..100)) {
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn what_looks_like_json_is_read_or_refused(text in r#"\{("(data|params|devices|deviceKey|service|a)":("[a\\"]{0,3}"|[\[\]{}1,]{0,4}|null),?){0,4}\}"#) {
        let _ = read_bytes(text.as_bytes());
    }

    #[test]
    fn any_text_arrives_exactly(
        key in any::<String>(), label in any::<String>(), param in any::<String>(),
    ) {
        prop_assume!(crate::manifest::cell::check_key(&key).is_ok());
        let line = serde_json::json!({
            "devices": [key], "productKey": key, "service": key,
            "params": { &key: param }, "labels": { &key: label },
        });
        let row = row(&line.to_string());
        prop_assert_eq!(&*row.device_key, &key);
        prop_assert_eq!(&*row.payload.product_key, &key);
        let data: serde_json::Value = serde_json::from_str(&row.payload.data).expect("JSON");
        prop_assert_eq!(data, serde_json::json!([{ &key: [{ &key: param }] }]));
        let labels = row.labels.as_deref().map(serde_json::from_str);
        let labels: Option<serde_json::Value> = labels.transpose().expect("JSON");
        prop_assert_eq!(labels, Some(serde_json::json!({ key: label })));
    }
}
