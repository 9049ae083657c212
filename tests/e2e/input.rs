//! What a user hands in by mistake: it is named for what it is, with the way out, whatever its size and wherever it comes from, and nothing
//! of it is sent.

use std::{fs, path::PathBuf};

use crate::support::{Ended, Push, Site};

/// The flags that stand in for what these manifests leave out.
const DEFAULTS: [&str; 4] = ["--product-key", "PK0001", "--service", "fuwu"];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/manifests")
        .join(name)
}

/// Runs a command on a manifest by its name, or, without one, on its content as standard input.
fn given(command: &str, name: Option<&str>, content: &[u8]) -> Ended {
    let site = Site::new();
    site.write(name.unwrap_or("input"), content);
    let mut args = vec![command, name.unwrap_or("-")];
    args.extend(DEFAULTS);
    if command == "run" {
        args.extend(["--simulate", "--name", "by-mistake"]);
    }
    let mut command = site.command(&args);
    if name.is_none() {
        command.stdin(fs::File::open(site.path("input")).expect("the file is there"));
    }
    Push::start_with_input(command).ended()
}

/// Checks a manifest, by its name and from a pipe, with these flags in place of columns.
fn told(name: &str, content: &[u8], says: &[&str]) {
    given("check", Some(name), content).expect(2).says(says);
    given("check", None, content).expect(2).says(says);
    given("run", Some(name), content).expect(2).says(says);
}

/// The content is refused with these words, by its name and by a name of no meaning, by `check` and by `run`, compressed and from a pipe.
fn refused(name: &str, content: &[u8], says: &[&str]) {
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, content).expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    };
    let zstd = zstd::encode_all(content, 1).expect("a vector takes all");
    for command in ["check", "run"] {
        given(command, Some(name), content).expect(2).says(says);
        given(command, None, content).expect(2).says(says);
    }
    given("check", Some(&format!("{name}.gz")), &gzip)
        .expect(2)
        .says(says);
    given("check", Some(&format!("{name}.zst")), &zstd)
        .expect(2)
        .says(says);
    given("check", None, &zstd).expect(2).says(says);
}

#[test]
fn what_is_no_manifest_is_named_for_what_it_is() {
    let read = |name| fs::read(fixture(name)).expect("a fixture");
    let csv = "device_key,site\nDK1,x\n";
    let wide = |bytes: fn(u16) -> [u8; 2]| csv.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
    for (name, content, says) in [
        (
            "sep-line.csv",
            read("sep-line.csv"),
            &["line `sep=;`", "delete it"][..],
        ),
        (
            "array.json",
            read("pretty-array.json"),
            &["one JSON array", "jq -c '.[]'"],
        ),
        (
            "array.jsonl",
            b"[{\"deviceKey\":\"D\"}]".into(),
            &["one JSON array"],
        ),
        (
            "pretty.json",
            b"{\n  \"deviceKey\": \"D1\"\n}\n".into(),
            &["line 1", "several lines", "jq -c ."],
        ),
        (
            "book.csv",
            read("workbook-named.csv"),
            &["is an Excel workbook", "CSV UTF-8"],
        ),
        (
            "fleet.csv",
            b"BZh91AY&SY\x01\x02".into(),
            &["is a bzip2 archive", "bzip2 -dc"],
        ),
        (
            "le.csv",
            wide(u16::to_le_bytes),
            &["is UTF-16LE text", "iconv -f UTF-16LE"],
        ),
        (
            "be.csv",
            wide(u16::to_be_bytes),
            &["is UTF-16BE text", "iconv -f UTF-16BE"],
        ),
        (
            "page.csv",
            b"<!DOCTYPE html><title>Login</title>".into(),
            &["is an HTML page"],
        ),
        ("nul.csv", vec![0; 5000], &["is not text", "NUL"]),
    ] {
        refused(name, &content, says);
    }
}

#[test]
fn a_file_of_one_format_with_the_name_of_the_other_is_told() {
    given("check", Some("fleet.csv"), b"{\"deviceKey\":\"D\"}")
        .expect(2)
        .says(&["fleet.csv", "its content is JSONL", "`.jsonl`"]);
    given("check", Some("fleet.jsonl"), b"device_key\nDK1\n")
        .expect(2)
        .says(&["fleet.jsonl", "its content is CSV", "`.csv`"]);
}

#[test]
fn what_gzip_and_zstd_read_is_read() {
    for (name, devices) in [
        ("padded.csv.gz", "devices   2"),
        ("long-window.csv.zst", "devices"),
    ] {
        let content = fs::read(fixture(name)).expect("a fixture");
        for name in [Some(name), None] {
            let checked = given("check", name, &content).expect(0);
            assert!(checked.stdout.contains(devices), "{}", checked.stdout);
        }
        let mut followed = content.clone();
        followed.extend(b"and more");
        given("check", Some(name), &followed)
            .expect(2)
            .says(&["followed by other bytes"]);
    }
}

