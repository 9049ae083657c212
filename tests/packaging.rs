//! What is said of the package is true of it: the lowest Rust, and the scripts that others call.

use std::{fs, path::Path, process::Command};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The number of a version, with parts that are left out as zeros.
fn number(version: &str) -> [u32; 3] {
    let mut parts = version
        .split('.')
        .map(|part| part.parse().expect("a number"));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[test]
fn the_lowest_rust_is_what_the_dependencies_ask_for() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let asked = packages
        .iter()
        .filter(|package| package["name"] != "fleetpush")
        .filter_map(|package| package["rust_version"].as_str())
        .map(number)
        .max()
        .expect("some package asks");
    assert_eq!(number(env!("CARGO_PKG_RUST_VERSION")), asked);
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let told = format!("Rust {} or later", env!("CARGO_PKG_RUST_VERSION"));
    assert!(
        readme.contains(&told),
        "the README says something else than {told}"
    );
}

/// The paths of scripts of ours that a text calls.
fn called(text: &str) -> Vec<&str> {
    text.split(|letter: char| letter.is_whitespace() || "\"'(),".contains(letter))
        .filter(|word| word.starts_with(".ci/") || word.starts_with("packaging/"))
        .collect()
}

#[test]
fn what_others_call_is_there() {
    let mut seen = 0;
    for file in [
        "Dockerfile",
        "justfile",
        ".ci/run",
        ".ci/package",
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        "packaging/dist",
        "packaging/deb",
    ] {
        let text = fs::read_to_string(root().join(file)).expect(file);
        for path in called(&text) {
            assert!(root().join(path).exists(), "{file}: {path}");
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn the_image_and_the_kubernetes_sample_agree() {
    let image = fs::read_to_string(root().join("Dockerfile")).expect("a Dockerfile");
    let sample = fs::read_to_string(root().join("samples/kubernetes/cronjob.yaml")).expect("it");
    let user = image
        .lines()
        .find_map(|line| line.strip_prefix("USER "))
        .and_then(|user| user.split(':').next())
        .expect("a user");
    assert!(sample.contains(&format!("runAsUser: {user}\n")), "{user}");
    assert!(image.contains("ENTRYPOINT [\"fleetpush\"]"));
}
