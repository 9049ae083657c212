//! `report`: a run as a page that needs nothing else.

use std::{fmt::Write as _, fs};

use fleetpush::simulator::Scenario;
use serde_json::Value;

use crate::support::{Browser, Sim, Site, devices};

const SCRIPT: &str = "<script>document.title='taken'</script>";

/// A push with failures, among them that of a device whose key is a script.
fn pushed() -> (Site, Sim) {
    let sim = Sim::start(Scenario {
        seed: 9,
        offline: 0.2,
        rejected: 0.05,
        ..Scenario::default()
    });
    let mut manifest = String::from("device_key,product_key,service,param.mode,label.site\n");
    for number in 0..200 {
        let site = ["Oslo", "Zürich", "<b>"][number % 3];
        writeln!(
            manifest,
            "DK{number:04},PK0001,setMode,{},{site}",
            number % 2
        )
        .expect("a string takes all");
    }
    // A key that is refused at once, so that it is among the failed ones.
    writeln!(manifest, "\"{SCRIPT}\",,setMode,1,Oslo").expect("a string takes all");
    let site = Site::with(&manifest);
    let args = ["run", "fleet.csv", "--name", "night", "--skip-invalid"];
    site.push(&sim, &args).expect(1);
    (site, sim)
}

#[test]
fn the_page_has_the_numbers_of_status_and_nothing_of_a_value_is_markup() {
    let (site, _sim) = pushed();
    site.run(&["report", "--out", "night.html"])
        .expect(0)
        .says(&["report: night.html"]);
    let html = fs::read_to_string(site.path("night.html")).expect("a page");
    let status = site.run(&["status", "--format", "jsonl"]).expect(0).json();
    for count in ["accepted", "failed"] {
        let number = status["counts"][count].as_u64().expect("a number");
        assert!(number > 0, "{status}");
        assert!(html.contains(&format!("<dd>{number}</dd>")), "{count}");
    }
    assert!(!html.contains(SCRIPT) && !html.contains("=<b>"));
    assert!(html.contains("&#60;script&#62;"));
    // The one script and style are let in by their hashes, and nothing from elsewhere is.
    assert_eq!(html.matches("<script").count(), 1);
    assert!(!html.contains(" href=") && !html.contains(" src=") && !html.contains("url("));
    assert!(html.contains("--code 61002"));
}

/// The headline of a page, and its commands.
fn told(html: &str) -> (String, Vec<String>) {
    let text = |part: &str| {
        let end = part.find("</").expect("it ends");
        let plain = [
            ("&#39;", "'"),
            ("&#60;", "<"),
            ("&#62;", ">"),
            ("&#38;", "&"),
        ];
        plain
            .iter()
            .fold(part[..end].to_owned(), |text, (from, to)| {
                text.replace(from, to)
            })
    };
    let mut parts = html.split("<p class=\"headline\">");
    let headline = text(parts.nth(1).expect("a headline"));
    let commands = html.split("<div class=\"command\"><code>").skip(1);
    (headline, commands.map(text).collect())
}

