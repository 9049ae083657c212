//! The metrics in the Prometheus text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! A collector reads all files of a folder as one, and takes no sample twice: the label `push`, the metrics file's own name, keeps the
//! samples of several jobs apart.

use super::{
    last_end::{EXIT, EXIT_AT, SUCCESS_AT},
    page::{Labels, Page},
    status::{RunStatus, Status},
};
use crate::model::{Class, Counts, Delivery, Timestamp};

/// The classes that a send can come to.
const SENT: [Class; 10] = [
    Class::Accepted,
    Class::Frequency,
    Class::Quota,
    Class::Transient,
    Class::Outage,
    Class::InDoubt,
    Class::Offline,
    Class::Auth,
    Class::Refused,
    Class::Rejected,
];

/// The classes with which a task can have failed.
const FAILURES: [Class; 11] = [
    Class::Frequency,
    Class::Quota,
    Class::Transient,
    Class::Outage,
    Class::InDoubt,
    Class::Offline,
    Class::Auth,
    Class::Refused,
    Class::Rejected,
    Class::Blocked,
    Class::Invalid,
];

/// The whole file.
pub(super) fn render(status: &Status, push: &str) -> String {
    let mut page = Page::new(push);
    page.gauge(
        "fleetpush_build_info",
        "The version of fleetpush that wrote this file.",
        &[(&[("version", env!("CARGO_PKG_VERSION"))], "1".to_owned())],
    );
    if let Some(RunStatus {
        name,
        manifest,
        target,
        counts,
        failed,
        deliveries,
    }) = &status.run
    {
        let labels = [("run", name), ("manifest", manifest), ("target", target)];
        let labels = labels.map(|(label, value)| (label, value.as_str()));
        page.gauge(
            "fleetpush_run_info",
            "The run that was pushed last.",
            &[(&labels, "1".to_owned())],
        );
        tasks(&mut page, counts);
        if let Some(failed) = failed {
            page.classes(
                "fleetpush_tasks_failed",
                "gauge",
                "Failed tasks of the run by class; all classes together are the tasks of state failed.",
                failed,
                &FAILURES,
            );
        }
        if let Some(deliveries) = deliveries {
            delivered(&mut page, deliveries);
        }
    }
    page.plain(
        "fleetpush_pushing",
        "Whether a push was running when this file was written.",
        Some(u8::from(status.pushing)),
    );
    page.plain(
        "fleetpush_paused",
        "Whether the push waited for the platform to answer again when this file was written.",
        Some(u8::from(status.paused)),
    );
    page.counter(
        "fleetpush_requests_total",
        "Requests of the last push that were answered or lost.",
        status.traffic.durations.count(),
    );
    page.durations(&status.traffic.durations);
    page.classes(
        "fleetpush_attempts_total",
        "counter",
        "Commands that the last push has sent, by the class of their outcome.",
        &status.traffic.attempts,
        &SENT,
    );
    page.plain(
        "fleetpush_request_rate_limit",
        "Requests a second that the push may send at present, in full batches.",
        status.rate_limit,
    );
    page.plain(
        "fleetpush_request_rate_found",
        "Requests a second that the platform accepts, as measured after it has refused some.",
        status.rate_found,
    );
    page.counter(
        "fleetpush_outages_total",
        "How often the last push began to wait for the platform to answer again.",
        status.outages,
    );
    page.plain(
        "fleetpush_start_timestamp_seconds",
        "When the last command was started.",
        Some(seconds(status.started)),
    );
    let last_end = status.last_end;
    page.plain(
        EXIT,
        "The exit code of the last command that ended.",
        last_end.exit,
    );
    page.plain(
        EXIT_AT,
        "When the last command ended.",
        last_end.exit_at.map(seconds),
    );
    page.plain(
        SUCCESS_AT,
        "When a command last ended with exit code 0.",
        last_end.success_at.map(seconds),
    );
    page.text()
}

