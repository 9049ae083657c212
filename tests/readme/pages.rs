//! Links lead somewhere, flags exist, files that are shown are ones that the program reads.

use std::{collections::BTreeSet, fs, path::Path};

use assert_cmd::Command;
use fleetpush::testing::is_flag;

use crate::{PAGES, Page, README, blocks};

/// The most lines of the README: what a newcomer reads before the first push.
const README_LINES: usize = 170;

/// Documents for those who change the program. They are linked, and their commands are not run.
const FOR_DEVELOPERS: [&str; 3] = [
    "docs/architecture.md",
    "docs/performance.md",
    "docs/reliability.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_readme_is_short() {
    let lines = README.1.lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}

#[test]
fn every_page_is_tested_and_linked_from_the_readme() {
    let known: BTreeSet<String> = PAGES
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .chain(FOR_DEVELOPERS.map(str::to_owned))
        .filter(|path| path != README.0)
        .collect();
    let present: BTreeSet<String> = fs::read_dir(root().join("docs"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    assert_eq!(known, present);
    for path in &present {
        assert!(README.1.contains(&format!("]({path})")), "{path}");
    }
}

/// The name that a heading gets in an address.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || "-_".contains(letter) => Some(letter),
            _ => None,
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for (path, text) in PAGES {
        let folder = root().join(path);
        let folder = folder.parent().expect("a folder");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.starts_with("https://") {
                continue;
            }
            seen += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                root().join(path)
            } else {
                folder.join(file)
            };
            assert!(target.exists(), "{path}: {link}");
            if !heading.is_empty() {
                let page = fs::read_to_string(&target).expect("a page");
                let found = page
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{path}: {link}");
            }
        }
    }
    assert!(seen > 15, "{seen} links");
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("a page");
    let mut seen = 0;
    for word in text.split('`').skip(1).step_by(2) {
        // A block between fences has blanks.
        let is_file = [".rs", ".sql", ".md", ".tsv", "/"]
            .iter()
            .any(|end| word.ends_with(end));
        if !is_file || word.contains(char::is_whitespace) {
            continue;
        }
        seen += 1;
        let places = [root().join("src").join(word), root().join(word)];
        assert!(places.iter().any(|place| place.exists()), "{word}");
    }
    assert!(seen > 200, "{seen} files");
}

#[test]
fn every_flag_that_is_named_exists() {
    let mut seen = 0;
    for (path, text) in PAGES {
        for code in text.split('`').skip(1).step_by(2) {
            let Some(flag) = code.strip_prefix("--") else {
                continue;
            };
            let name = flag
                .split(|letter: char| !letter.is_ascii_lowercase() && letter != '-')
                .next()
                .expect("a word");
            seen += 1;
            assert!(is_flag(name) || name == "help", "{path}: `{code}`");
        }
    }
    assert!(seen > 50, "{seen} flags");
}

/// The program on a file with this text.
fn read_as(name: &str, text: &str, args: &[&str]) -> assert_cmd::assert::Assert {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), text).expect("a file");
    Command::cargo_bin("fleetpush")
        .expect("the binary is built")
        .env_clear()
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .args(args)
        .assert()
}

fn shown(language: &str) -> Vec<(Page, String)> {
    PAGES
        .into_iter()
        .flat_map(|page| blocks(page).into_iter().map(move |block| (page, block)))
        .filter(|(_, block)| block.language == language)
        .map(|(page, block)| (page, block.text))
        .collect()
}

#[test]
fn manifests_that_are_shown_are_valid() {
    let manifests = shown("csv");
    assert!(manifests.len() >= 2);
    for (_, text) in manifests {
        read_as("fleet.csv", &text, &["check", "fleet.csv"]).code(0);
    }
}

#[test]
fn config_files_that_are_shown_are_valid() {
    let files = shown("toml");
    assert!(!files.is_empty());
    for (_, text) in files {
        read_as(
            "config.toml",
            &text,
            &["config", "show", "--config", "config.toml"],
        )
        .code(0);
    }
}
