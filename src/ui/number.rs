//! Numbers as people read them.

use std::{fmt::Write as _, time::Duration};

use indicatif::HumanCount;

/// A count in groups of three: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A duration to its two largest units: `0.4 s`, `42 s`, `3 min 05 s`, `2 h 07 min`, `1 d 04 h`.
pub(crate) fn duration(duration: Duration) -> String {
    if duration < Duration::from_millis(9_950) {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if minutes == 0 {
        format!("{seconds} s")
    } else if hours == 0 {
        format!("{minutes} min {:02} s", seconds % 60)
    } else if days == 0 {
        format!("{hours} h {:02} min", minutes % 60)
    } else {
        format!("{days} d {:02} h", hours % 24)
    }
}

/// How often something happens in a second: `0.25`, `25.1`, `2,512`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 99.95 {
        grouped(per_second.round() as u64)
    } else if per_second >= 9.995 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.2}")
    }
}

/// A part in percent, rounded down, so that only everything is 100 %.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "100 %".into();
    }
    format!("{} %", u128::from(part) * 100 / u128::from(whole))
}

/// A part in tenths of a percent, so that only everything is 100 % and only nothing 0 %.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if part == 0 || part >= whole {
        return if part == 0 { "0 %" } else { "100 %" }.into();
    }
    let tenths = (u128::from(part) * 2000 / u128::from(whole)).div_ceil(2);
    let tenths = tenths.clamp(1, 999);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// `1 device`, `2,000 devices`: a count with its noun.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        grouped(number),
        if number == 1 { "" } else { "s" }
    )
}

/// A number of bytes, in the units of file systems: `812 bytes`, `4.1 kB`, `226 MB`, `1.3 GB`.
pub(crate) fn bytes(number: u64) -> String {
    let mut shown = number as f64;
    let mut units = ["kB", "MB", "GB", "TB"].into_iter();
    let mut unit = None;
    while shown >= 999.5 {
        let Some(larger) = units.next() else { break };
        shown /= 1000.0;
        unit = Some(larger);
    }
    match unit {
        None => counted(number, "byte"),
        Some(unit) if shown >= 9.95 => format!("{shown:.0} {unit}"),
        Some(unit) => format!("{shown:.1} {unit}"),
    }
}

/// `3 min 05 s, 2,512 devices/s, 25.1 requests/s`.
pub(crate) fn pace_words(took: Duration, devices: f64, requests: Option<f64>) -> String {
    let mut words = format!("{}, {} devices/s", duration(took), rate(devices));
    if let Some(requests) = requests {
        let _ = write!(words, ", {} requests/s", rate(requests));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(
            (counted(1, "task"), counted(1500, "task")),
            ("1 task".into(), "1,500 tasks".into())
        );
    }

    #[test]
    fn a_share_is_nothing_or_everything_only_when_it_is() {
        for (part, whole, text) in [
            (0, 0, "0 %"),
            (0, 7, "0 %"),
            (7, 7, "100 %"),
            (1, 1_000_000, "0.1 %"),
            (999_999, 1_000_000, "99.9 %"),
            (1, 3, "33.3 %"),
            (2, 3, "66.7 %"),
            (1, 8, "12.5 %"),
        ] {
            assert_eq!(share(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn bytes_keep_two_digits_or_more() {
        for (number, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (226_400_000, "226 MB"),
            (1_320_247_296, "1.3 GB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (9_949, "9.9 s"),
            (9_950, "10 s"),
            (59_499, "59 s"),
            (59_500, "1 min 00 s"),
            (185_000, "3 min 05 s"),
            (3_599_500, "1 h 00 min"),
            (7_620_000, "2 h 07 min"),
            (100_800_000, "1 d 04 h"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn rates_keep_three_digits_or_so() {
        for (number, text) in [
            (0.0, "0.00"),
            (0.254, "0.25"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (2512.4, "2,512"),
        ] {
            assert_eq!(rate(number), text);
        }
    }

    #[test]
    fn only_everything_is_a_hundred_percent() {
        assert_eq!(percent(999_999, 1_000_000), "99 %");
        assert_eq!(
            (percent(7, 7), percent(0, 0), percent(0, 7)),
            ("100 %".into(), "100 %".into(), "0 %".into())
        );
        assert_eq!(percent(u64::MAX, u64::MAX), "100 %");
    }
}