#[test]
fn joined_files_send_no_header() {
    let read = |name| fs::read(fixture(name)).expect("a fixture");
    told(
        "joined.csv",
        &read("joined-with-header.csv"),
        &["line 4: repeats the header", "U+FEFF", "delete the line"],
    );
    told(
        "keys.csv",
        &read("joined-keys.csv"),
        &["line 3: repeats the header", "U+FEFF"],
    );
    told(
        "joined.jsonl",
        &read("joined.jsonl"),
        &["line 2: begins with a byte order mark (U+FEFF)"],
    );
    told(
        "other.csv",
        b"device_key,site\nDK1,x\nsite,device_key\nx,DK2\n",
        &[
            "line 3: another header with other columns",
            "each file separately",
        ],
    );
}

#[test]
fn what_exports_leave_behind_is_not_sent() {
    let read = |name| fs::read(fixture(name)).expect("a fixture");
    told(
        "nul.csv",
        &read("nul-line.csv"),
        &["line 4, column device_key", "U+0000 (NUL)", "character 1"],
    );
    for (key, says) in [
        ("860123456789012.0", "dtype=str"),
        ("8.6E+14", "format the column as text"),
        ("#REF!", "error of a spreadsheet"),
        ("#N/A", "error of a spreadsheet"),
        ("NaN", "a missing value"),
        ("\\N", "a missing value"),
    ] {
        let csv = format!("device_key,note\nDK1,\n{key},x\n");
        told(
            "keys.csv",
            csv.as_bytes(),
            &["line 3, column device_key", key, says, "JSONL"],
        );
        // Who writes JSONL means it, and is warned.
        let text = serde_json::json!(key);
        for line in [
            format!("{{\"deviceKey\":{text}}}\n"),
            format!("{{\"devices\":[\"DK1\",{text}]}}\n"),
            format!("{{\"productKey\":{text},\"deviceKey\":\"DK1\"}}\n"),
        ] {
            given("check", Some("keys.jsonl"), line.as_bytes())
                .expect(0)
                .says(&["keys.jsonl, line 1", key, "are sent unchanged"]);
        }
    }
    told(
        "number.jsonl",
        b"{\"deviceKey\":860123456789012.0}\n",
        &["line 1, column deviceKey", "write the key as text"],
    );
    for value in ["#REF!", "#N/A", "NaN", "NULL"] {
        let csv = format!("device_key,param.mode\nDK1,1\nDK2,{value}\n");
        told(
            "values.csv",
            csv.as_bytes(),
            &["line 3, column param.mode", value, "JSONL", "`data`"],
        );
        // Who writes JSONL or the wire string means it.
        let line = format!("{{\"deviceKey\":\"DK1\",\"params\":{{\"mode\":\"{value}\"}}}}");
        given("check", Some("values.jsonl"), line.as_bytes()).expect(0);
    }
}

#[test]
fn a_wrong_quote_is_told_with_its_row_and_column() {
    let content = fs::read(fixture("quotes.csv")).expect("a fixture");
    told(
        "quotes.csv",
        &content,
        &[
            "5 rows cannot be sent",
            "line 2, column param.mode: has blanks before its opening quote",
            "line 3, column param.mode: \" 1\" has blanks around it",
            "line 4, column param.mode: has text after a closing quote",
            "(and 1 more row)",
            "line 6, column param.mode: has a quote marked with a backslash",
        ],
    );
    told(
        "cut.csv",
        b"device_key,param.mode\nDK1,\"a\"\nDK2,\"b",
        &["line 3", "never closes", "the row is truncated"],
    );
}

#[test]
fn a_last_line_without_an_end_is_told_and_sent() {
    let checked = given(
        "check",
        Some("cut.csv"),
        b"device_key,param.mode\nDK1,15\nDK2,1",
    );
    checked
        .expect(0)
        .says(&["cut.csv, line 3", "no line end", "truncated too"]);
    let whole = given(
        "check",
        Some("whole.csv"),
        b"device_key,param.mode\nDK1,15\nDK2,1\n",
    );
    assert!(!whole.expect(0).stderr.contains("line end"));
}

#[test]
fn every_mistake_of_a_row_and_of_a_header_is_told() {
    told(
        "rows.csv",
        b"device_key,qos,cache_time,site,\n DK1,9,1.5,x,y\nDK2,1,,\xff,\n",
        &[
            "1 row cannot be sent",
            "line 2, column device_key: \" DK1\" has blanks",
            "line 2, column qos: \"9\"",
            "line 2, column cache_time: \"1.5\"",
            "line 2, column 5: the cell is filled",
            "and the rest cannot be read: ",
            "line 3, column site: is not UTF-8",
        ],
    );
    told(
        "header.csv",
        b"devicekey,qoss,params,site,site\nDK1,1,,,\n",
        &[
            ", line 1, column devicekey: did you mean `device_key`",
            "line 1, column qoss: did you mean `qos`",
            "line 1, column params: is for JSONL",
            "line 1, column site: the column `site` is twice",
            "label.<name>",
        ],
    );
    told(
        "rows.jsonl",
        br#"{"devices":["DK1"],"qos":9,"isCache":"x","extendPara":[],"siet":{}}"#,
        &[
            "column qos",
            "column isCache",
            "column extendPara",
            "column siet",
        ],
    );
}
