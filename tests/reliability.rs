//! `docs/reliability.md` names a test for each fault; each of them exists.

use std::{fs, path::Path};

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/reliability.md")).expect("the document");
    // What stands in backticks and looks like a path to a function: `topic::what_it_shows`, `engine::tests::topic::what_it_shows`.
    let named: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains("::") && !word.contains(' '))
        .collect();
    assert!(named.len() > 30, "{} tests are named", named.len());
    for name in named {
        let mut parts: Vec<&str> = name.split("::").collect();
        let last = parts.pop().expect("a part");
        let is_test = last.contains('_');
        if !is_test {
            parts.push(last);
        }
        let folder = parts.join("/");
        let candidates = [
            root.join(format!("tests/e2e/{folder}.rs")),
            root.join(format!("tests/{folder}.rs")),
            root.join(format!("src/{folder}.rs")),
            root.join(format!("src/{folder}/tests.rs")),
        ];
        let found = candidates
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .any(|source| !is_test || source.contains(&format!("fn {last}(")));
        assert!(found, "there is no test {name}");
    }
}
