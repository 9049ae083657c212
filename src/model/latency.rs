//! How long requests took.

use std::time::Duration;

/// How long the requests of a run took that were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latency {
    /// How many there are.
    pub(crate) requests: u64,
    /// Half of them took no longer.
    pub(crate) p50: Duration,
    /// 95 of 100 took no longer.
    pub(crate) p95: Duration,
    /// 99 of 100 took no longer.
    pub(crate) p99: Duration,
    /// None took longer.
    pub(crate) worst: Duration,
}

impl Latency {
    /// Of how many requests took how many milliseconds, the quickest first; nothing when there are none.
    pub(crate) fn of(histogram: &[(u64, u64)]) -> Option<Self> {
        let requests: u64 = histogram.iter().map(|(_, n)| n).sum();
        let (worst, _) = histogram.iter().rfind(|(_, n)| *n > 0)?;
        let percentile = |percent: u64| {
            // The nearest rank: the least that so many do not exceed.
            let rank = (requests * percent).div_ceil(100);
            let mut sum = 0;
            let within = histogram.iter().find(|(_, n)| {
                sum += n;
                sum >= rank
            });
            Duration::from_millis(within.map_or(*worst, |(milliseconds, _)| *milliseconds))
        };
        Some(Self {
            requests,
            p50: percentile(50),
            p95: percentile(95),
            p99: percentile(99),
            worst: Duration::from_millis(*worst),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_list() {
        let of = |histogram: &[(u64, u64)]| {
            let latency = Latency::of(histogram).unwrap();
            [latency.p50, latency.p95, latency.p99, latency.worst].map(|took| took.as_millis())
        };
        let hundred: Vec<(u64, u64)> = (1..=100).map(|took| (took, 1)).collect();
        assert_eq!(of(&hundred), [50, 95, 99, 100]);
        assert_eq!(of(&[(7, 1)]), [7, 7, 7, 7]);
        assert_eq!(of(&[(10, 98), (500, 1), (9000, 1)]), [10, 10, 500, 9000]);
        assert_eq!(Latency::of(&[]), None);
    }
}
