//! The metrics file: whole at any time, and right at the end whatever the end is.

use std::{
    collections::BTreeMap,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use fleetpush::simulator::Scenario;
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};

use crate::support::{Sim, Site, devices, wait_for};

const PUSH: [&str; 6] = [
    "run",
    "fleet.csv",
    "--metrics-file",
    "fleet.prom",
    "--chunk-size",
    "5",
];

/// The samples of a file by name and labels, without the label that all of them have.
fn samples(path: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(path).expect("there is a metrics file");
    assert!(text.ends_with('\n'), "it is whole: {text}");
    let mut described = Vec::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ').skip(1);
            described.push(words.next().expect("a name"));
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = sample.split_once('{').expect("labels");
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part))
            .unwrap_or(name);
        assert_eq!(described.last(), Some(&family), "help and type come first");
        let labels = labels
            .strip_prefix("push=\"fleet\"")
            .expect("the label that tells jobs apart")
            .trim_start_matches(',')
            .trim_end_matches('}');
        let value = value.parse().expect("a number");
        let is_new = samples.insert(format!("{name} {labels}"), value).is_none();
        assert!(is_new, "{line} stands twice");
    }
    samples
}

fn plain(samples: &BTreeMap<String, f64>, name: &str) -> Option<f64> {
    samples.get(&format!("fleetpush_{name} ")).copied()
}

fn tasks(samples: &BTreeMap<String, f64>, state: &str) -> f64 {
    samples[&format!("fleetpush_tasks state=\"{state}\"")]
}

