//! The phases of a careful start, and their minimum duration.

use std::{fmt::Write as _, time::Duration};

use crate::{
    model::Steps,
    ui::number::{self, counted, grouped, rate},
};

/// Steps of a ramp that are told one by one.
const STEPS_TOLD: usize = 6;

/// What is to be pushed, phase by phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phases {
    /// The devices that go first, if any do.
    pub(super) canary: Option<CanaryPhase>,
    /// Whether they were to be as many as there are, so that the fleet goes as a whole.
    pub(super) canary_is_all: bool,
    /// How the rate rises after them.
    pub(super) ramp: Option<Steps>,
    /// The ceiling on the rate.
    pub(super) rate: Option<f64>,
    /// Tasks that follow the canary …
    pub(super) tasks: u64,
    /// … and the requests that they take.
    pub(super) requests: u64,
}

/// The devices that go first.
#[derive(Debug, Clone, Copy)]
pub(super) struct CanaryPhase {
    pub(super) devices: u64,
    pub(super) requests: u64,
    /// Whether the push stops after them.
    pub(super) pause: bool,
}

impl Phases {
    pub(super) fn all_requests(&self) -> u64 {
        self.requests + self.canary.map_or(0, |canary| canary.requests)
    }

    /// The least time that sending takes; `None` when nothing limits the rate.
    pub(super) fn least_time(&self) -> Option<Duration> {
        let canary_rate = self
            .ramp
            .map_or(self.rate, |ramp| ramp.ceiling(0, self.rate));
        let canary = self
            .canary
            .map(|canary| (canary.requests as f64, canary_rate));
        let each = self.requests as f64 / self.tasks.max(1) as f64;
        let rest = self
            .steps()
            .into_iter()
            .map(|(tasks, ceiling)| (tasks as f64 * each, ceiling));
        let limited: Vec<f64> = canary
            .into_iter()
            .chain(rest)
            .filter_map(|(requests, ceiling)| Some(requests / ceiling?))
            .collect();
        (!limited.is_empty()).then(|| Duration::from_secs_f64(limited.iter().sum()))
    }

    /// A line for each phase; none when the whole fleet goes at once.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.canary_is_all {
            lines.push("no canary: the fleet has no more devices than that".to_owned());
        }
        if let Some(canary) = self.canary {
            let then = if canary.pause {
                ", then the push stops so that you can look (exit code 3)"
            } else {
                ", then the rest if they succeed"
            };
            lines.push(format!(
                "canary: {} in {}{then}",
                counted(canary.devices, "device"),
                counted(canary.requests, "request")
            ));
        }
        let mut steps = self.steps();
        let rest = steps.pop_if(|(_, ceiling)| *ceiling == self.rate);
        if let Some(words) = ramp_words(&steps) {
            lines.push(words);
        }
        let is_careful = self.canary.is_some() || self.ramp.is_some();
        if let Some((tasks, ceiling)) = rest.filter(|_| is_careful) {
            let most = ceiling.map_or_else(
                || "as fast as the platform answers".to_owned(),
                |ceiling| format!("at most {} requests/s", rate(ceiling)),
            );
            lines.push(format!("the rest: {}, {most}", counted(tasks, "task")));
        }
        lines
    }

    /// How many tasks go at which ceiling.
    fn steps(&self) -> Vec<(u64, Option<f64>)> {
        match self.ramp {
            Some(ramp) => ramp.plan(self.tasks, self.rate),
            None => vec![(self.tasks, self.rate)],
        }
    }
}

/// `ramp: 500 tasks at 1.00 requests/s, 500 at 2.00, 200 at 4.00`; the middle of a long one is left out.
fn ramp_words(steps: &[(u64, Option<f64>)]) -> Option<String> {
    let mut words = String::new();
    let left_out = if steps.len() > STEPS_TOLD {
        STEPS_TOLD - 1..steps.len() - 1
    } else {
        steps.len()..steps.len()
    };
    for (index, (tasks, ceiling)) in steps.iter().enumerate() {
        let ceiling = (*ceiling)?;
        if index == 0 {
            let _ = write!(
                words,
                "ramp: {} at {} requests/s",
                counted(*tasks, "task"),
                rate(ceiling)
            );
        } else if index == left_out.start && !left_out.is_empty() {
            words.push_str(", …");
        } else if !left_out.contains(&index) {
            let _ = write!(words, ", {} at {}", grouped(*tasks), rate(ceiling));
        }
    }
    (!words.is_empty()).then_some(words)
}

