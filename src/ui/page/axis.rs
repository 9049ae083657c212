//! Round numbers and round times for the axes of a picture.

use std::time::Duration;

use crate::model::Timestamp;

/// Steps of a time axis, in milliseconds.
const TIME_STEPS: [u64; 24] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000,
    300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000,
    86_400_000,
];

const DAY: Duration = Duration::from_hours(24);

/// The smallest round step with which no more than so many reach the highest value: 1, 2 or 5 times a power of ten.
pub(super) fn step(highest: f64, most: u32) -> f64 {
    let wanted = highest / f64::from(most.max(1));
    if !(wanted.is_finite() && wanted > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(wanted.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= wanted * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// The smallest round step with which no more than so many fill a span.
pub(super) fn time_step(span: Duration, most: u32) -> Duration {
    let most = most.max(1);
    let step = TIME_STEPS.map(Duration::from_millis);
    step.into_iter()
        .find(|step| *step * most >= span)
        .unwrap_or_else(|| {
            let days = span.as_secs_f64() / f64::from(most) / DAY.as_secs_f64();
            DAY * (days.ceil() as u32)
        })
}

/// The round times in a span.
pub(super) fn times(
    start: Timestamp,
    span: Duration,
    step: Duration,
) -> impl Iterator<Item = Timestamp> {
    let millis = (step.as_millis() as i64).max(1);
    let end = start.after(span);
    let first = start.0.div_euclid(millis) * millis;
    (first..=end.0)
        .step_by(usize::try_from(millis).unwrap_or(usize::MAX))
        .map(Timestamp)
        .filter(move |time| *time >= start)
}

/// What a clock shows of a time, as exactly as a step needs it, in UTC.
pub(super) fn clock(time: Timestamp, step: Duration) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(time.0) else {
        return time.to_string();
    };
    let format = if step >= DAY {
        "%e %b"
    } else if step >= Duration::from_hours(6) {
        "%e %b %H:%M"
    } else if step >= Duration::from_mins(1) {
        "%H:%M"
    } else if step >= Duration::from_secs(1) {
        "%H:%M:%S"
    } else {
        "%H:%M:%S%.3f"
    };
    at.strftime(format).to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_reach_the_highest_value() {
        for (highest, most, expected) in [
            (300_000.0, 4, 100_000.0),
            (26.0, 2, 20.0),
            (40.0, 4, 10.0),
            (0.3, 2, 0.2),
            (1.0, 1, 1.0),
            (0.0, 4, 1.0),
            (f64::NAN, 4, 1.0),
        ] {
            let step = step(highest, most);
            assert!((step - expected).abs() < 1e-9, "{highest}: {step}");
        }
    }

    #[test]
    fn times_are_round_and_few_enough() {
        let start = Timestamp(1_795_572_004_000);
        for (seconds, most, expected) in [
            (0, 5, "02:00:04.000"),
            (4, 5, "02:00:04 02:00:05 02:00:06 02:00:07 02:00:08"),
            (
                16 * 60,
                9,
                "02:02 02:04 02:06 02:08 02:10 02:12 02:14 02:16",
            ),
            (3 * 86_400, 4, "26 Nov 27 Nov 28 Nov"),
            (40 * 86_400, 4, "3 Dec 13 Dec 23 Dec 2 Jan"),
        ] {
            let span = Duration::from_secs(seconds);
            let step = time_step(span, most);
            let shown: Vec<String> = times(start, span, step)
                .map(|time| clock(time, step))
                .collect();
            assert_eq!(shown.join(" "), expected);
        }
    }
}