#[test]
fn the_end_of_every_push_is_in_the_file() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(40));
    let path = site.path("fleet.prom");
    site.push(&sim, &PUSH).expect(0);
    let complete = samples(&path);
    assert!(tasks(&complete, "accepted") > 39.5);
    assert_eq!(plain(&complete, "last_exit_code"), Some(0.0));
    assert_eq!(plain(&complete, "pushing"), Some(0.0));
    assert_eq!(plain(&complete, "requests_total"), Some(8.0));
    let success = plain(&complete, "last_success_timestamp_seconds");
    assert!(success > Some(1_700_000_000.0));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    // With nothing to send it is told that this went well, too.
    site.push(&sim, &PUSH).expect(0);
    let idle = samples(&path);
    assert!(tasks(&idle, "accepted") > 39.5);
    assert_eq!(plain(&idle, "requests_total"), Some(0.0));
    let success_when_idle = plain(&idle, "last_success_timestamp_seconds");
    assert!(success_when_idle >= success);

    // A failure before the run is known leaves the time of the last success.
    site.write("fleet.csv", "device_key\n");
    site.push(&sim, &PUSH).expect(2);
    let failed = samples(&path);
    assert_eq!(plain(&failed, "last_exit_code"), Some(2.0));
    assert_eq!(
        plain(&failed, "last_success_timestamp_seconds"),
        success_when_idle
    );
    assert!(
        !failed
            .keys()
            .any(|name| name.starts_with("fleetpush_tasks"))
    );
    let left: Vec<_> = std::fs::read_dir(site.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with(".fleetpush"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The samples of a metric of classes, added up, and those that are not 0.
fn classes(samples: &BTreeMap<String, f64>, name: &str) -> (f64, Vec<(String, f64)>) {
    let prefix = format!("fleetpush_{name} class=");
    let all = samples
        .iter()
        .filter_map(|(sample, n)| Some((sample.strip_prefix(&prefix)?.replace('"', ""), *n)));
    let some: Vec<_> = all.filter(|(_, n)| *n > 0.0).collect();
    (some.iter().map(|(_, n)| n).sum(), some)
}

#[test]
fn failures_by_class_and_the_time_that_requests_took_are_in_the_file() {
    let sim = Sim::start(Scenario {
        latency_ms: 30,
        offline: 0.3,
        ..Scenario::default()
    });
    let site = Site::with(&devices(60));
    site.push(&sim, &PUSH).expect(1);
    let samples = samples(&site.path("fleet.prom"));

    let (failed, by_class) = classes(&samples, "tasks_failed");
    assert!((failed - tasks(&samples, "failed")).abs() < 0.5 && failed > 0.5);
    assert_eq!(by_class, [("offline".to_owned(), failed)]);
    assert!(samples.contains_key("fleetpush_tasks_failed class=\"rejected\""));
    let (attempts, by_class) = classes(&samples, "attempts_total");
    assert!((attempts - 60.0).abs() < 0.5, "one each: {by_class:?}");

    let requests = plain(&samples, "requests_total").unwrap();
    let duration = |part: &str| plain(&samples, &format!("request_duration_seconds_{part}"));
    assert_eq!(duration("count"), Some(requests));
    assert!(duration("sum") >= Some(0.03 * requests), "30 ms each");
    let bucket =
        |le: &str| samples[&format!("fleetpush_request_duration_seconds_bucket le=\"{le}\"")];
    assert!(bucket("0.01") < 0.5, "none is quicker than the simulator");
    assert!((bucket("+Inf") - requests).abs() < 0.5);
}

#[test]
fn a_push_under_way_is_in_the_file_and_a_second_one_leaves_it_alone() {
    let sim = Sim::start(Scenario {
        latency_ms: 200,
        ..Scenario::default()
    });
    let site = Site::with(&devices(400));
    let path = site.path("fleet.prom");
    let push = site.start(&sim, &PUSH);
    wait_for("the first metrics", || path.exists().then_some(()));
    let under_way = samples(&path);
    assert_eq!(plain(&under_way, "pushing"), Some(1.0));
    assert_eq!(plain(&under_way, "last_exit_code"), None);
    let states = [
        "accepted",
        "failed",
        "in_doubt",
        "skipped",
        "pending",
        "in_flight",
    ];
    let sum: f64 = states.map(|state| tasks(&under_way, state)).iter().sum();
    assert!((sum - 400.0).abs() < 0.5, "{under_way:?}");

    site.push(&sim, &PUSH).expect(7);
    assert_eq!(plain(&samples(&path), "last_exit_code"), None);

    push.signal(Signal::TERM);
    push.ended().expect(3);
    let stopped = samples(&path);
    assert_eq!(plain(&stopped, "last_exit_code"), Some(3.0));
    assert_eq!(plain(&stopped, "last_success_timestamp_seconds"), None);
    assert!(tasks(&stopped, "pending") > 0.0);
}

#[test]
fn a_file_that_cannot_be_written_stops_the_push_before_it_begins() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    site.push(
        &sim,
        &["run", "fleet.csv", "--metrics-file", "nowhere/fleet.prom"],
    )
    .expect(2)
    .says(&[
        "cannot write the metrics file nowhere/fleet.prom",
        "No such file",
    ]);
    assert_eq!(sim.stats().requests, 0);
    assert!(!site.path("push.db").exists(), "nothing has been staged");
}

#[test]
fn a_folder_that_goes_away_does_not_stop_a_push() {
    let sim = Sim::start(Scenario {
        latency_ms: 50,
        ..Scenario::default()
    });
    let site = Site::with(&devices(100));
    std::fs::create_dir(site.path("textfile")).unwrap();
    let mut args = PUSH;
    args[3] = "textfile/fleet.prom";
    let push = site.start(&sim, &args);
    sim.wait_for_requests(1);
    std::fs::remove_dir_all(site.path("textfile")).unwrap();
    push.ended()
        .expect(0)
        .says(&["cannot write the metrics file textfile/fleet.prom"]);
}

#[test]
fn only_a_regular_file_of_its_own_is_written() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    mkfifoat(CWD, site.path("pipe"), Mode::RWXU).unwrap();
    symlink("/dev/null", site.path("null")).unwrap();
    for (path, cause) in [
        ("/dev/full", "it is a device"),
        ("pipe", "it is a pipe"),
        ("null", "it is a device"),
        ("fleet.csv", "it is not a metrics file of fleetpush"),
    ] {
        site.push(&sim, &["run", "fleet.csv", "--metrics-file", path])
            .expect(2)
            .says(&["cannot write the metrics file", cause]);
    }
    assert_eq!(sim.stats().requests, 0);
    assert!(site.path("null").is_symlink());
    assert!(
        Path::new("/dev/null")
            .metadata()
            .unwrap()
            .file_type()
            .is_char_device()
    );

    symlink("target.prom", site.path("fleet.prom")).unwrap();
    for _ in 0..2 {
        site.push(&sim, &PUSH).expect(0);
        assert!(site.path("fleet.prom").is_symlink());
        assert!(tasks(&samples(&site.path("target.prom")), "accepted") > 4.5);
    }
}
