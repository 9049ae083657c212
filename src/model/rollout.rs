//! How a push begins carefully: with a few devices, and slowly.

use std::{num::NonZeroU64, str::FromStr};

use super::{OptionError, Percent, Rate};

/// How many devices go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Canary {
    /// None: the fleet goes as it is laid out.
    #[default]
    None,
    /// So many.
    Devices(NonZeroU64),
    /// A share of the run's devices, above nothing; one device at least.
    Share(Percent),
}

impl Canary {
    /// How many of so many devices.
    pub fn of(self, devices: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::Devices(number) => number.get(),
            Self::Share(share) => share.of(devices),
        }
    }
}

impl FromStr for Canary {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Ok(number) = text.parse() {
            return Ok(Self::Devices(number));
        }
        match text.parse::<Percent>() {
            Ok(share) if share != Percent::ZERO => Ok(Self::Share(share)),
            _ => Err(OptionError(
                "write a number of devices from 1, a share of them such as 1%, or none".into(),
            )),
        }
    }
}

impl std::fmt::Display for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Devices(number) => number.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

/// Where the canary of a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CanaryStatus {
    pub(crate) devices: u64,
    /// How many of them have ended.
    pub(crate) ended: u64,
    /// How it was judged, when that has been done.
    pub(crate) verdict: Option<CanaryVerdict>,
}

/// How a canary whose devices have all ended was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CanaryVerdict {
    /// It was good, and the others go.
    Passed,
    /// It was not good, and nothing was left to hold back.
    Failed,
    /// It was not good, and the others go all the same, by `--override-abort`.
    Overridden,
}

impl CanaryVerdict {
    /// The word in the database and in the JSON summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Overridden => "overridden",
        }
    }

    /// The verdict of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Passed, Self::Failed, Self::Overridden]
            .into_iter()
            .find(|verdict| verdict.name() == name)
    }
}

/// Whether the rate rises with the devices that have accepted, and how.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ramp(Option<Steps>);

/// The steps of a ramp: `1,x2,every=500` begins at 1 request a second and doubles with every 500 devices that have accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// The first ceiling, in requests a second.
    from: f64,
    /// What each step multiplies it by, above 1.
    factor: f64,
    /// Devices that must have accepted for one step.
    every: NonZeroU64,
}

impl Ramp {
    /// No ramp: the rate is what `--rate` allows from the start.
    pub const NONE: Self = Self(None);

    /// Its steps, if there are any.
    pub fn steps(self) -> Option<Steps> {
        self.0
    }
}

impl Steps {
    /// A step that multiplies the rate by more is none.
    const MOST_FACTOR: f64 = 1000.0;

    /// The ceiling in requests a second when so many devices have accepted and `top` is the ceiling of the push; `None` when there is
    /// none any more.
    pub fn ceiling(self, accepted: u64, top: Option<f64>) -> Option<f64> {
        let steps = i32::try_from(accepted / self.every).unwrap_or(i32::MAX);
        let ceiling = self.from * self.factor.powi(steps);
        match top {
            Some(top) => Some(ceiling.min(top)),
            None => (ceiling < Rate::MOST).then_some(ceiling),
        }
    }

    /// The ramp for so many devices that all accept: how many go at which ceiling. The last entry is what is left at the top.
    pub fn plan(self, devices: u64, top: Option<f64>) -> Vec<(u64, Option<f64>)> {
        let mut plan = Vec::new();
        let mut gone = 0;
        while gone < devices {
            let ceiling = self.ceiling(gone, top);
            let is_top = ceiling == top;
            let step = if is_top {
                devices - gone
            } else {
                self.every.get().min(devices - gone)
            };
            plan.push((step, ceiling));
            gone += step;
        }
        plan
    }
}

impl FromStr for Ramp {
    type Err = OptionError;

    /// Reads `none`, or the first rate, the factor and the devices of a step: `1,x2,every=500`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let steps = || {
            let mut parts = text.split(',').map(str::trim);
            let from: f64 = parts.next()?.parse().ok()?;
            let factor: f64 = parts.next()?.strip_prefix('x')?.parse().ok()?;
            let every = parts.next()?.strip_prefix("every=")?.parse().ok()?;
            let sound = (Rate::LEAST..=Rate::MOST).contains(&from)
                && factor > 1.0
                && factor <= Steps::MOST_FACTOR
                && parts.next().is_none();
            sound.then_some(Steps {
                from,
                factor,
                every,
            })
        };
        steps().map(Some).map(Self).ok_or_else(|| {
            OptionError(format!(
                "write the first rate, a factor above 1 and up to {}, and the devices of a step: 1,x2,every=500 begins at 1 request \
                 a second and doubles with every 500 devices that have accepted; or none",
                Steps::MOST_FACTOR
            ))
        })
    }
}