#[test]
fn a_part_of_a_run_is_named_in_the_headline_and_meant_by_every_command() {
    let (site, _sim) = pushed();
    let part = [
        "--label",
        "site=Oslo",
        "--state",
        "failed,accepted",
        "--attempts",
        "1-",
    ];
    let count = |more: &[&str]| {
        let args = [&["results", "--format", "jsonl"], more].concat();
        site.run(&args).expect(0).json_lines().len()
    };
    let all = count(&part);
    let failed = count(&[
        "--label",
        "site=Oslo",
        "--state",
        "failed",
        "--attempts",
        "1-",
    ]);
    assert!(failed > 0 && failed < all, "{failed} of {all}");
    site.run(&[&["report", "--out", "oslo.html"], &part[..]].concat())
        .expect(0);
    let html = fs::read_to_string(site.path("oslo.html")).expect("a page");
    let (headline, commands) = told(&html);
    let accepted = all - failed;
    assert_eq!(
        headline,
        format!(
            "This page shows {all} of the run's 201 commands, those with --state accepted,failed --label 'site=Oslo' --attempts 1-. \
             The platform accepted {accepted} of {all} commands. {failed} failed."
        )
        .replace("accepted,failed", "failed,accepted")
    );
    let devices = html.matches("<tr><td><code>").count();
    assert_eq!(devices, failed);
    assert!(!html.contains("site=Zürich"));
    // Each command speaks of the part alone.
    let mut listed = 0;
    for command in &commands {
        assert!(
            command.contains("--label 'site=Oslo' --attempts 1-"),
            "{command}"
        );
        let dry = if command.contains(" retry ") {
            " --dry-run"
        } else {
            ""
        };
        let mut shell = std::process::Command::new("/bin/sh");
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_fleetpush"));
        let ended = shell
            .args(["-c", &format!("{command}{dry}")])
            .current_dir(site.folder())
            .env_clear()
            .env("PATH", binary.parent().expect("a folder"))
            .env("HOME", site.folder())
            .env("FLEETPUSH_ACCESS_KEY", "key")
            .env("FLEETPUSH_ACCESS_SECRET", "secret")
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(0), "{command}: {said}");
        listed += usize::from(!dry.is_empty() && said.contains("would be sent"));
    }
    assert!(listed > 0, "{commands:?}");
}

#[test]
fn a_part_that_is_empty_or_unknown_is_told() {
    let (site, _sim) = pushed();
    let report = |filter: &[&str]| site.run(&[&["report", "--out", "part.html"], filter].concat());
    report(&["--label", "sit=Oslo"])
        .expect(2)
        .says(&["did you mean site?"]);
    assert!(!site.path("part.html").exists());
    report(&["--device", "DK9999", "--code", "5"])
        .expect(0)
        .says(&[
            "the device DK9999 is not in run 'night'",
            "no task with the code 5",
        ]);
    let html = fs::read_to_string(site.path("part.html")).expect("a page");
    let (headline, _) = told(&html);
    assert_eq!(
        headline,
        "This page shows none of the run's 201 commands, those with --code 5 --device DK9999."
    );
    report(&["--label", "site=Osl"])
        .expect(0)
        .says(&["did you mean Oslo?"]);
    // A time is told as the one that is meant, so that the command means the same tomorrow.
    report(&["--ended-after", "1d"]).expect(0);
    let (headline, commands) = told(&fs::read_to_string(site.path("part.html")).expect("a page"));
    assert!(headline.contains("--ended-after 20"), "{headline}");
    assert!(
        commands
            .iter()
            .all(|command| command.contains("--ended-after 20"))
    );
}

#[test]
fn a_page_goes_to_stdout_and_a_file_that_cannot_be_written_is_told_first() {
    let (site, _sim) = pushed();
    let html = site
        .run(&["report", "night", "--out", "-"])
        .expect(0)
        .stdout;
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    let failed = site.run(&["report", "--out", "none/night.html"]).expect(2);
    assert!(failed.stderr.contains("none/night.html"), "{failed:?}");
    let failed = site.run(&["report", "nigth", "--out", "x.html"]).expect(2);
    assert!(failed.stderr.contains("did you mean 'night'"), "{failed:?}");
    assert!(!site.path("x.html").exists());
}

/// What nobody can write is told before a version is cancelled or a failure is opened again.
#[test]
fn a_report_that_cannot_be_written_changes_no_run() {
    let sim = Sim::some_offline();
    let site = Site::with(&devices(60));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    sim.play(Scenario {
        refuse_status: Some(403),
        ..Scenario::default()
    });
    site.write("fleet.csv", devices(30));
    site.push(&sim, &["run", "fleet.csv", "--name", "second"])
        .expect(5);
    let states = || -> Vec<(String, i64)> {
        let runs = site.journal().runs;
        runs.iter()
            .map(|run| (run.state.clone(), run.pending))
            .collect()
    };
    let before = states();
    site.write("fleet.csv", devices(20));
    let unwritable = ["--report", "none/x.html"];
    for command in [
        &["run", "fleet.csv", "--supersede"][..],
        &["resume", "second"],
        &["retry", "night"],
    ] {
        site.push(&sim, &[command, &unwritable].concat())
            .expect(2)
            .says(&["none/x.html"]);
        assert_eq!(states(), before, "{command:?}");
    }
}

