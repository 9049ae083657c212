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
        ("nul.csv", vec![0; 5000], &["is no text", "NUL"]),
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