/// One sample for each word, so that it is there before it first occurs.
fn delivered(page: &mut Page<'_>, deliveries: &[(Delivery, u64)]) {
    let labels = Delivery::ALL.map(|delivery| [("delivery", delivery.name())]);
    let count = |delivery: Delivery| {
        let counted = deliveries.iter().filter(|(one, _)| *one == delivery);
        counted.map(|(_, n)| n).sum::<u64>()
    };
    let samples: Vec<(Labels<'_>, String)> = labels
        .iter()
        .zip(Delivery::ALL)
        .map(|(labels, delivery)| (labels.as_slice(), count(delivery).to_string()))
        .collect();
    page.gauge(
        "fleetpush_deliveries",
        "Accepted tasks of the run by delivery, according to the evidence; all together are the tasks of state accepted.",
        &samples,
    );
}

fn tasks(page: &mut Page<'_>, counts: &Counts) {
    // As the states of the view `results`, in which each task has one: together they are the rows of the manifest.
    let waiting = counts.pending - counts.in_flight;
    let states = [
        ("accepted", counts.accepted),
        ("failed", counts.failed),
        ("in_doubt", counts.in_doubt),
        ("skipped", counts.skipped),
        ("pending", waiting),
        ("in_flight", counts.in_flight),
    ];
    let labels = states.map(|(state, _)| [("state", state)]);
    let samples: Vec<(Labels<'_>, String)> = labels
        .iter()
        .zip(states)
        .map(|(labels, (_, tasks))| (labels.as_slice(), tasks.to_string()))
        .collect();
    page.gauge(
        "fleetpush_tasks",
        "Tasks of the run by state; all states together are the rows of the manifest.",
        &samples,
    );
    page.plain(
        "fleetpush_tasks_snoozing",
        "Pending tasks that wait because the platform throttled their device.",
        Some(counts.snoozing),
    );
}

/// Seconds since 1970, to the millisecond.
fn seconds(Timestamp(milliseconds): Timestamp) -> String {
    format!("{:.3}", milliseconds as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::{
        engine::{Event, Measures, Traffic},
        ui::monitor::{About, last_end::LastEnd},
    };

    /// Later than all that is told here.
    const NOW: Timestamp = Timestamp(1_764_000_000_000);

    fn status() -> Status {
        let last_end = LastEnd {
            exit: Some(1),
            exit_at: Some(Timestamp(1_763_800_000_000)),
            success_at: Some(Timestamp(1_763_700_000_123)),
        };
        let mut status = Status::new(Timestamp(1_763_838_149_123), last_end);
        let counts = Counts {
            tasks: 100,
            accepted: 60,
            failed: 5,
            in_doubt: 1,
            skipped: 4,
            pending: 30,
            snoozing: 3,
            in_flight: 10,
        };
        let about = About {
            name: "night \"1\"",
            manifest: "C:\\night\n.csv",
            target: "https://iot.example",
            goes_on: false,
        };
        status.began(about, Counts::default());
        status.take(&Event::Progress {
            counts,
            requests: 7,
            latest_due: None,
            found: Some(38.5),
        });
        let mut traffic = Traffic::default();
        for (milliseconds, class) in [(80, Class::Accepted), (1_300, Class::Frequency)] {
            traffic.add(Duration::from_millis(milliseconds), [class; 30]);
        }
        status.take(&Event::Measured(Box::new(Measures {
            failed: BTreeMap::from([(Class::Offline, 3), (Class::Rejected, 2)]),
            traffic,
            rate_limit: Some(12.5),
        })));
        status
    }

    #[test]
    fn the_file_is_one_of_the_format() {
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        let text = render(&status(), "fleet").replace(&version, "version=\"VERSION\"");
        insta::assert_snapshot!(text, @r#"
        # HELP fleetpush_build_info The version of fleetpush that wrote this file.
        # TYPE fleetpush_build_info gauge
        fleetpush_build_info{push="fleet",version="VERSION"} 1
        # HELP fleetpush_run_info The run that was pushed last.
        # TYPE fleetpush_run_info gauge
        fleetpush_run_info{push="fleet",run="night \"1\"",manifest="C:\\night\n.csv",target="https://iot.example"} 1
        # HELP fleetpush_tasks Tasks of the run by state; all states together are the rows of the manifest.
        # TYPE fleetpush_tasks gauge
        fleetpush_tasks{push="fleet",state="accepted"} 60
        fleetpush_tasks{push="fleet",state="failed"} 5
        fleetpush_tasks{push="fleet",state="in_doubt"} 1
        fleetpush_tasks{push="fleet",state="skipped"} 4
        fleetpush_tasks{push="fleet",state="pending"} 20
        fleetpush_tasks{push="fleet",state="in_flight"} 10
        # HELP fleetpush_tasks_snoozing Pending tasks that wait because the platform throttled their device.
        # TYPE fleetpush_tasks_snoozing gauge
        fleetpush_tasks_snoozing{push="fleet"} 3
        # HELP fleetpush_tasks_failed Failed tasks of the run by class; all classes together are the tasks of state failed.
        # TYPE fleetpush_tasks_failed gauge
        fleetpush_tasks_failed{push="fleet",class="frequency"} 0
        fleetpush_tasks_failed{push="fleet",class="quota"} 0
        fleetpush_tasks_failed{push="fleet",class="transient"} 0
        fleetpush_tasks_failed{push="fleet",class="outage"} 0
        fleetpush_tasks_failed{push="fleet",class="in_doubt"} 0
        fleetpush_tasks_failed{push="fleet",class="offline"} 3
        fleetpush_tasks_failed{push="fleet",class="auth"} 0
        fleetpush_tasks_failed{push="fleet",class="refused"} 0
        fleetpush_tasks_failed{push="fleet",class="rejected"} 2
        fleetpush_tasks_failed{push="fleet",class="blocked"} 0
        fleetpush_tasks_failed{push="fleet",class="invalid"} 0
        # HELP fleetpush_pushing Whether a push was running when this file was written.
        # TYPE fleetpush_pushing gauge
        fleetpush_pushing{push="fleet"} 1
        # HELP fleetpush_paused Whether the push waited for the platform to answer again when this file was written.
        # TYPE fleetpush_paused gauge
        fleetpush_paused{push="fleet"} 0
        # HELP fleetpush_requests_total Requests of the last push that were answered or lost.
        # TYPE fleetpush_requests_total counter
        fleetpush_requests_total{push="fleet"} 2
        # HELP fleetpush_request_duration_seconds How long requests of the last push took, from the send to the reply or the failure.
        # TYPE fleetpush_request_duration_seconds histogram
        fleetpush_request_duration_seconds_bucket{push="fleet",le="0.01"} 0
        fleetpush_request_duration_seconds_bucket{push="fleet",le="0.025"} 0
        fleetpush_request_duration_seconds_bucket{push="fleet",le="0.05"} 0
        fleetpush_request_duration_seconds_bucket{push="fleet",le="0.1"} 1
        fleetpush_request_duration_seconds_bucket{push="fleet",le="0.25"} 1
        fleetpush_request_duration_seconds_bucket{push="fleet",le="0.5"} 1
        fleetpush_request_duration_seconds_bucket{push="fleet",le="1"} 1
        fleetpush_request_duration_seconds_bucket{push="fleet",le="2.5"} 2
        fleetpush_request_duration_seconds_bucket{push="fleet",le="5"} 2
        fleetpush_request_duration_seconds_bucket{push="fleet",le="10"} 2
        fleetpush_request_duration_seconds_bucket{push="fleet",le="30"} 2
        fleetpush_request_duration_seconds_bucket{push="fleet",le="60"} 2
        fleetpush_request_duration_seconds_bucket{push="fleet",le="+Inf"} 2
        fleetpush_request_duration_seconds_sum{push="fleet"} 1.380
        fleetpush_request_duration_seconds_count{push="fleet"} 2
        # HELP fleetpush_attempts_total Commands that the last push has sent, by the class of their outcome.
        # TYPE fleetpush_attempts_total counter
        fleetpush_attempts_total{push="fleet",class="accepted"} 30
        fleetpush_attempts_total{push="fleet",class="frequency"} 30
        fleetpush_attempts_total{push="fleet",class="quota"} 0
        fleetpush_attempts_total{push="fleet",class="transient"} 0
        fleetpush_attempts_total{push="fleet",class="outage"} 0
        fleetpush_attempts_total{push="fleet",class="in_doubt"} 0
        fleetpush_attempts_total{push="fleet",class="offline"} 0
        fleetpush_attempts_total{push="fleet",class="auth"} 0
        fleetpush_attempts_total{push="fleet",class="refused"} 0
        fleetpush_attempts_total{push="fleet",class="rejected"} 0
        # HELP fleetpush_request_rate_limit Requests a second that the push may send at present, in full batches.
        # TYPE fleetpush_request_rate_limit gauge
        fleetpush_request_rate_limit{push="fleet"} 12.5
        # HELP fleetpush_request_rate_found Requests a second that the platform accepts, as measured after it has refused some.
        # TYPE fleetpush_request_rate_found gauge
        fleetpush_request_rate_found{push="fleet"} 38.5
        # HELP fleetpush_outages_total How often the last push began to wait for the platform to answer again.
        # TYPE fleetpush_outages_total counter
        fleetpush_outages_total{push="fleet"} 0
        # HELP fleetpush_start_timestamp_seconds When the last command was started.
        # TYPE fleetpush_start_timestamp_seconds gauge
        fleetpush_start_timestamp_seconds{push="fleet"} 1763838149.123
        # HELP fleetpush_last_exit_code The exit code of the last command that ended.
        # TYPE fleetpush_last_exit_code gauge
        fleetpush_last_exit_code{push="fleet"} 1
        # HELP fleetpush_last_exit_timestamp_seconds When the last command ended.
        # TYPE fleetpush_last_exit_timestamp_seconds gauge
        fleetpush_last_exit_timestamp_seconds{push="fleet"} 1763800000.000
        # HELP fleetpush_last_success_timestamp_seconds When a command last ended with exit code 0.
        # TYPE fleetpush_last_success_timestamp_seconds gauge
        fleetpush_last_success_timestamp_seconds{push="fleet"} 1763700000.123
        "#);
    }

    #[test]
    fn a_command_that_never_knew_a_run_tells_how_it_ended_all_the_same() {
        let mut status = Status::new(Timestamp(0), LastEnd::default());
        status.ended(2, Timestamp(5_000));
        let text = render(&status, "fleet");
        assert!(!text.contains("fleetpush_tasks"), "{text}");
        assert!(text.contains("fleetpush_last_exit_code{push=\"fleet\"} 2\n"));
        assert!(!text.contains(SUCCESS_AT), "{text}");
    }

    #[test]
    fn only_a_success_moves_the_time_of_the_last_one() {
        let mut failed = status();
        failed.ended(3, Timestamp(1_763_900_000_000));
        let last_end = LastEnd::read(&render(&failed, "fleet"), NOW);
        assert_eq!(last_end.success_at, Some(Timestamp(1_763_700_000_123)));
        assert_eq!(last_end.exit, Some(3));
        let mut complete = status();
        complete.ended(0, Timestamp(1_763_900_000_000));
        let last_end = LastEnd::read(&render(&complete, "fleet"), NOW);
        assert_eq!(last_end.success_at, Some(Timestamp(1_763_900_000_000)));
    }

    #[test]
    fn no_end_of_the_last_one_is_in_the_future() {
        let now = Timestamp(1_763_750_000_000);
        let last_end = LastEnd::read(&render(&status(), "fleet"), now);
        // The clock was ahead when it failed, and not when it last succeeded.
        assert_eq!(last_end.exit_at, Some(now));
        assert_eq!(last_end.success_at, Some(Timestamp(1_763_700_000_123)));
        let now = Timestamp(1_763_600_000_000);
        let last_end = LastEnd::read(&render(&status(), "fleet"), now);
        assert_eq!(last_end.success_at, Some(now));
    }

    #[test]
    fn a_foreign_file_tells_nothing() {
        for text in ["", "fleetpush_last_exit_code 3\n", "\u{0}{{{ NaN\n"] {
            assert_eq!(LastEnd::read(text, NOW), LastEnd::default(), "{text:?}");
        }
    }
}