#[test]
fn a_browser_shows_it_without_a_complaint_and_asks_for_nothing_else() {
    let (site, _sim) = pushed();
    site.run(&["report", "--out", "night.html"]).expect(0);
    let page = site.path("night.html");
    for window in [(1200, 900), (500, 900)] {
        let Some(browser) = Browser::open(&page, window) else {
            return;
        };
        let list = |script: &str| -> Vec<String> {
            let value = browser.run(script);
            serde_json::from_value(value).expect("a list")
        };
        let keys = || {
            list(
                "return [...document.querySelectorAll('table.devices tbody tr')]
                     .filter((row) => row.getClientRects().length > 0)
                     .map((row) => row.cells[0].textContent)",
            )
        };
        let all = keys();
        let failed: Value = site.run(&["status", "--format", "jsonl"]).expect(0).json();
        assert_eq!(Some(all.len() as u64), failed["counts"]["failed"].as_u64());
        assert!(all.iter().any(|key| key == SCRIPT), "{all:?}");
        assert_eq!(browser.run("return document.title"), "night · fleetpush");

        browser.run(
            "const input = document.querySelector('.tools input');
             input.value = 'OFFLINE zürich';
             input.dispatchEvent(new Event('input'))",
        );
        let filtered = keys();
        assert!(!filtered.is_empty() && filtered.len() < all.len());
        let said = browser.run("return document.querySelector('.tools output').textContent");
        assert_eq!(said, format!("{} of {}", filtered.len(), all.len()));

        let click = "document.querySelector('table.devices thead th:first-child button').click()";
        browser.run(click);
        let mut sorted = filtered.clone();
        sorted.sort();
        assert_eq!(keys(), sorted);
        browser.run(click);
        sorted.reverse();
        assert_eq!(keys(), sorted);

        // One of the two pictures is there, and nothing is wider than the window.
        let pictures = browser.run(
            "return [...document.querySelectorAll('svg.course')].filter((svg) => svg.getClientRects().length > 0).length",
        );
        assert_eq!(pictures, 1);
        assert_eq!(
            browser.run("return document.documentElement.scrollWidth <= window.innerWidth"),
            true
        );
        assert_eq!(browser.console(), Vec::<Value>::new());
        let requests = browser.requests();
        assert!(!requests.is_empty());
        for request in requests {
            assert!(request.ends_with("/night.html"), "{request}");
        }
    }
}

#[test]
fn a_push_writes_its_page_at_every_end_and_knows_first_that_it_can() {
    let sim = Sim::start(Scenario {
        seed: 4,
        offline: 0.5,
        ..Scenario::default()
    });
    let site = Site::with(&devices(20));
    let args = ["run", "fleet.csv", "--name", "a/b"];
    let nowhere = [&args[..], &["--report", "none/{run}.html"]].concat();
    let failed = site.push(&sim, &nowhere).expect(2);
    assert!(failed.stderr.contains("none/a_b.html"), "{failed:?}");
    let misspelled = [&args[..], &["--report", "night-{runn}.html"]].concat();
    site.push(&sim, &misspelled)
        .expect(2)
        .says(&["only {run} is replaced"]);
    // Known before anything is staged.
    site.run(&["runs"]).expect(2).says(&["no results database"]);
    assert_eq!(sim.stats().requests, 0);
    site.push(&sim, &["run", "fleet.csv", "--report", "-"])
        .expect(2);
    let args = [&args[..], &["--report", "night-{run}.html"]].concat();
    let page = site.path("night-a_b.html");
    site.push(&sim, &args)
        .expect(1)
        .says(&["report: night-a_b.html"]);
    let first = fs::read_to_string(&page).expect("a page");
    assert!(first.contains("<h1>a/b</h1>"), "{first}");
    // Nothing is sent again, and the page is there again.
    fs::remove_file(&page).expect("it is there");
    site.push(&sim, &["resume", "a/b", "--report", "night-{run}.html"])
        .expect(1);
    assert!(page.exists());
}
