use proptest::{collection::vec, prelude::*};

use super::*;
use crate::manifest::Defaults;

fn read_with(defaults: Defaults, bytes: &[u8]) -> Result<Vec<Entry>, FileErrors> {
    let encoder = Encoder::new(defaults).expect("good defaults");
    let mut reader = Delimited::new(bytes, None, encoder)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.read()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn read(text: &str) -> Vec<Entry> {
    read_with(Defaults::default(), text.as_bytes()).expect(text)
}

fn row(header: &str, cells: &str) -> Row {
    let entries = read(&format!("{header}\n{cells}\n"));
    match <[Entry; 1]>::try_from(entries) {
        Ok([Entry::Row(row)]) => row,
        other => panic!("{cells}: {other:?}"),
    }
}

fn bad(header: &str, cells: &str) -> String {
    let entries = read(&format!("{header}\n{cells}\n"));
    match <[Entry; 1]>::try_from(entries) {
        Ok([Entry::Bad(error)]) => error.to_string(),
        other => panic!("{cells}: {other:?}"),
    }
}

#[test]
fn every_column_arrives() {
    let header =
        "deviceKey;productKey;data;qos;isCache;cacheTime;isCover;extendPara;site;label.data;floor";
    let cells = r#"0042;PK1;"[ {""fuwu"":[{""raw1"":""AA""}]} ]";2;TRUE;360;0;"{ ""a"": 1.0 }";"Köln; ""Süd""";x;"#;
    assert_eq!(
        row(header, cells),
        Row {
            line: 2,
            device_key: "0042".into(),
            payload: crate::model::Payload {
                product_key: "PK1".into(),
                data: r#"[ {"fuwu":[{"raw1":"AA"}]} ]"#.into(),
                qos: Some(2),
                is_cache: Some(true),
                cache_time: Some(360),
                is_cover: Some(false),
                extend_para: Some(r#"{"a":1.0}"#.into()),
            }
            .into(),
            labels: Some(r#"{"site":"Köln; \"Süd\"","data":"x"}"#.into()),
        }
    );
}

#[test]
fn absent_cells_stay_absent() {
    let row = row(
        "device_key,product_key,data,qos,is_cache,cache_time,is_cover,extend_para,site",
        "DK1,PK1,[],,,,,,",
    );
    assert_eq!(row.labels, None);
    let payload = row.payload;
    assert_eq!((payload.qos, payload.is_cache), (None, None));
    assert_eq!((payload.cache_time, payload.is_cover), (None, None));
    assert_eq!(payload.extend_para, None);
}

#[test]
fn parameters_become_a_command() {
    let header = "device_key,product_key,service,param.b,param.a,param.absent";
    let cells = r#"DK1,PK1,fuwu,"[1,{""lo"":2}]x",,"#;
    assert!(bad(header, cells).contains("line 2, column param.b: begins like JSON"));
    let cells = r#"DK1,PK1,fuwu,"[{""lo"": 1.0}]",AA,"#;
    assert_eq!(
        &*row(header, cells).payload.data,
        r#"[{"fuwu":[{"b":[{"0":[{"lo":"1.0"}]}]},{"a":"AA"}]}]"#
    );
    assert_eq!(
        &*row(header, "DK1,PK1,reboot,,,").payload.data,
        r#"[{"reboot":[]}]"#
    );
}

#[test]
fn a_bad_row_names_line_column_and_reason() {
    let header = "deviceKey,product_key,data,service,param.x,qos,is_cache,cache_time,extend_para";
    for (cells, expected) in [
        (",PK1,[],,,,,,", "line 2, column deviceKey: is empty"),
        (
            "8.6E+14,PK1,[],,,,,,",
            "line 2, column deviceKey: `8.6E+14` is a number that a spreadsheet",
        ),
        (
            "DK1 ,PK1,[],,,,,,",
            "line 2, column deviceKey: \"DK1 \" has blanks",
        ),
        (
            "DK1,1E+05,[],,,,,,",
            "line 2, column product_key: `1E+05` is a number",
        ),
        (
            "DK1,,[],,,,,,",
            "line 2, column product_key: the row has no product key: fill the column `product_key` or give `--product-key`",
        ),
        ("DK1,PK1,AA,,,,,,", "line 2, column data: is not JSON"),
        (
            "DK1,PK1,[],fuwu,,,,,",
            "line 2, column data: `data` excludes `service`",
        ),
        (
            "DK1,PK1,[],,1,,,,",
            "line 2, column data: `data` excludes `service`",
        ),
        (
            "DK1,PK1,,,1,,,,",
            "line 2, column service: the row has parameters and no service",
        ),
        (
            "DK1,PK1,,,,,,,",
            "line 2: the row has neither `data` nor `service`",
        ),
        (
            "DK1,PK1,,fuwu,\"[[1]]\",,,,",
            "line 2, column param.x: `x[0]` is nested deeper",
        ),
        (
            "DK1,PK1,[],,,one,,,",
            "line 2, column qos: \"one\" is not a whole number from 0 to 2",
        ),
        (
            "DK1,PK1,[],,,,yes,,",
            "line 2, column is_cache: \"yes\" is neither",
        ),
        (
            "DK1,PK1,[],,,,,-5,",
            "line 2, column cache_time: \"-5\" is not a number of seconds",
        ),
        (
            "DK1,PK1,[],,,,,,[1]",
            "line 2, column extend_para: is JSON, but not an object",
        ),
        (
            "DK1,PK1,[],,,,,",
            "line 2: has 8 fields where the header has 9",
        ),
        (
            "DK1,PK1,[],,,,,,,",
            "line 2: has 10 fields where the header has 9",
        ),
    ] {
        let reason = bad(header, cells);
        assert!(reason.starts_with(expected), "{cells}: {reason}");
    }
}

#[test]
fn a_bad_row_is_known_by_its_device_when_that_is_certain() {
    let key = |text: &str| match &read(text)[0] {
        Entry::Bad(error) => error.device_key.clone(),
        Entry::Row(row) => panic!("{row:?}"),
    };
    assert_eq!(&*key("device_key,product_key\nDK1,PK1\n"), "DK1");
    assert_eq!(&*key("device_key,note\nDK1,a,b\n"), "DK1");
    assert_eq!(&*key("note,device_key\na,b,DK1\n"), "");
}

#[test]
fn cells_without_a_column_have_to_be_empty() {
    let header = "device_key,product_key,data,,";
    assert_eq!(&*row(header, "DK1,PK1,[],,").device_key, "DK1");
    assert!(bad(header, "DK1,PK1,[],,x").starts_with("line 2, column 5: the cell is filled"));
}

#[test]
fn lines_are_counted_through_blank_rows_and_line_ends_in_cells() {
    let text = "device_key,product_key,data,note\r\nDK1,PK1,[],\"two\r\nlines\"\r\n,,,\r\n\r\nDK2,PK1,[],\r\nDK3,,,";
    let lines: Vec<_> = read(text)
        .into_iter()
        .map(|entry| match entry {
            Entry::Row(row) => row.line,
            Entry::Bad(error) => error.line,
        })
        .collect();
    assert_eq!(lines, [2, 6, 7]);
}

#[test]
fn every_mistake_of_a_row_is_told() {
    let header =
        "deviceKey,product_key,service,param.a,param.b,qos,is_cache,cache_time,extend_para,";
    assert_eq!(
        bad(
            header,
            "DK\u{200b}1,PK1 ,fuwu,[[1]],#REF!,9,yes,360.0,[1],x"
        ),
        "line 2, column 10: the cell is filled, but the header has no name for the column; name it there, or empty the cell; \
         column deviceKey: \"DK\\u{200b}1\" has U+200B (zero width space), which is invisible, as character 3; remove it; \
         column param.b: `#REF!` is an error of a spreadsheet; correct the cell, or, to send exactly this text, write the row in JSONL or its wire string in `data`; \
         column product_key: \"PK1 \" has blanks around it; remove them; \
         column param.a: `a[0]` is nested deeper than the platform's format goes; write the wire string in `data` instead; \
         column qos: \"9\" is not a whole number from 0 to 2; \
         column is_cache: \"yes\" is neither `true` nor `false` (nor `1` or `0`); \
         column cache_time: \"360.0\" is not a number of seconds, 0 or more; remove the fraction, which a data frame adds to a column with gaps; \
         column extend_para: is JSON, but not an object"
    );
}

#[test]
fn a_wrong_quote_on_one_line_is_told_and_the_next_row_is_read() {
    let header = "device_key,product_key,service,param.mode,note";
    for (cells, expected) in [
        (
            "D1,P,s, \"a\",",
            "line 2, column param.mode: has blanks before its opening quote",
        ),
        (
            "D1,P,s,\"say \"hi\" there\",",
            "line 2, column param.mode: has text after a closing quote",
        ),
        (
            "D1,P,s,\"say \\\"hi\\\" there\",",
            "line 2, column param.mode: has a quote marked with a backslash",
        ),
        (
            "D1,P,s,x,\"5\" pipe\"",
            "line 2, column note: has text after a closing quote",
        ),
        (
            "D1,P,s, \"a,b\",",
            "line 2, column param.mode: has blanks before its opening quote, so that blanks and quotes would be sent; remove them, or put the whole field in quotes; has 6 fields",
        ),
        (
            "D1,P,s, 1,",
            "line 2, column param.mode: \" 1\" has blanks around it",
        ),
        (
            "D1,P,s ,1,",
            "line 2, column service: \"s \" has blanks around it",
        ),
    ] {
        let text = format!("{header}\n{cells}\nD2,P,s,1,\n");
        let entries = read(&text);
        let [Entry::Bad(error), Entry::Row(_)] = &entries[..] else {
            panic!("{cells}: {entries:?}");
        };
        let told = error.to_string();
        assert!(told.starts_with(expected), "{cells}: {told}");
    }
    // In quotes, blanks are meant.
    assert!(
        row(header, "D1,P,s,\" 1\",5\" pipe")
            .payload
            .data
            .contains("\" 1\"")
    );
}

#[test]
fn a_header_among_the_rows_is_told() {
    let text = "\u{feff}device_key,site\nD1,x\n\u{feff}device_key,site\nD2,\ndevice_key , site\nD3,device_key\n";
    let defaults = || Defaults {
        product_key: Some("PK1".into()),
        service: Some("s".into()),
        ..Defaults::default()
    };
    let told = |text: &str| {
        let text = text.trim_start_matches('\u{feff}');
        let entries = read_with(defaults(), text.as_bytes()).expect("entries");
        entries
            .into_iter()
            .map(|entry| match entry {
                Entry::Row(row) => row.device_key.into(),
                Entry::Bad(error) => error.to_string(),
            })
            .collect::<Vec<String>>()
    };
    let told_of = told(text);
    assert_eq!(
        (&*told_of[0], &*told_of[2], &*told_of[4]),
        ("D1", "D2", "D3")
    );
    assert!(
        told_of[1].starts_with("line 3: repeats the header, behind a byte order mark (U+FEFF)")
    );
    assert!(told_of[3].starts_with("line 5: repeats the header, as when"));
    for other in [
        "device_key",
        "site,device_key",
        "DeviceKey,place",
        "device_key,site,floor",
    ] {
        let text = format!("device_key,site\nD1,x\n{other}\nD2,y\n");
        let error = read_with(defaults(), text.as_bytes());
        let error = error.expect_err(other).to_string();
        assert!(
            error.starts_with(", line 3: another header"),
            "{other}: {error}"
        );
    }
    // Without a header the mark alone is told.
    let joined = told("device_key,site\nD1,x\n\u{feff}D2,y\n");
    assert!(
        joined[1].starts_with("line 3, column device_key: begins with a byte order mark (U+FEFF)"),
        "{joined:?}"
    );
}

#[test]
fn a_last_line_without_an_end_is_known() {
    for (text, line) in [
        ("device_key,site\nD1,x\nD2,y", Some(3)),
        ("device_key,site\nD1,x\nD2,", Some(3)),
        ("device_key,site\nD1,x\nD2,\"y\"", None),
        ("device_key,site\nD1,x\n", None),
        ("device_key,site\r\nD1,x\r\n", None),
    ] {
        let encoder = Encoder::new(Defaults::default()).expect("good defaults");
        let mut reader = Delimited::new(text.as_bytes(), None, encoder).expect("a header");
        while reader.read().expect("entries").is_some() {}
        assert_eq!(reader.unended(), line, "{text:?}");
    }
}

#[test]
fn text_that_is_not_utf_8_names_line_and_column() {
    let error = read_with(Defaults::default(), b"device_key,site\nDK1,K\xf6ln\n");
    let error = error.expect_err("not UTF-8").to_string();
    assert_eq!(
        error,
        ", line 2, column site: is not UTF-8; save the file as UTF-8, or convert it: `iconv -f WINDOWS-1252 -t UTF-8 FILE` if it comes from Windows"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..100)) {
        let _ = read_with(Defaults::default(), &bytes);
        let text = [b"device_key,param.a,,site\n", &bytes[..]].concat();
        let _ = read_with(Defaults::default(), &text);
    }

    #[test]
    fn any_text_arrives_exactly(
        key in any::<String>(), label in any::<String>(), param in any::<String>(),
        delimiter in prop::sample::select(&b",;\t"[..]), crlf in any::<bool>(),
    ) {
        prop_assume!(cell::check_key(&key).and_then(|()| check_meant(&key)).is_ok());
        prop_assume!(!param.starts_with(['[', '{']) && cell::check_value(&param).is_ok());
        let quotes = if has_blanks(&param) { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .quote_style(quotes)
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .from_writer(Vec::new());
        for record in [
            ["device_key", "product_key", "service", "param.a", "site"],
            [&key, &key, &key, &param, &label],
        ] {
            writer.write_record(record).expect("a vector takes everything");
        }
        let bytes = writer.into_inner().expect("a vector takes everything");
        let entries = read_with(Defaults::default(), &bytes);
        let row = match entries.as_deref() {
            Ok([Entry::Row(row)]) => row,
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert_eq!(&*row.device_key, &key);
        prop_assert_eq!(&*row.payload.product_key, &key);
        let params = if param.is_empty() {
            serde_json::json!([])
        } else {
            serde_json::json!([{ "a": param }])
        };
        let data: serde_json::Value = serde_json::from_str(&row.payload.data).expect("JSON");
        prop_assert_eq!(data, serde_json::json!([{ key: params }]));
        let labels = row.labels.as_deref().map(|labels| {
            serde_json::from_str::<serde_json::Value>(labels).expect("JSON")
        });
        let expected = (!label.is_empty()).then(|| serde_json::json!({ "site": label }));
        prop_assert_eq!(labels, expected);
    }
}
