//! The version that `--version` prints: the package's, and the commit that it was built from.
//!
//! A debug build names no commit. It would have to be built anew after each commit, and everybody who runs it has the sources.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FLEETPUSH_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let is_debug = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    let told = match given() {
        Some(commit) => format!("{version} ({commit})"),
        None if is_debug => format!("{version} (debug build)"),
        None => match from_package().or_else(from_git) {
            Some(commit) => format!("{version} ({commit})"),
            // An archive of the sources without their history.
            None => version,
        },
    };
    // `cargo run` hands it on to the program, which takes each variable that begins with FLEETPUSH_ for a setting.
    println!("cargo::rustc-env=VERSION_OF_FLEETPUSH={told}");
}

/// What a packager says who builds from an archive.
fn given() -> Option<String> {
    env::var("FLEETPUSH_COMMIT")
        .ok()
        .map(|commit| commit.trim().to_owned())
        .filter(|commit| !commit.is_empty())
}

/// What `cargo package` has written into the crate that it published.
fn from_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let hash = text.split("\"sha1\": \"").nth(1)?.split('"').next()?;
    hash.get(..9).map(ToOwned::to_owned)
}

/// The commit of the work tree.
fn from_git() -> Option<String> {
    let root = env::var("CARGO_MANIFEST_DIR").ok()?;
    // An archive may have been unpacked inside another project's work tree.
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?)
        .canonicalize()
        .ok()
        != Path::new(&root).canonicalize().ok()
    {
        return None;
    }
    // What changes with a commit or a checkout. A branch that has been packed has no file of its own.
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"])?;
    for name in ["HEAD", &branch, "packed-refs"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=9", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