/// The least time that a push takes, of whose tasks so many are sent at most so many a second. `following` tasks wait for an earlier one
/// of their device.
pub(super) fn time(phases: &Phases, sends: (u64, Option<f64>), following: u64) -> String {
    let by_requests = phases.least_time().map(|time| {
        let limit = match phases.rate {
            Some(rate) => format!("at {rate} requests a second"),
            None => "for the ramp".to_owned(),
        };
        (time, limit)
    });
    let by_devices = sends.1.map(|rate| {
        let time = Duration::from_secs_f64(sends.0 as f64 / rate);
        (time, format!("at {rate} devices a second"))
    });
    let slower = by_requests
        .into_iter()
        .chain(by_devices)
        .max_by_key(|(time, _)| *time);
    let least = match slower {
        Some((sending, limit)) => {
            let words = if sending < Duration::from_secs(1) {
                "less than 1 s".to_owned()
            } else {
                format!("at least {}", number::duration(sending))
            };
            format!("{words} {limit}")
        }
        None => "as fast as the platform answers".to_owned(),
    };
    match following {
        0 => format!("{least}, throttling not counted"),
        n => format!(
            "{least}, throttling not counted, nor that {} for an earlier one of the same device",
            if n == 1 {
                "1 row waits".to_owned()
            } else {
                format!("{} rows wait", number::grouped(n))
            }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Ramp;

    fn phases(canary: bool, ramp: &str, rate: Option<f64>) -> Phases {
        Phases {
            canary: canary.then_some(CanaryPhase {
                devices: 50,
                requests: 3,
                pause: true,
            }),
            canary_is_all: false,
            ramp: ramp.parse::<Ramp>().unwrap().steps(),
            rate,
            tasks: 10_000,
            requests: 100,
        }
    }

    #[test]
    fn the_phases_are_told_in_their_order() {
        let told = [
            phases(false, "none", Some(25.0)),
            phases(true, "none", Some(25.0)),
            phases(false, "1,x2,every=500", Some(10.0)),
            phases(true, "1,x2,every=5000", Some(10.0)),
            phases(true, "1,x1.5,every=100", Some(25.0)),
            phases(false, "1,x10,every=500", None),
        ]
        .map(|phases| {
            let time = phases.least_time().unwrap_or_default().as_secs_f64();
            format!("{}\n{time:.3} s", phases.lines().join("\n"))
        });
        insta::assert_snapshot!(told.join("\n---\n"), @r"

        4.000 s
        ---
        canary: 50 devices in 3 requests, then the push stops so that you can look (exit code 3)
        the rest: 10,000 tasks, at most 25.0 requests/s
        4.120 s
        ---
        ramp: 500 tasks at 1.00 requests/s, 500 at 2.00, 500 at 4.00, 500 at 8.00
        the rest: 8,000 tasks, at most 10.0 requests/s
        17.375 s
        ---
        canary: 50 devices in 3 requests, then the push stops so that you can look (exit code 3)
        ramp: 5,000 tasks at 1.00 requests/s, 5,000 at 2.00
        78.000 s
        ---
        canary: 50 devices in 3 requests, then the push stops so that you can look (exit code 3)
        ramp: 100 tasks at 1.00 requests/s, 100 at 1.50, 100 at 2.25, 100 at 3.38, 100 at 5.06, …, 100 at 17.1
        the rest: 9,200 tasks, at most 25.0 requests/s
        9.563 s
        ---
        ramp: 500 tasks at 1.00 requests/s, 500 at 10.0, 500 at 100, 500 at 1,000, 500 at 10,000
        the rest: 7,500 tasks, as fast as the platform answers
        5.556 s
        ");
    }

    #[test]
    fn without_any_limit_there_is_no_least_time() {
        assert_eq!(phases(true, "none", None).least_time(), None);
    }

    #[test]
    fn the_time_says_what_it_leaves_out() {
        let time = |(requests, rate), sends, following| {
            let phases = Phases {
                canary: None,
                canary_is_all: false,
                ramp: None,
                rate,
                tasks: requests,
                requests,
            };
            time(&phases, sends, following)
        };
        let told = [
            time((10, Some(25.0)), (1000, None), 0),
            time((250, Some(25.0)), (250, Some(100.0)), 1),
            time((90_000, Some(25.0)), (90_000, None), 2000),
            time((10, Some(25.0)), (1000, Some(100.0)), 0),
            time((90_000, None), (90_000, None), 0),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        less than 1 s at 25 requests a second, throttling not counted
        at least 10 s at 25 requests a second, throttling not counted, nor that 1 row waits for an earlier one of the same device
        at least 1 h 00 min at 25 requests a second, throttling not counted, nor that 2,000 rows wait for an earlier one of the same device
        at least 10 s at 100 devices a second, throttling not counted
        as fast as the platform answers, throttling not counted
        ");
    }
}