impl std::fmt::Display for Ramp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(Steps {
                from,
                factor,
                every,
            }) => write!(f, "{from},x{factor},every={every}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(text: &str) -> Steps {
        text.parse::<Ramp>().unwrap().steps().unwrap()
    }

    #[test]
    fn a_canary_is_a_number_or_a_share() {
        let of = |text: &str, devices| text.parse::<Canary>().unwrap().of(devices);
        assert_eq!(of("50", 10_000), 50);
        assert_eq!(of("1%", 10_000), 100);
        assert_eq!(of("0.5%", 10), 1, "a share is one device at least");
        assert_eq!(of("none", 10_000), 0);
        for text in ["", "0", "0%", "-1", "100%", "1.5", "all", "50 devices"] {
            assert!(text.parse::<Canary>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_ramp_rises_to_the_top() {
        let ramp = steps("1,x2,every=500");
        let ceilings = [0, 499, 500, 1000, 2499, 2500, u64::MAX];
        assert_eq!(
            ceilings.map(|accepted| ramp.ceiling(accepted, Some(25.0))),
            [1.0, 1.0, 2.0, 4.0, 16.0, 25.0, 25.0].map(Some)
        );
        assert_eq!(ramp.ceiling(2500, None), Some(32.0));
        assert_eq!(ramp.ceiling(u64::MAX, None), None, "unlimited in the end");
        assert_eq!(
            steps("40,x2,every=1").ceiling(0, Some(25.0)),
            Some(25.0),
            "never above the top"
        );
    }

    #[test]
    fn the_plan_of_a_ramp_ends_with_what_goes_at_the_top() {
        let plan = |devices, top| steps("5,x2,every=100").plan(devices, top);
        assert_eq!(
            plan(1000, Some(12.0)),
            [(100, Some(5.0)), (100, Some(10.0)), (800, Some(12.0))]
        );
        assert_eq!(plan(150, None), [(100, Some(5.0)), (50, Some(10.0))]);
        assert_eq!(plan(0, None), []);
        let unlimited = steps("100000,x2,every=1").plan(7, None);
        assert_eq!(unlimited, [(7, None)]);
    }

    #[test]
    fn a_bad_ramp_says_what_to_write() {
        for text in [
            "",
            "1",
            "1,x2",
            "1,2,every=5",
            "1,x1,every=5",
            "1,x0.5,every=5",
            "0,x2,every=5",
            "1,x2,every=0",
            "1,x2,every=5,x3",
            "1,xNaN,every=5",
            "1,x2000,every=5",
            "inf,x2,every=5",
        ] {
            let error = text.parse::<Ramp>().unwrap_err().to_string();
            assert!(error.contains("1,x2,every=500"), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn canaries_and_ramps_survive_printing(
            devices in 1u64.., from in Rate::LEAST..Rate::MOST, factor in 1.001..Steps::MOST_FACTOR, every in 1u64..,
        ) {
            let every = NonZeroU64::new(every).unwrap();
            let canary = Canary::Devices(NonZeroU64::new(devices).unwrap());
            prop_assert_eq!(canary.to_string().parse(), Ok(canary));
            let ramp = Ramp(Some(Steps { from, factor, every }));
            prop_assert_eq!(ramp.to_string().parse(), Ok(ramp));
        }

        #[test]
        fn a_ramp_only_rises_and_its_plan_leaves_nobody_out(
            from in 0.01_f64..50.0, factor in 1.1_f64..5.0, every in 1u64..500, devices in 0u64..5000, top in prop::option::of(1.0_f64..100.0),
        ) {
            let steps = Steps { from, factor, every: NonZeroU64::new(every).unwrap() };
            let plan = steps.plan(devices, top);
            prop_assert_eq!(plan.iter().map(|(devices, _)| devices).sum::<u64>(), devices);
            for pair in plan.windows(2) {
                let [before, after] = [pair[0].1, pair[1].1].map(|ceiling| ceiling.unwrap_or(f64::INFINITY));
                prop_assert!(before < after);
            }
        }
    }
}
